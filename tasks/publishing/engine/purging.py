"""Tells the caches in front of a site what they must forget: single URLs, or all that has a tag."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol
from urllib.parse import quote, urlsplit

import httpx

from tasks.core.errors import EgressRefused, Permanent, TooLarge, Transient
from tasks.core.job import JobContext
from tasks.core.publishing_file import DEFAULT_TARGET
from tasks.publishing.caches import TAG_HEADER, Tag, cache_tag
from tasks.publishing.contract import PurgeRequest, PurgeResult
from tasks.publishing.release import Records

# One answer; a cache only notes what it is told.
_ANSWER_S = 5.0
# Above this many changed files one tag is quicker than their URLs.
_MOST_URLS = 200
# As many as a purge request of Cloudflare's API may name.
_AT_ONCE = 30
_INDEXES = ("index.html", "index.htm")


class PurgeFailed(Transient):
    """A cache did not do what it was told: it may show what was there before. Tried again."""

    code = "purge_failed"


class PurgeRefused(Permanent):
    """There is nothing to purge: no cache is configured, the site is not known or has no address."""

    code = "purge_refused"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a cache must forget of one site.

    Args:
        host: under which visitors ask for it, with its port where that is not the usual one.
        urls: whole addresses, as visitors ask for them.
        tags: as caches know them.
    """

    host: str
    urls: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class Cache(Protocol):
    """One cache in front of sites."""

    @property
    def address(self) -> str:
        """Where it is told."""

    def purge(self, client: httpx.Client, wanted: Wanted, checkpoint: Callable[[], None]) -> None:
        """Make it forget.

        Raises:
            PurgeFailed: it answered that it did not.
            httpx.HTTPError: it did not answer.
        """


@dataclass(frozen=True, slots=True)
class Varnish:
    """A Varnish with the configuration of ``tasks.publishing.varnish``."""

    address: str

    def purge(self, client: httpx.Client, wanted: Wanted, checkpoint: Callable[[], None]) -> None:
        """See ``Cache``: one request for each URL and each tag."""
        base = self.address.rstrip("/")
        for url in wanted.urls:
            checkpoint()
            path = urlsplit(url).path or "/"
            _demand(client.request("PURGE", base + path, headers={"Host": wanted.host}))
        for tag in wanted.tags:
            checkpoint()
            _demand(client.request("BAN", f"{base}/", headers={"Host": wanted.host, TAG_HEADER: tag}))


@dataclass(frozen=True, slots=True)
class HTTPPurge:
    """Whatever takes ``{"files": [URL, …]}`` and ``{"tags": [tag, …]}`` by POST, as Cloudflare's API does.

    Args:
        token: sent as a Bearer token; None: none.
    """

    address: str
    token: str | None = None

    def purge(self, client: httpx.Client, wanted: Wanted, checkpoint: Callable[[], None]) -> None:
        """See ``Cache``: 30 URLs or tags in one request."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        for name, values in (("files", wanted.urls), ("tags", wanted.tags)):
            for some in _portions(values):
                checkpoint()
                _demand(client.post(self.address, json={name: some}, headers=headers))


@dataclass(frozen=True, slots=True)
class Caches:
    """All caches in front of a site."""

    all: Sequence[Cache] = ()

    def check(self, job: JobContext) -> None:
        """See that workers may reach each, as far as that is known without looking its name up.

        Raises:
            PurgeRefused: they may not.
        """
        for cache in self.all:
            try:
                job.http.check(cache.address)
            except EgressRefused as exc:
                raise _unreachable(cache) from exc

    def purge(self, job: JobContext, wanted: Wanted) -> None:
        """Make all forget.

        Raises:
            PurgeFailed: one did not; the others were told.
            PurgeRefused: workers may not reach one.
        """
        failed = [why for cache in self.all if (why := _failure(cache, job, wanted)) is not None]
        if failed:
            raise PurgeFailed(f"A cache may show what was there before: {'; '.join(failed)}."[:500])


@dataclass(frozen=True, slots=True)
class Purge:
    """Runs ``publishing.purge``."""

    records: Records
    caches_of: Callable[[JobContext, str, str], Caches]
    """Those of a site in a target."""

    def __call__(self, request: PurgeRequest, job: JobContext) -> PurgeResult:
        """Purge what the request names.

        Raises:
            PurgeRefused: there is no cache, no such site, or nobody knows its address.
            PurgeFailed: a cache did not forget.
            TargetUnknown: the site lies in a target that is not declared any more.
        """
        known = self.records.site(job, request.site)
        if known is None or known.url is None:
            raise PurgeRefused(f"The address of {request.site} is not known: publish it with its `url`.", field="site")
        caches = self.caches_of(job, request.site, known.target)
        if not caches.all:
            where = "SWITCHYARD_PUBLISH_CACHES"
            if known.target != DEFAULT_TARGET:
                where = f"caches of target.{known.target} in SWITCHYARD_PUBLISH_FILE"
            raise PurgeRefused(f"No cache is configured for {request.site}: an operator can name some ({where}).")
        tags = request.tags or (() if request.paths else (Tag.ALL,))
        wanted = Wanted(
            _host(known.url),
            tuple(_urls(known.url, request.paths)),
            tuple(cache_tag(request.site, tag) for tag in tags),
        )
        began = time.monotonic()
        caches.purge(job, wanted)
        self.records.note_purge(job, request.site, urls=len(wanted.urls), tags=wanted.tags)
        return PurgeResult(
            site=request.site,
            target=known.target,
            urls=len(wanted.urls),
            tags=wanted.tags,
            caches=len(caches.all),
            seconds=round(time.monotonic() - began, 3),
        )


def purge_changed(caches: Caches, job: JobContext, *, site: str, url: str | None, changed: Iterable[str]) -> None:
    """Make all caches forget the files that are another now; above 200, all that can change.

    Raises:
        PurgeFailed: one did not.
    """
    paths = list(changed)
    if url is None or not caches.all or not paths:
        return
    is_few = len(paths) <= _MOST_URLS
    urls = tuple(_urls(url, paths)) if is_few else ()
    tags = () if is_few else (cache_tag(site, Tag.CHANGING),)
    began = time.monotonic()
    caches.purge(job, Wanted(_host(url), urls, tags))
    job.log(f"purged {len(urls)} URLs and {len(tags)} tags in {time.monotonic() - began:.3f} s")


def _urls(url: str, paths: Iterable[str]) -> Iterator[str]:
    base = url if url.endswith("/") else url + "/"
    for path in paths:
        folder, slash, name = path.rpartition("/")
        yield base + quote(path)
        if name in _INDEXES:
            yield base + quote(folder + slash)


def _host(url: str) -> str:
    return urlsplit(url).netloc.lower()


def _failure(cache: Cache, job: JobContext, wanted: Wanted) -> str | None:
    try:
        with job.http.client(total_timeout_s=_ANSWER_S) as client:
            cache.purge(client, wanted, job.checkpoint)
    except EgressRefused as exc:
        raise _unreachable(cache) from exc
    except PurgeFailed as exc:
        return f"{cache.address} {exc.message}"
    except (httpx.HTTPError, Transient, TooLarge) as exc:
        return f"{cache.address} does not answer ({type(exc).__name__})"
    return None


def _demand(answer: httpx.Response) -> None:
    if not answer.is_success:
        raise PurgeFailed(f"answers with status {answer.status_code}")


def _unreachable(cache: Cache) -> PurgeRefused:
    return PurgeRefused(
        f"Workers may not reach the cache {cache.address}: an operator can allow its host and port "
        "(SWITCHYARD_EGRESS_ALLOW)."[:500]
    )


def _portions(values: Iterable[str]) -> Iterator[list[str]]:
    left = iter(values)
    while some := list(islice(left, _AT_ONCE)):
        yield some
