"""Walking through a site, page by page: what the kinds that crawl have in common."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Protocol, TypeVar

from tasks.core.errors import InputRejected
from tasks.core.job import JobContext
from tasks.core.web_address import canonical, host_of
from tasks.crawling.contract import (
    CrawlRequest,
    CrawlResult,
    StopReason,
)
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.engine.fetch import FetchLimits
from tasks.crawling.engine.frontier import Frontier, Visit
from tasks.crawling.engine.politeness import Politeness
from tasks.crawling.engine.recall import GONE, Recall
from tasks.crawling.engine.revisiting import Revisiting
from tasks.crawling.engine.scope import SiteScope
from tasks.crawling.engine.sitemaps import SitemapReader
from tasks.crawling.engine.start import first_page, no_page_in_time, unfetchable
from tasks.crawling.engine.tally import SkipReason, Tally
from tasks.crawling.engine.visiting import TICK_S, Tools, visiting
from tasks.crawling.engine.visitor import Outcome, Skipped
from tasks.crawling.records import CrawledPage, PageError

# Reading a page costs more CPU than fetching it; see docs/crawling.md for what one, two and none were measured at.
EXTRACTION_PROCESSES = 2
MAX_SITEMAP_URLS = 50_000
UNANSWERED_UNTIL_DOWN = 25
# A fact of the state: parts of the site could not be seen, for a fault that may pass.
_UNSEEN = "unseen"

ResultT = TypeVar("ResultT")


class Afterwards(Protocol):
    """What is done once the crawl has ended, in the time that is left."""

    def __call__(
        self, tools: Tools, start_url: str, *, is_out_of_time: Callable[[], bool]
    ) -> Coroutine[object, object, StopReason | None]:
        """Work with what fetched, from where the start URL led to; return why it ended early, if it did."""


async def walk(
    request: CrawlRequest,
    job: JobContext,
    *,
    limits: FetchLimits,
    state: CrawlState,
    politeness: Politeness,
    keep: Callable[[CrawledPage], bool],
    on_error: Callable[[PageError], None] = lambda _error: None,
    afterwards: Afterwards | None = None,
    recall: Recall | None = None,
    revisiting: Revisiting | None = None,
    tell: Callable[[dict[str, object]], None] | None = None,
    keeps_noindex: bool = False,
    listed: Sequence[str] | None = None,
) -> CrawlResult:
    """Crawl the site and return what became of it; errors as those of ``crawl``.

    Args:
        state: where what is known is kept; what an earlier attempt dealt with is not asked for again.
        politeness: the pace of the crawl, as ``pacing`` gives it.
        keep: gets each page, within the transaction that makes it count; False where it was kept already.
        on_error: gets each page that failed.
        afterwards: is awaited at the end.
        recall: what an earlier crawl knew, for pages to be compared with.
        revisiting: is told what the sitemaps say.
        tell: gets a few words on each page as it comes.
        keeps_noindex: whether pages that ask not to be indexed are kept, whatever the request says.
        listed: URLs to begin with in place of the start URL, which is not fetched then.
    """
    tally = Tally.of(state)
    if job.attempt > 1:
        is_begun = state.fact("start") is not None
        job.log(f"attempt {job.attempt} " + (f"goes on after {tally.visits} pages" if is_begun else "starts anew"))
    async with visiting(
        request, job, politeness=politeness, limits=limits, processes=EXTRACTION_PROCESSES, recall=recall
    ) as tools:
        site = _Site(
            request,
            job,
            tools=tools,
            state=state,
            politeness=politeness,
            tally=tally,
            keep=keep,
            on_error=on_error,
            recall=recall,
            revisiting=revisiting,
            tell=tell,
            keeps_noindex=keeps_noindex,
            listed=listed,
        )
        try:
            start_url, stopped_by = await site.crawl()
        finally:
            await site.abandon()
        if afterwards is not None:
            stopped_by = await afterwards(tools, start_url, is_out_of_time=site.is_out_of_time) or stopped_by
        kept_delay_s = politeness.gate(host_of(start_url)).delay_s
        result = site.tally.result(start_url=start_url, delay_s=kept_delay_s, stopped_by=stopped_by)
        is_left_out = state.fact(_UNSEEN) or result.skipped.overflow
        is_whole = stopped_by is StopReason.EXHAUSTED and not is_left_out
        return result.model_copy(update={"is_whole": is_whole})


class _OutOfTime(Exception):
    """``max_duration_s`` is used up."""


class _Site:
    """One crawl under way. Everything but the visits happens in one coroutine, so nothing needs a lock."""

    def __init__(
        self,
        request: CrawlRequest,
        job: JobContext,
        *,
        tools: Tools,
        state: CrawlState,
        politeness: Politeness,
        tally: Tally,
        keep: Callable[[CrawledPage], bool],
        on_error: Callable[[PageError], None],
        recall: Recall | None,
        revisiting: Revisiting | None,
        tell: Callable[[dict[str, object]], None] | None,
        keeps_noindex: bool,
        listed: Sequence[str] | None,
    ) -> None:
        self.tally = tally
        self._recall = recall
        self._revisiting = revisiting
        self._tell = tell
        self._listed = listed
        self._keeps_noindex = keeps_noindex or not request.respect_page_robots
        self._state = state
        self._politeness = politeness
        self._request = request
        self._job = job
        self._fetcher, self._robots, self._visitor = tools.fetcher, tools.robots, tools.visitor
        self._keep = keep
        self._on_error = on_error
        self._under_way: dict[asyncio.Task[Outcome], Visit] = {}
        self._without_links: set[Visit] = set()
        self._max_visits = 4 * request.max_pages + 100

    async def crawl(self) -> tuple[str, StopReason]:
        """Return where the start URL led to, and why the crawl ended."""
        start_url: str | None = self._state.fact("start")
        if start_url is None:
            start_url = await self._begin() if self._listed is None else self._begin_with(self._listed)
        else:
            self._bind(start_url)
        try:
            await self._read_sitemaps(start_url)
            return start_url, await self._crawl_levels()
        except _OutOfTime:
            return start_url, StopReason.MAX_DURATION

    def _bind(self, start_url: str) -> None:
        self._scope = SiteScope(self._request, start_url=start_url)
        self._frontier = Frontier(self._scope, max_depth=self._request.depth, tally=self.tally, state=self._state)

    async def _begin(self) -> str:
        """Fetch and keep the first page, and return where it is."""
        try:
            first = await self._await(first_page(self._request.url, robots=self._robots, visitor=self._visitor))
        except _OutOfTime as exc:
            raise no_page_in_time(self._request.max_duration_s, self._politeness.slowest) from exc
        if not self._fits(first):
            told = f"{first.url} has {first.size_bytes} bytes; raise max_total_bytes"
            raise InputRejected(told, field="max_total_bytes")
        visit = Visit(first.requested_url, depth=0, order=0)
        with self._state.writing():
            self._bind(first.url)
            for url in (first.requested_url, first.url):
                self._frontier.claim(url, by=visit)
            self._add_links(visit, self._visitor.to_follow(first))
            self._settle(visit, first)
            self._state.keep_fact("start", first.url)
        return first.url

    def _begin_with(self, urls: Sequence[str]) -> str:
        """Line up these URLs, and return where the site is."""
        start_url = canonical(self._request.url)
        if start_url is None:
            raise unfetchable(self._request.url)
        with self._state.writing():
            self._bind(start_url)
            self._frontier.add([one for one in map(canonical, urls) if one is not None], found_by=0)
            self.tally.keep_in(self._state)
            self._state.keep_fact("start", start_url)
        return start_url

    def is_out_of_time(self) -> bool:
        """Tell whether ``max_duration_s`` is used up, and keep how much of it is, for the next attempt."""
        with self._state.writing():
            self.tally.keep_in(self._state)
        return self.tally.elapsed_s > self._request.max_duration_s

    async def abandon(self) -> None:
        """End every visit under way, whatever it waits for."""
        await _end(*self._under_way)

    async def _read_sitemaps(self, start_url: str) -> None:
        if not self._request.use_sitemap or self._request.depth == 0 or self._request.max_pages == 1:
            return
        if self._state.fact("sitemaps"):
            return
        listed = (await self._await(self._robots.rules_for(start_url))).sitemaps
        reader = SitemapReader(self._fetcher, max_urls=MAX_SITEMAP_URLS)
        is_delta = self._recall is not None
        urls = await self._await(reader.pages(start_url, listed=listed, is_newest_first=is_delta))
        for problem in reader.problems:
            self._job.log(problem, level="warning")
        self.tally.sitemap_urls = len(urls)
        with self._state.writing():
            # Where there is something to compare with, what the site says has changed is looked at first.
            self._frontier.add(urls, found_by=-1 if is_delta else 1)
            if self._revisiting is not None:
                self._revisiting.note_listed(reader.lastmods)
            self.tally.keep_in(self._state)
            self._state.keep_fact("sitemaps", value=True)
            if reader.has_failed:
                self._state.keep_fact(_UNSEEN, value=True)

    async def _crawl_levels(self) -> StopReason:
        while True:
            if self.tally.pages_ok >= self._request.max_pages:
                return StopReason.MAX_PAGES
            if self.tally.unanswered_in_a_row >= UNANSWERED_UNTIL_DOWN:
                return StopReason.SITE_DOWN
            if self._frontier.is_level_given_out and not self._without_links and not self._frontier.is_deepest:
                self._frontier.descend()
            self._start_visits()
            if not self._under_way:
                used_up = self.tally.visits >= self._max_visits
                return StopReason.MAX_REQUESTS if used_up else StopReason.EXHAUSTED
            for task in await self._wait(set(self._under_way)):
                outcome = task.result()
                if not self._fits(outcome):
                    return StopReason.MAX_TOTAL_BYTES
                self._settle(self._under_way.pop(task), outcome)

    def _fits(self, outcome: Outcome) -> bool:
        return self.tally.fetched_bytes + self._size_of(outcome) <= (self._request.max_total_bytes or math.inf)

    def _size_of(self, outcome: Outcome) -> int:
        """Return how many bytes were sent for a page that is to be kept; what was sent in vain does not count."""
        if not isinstance(outcome, CrawledPage) or (self._recall is not None and not self._recall.was_sent(outcome)):
            return 0
        return outcome.size_bytes

    def _start_visits(self) -> None:
        room = min(
            self._request.concurrency - len(self._under_way),
            self._request.max_pages - self.tally.pages_ok - len(self._under_way),
            self._max_visits - self.tally.visits - len(self._under_way),
        )
        while room > 0 and (visit := self._frontier.take()):
            room -= 1
            self._without_links.add(visit)
            judge, add_links = partial(self._judge_redirect, visit), partial(self._add_links, visit)
            work = self._visitor.visit(visit, gatekeeper=judge, on_links=add_links)
            self._under_way[asyncio.create_task(work)] = visit

    def _add_links(self, visit: Visit, links: tuple[str, ...]) -> None:
        with self._state.writing():
            self._frontier.add(links, found_by=visit.order)
            self.tally.keep_in(self._state)
        self._without_links.discard(visit)

    def _judge_redirect(self, visit: Visit, target: str) -> SkipReason | None:
        if not self._scope.covers(target):
            return "scope"
        return None if self._frontier.claim(target, by=visit) else "duplicate"

    def _settle(self, visit: Visit, outcome: Outcome) -> None:
        if isinstance(outcome, PageError) and self._recall is not None:
            outcome = self._recall.placed(outcome)
        has_led_on = visit not in self._without_links
        self._without_links.discard(visit)
        with self._state.writing():
            self._count(outcome)
            if isinstance(outcome, PageError) and outcome.status not in GONE:
                self._go_on_from(outcome, visit, has_led_on=has_led_on)
            self._frontier.done(visit)
            self.tally.keep_in(self._state)
            if self._robots.has_unread:
                self._state.keep_fact(_UNSEEN, value=True)
        if outcome == Skipped("robots"):
            return
        if isinstance(outcome, PageError):
            self._job.log(f"{outcome.url}: {outcome.message}", level="warning")
        if self._tell is not None:
            self._tell(_told(visit, outcome))
        known = self.tally.pages_ok + len(self._under_way) + len(self._frontier)
        self._job.report("crawling", self.tally.pages_ok, min(self._request.max_pages, known), message=visit.url)

    def _go_on_from(self, error: PageError, visit: Visit, *, has_led_on: bool) -> None:
        """Follow a page that could not be had to where it led before; where that is not known, say so."""
        if self._recall is not None and self._recall.knows(error):
            self._frontier.add(self._recall.links_of(error), found_by=visit.order)
        elif error.may_pass and not has_led_on:
            self._state.keep_fact(_UNSEEN, value=True)

    def _count(self, outcome: Outcome) -> None:
        if outcome != Skipped("robots"):  # which cost no request, so it is no visit
            self.tally.visits += 1
        match outcome:
            case Skipped(reason):
                self.tally.skip(reason)
            case PageError():
                self.tally.fail(outcome)
                self._state.note_error(outcome)
                if self._recall is not None:
                    self._recall.fail(outcome)
                self._on_error(outcome)
            case CrawledPage(noindex=True) if not self._keeps_noindex:
                self.tally.skip("noindex")
            case CrawledPage():
                self._count_page(outcome)

    def _count_page(self, page: CrawledPage) -> None:
        is_kept = self._keep(page)
        size_bytes = self._size_of(page)
        if self._recall is not None:
            self._recall.settle(page, is_kept=is_kept)
        if is_kept:
            self.tally.keep(size_bytes=size_bytes, depth=page.depth, has_text=bool(page.text))
        else:
            self.tally.skip("duplicate")

    async def _await(self, work: Coroutine[object, object, ResultT]) -> ResultT:
        """Return what ``work`` returns, while the job may still interrupt it."""
        task = asyncio.create_task(work)
        try:
            while not await self._wait({task}):
                pass
            return task.result()
        finally:
            await _end(task)

    async def _wait(self, tasks: set[asyncio.Task[ResultT]]) -> set[asyncio.Task[ResultT]]:
        """Return the tasks that are done after a tick at most."""
        done, _ = await asyncio.wait(tasks, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
        self._job.checkpoint()
        if self.tally.elapsed_s > self._request.max_duration_s:
            raise _OutOfTime
        return done


def _told(visit: Visit, outcome: Outcome) -> dict[str, object]:
    """Return what viewers see of a page."""
    match outcome:
        case CrawledPage():
            words = outcome.model_dump(mode="json", include={"status", "title", "page_type", "size_bytes", "change"})
            return {"page": outcome.url, "depth": visit.depth, **words}
        case PageError():
            return {"page": outcome.url, "depth": visit.depth, "status": outcome.status, "error": outcome.reason.value}
        case Skipped(reason):
            return {"page": visit.url, "depth": visit.depth, "skipped": reason}


async def _end(*tasks: asyncio.Task[ResultT]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
