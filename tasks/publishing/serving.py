"""Serves a published site from its folder, for development: the same paths, headers and compressed forms as nginx."""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from tasks.publishing.caches import TAG_HEADER, cache_tags
from tasks.publishing.manifest import IMMUTABLE, File, Manifest, media_type_of

_NOT_FOUND = "404.html"
_SPECULATION = "site.speculationrules"
_Start = Callable[[str, list[tuple[str, str]]], object]


class SiteServer:
    """A WSGI application for one site; each request looks once at which release is live.

    Args:
        folder: the site's own in a folder of published sites: ``<SWITCHYARD_PUBLISH_DIR>/<tenant>/<site>``.
        release: the one to serve; None: what is live.
    """

    def __init__(self, folder: Path, *, release: str | None = None) -> None:
        self._folder = folder
        self._release = release

    def __call__(self, environ: Mapping[str, Any], start: _Start) -> Iterable[bytes]:
        """Answer one request."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _plain(start, HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", "GET, HEAD"))
        try:
            manifest = _manifest(self._folder, self._release or (self._folder / "live").readlink().name)
        except FileNotFoundError:
            return _plain(start, HTTPStatus.NOT_FOUND)
        path = environ.get("PATH_INFO", "/").encode("latin-1").decode(errors="replace").lstrip("/")
        if path == "" or path.endswith("/"):
            path += "index.html"
        if (file := manifest.files.get(path)) is not None:
            return self._answer(environ, start, manifest, file)
        if f"{path}/index.html" in manifest.files:
            return _plain(start, HTTPStatus.PERMANENT_REDIRECT, ("Location", _root(environ) + quote(f"/{path}/")))
        if self._release is None and (kept := self._of_another_release(path)) is not None:
            return _send(environ, start, HTTPStatus.OK, kept, self._headers(media_type_of(path), IMMUTABLE))
        if (missing := manifest.files.get(_NOT_FOUND)) is not None:
            return self._answer(environ, start, manifest, missing, status=HTTPStatus.NOT_FOUND)
        return _plain(start, HTTPStatus.NOT_FOUND)

    def _answer(
        self,
        environ: Mapping[str, Any],
        start: _Start,
        manifest: Manifest,
        file: File,
        *,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> Iterable[bytes]:
        accepted = {part.partition(";")[0].strip() for part in environ.get("HTTP_ACCEPT_ENCODING", "").split(",")}
        encoding = next((name for name in ("br", "gzip") if name in accepted and name in file.encodings), None)
        stored = file.encodings[encoding] if encoding else file.content
        headers = self._headers(file.media_type, file.cache_control)
        headers += [("ETag", f'"{stored.sha256}"'), ("Vary", "Accept-Encoding")]
        if encoding:
            headers.append(("Content-Encoding", encoding))
        if file.media_type.startswith("text/html") and _SPECULATION in manifest.files:
            headers.append(("Speculation-Rules", json.dumps(f"{_root(environ)}/{_SPECULATION}")))
        if status is HTTPStatus.OK and f'"{stored.sha256}"' in environ.get("HTTP_IF_NONE_MATCH", ""):
            start(_line(HTTPStatus.NOT_MODIFIED), headers)
            return []
        return _send(environ, start, status, self._folder / "content" / stored.sha256[:2] / stored.sha256, headers)

    def _headers(self, media_type: str, cache_control: str) -> list[tuple[str, str]]:
        return [
            ("Content-Type", media_type),
            ("Cache-Control", cache_control),
            (TAG_HEADER, cache_tags(self._folder.name, is_immutable=cache_control == IMMUTABLE)),
            ("X-Content-Type-Options", "nosniff"),
        ]

    def _of_another_release(self, path: str) -> Path | None:
        """What a page of an earlier release still asks for."""
        if ".." in PurePosixPath(path).parts:
            return None
        found = self._folder / "fingerprinted" / path
        return found if found.is_file() else None


@lru_cache(maxsize=4)
def _manifest(folder: Path, release: str) -> Manifest:
    return Manifest.from_json((folder / "manifests" / release).read_bytes())


def _root(environ: Mapping[str, Any]) -> str:
    """The path below which the site is served, without a slash at its end."""
    return str(environ.get("SCRIPT_NAME", ""))


def _send(
    environ: Mapping[str, Any], start: _Start, status: HTTPStatus, path: Path, headers: list[tuple[str, str]]
) -> Iterable[bytes]:
    content = path.read_bytes()
    start(_line(status), [*headers, ("Content-Length", str(len(content)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [content]


def _plain(start: _Start, status: HTTPStatus, *headers: tuple[str, str]) -> Iterable[bytes]:
    start(_line(status), [("Content-Type", "text/plain; charset=utf-8"), *headers])
    return [status.phrase.encode()]


def _line(status: HTTPStatus) -> str:
    return f"{status.value} {status.phrase}"
