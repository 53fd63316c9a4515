"""Serves a published site: the same paths, headers and compressed forms as nginx does from a folder.

For a look at a site in a folder, and for real before a bucket, which nginx cannot read a release from.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tasks.publishing.caches import TAG_HEADER, cache_tags
from tasks.publishing.conditions import Unsatisfiable, is_known, is_other, part_of
from tasks.publishing.failures import PlaceFailed, PlaceRefused
from tasks.publishing.manifest import IMMUTABLE, File
from tasks.publishing.served import FolderSite, Live, Served

_NOT_FOUND = "404.html"
_SPECULATION = "site.speculationrules"
_Start = Callable[[str, list[tuple[str, str]]], object]


class SiteServer:
    """A WSGI application for one site; each request looks once at which release is live.

    Args:
        site: or its own folder, which lies in a folder of published sites.
        release: the one to serve; None: what is live.
    """

    def __init__(self, site: Served | Path, *, release: str | None = None) -> None:
        self._site = FolderSite(site) if isinstance(site, Path) else site
        self._release = release

    def __call__(self, environ: Mapping[str, Any], start: _Start) -> Iterable[bytes]:
        """Answer one request."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _plain(start, HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", "GET, HEAD"))
        try:
            return self._find(environ, start)
        except (PlaceFailed, PlaceRefused):
            return _plain(start, HTTPStatus.SERVICE_UNAVAILABLE, ("Retry-After", "1"))

    def _find(self, environ: Mapping[str, Any], start: _Start) -> Iterable[bytes]:
        if self._release is None:
            live = self._site.live()
        else:
            found = self._site.manifest(self._release)
            live = None if found is None else Live(found)
        if live is None:
            return _plain(start, HTTPStatus.NOT_FOUND)
        files = live.manifest.files
        path = environ.get("PATH_INFO", "/").encode("latin-1").decode(errors="replace").lstrip("/")
        if path == "" or path.endswith("/"):
            path += "index.html"
        if (file := files.get(path)) is not None:
            return self._answer(environ, start, live, file)
        if f"{path}/index.html" in files:
            return _plain(start, HTTPStatus.PERMANENT_REDIRECT, ("Location", _root(environ) + quote(f"/{path}/")))
        # A page of an earlier release, opened before the swap, still asks for its own assets.
        if self._release is None and (kept := self._site.asset(path)) is not None:
            return self._answer(environ, start, live, kept)
        if (missing := files.get(_NOT_FOUND)) is not None:
            return self._answer(environ, start, live, missing, status=HTTPStatus.NOT_FOUND)
        return _plain(start, HTTPStatus.NOT_FOUND)

    def _answer(
        self,
        environ: Mapping[str, Any],
        start: _Start,
        live: Live,
        file: File,
        *,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> Iterable[bytes]:
        accepted = _accepted(environ.get("HTTP_ACCEPT_ENCODING", ""))
        encoding = next((name for name in ("br", "gzip") if name in accepted and name in file.encodings), None)
        stored = file.encodings[encoding] if encoding else file.content
        headers = self._headers(file, live)
        etag = f'"{stored.sha256}"'
        headers += [("ETag", etag), ("Vary", "Accept-Encoding"), ("Accept-Ranges", "bytes")]
        if encoding:
            headers.append(("Content-Encoding", encoding))
        if file.media_type.startswith("text/html") and _SPECULATION in live.manifest.files:
            headers.append(("Speculation-Rules", json.dumps(f"{_root(environ)}/{_SPECULATION}")))
        part = None
        if status is HTTPStatus.OK:
            if is_other(environ, etag):
                return _plain(start, HTTPStatus.PRECONDITION_FAILED)
            if is_known(environ, etag):
                start(_line(HTTPStatus.NOT_MODIFIED), headers)
                return []
            try:
                part = part_of(environ, etag=etag, size=stored.size)
            except Unsatisfiable:
                status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
                return _plain(start, status, ("Content-Range", f"bytes */{stored.size}"), ("Accept-Ranges", "bytes"))
        if part is not None:
            status = HTTPStatus.PARTIAL_CONTENT
            headers.append(("Content-Range", f"bytes {part.first}-{part.last}/{stored.size}"))
        is_asked = environ["REQUEST_METHOD"] != "HEAD"
        content = self._site.content(stored, part) if is_asked else []
        start(_line(status), [*headers, ("Content-Length", str(stored.size if part is None else part.size))])
        return content

    def _headers(self, file: File, live: Live) -> list[tuple[str, str]]:
        headers = [
            ("Content-Type", file.media_type),
            ("Cache-Control", file.cache_control),
            ("X-Content-Type-Options", "nosniff"),
        ]
        is_immutable = file.cache_control == IMMUTABLE
        # A cache keeps what has a tag. What may be of an earlier release is not for keeping: nobody will purge it.
        if live.is_certain or is_immutable:
            headers.append((TAG_HEADER, cache_tags(self._site.name, is_immutable=is_immutable)))
        return headers


def _accepted(header: str) -> set[str]:
    """The encodings that a client takes (RFC 9110, 12.5.3); ``q=0`` is a refusal."""
    parts = [part.replace(" ", "").lower().split(";") for part in header.split(",")]
    return {name for name, *more in parts if not any(one in ("q=0", "q=0.0", "q=0.00", "q=0.000") for one in more)}


def _root(environ: Mapping[str, Any]) -> str:
    """The path below which the site is served, without a slash at its end."""
    return str(environ.get("SCRIPT_NAME", ""))


def _plain(start: _Start, status: HTTPStatus, *headers: tuple[str, str]) -> Iterable[bytes]:
    start(_line(status), [("Content-Type", "text/plain; charset=utf-8"), *headers])
    return [status.phrase.encode()]


def _line(status: HTTPStatus) -> str:
    return f"{status.value} {status.phrase}"
