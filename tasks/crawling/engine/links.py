"""Finding a site's broken links: the engine of ``crawling.links``."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

from tasks.core.job import JobContext
from tasks.core.web_address import is_page_like
from tasks.crawling.contract import (
    LINKS_NAME,
    MAX_ERRORS_SHOWN,
    PAGES_MEDIA_TYPE,
    BrokenLink,
    LinksRequest,
    LinksResult,
    StopReason,
)
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.engine.fetch import FetchFailed, FetchLimits, FetchSkipped
from tasks.crawling.engine.link_book import LinkBook
from tasks.crawling.engine.politeness import pacing
from tasks.crawling.engine.scope import SiteScope
from tasks.crawling.engine.visiting import Tools, attended, run
from tasks.crawling.engine.walk import walk
from tasks.crawling.records import PageError

_AT_A_TIME = 500
# No media type is this, so that an answer is judged by its head and its body is not read.
_NOTHING = frozenset({"nothing/at-all"})


def check_links(request: LinksRequest, job: JobContext, *, limits: FetchLimits | None = None) -> LinksResult:
    """Crawl the site, ask for what it links to outside, and keep what is broken as ``links.jsonl``.

    An address counts as broken where it answers 4xx or 5xx, redirects without end, or does not answer after retries.
    robots.txt holds for other sites too; what it forbids is not checked.

    Raises:
        AppError: as ``crawl`` of ``site``.
    """
    with CrawlState.of(job) as state, pacing(request, job, state) as politeness:
        links = LinkBook(state)
        crawled = run(
            walk(
                request,
                job,
                limits=limits or FetchLimits(),
                state=state,
                politeness=politeness,
                keep=links.add,
                on_error=links.fail,
                afterwards=partial(_try_outside, request, job, links) if request.check_external else None,
                keeps_noindex=True,
            )
        )
        path = job.workdir / LINKS_NAME
        first: list[BrokenLink] = []
        with path.open("w", encoding="utf-8") as out:
            for link in links.broken():
                job.checkpoint()
                out.write(f"{link.model_dump_json()}\n")
                if len(first) < MAX_ERRORS_SHOWN:
                    first.append(link)
        known, checked, broken = links.counts()
    job.save(LINKS_NAME, path, PAGES_MEDIA_TYPE)
    return LinksResult(
        start_url=crawled.start_url,
        pages_ok=crawled.pages_ok,
        links=known,
        checked=checked,
        broken=sum(broken.values()),
        broken_by_reason=broken,
        stopped_by=crawled.stopped_by,
        first=tuple(first),
    )


async def _try_outside(
    request: LinksRequest,
    job: JobContext,
    links: LinkBook,
    tools: Tools,
    start_url: str,
    *,
    is_out_of_time: Callable[[], bool],
) -> StopReason | None:
    """Ask for the links that lead out of the crawl's scope, and for files that are no pages, a few at a time.

    Returns why it ended before all were asked for; None where they were.
    """
    scope = SiteScope(request, start_url=start_url)
    # What an earlier attempt has asked for is not asked for again, and counts.
    done = tried = links.tried
    total = min(tried + sum(1 for _ in _outside(scope, links)), request.max_external)
    waiting = islice(_outside(scope, links), max(0, request.max_external - tried))

    stopped_by: StopReason | None = None

    async def work() -> None:
        nonlocal done, stopped_by
        for url in waiting:
            if is_out_of_time():
                stopped_by = StopReason.MAX_DURATION
                return
            is_allowed = (await tools.robots.rules_for(url)).allows(url)
            error = await _try(url, tools) if is_allowed else None
            links.check(url, error, is_asked=is_allowed)
            done += 1
            job.report("checking", done, total, message=url)

    async def all_of_them() -> None:
        await asyncio.gather(*(work() for _ in range(request.concurrency)))

    await attended(all_of_them(), job)
    return stopped_by


def _outside(scope: SiteScope, links: LinkBook) -> Iterator[str]:
    """Give the addresses that the crawl did not ask for because they are no pages of the site."""
    after = -1
    while found := links.unchecked(after, _AT_A_TIME):
        after = found[-1][0]
        yield from (url for _, url in found if not scope.covers(url) or not is_page_like(url))


async def _try(url: str, tools: Tools) -> PageError | None:
    """Return why an address cannot be had, or None."""
    try:
        await tools.fetcher.fetch(url, max_bytes=0, types=_NOTHING, truncate=True)
    except FetchSkipped:
        return None
    except FetchFailed as exc:
        return PageError(url=url, reason=exc.reason, status=exc.status, message=exc.message[:300])
    return None
