"""Crawling one site: the engine of ``crawling.site``."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from tasks.core.job import JobContext
from tasks.core.web_address import host_of
from tasks.crawling.contract import (
    CHANGES_NAME,
    FAILURES_NAME,
    MAX_ERRORS_SHOWN,
    PAGES_MEDIA_TYPE,
    PAGES_NAME,
    SIMILAR_NAME,
    SITE_CRAWLED,
    UNREACHED_NAME,
    CrawlResult,
    SiteRequest,
    StopReason,
)
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.engine.fetch import FetchLimits
from tasks.crawling.engine.near_duplicates import NearDuplicates
from tasks.crawling.engine.pages_file import PagesFile
from tasks.crawling.engine.politeness import pacing
from tasks.crawling.engine.reading_version import reading_version
from tasks.crawling.engine.recall import Recall
from tasks.crawling.engine.revisiting import Revisiting
from tasks.crawling.engine.screenshots import keep_screenshots
from tasks.crawling.engine.visiting import run
from tasks.crawling.engine.walk import walk
from tasks.crawling.records import CrawledPage, EarlierCrawl

OpenEarlier = Callable[[JobContext, str], EarlierCrawl | None]
"""Finds the crawl that ``since`` of a request names; None where it is ``last`` and there is none."""


class SiteCrawler:
    """The engine of ``crawling.site``."""

    def __init__(self, open_earlier: OpenEarlier) -> None:
        self._open_earlier = open_earlier

    def __call__(self, request: SiteRequest, job: JobContext) -> CrawlResult:
        """Crawl as ``crawl`` does."""
        return crawl(request, job, open_earlier=self._open_earlier)


def crawl(
    request: SiteRequest,
    job: JobContext,
    *,
    limits: FetchLimits | None = None,
    open_earlier: OpenEarlier = lambda _job, _since: None,
) -> CrawlResult:
    """Crawl the site and keep its pages as the artifact ``pages.jsonl``, one ``CrawledPage`` a line.

    A new attempt on the same machine goes on where the last one stopped; only pages under way are fetched again.
    With ``since`` it asks for pages of the earlier crawl conditionally and keeps what differs as ``changes.jsonl``.
    With ``revisit`` it asks only for those that are due. With ``urls`` it fetches these instead of what it finds.
    With ``screenshots`` it then keeps pictures of the first pages; a new attempt takes all of them anew.

    Args:
        job: gets a ``crawling`` report per page, then a ``showing`` report per picture, and is asked at least every
            0.2 s whether to go on.
    Raises:
        InputRejected: the start URL is no page (404, another type, no such host). Permanent.
        EgressRefused: the start URL is where requests must not go. Permanent.
        Permanent: robots.txt disallows the start URL, or its Crawl-delay is longer than the time allowed.
        Transient: the start URL or its robots.txt did not answer, or answered 429 or 5xx.
        NotFound: the earlier crawl that the request names is not there. Permanent.
    """
    with ExitStack() as stack:
        state = stack.enter_context(CrawlState.of(job))
        politeness = stack.enter_context(pacing(request, job, state))
        pages = stack.enter_context(PagesFile(state))
        revisiting = None if request.revisit is None else Revisiting(state, request.revisit)
        recall = stack.enter_context(_recalling(request, job, state, open_earlier, revisiting))

        near = NearDuplicates(state)

        def keep(page: CrawledPage) -> bool:
            if not pages.is_new(page):
                return False
            pages.append(near.noted(_watched(page, revisiting, recall)))
            return True

        work = walk(
            request if request.urls is None else _bounded_by(request, request.urls),
            job,
            limits=limits or FetchLimits(),
            state=state,
            politeness=politeness,
            keep=keep,
            recall=recall,
            revisiting=revisiting,
            tell=job.delta if request.page_events else None,
            listed=request.urls,
        )
        result = run(work).model_copy(update={"reader": reading_version()})
        # A list of no URLs is meant to bring nothing.
        if request.urls != () and result.pages_without_text == result.pages_ok:
            job.log(_without_text(result), level="warning")
        kept = pages.whole(job.workdir)
        if request.urls is not None and result.stopped_by is StopReason.EXHAUSTED:
            result = result.model_copy(update={"stopped_by": StopReason.LISTED, "is_whole": False})
        job.save(PAGES_NAME, kept, PAGES_MEDIA_TYPE)
        if result.pages_failed > MAX_ERRORS_SHOWN:
            failures = job.workdir / FAILURES_NAME
            state.write_errors(failures)
            job.save(FAILURES_NAME, failures, PAGES_MEDIA_TYPE)
        groups = job.workdir / SIMILAR_NAME
        count, similar = near.write_groups(groups, job)
        if count:
            job.save(SIMILAR_NAME, groups, PAGES_MEDIA_TYPE)
            result = result.model_copy(update={"similar": similar})
        if recall is not None:
            changes = job.workdir / CHANGES_NAME
            delta = recall.finish(changes, is_whole=result.is_whole)
            job.save(CHANGES_NAME, changes, PAGES_MEDIA_TYPE)
            result = result.model_copy(update={"delta": delta})
            unreached = job.workdir / UNREACHED_NAME
            if delta.failed and recall.write_unreached(unreached, job):
                job.save(UNREACHED_NAME, unreached, PAGES_MEDIA_TYPE)
        if revisiting is not None:
            result = result.model_copy(update={"revisit": revisiting.summary()})
        if request.screenshots:
            count = keep_screenshots(kept, request, result, job, politeness=politeness)
            result = result.model_copy(update={"screenshots": count})
    job.emit(SITE_CRAWLED, _crawled(result, job_id=job.id))
    return result


def _without_text(result: CrawlResult) -> str:
    if result.pages_ok:
        return (
            f"no text was found in any page that was kept ({result.pages_ok}): begin at an address that has one, or, "
            "where scripts fill the pages, let render be auto or always on a machine with a browser"
        )
    skipped = ", ".join(f"{reason} {count}" for reason, count in result.skipped.model_dump().items() if count)
    return f"no page was kept: {result.pages_failed} failed; skipped: {skipped or 'none'}"


def _bounded_by(request: SiteRequest, urls: Sequence[str]) -> SiteRequest:
    """Return the request of a crawl that ends when the URLs do: they are one level below nothing."""
    return request.model_copy(update={"depth": 1, "max_pages": len(urls) + 1, "use_sitemap": False})


def _watched(page: CrawledPage, revisiting: Revisiting | None, recall: Recall | None) -> CrawledPage:
    """Return the page with what is known of its changes; what was not asked for is due when it was."""
    before = None if recall is None else recall.watch_of(page.url)
    if revisiting is None:  # a crawl that does not care loses nothing for those that do
        return page.model_copy(update={"watch": before})
    if recall is None or recall.was_asked_for(page):
        page = revisiting.watched(page, before)
    assert page.watch is not None  # noqa: S101  # without one it is due
    revisiting.settle(page.watch, page.url)
    return page


@contextmanager
def _recalling(
    request: SiteRequest,
    job: JobContext,
    state: CrawlState,
    open_earlier: OpenEarlier,
    revisiting: Revisiting | None,
) -> Iterator[Recall | None]:
    """Give what the earlier crawl knew, which every attempt must take from the same one."""
    if request.since is None:
        yield None
        return
    chosen = state.fact("since")
    earlier = open_earlier(job, request.since) if chosen is None else _reopened(job, chosen["job_id"], open_earlier)
    if chosen is None:
        state.keep_fact("since", {"job_id": earlier and earlier.job_id})
    if earlier is None:
        job.log("there is no earlier crawl of this URL to compare with")
        yield None
        return
    with closing(earlier):
        job.log(f"compares with job {earlier.job_id}")
        # Who lists pages wants these now.
        yield Recall(state, earlier, job, revisiting=revisiting if request.urls is None else None)


def _reopened(job: JobContext, job_id: str | None, open_earlier: OpenEarlier) -> EarlierCrawl | None:
    return None if job_id is None else open_earlier(job, job_id)


def _crawled(result: CrawlResult, *, job_id: str) -> dict[str, object]:
    return {
        "site": host_of(result.start_url),
        "job_id": job_id,
        "start_url": result.start_url,
        "pages": result.pages_ok,
        "pages_failed": result.pages_failed,
        "stopped_by": result.stopped_by.value,
        "artifact": result.artifact,
        **({} if result.delta is None else {"delta": result.delta.model_dump()}),
    }
