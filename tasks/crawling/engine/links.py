"""Finding a site's broken links: the engine of ``crawling.links``."""

import asyncio
from collections import Counter
from functools import partial

from tasks.core.job import JobContext
from tasks.core.web_address import is_page_like
from tasks.crawling.contract import (
    LINKS_NAME,
    MAX_ERRORS_SHOWN,
    PAGES_MEDIA_TYPE,
    BrokenLink,
    LinksRequest,
    LinksResult,
)
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.engine.fetch import FetchFailed, FetchLimits, FetchSkipped
from tasks.crawling.engine.pages_file import PagesFile
from tasks.crawling.engine.scope import SiteScope
from tasks.crawling.engine.traps import without_session
from tasks.crawling.engine.visiting import Tools, attended, run
from tasks.crawling.engine.walk import walk
from tasks.crawling.records import CrawledPage, PageError

MAX_PLACES = 10
# No media type is this, so that an answer is judged by its head and its body is not read.
_NOTHING = frozenset({"nothing/at-all"})


class _Links:
    """Which pages link where, and what of it is broken."""

    def __init__(self) -> None:
        self.pages: Counter[str] = Counter()
        self.places: dict[str, list[str]] = {}
        self.visited: set[str] = set()
        self.errors: dict[str, PageError] = {}

    def add(self, page: CrawledPage) -> bool:
        """Note where a page links to."""
        self.visited |= {page.url, page.requested_url}
        for url in map(without_session, page.links):
            self.pages[url] += 1
            places = self.places.setdefault(url, [])
            if len(places) < MAX_PLACES:
                places.append(page.url)
        return True

    def fail(self, error: PageError) -> None:
        """Note an address that could not be had."""
        self.errors[error.url] = error

    def broken(self) -> list[BrokenLink]:
        """Return what is linked and cannot be had, most linked first."""
        urls = sorted((url for url in self.errors if url in self.pages), key=lambda url: (-self.pages[url], url))
        return [
            BrokenLink(**self.errors[url].model_dump(), found_on=tuple(self.places[url]), pages=self.pages[url])
            for url in urls
        ]


def check_links(request: LinksRequest, job: JobContext, *, limits: FetchLimits | None = None) -> LinksResult:
    """Crawl the site, ask for what it links to outside, and keep what is broken as ``links.jsonl``.

    An address counts as broken where it answers 4xx or 5xx, redirects without end, or does not answer after retries.
    robots.txt holds for other sites too; what it forbids is not checked.

    Raises:
        AppError: as ``crawl`` of ``site``.
    """
    links = _Links()
    after = partial(_try_outside, request, job, links) if request.check_external else None
    with CrawlState.of(job) as state, PagesFile(state) as pages:
        keep = pages.keeping(links.add)
        for error in state.errors():
            links.fail(error)
        crawled = run(
            walk(
                request,
                job,
                limits=limits or FetchLimits(),
                state=state,
                keep=keep,
                on_error=links.fail,
                afterwards=after,
                keeps_noindex=True,
            )
        )
    broken = links.broken()
    path = job.workdir / LINKS_NAME
    path.write_text("".join(f"{link.model_dump_json()}\n" for link in broken), encoding="utf-8")
    job.save(LINKS_NAME, path, PAGES_MEDIA_TYPE)
    return LinksResult(
        start_url=crawled.start_url,
        pages_ok=crawled.pages_ok,
        links=len(links.pages),
        checked=sum(url in links.visited or url in links.errors for url in links.pages),
        broken=len(broken),
        broken_by_reason=dict(Counter(link.reason for link in broken)),
        stopped_by=crawled.stopped_by,
        first=tuple(broken[:MAX_ERRORS_SHOWN]),
    )


async def _try_outside(request: LinksRequest, job: JobContext, links: _Links, tools: Tools, start_url: str) -> None:
    """Ask for the links that lead out of the crawl's scope, and for files that are no pages, a few at a time."""
    scope = SiteScope(request, start_url=start_url)
    unseen = (url for url in links.pages if url not in links.visited and url not in links.errors)
    outside = [url for url in unseen if not scope.covers(url) or not is_page_like(url)]
    waiting = iter(outside[: request.max_external])
    done = 0

    async def work() -> None:
        nonlocal done
        for url in waiting:
            await _try(url, links, tools)
            done += 1
            job.report("checking", done, min(len(outside), request.max_external), message=url)

    async def all_of_them() -> None:
        await asyncio.gather(*(work() for _ in range(request.concurrency)))

    await attended(all_of_them(), job)


async def _try(url: str, links: _Links, tools: Tools) -> None:
    try:
        if not (await tools.robots.rules_for(url)).allows(url):
            return
        await tools.fetcher.fetch(url, max_bytes=0, types=_NOTHING, truncate=True)
    except FetchSkipped:
        pass
    except FetchFailed as exc:
        links.fail(PageError(url=url, reason=exc.reason, status=exc.status, message=exc.message[:300]))
    links.visited.add(url)
