"""Reads a live release back as visitors get it, and says whether it is what was published."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol
from urllib.parse import quote, urljoin
from uuid import uuid4

import httpx

from tasks.core.errors import EgressRefused, Permanent, TooLarge, Transient
from tasks.core.job import JobContext
from tasks.publishing.engine.generating import ACTIONS, NOT_FOUND, ROBOTS, SITEMAP
from tasks.publishing.engine.headers import wrong_header
from tasks.publishing.engine.pages import is_page
from tasks.publishing.engine.places.place import Place
from tasks.publishing.engine.smoke import Budget, trouble_in_browser
from tasks.publishing.manifest import IMMUTABLE, File, Manifest

INDEX = "index.html"
_KEY = (INDEX, SITEMAP, ROBOTS, ACTIONS, NOT_FOUND)
_MOST_PAGES = 20
_MOST_WARMED = 50
# In a browser, where each takes a second or so.
_MOST_OPENED = 5
# One answer; a web server in front of files needs milliseconds.
_ANSWER_S = 5.0
# How long a server may go on giving the release before, such as one that keeps open files for a second.
_PATIENCE_S = 5.0
_PAUSE_S = 0.25


class VerificationFailed(Permanent):
    """What visitors get is not what was published; what was live before is live again."""

    code = "verification_failed"


class _Reader(Protocol):
    def read(self, path: str, file: File) -> bytes:
        """Return what visitors get.

        Raises:
            _Wrong: they get something else than a file, or with headers that are not the file's.
        """

    def check_missing(self) -> None:
        """Ask for a page that does not exist."""


class _Wrong(Exception):
    """Not what was published, so far."""


def check_url(job: JobContext, url: str) -> None:
    """See that workers may reach the site's address, as far as that is known without looking its name up.

    Raises:
        VerificationFailed: they may not.
    """
    try:
        job.http.check(url)
    except EgressRefused as exc:
        raise _unreachable(url) from exc


def warm(manifest: Manifest, job: JobContext, *, url: str | None, changed: Iterable[str]) -> None:
    """Ask for the key files and the changed pages, so that caches on the way have them. A failure is no matter here."""
    if url is None:
        return
    with _over_http(job, url) as reader:
        for path in _chosen(manifest, changed, _MOST_WARMED):
            job.checkpoint()
            try:
                reader.read(path, manifest.files[path])
            except _Wrong as exc:
                job.log(f"warming {path}: {exc}", level="warning")


def verify(manifest: Manifest, job: JobContext, place: Place, *, url: str | None, changed: Iterable[str]) -> int:
    """Read the key files and some changed pages back; return how many.

    Args:
        url: where visitors find the site; None: they are read from the place itself.

    Raises:
        VerificationFailed: one is missing, has other bytes or wrong headers, after some seconds of patience.
    """
    paths = _chosen(manifest, changed, _MOST_PAGES)
    with _through(place) if url is None else _over_http(job, url) as reader:
        until = time.monotonic() + _PATIENCE_S
        for path in paths:
            while (wrong := _wrong(reader, path, manifest)) is not None:
                job.checkpoint()
                if time.monotonic() > until:
                    raise VerificationFailed(f"Of the release {manifest.release[:12]}, {path!r} {wrong}."[:500])
                time.sleep(_PAUSE_S)
        try:
            reader.check_missing()
        except _Wrong as exc:
            raise VerificationFailed(f"A page that does not exist {exc}."[:500]) from exc
    return len(paths)


def open_pages(manifest: Manifest, job: JobContext, url: str, *, changed: Iterable[str], budget: Budget) -> None:
    """Open the first page and some changed pages in a browser; each may load as much as ``budget`` says.

    Raises:
        VerificationFailed: something is wrong with one.
        EngineUnavailable, Transient: there is no browser, or it failed.
    """
    pages = [path for path in _chosen(manifest, changed, _MOST_PAGES) if is_page(path) and path != NOT_FOUND]
    opened = pages[:_MOST_OPENED]
    if (wrong := trouble_in_browser(job, url, opened, budget)) is not None:
        raise VerificationFailed(f"Of the release {manifest.release[:12]}, {wrong}."[:500])
    job.log(f"a browser opened {len(opened)} pages without an error")


def _chosen(manifest: Manifest, changed: Iterable[str], most: int) -> list[str]:
    key = [path for path in _KEY if path in manifest.files]
    pages = [path for path in sorted(changed) if is_page(path) and path in manifest.files]
    # One of those that pages name by their content, which servers find elsewhere and give other headers.
    assets = [path for path in sorted(changed) if path in manifest.files and _is_immutable(manifest.files[path])][:1]
    return list(dict.fromkeys([*key, *assets, *pages]))[:most] or sorted(manifest.files)[:1]


def _is_immutable(file: File) -> bool:
    return file.cache_control == IMMUTABLE


def _wrong(reader: _Reader, path: str, manifest: Manifest) -> str | None:
    try:
        content = reader.read(path, manifest.files[path])
    except _Wrong as exc:
        return str(exc)
    if hashlib.sha256(content).hexdigest() != manifest.files[path].content.sha256:
        return f"has other bytes ({len(content):,} of {manifest.files[path].content.size:,})"
    return None


def _unreachable(url: str) -> VerificationFailed:
    return VerificationFailed(
        f"Workers may not reach {url}: an operator can allow its host and port (SWITCHYARD_EGRESS_ALLOW)."[:500],
        field="url",
    )


class _FromPlace:
    def __init__(self, place: Place) -> None:
        self._place = place

    def read(self, path: str, file: File) -> bytes:  # noqa: ARG002  # a place says no headers
        return self._place.live_content(path)

    def check_missing(self) -> None:
        """A place answers nobody."""


class _FromSite:
    def __init__(self, client: httpx.Client, url: str) -> None:
        self._client = client
        self._base = url if url.endswith("/") else url + "/"

    def read(self, path: str, file: File) -> bytes:
        answer = self._get(path)
        if answer.status_code != 200:
            raise _Wrong(f"is answered with status {answer.status_code}")
        if (wrong := wrong_header(file, answer.headers)) is not None:
            raise _Wrong(wrong)
        return answer.content

    def check_missing(self) -> None:
        status = self._get(f"{uuid4().hex}/not-there.html").status_code
        if status != 404:
            raise _Wrong(f"is answered with status {status}, not with 404")

    def _get(self, path: str) -> httpx.Response:
        try:
            # Not from a cache on the way, and as it lies there; each server shows an index by its folder.
            headers = {"Cache-Control": "no-cache", "Accept-Encoding": "identity"}
            return self._client.get(urljoin(self._base, quote(path)), headers=headers)
        except EgressRefused as exc:
            raise _unreachable(self._base) from exc
        except (httpx.HTTPError, Transient, TooLarge) as exc:
            raise _Wrong(f"cannot be read: {type(exc).__name__}") from exc


@contextmanager
def _through(place: Place) -> Iterator[_Reader]:
    yield _FromPlace(place)


@contextmanager
def _over_http(job: JobContext, url: str) -> Iterator[_Reader]:
    with job.http.client(total_timeout_s=_ANSWER_S) as client:
        yield _FromSite(client, url)
