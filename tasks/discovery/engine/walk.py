"""The pages of a site, breadth first, each as a browser shows it."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Response

from tasks.core.browser import Visit, VisitOptions
from tasks.core.errors import AppError, InputRejected, Transient
from tasks.core.job import JobContext
from tasks.core.robots import RobotsText, parse_robots
from tasks.core.web_address import canonical, origin_of
from tasks.discovery.contract import MAX_PAGES, PageSeen, SiteRequest, ToolRequest
from tasks.discovery.engine.fetching import SiteFetch
from tasks.discovery.engine.links import Candidate, Links
from tasks.discovery.engine.looking import AT_ONCE, PageHangs
from tasks.discovery.engine.notes import Notes
from tasks.discovery.engine.page import Page
from tasks.discovery.engine.searching import Searches
from tasks.discovery.engine.site import Snapshot
from tasks.discovery.engine.trouble import PAGE_TROUBLE, told

# The product token that robots.txt may name; the browser's own User-Agent carries it too.
ROBOTS_AGENT = "SwitchyardBrowser"
# All pages together. What a site makes slower than this (a long Crawl-delay) is told as ``too_slow``.
WALK_LIMIT_S = 420.0
# Beyond loading: reading a page, trying its controls.
_READ_LIMIT_S = 30.0
# One lost worker is chance, and no reason to leave out the page that it was looking at.
_MOST_FATAL = 2
# A browser that pages have hung this often is not asked again.
_MAX_VISITS = 4
# Statuses of a page that does not exist.
_GONE = {404, 410}

# Opens an address in a tab of its own, within so many seconds, and reads what is there.
Look = Callable[[Visit, str, float], Awaitable[tuple[Response, Snapshot]]]


@dataclass(frozen=True, slots=True)
class _Opened:
    """A page that is being looked at."""

    candidate: Candidate
    seen: asyncio.Task["_Seen"]


@dataclass(frozen=True, slots=True)
class _Seen:
    response: Response
    snapshot: Snapshot
    took_s: float


@dataclass(slots=True)
class Walked:
    """What a walk has seen so far.

    Attributes:
        delay_s: the pause between pages, as the caller or the site wants it.
        is_exhausted: no page within its depth was left for a bound.
        gone: pages that the caller named and that do not exist.
    """

    origin: str = ""
    start_url: str = ""
    delay_s: float = 0.0
    pages: list[PageSeen] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    is_exhausted: bool = False
    gone: list[str] = field(default_factory=list)


class Walk:
    """Looks at the start page and at those that it leads to, a few at a time.

    Which page comes next is decided by what the pages before it have shown, in the order in which they were begun,
    whichever is read first: the same site is walked the same way. A site that asks for a pause between pages has one
    guest at a time. A page that fails is noted and left; only the start page's failure is the job's.
    """

    def __init__(
        self,
        request: SiteRequest | ToolRequest,
        job: JobContext,
        *,
        look: Look,
        fetch: SiteFetch,
        notes: Notes,
        serves: Callable[[str], float],
        may_spend: Callable[[float], bool],
        storage_state: Mapping[str, Any] | None = None,
    ) -> None:
        self.walked = Walked(delay_s=request.options.delay_s)
        self._request = request
        self._named = request.urls if isinstance(request, SiteRequest) else None
        self._most = request.max_pages if self._named is None else MAX_PAGES
        self._job = job
        self._look = look
        self._fetch = fetch
        self._notes = notes
        self._may_spend = may_spend
        self._options = VisitOptions(storage_state=storage_state)
        self._links = Links(
            max_depth=request.max_depth,
            serves=serves,
            told=self._left_out,
            opens_deletions=request.options.open_deletions,
        )
        self._searches = Searches() if request.options.explore and self._named is None else None
        self._robots = RobotsText()
        self._ends_at = time.monotonic() + WALK_LIMIT_S
        self._current = request.url
        self._visit_began = 0.0
        self._is_spent = False
        self._earlier = dict(job.resume.load() or {})
        self._suspects = _counts(self._earlier.pop("looking", None))
        self._is_looking_noted = False
        # Where pages end attempts or hang, one at a time tells which.
        self._is_careful = bool(self._suspects)

    def go(self) -> Walked:
        """Walk until nothing is left, or a bound is reached.

        Raises:
            InputRejected: the start page does not exist.
            EgressRefused: it may not be visited.
            Transient: it cannot be had just now.
            EngineUnavailable: there is no browser.
        """
        for _ in range(_MAX_VISITS):
            limit_s = max(1.0, self._ends_at - time.monotonic())
            try:
                self._job.browser.visit(self._visit, timeout_s=limit_s, options=self._options)
                break
            except AppError as exc:
                if not self.walked.pages:
                    raise
                self._notes.skip("page", self._current, reason="failed", message=told(exc))
                self._is_careful = True
                if time.monotonic() >= self._ends_at:
                    break
        if self._is_looking_noted:
            self._job.resume.save(self._earlier)
        self._tell_rest()
        return self.walked

    async def _visit(self, visit: Visit) -> None:
        self._visit_began = time.monotonic()
        if not self.walked.pages:
            await self._start(visit)
        under_way: deque[_Opened] = deque()
        try:
            while await self._open_more(visit, under_way):
                opened = under_way.popleft()
                self._current = opened.candidate.url
                await self._take_in(opened)
        finally:
            await self._leave(under_way)

    async def _open_more(self, visit: Visit, under_way: deque[_Opened]) -> bool:
        """Open as many pages as may be; return whether any is under way."""
        fresh: list[Candidate] = []
        while (candidate := self._next(under_way, fresh)) is not None:
            if time.monotonic() + self.walked.delay_s >= self._ends_at:
                self._links.give_back(candidate)
                break
            await asyncio.sleep(self.walked.delay_s)
            fresh.append(candidate)
        if fresh:
            await self._note_looking([*(one.candidate for one in under_way), *fresh])
        for candidate in fresh:
            under_way.append(_Opened(candidate, asyncio.create_task(self._open_and_look(visit, candidate.url))))
        return bool(under_way)

    def _next(self, under_way: deque[_Opened], fresh: list[Candidate]) -> Candidate | None:
        """Return the next page that may be opened beside those."""
        busy = [*(one.candidate for one in under_way), *fresh]
        at_once = 1 if self._is_careful or self.walked.delay_s else AT_ONCE
        while len(busy) < at_once and len(self.walked.pages) + len(busy) < self._most:
            # The browser tells its time when a visit has ended.
            if self._may_not_spend(time.monotonic() - self._visit_began) or time.monotonic() >= self._ends_at:
                return None
            candidate = self._links.take()
            if candidate is None:
                return None
            if self._suspects.get(candidate.url, 0) >= _MOST_FATAL:
                self._notes.skip("page", candidate.url, reason="failed", message="Earlier attempts ended on it.")
            elif not self._robots.allows(candidate.url):
                self._notes.skip("link", candidate.url, reason="robots")
            else:
                return candidate
        return None

    async def _note_looking(self, candidates: Sequence[Candidate]) -> None:
        """Keep which pages are being looked at, and in how many attempts that were lost they were."""
        looking = self._suspects | {one.url: self._suspects.get(one.url, 0) + 1 for one in candidates}
        self._is_looking_noted = True
        await asyncio.to_thread(self._job.resume.save, self._earlier | {"looking": looking})

    async def _leave(self, under_way: deque[_Opened]) -> None:
        """Let the pages wait again that were begun, and not taken in."""
        for opened in under_way:
            opened.seen.cancel()
        await asyncio.gather(*(opened.seen for opened in under_way), return_exceptions=True)
        for opened in under_way:
            self._links.give_back(opened.candidate)

    async def _start(self, visit: Visit) -> None:
        url = self._request.url
        seen = await self._open_and_look(visit, url)
        _demand_page(seen.response, url)
        page = seen.snapshot.page.url
        here = canonical(page) or page
        self.walked.origin = self._links.origin = origin_of(here)
        self.walked.start_url = page
        for address in {canonical(url) or url, here}:
            self._links.claim(address)
        await self._read_robots()
        await self._keep(seen, depth=0)
        for named in self._named or ():
            self._links.name(named)

    async def _take_in(self, opened: _Opened) -> None:
        candidate = opened.candidate
        try:
            seen = await opened.seen
        except PageHangs:
            raise
        except PAGE_TROUBLE as exc:
            # A search that leads nowhere is none of the site's pages.
            reason = "gone" if candidate.is_extra else "failed"
            self._notes.skip("page", candidate.url, reason=reason, message=told(exc))
            self._job.log(f"{candidate.url} could not be read: {told(exc)}", level="warning")
            return
        finally:
            self._suspects.pop(candidate.url, None)
        url = seen.snapshot.page.url
        if origin_of(canonical(url) or url) != self.walked.origin:
            self._notes.skip("page", candidate.url, reason="other_site", message=f"It leads to {url}.")
        elif (canonical(url) or url) != candidate.url and not self._links.claim(url):
            self._notes.skip("page", candidate.url, reason="duplicate", message=f"It leads to {url}.")
        elif (self._named is not None or candidate.is_extra) and seen.response.status in _GONE:
            self.walked.gone += [] if candidate.is_extra else [candidate.url]
            self._notes.skip("page", candidate.url, reason="gone", message=f"It answered {seen.response.status}.")
        elif seen.response.status >= 400:
            self._notes.skip("page", candidate.url, reason="failed", message=f"It answered {seen.response.status}.")
        else:
            await self._keep(seen, depth=candidate.depth)

    async def _open_and_look(self, visit: Visit, url: str) -> _Seen:
        began = time.monotonic()
        timeout_s = self._request.options.page_timeout_s
        try:
            async with asyncio.timeout(timeout_s + _READ_LIMIT_S):
                response, snapshot = await self._look(visit, url, timeout_s)
        except TimeoutError as exc:
            raise Transient(f"{url} was not read within {timeout_s + _READ_LIMIT_S:g} s.") from exc
        return _Seen(response, snapshot, time.monotonic() - began)

    async def _read_robots(self) -> None:
        if not self._request.options.respect_robots:
            return
        # Blocking, and this loop carries the browser's connections.
        document = await asyncio.to_thread(self._fetch, f"{self.walked.origin}/robots.txt", accept="text/plain")
        if document is None or document.status >= 500 or document.status == 429:
            # RFC 9309 2.3.1.4: what cannot be read disallows everything; the start page was asked for by name.
            self._robots = RobotsText(allows=lambda _: False)
            self._job.log("robots.txt cannot be read, so no link is followed.", level="warning")
        elif document.status < 400:
            self._robots = parse_robots(document.text, user_agent=ROBOTS_AGENT)
            self.walked.delay_s = max(self.walked.delay_s, self._robots.delay_s)

    async def _keep(self, seen: _Seen, *, depth: int) -> None:
        page = seen.snapshot.page
        self.walked.snapshots.append(seen.snapshot)
        self.walked.pages.append(
            PageSeen(
                url=page.url[:2048],
                status=seen.response.status,
                title=page.title[:200],
                depth=depth,
                forms=len(page.forms),
                requests=len(seen.snapshot.exchanges),
                took_s=round(seen.took_s, 3),
            )
        )
        if self._named is None:
            self._links.add(page, depth=depth)
            self._ask_searches(page, depth=depth)
        done = len(self.walked.pages)
        total = min(self._most, done + len(self._links))
        await asyncio.to_thread(self._job.report, "pages", done, total, page.url)

    def _ask_searches(self, page: Page, *, depth: int) -> None:
        """Look at what the site's searches show, too: no link leads there."""
        if self._searches is None:
            return
        self._searches.add(page)
        if depth < self._request.max_depth:
            for address in self._searches.addresses(is_end=not len(self._links)):
                self._links.name(address, depth=depth + 1, is_extra=True)

    def _may_not_spend(self, extra_s: float) -> bool:
        self._is_spent = self._is_spent or not self._may_spend(extra_s)
        return self._is_spent

    def _left_out(self, url: str, reason: str) -> None:
        self._notes.skip("link", url, reason=reason)

    def _tell_rest(self) -> None:
        """Say why links were not followed that could have been."""
        if not len(self._links):
            # A search that was not asked for want of pages leaves tools open, and no page of the site.
            self.walked.is_exhausted = self._links.is_empty and not self._links.is_cut
            return
        reason, message = "max_pages", f"{len(self._links)} links were not followed."
        if len(self.walked.pages) < self._most:
            reason = "max_cost" if self._is_spent else "too_slow"
        self._notes.skip("page", self.walked.origin, reason=reason, message=message)


def _counts(value: object) -> dict[str, int]:
    return {url: times for url, times in value.items() if isinstance(times, int)} if isinstance(value, dict) else {}


def _demand_page(response: Response, url: str) -> None:
    """Go on only from a page that exists.

    Raises:
        Transient, InputRejected: it may come back; it does not exist.
    """
    if response.status >= 500 or response.status == 429:
        raise Transient(f"{url} answered {response.status}.")
    if response.status >= 400:
        raise InputRejected(
            f"{url} answered {response.status}: a discovery must begin at a page that can be seen"
            f"{', with a session where it asks for a sign-in' if response.status in {401, 403} else ''}.",
            field="url",
        )
