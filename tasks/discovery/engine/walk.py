"""The pages of a site, breadth first, each as a browser shows it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Response

from tasks.core.browser import Visit, VisitOptions
from tasks.core.errors import AppError, InputRejected, Transient
from tasks.core.job import JobContext
from tasks.core.robots import RobotsText, parse_robots
from tasks.core.web_address import canonical, origin_of
from tasks.discovery.contract import PageSeen, SiteRequest, ToolRequest
from tasks.discovery.engine.fetching import SiteFetch
from tasks.discovery.engine.links import Candidate, Links
from tasks.discovery.engine.looking import PageHangs
from tasks.discovery.engine.notes import Notes
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

# Opens an address in a tab of its own, within so many seconds, and reads what is there.
Look = Callable[[Visit, str, float], Awaitable[tuple[Response, Snapshot]]]


@dataclass(slots=True)
class Walked:
    """What a walk has seen so far. ``is_exhausted``: no page within its depth was left for a bound."""

    origin: str = ""
    start_url: str = ""
    pages: list[PageSeen] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    is_exhausted: bool = False


class Walk:
    """Looks at the start page and at those that it leads to, one after another.

    A page that fails is noted and left; only the start page's failure is the job's.
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
        self.walked = Walked()
        self._request = request
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
        self._robots = RobotsText()
        self._delay_s = request.options.delay_s
        self._ends_at = time.monotonic() + WALK_LIMIT_S
        self._current = request.url
        self._visit_began = 0.0
        self._is_spent = False
        self._earlier = job.resume.load() or {}

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
                if time.monotonic() >= self._ends_at:
                    break
        self._tell_rest()
        return self.walked

    async def _visit(self, visit: Visit) -> None:
        self._visit_began = time.monotonic()
        if not self.walked.pages:
            await self._start(visit)
        while len(self.walked.pages) < self._request.max_pages:
            # The browser tells its time when a visit has ended.
            if self._may_not_spend(time.monotonic() - self._visit_began):
                return
            candidate = self._links.take()
            if candidate is None:
                return
            if self._times_fatal(candidate.url) >= _MOST_FATAL:
                self._notes.skip("page", candidate.url, reason="failed", message="Earlier attempts ended on it.")
                continue
            if not self._robots.allows(candidate.url):
                self._notes.skip("link", candidate.url, reason="robots")
                continue
            if time.monotonic() + self._delay_s >= self._ends_at:
                return
            await asyncio.sleep(self._delay_s)
            await self._follow(visit, candidate)

    async def _start(self, visit: Visit) -> None:
        url = self._request.url
        response, snapshot, took_s = await self._open_and_look(visit, url)
        _demand_page(response, url)
        page = snapshot.page.url
        here = canonical(page) or page
        self.walked.origin = self._links.origin = origin_of(here)
        self.walked.start_url = page
        for address in {canonical(url) or url, here}:
            self._links.claim(address)
        await self._read_robots()
        await self._keep(snapshot, response, depth=0, took_s=took_s)

    async def _follow(self, visit: Visit, candidate: Candidate) -> None:
        self._current = candidate.url
        times = self._times_fatal(candidate.url) + 1
        await asyncio.to_thread(self._job.resume.save, self._earlier | {"page": candidate.url, "times": times})
        try:
            response, snapshot, took_s = await self._open_and_look(visit, candidate.url)
        except PageHangs:
            raise
        except PAGE_TROUBLE as exc:
            self._notes.skip("page", candidate.url, reason="failed", message=told(exc))
            self._job.log(f"{candidate.url} could not be read: {told(exc)}", level="warning")
            return
        url = snapshot.page.url
        if origin_of(canonical(url) or url) != self.walked.origin:
            self._notes.skip("page", candidate.url, reason="other_site", message=f"It leads to {url}.")
        elif (canonical(url) or url) != candidate.url and not self._links.claim(url):
            self._notes.skip("page", candidate.url, reason="duplicate", message=f"It leads to {url}.")
        elif response.status >= 400:
            self._notes.skip("page", candidate.url, reason="failed", message=f"It answered {response.status}.")
        else:
            await self._keep(snapshot, response, depth=candidate.depth, took_s=took_s)

    async def _open_and_look(self, visit: Visit, url: str) -> tuple[Response, Snapshot, float]:
        began = time.monotonic()
        timeout_s = self._request.options.page_timeout_s
        try:
            async with asyncio.timeout(timeout_s + _READ_LIMIT_S):
                response, snapshot = await self._look(visit, url, timeout_s)
        except TimeoutError as exc:
            raise Transient(f"{url} was not read within {timeout_s + _READ_LIMIT_S:g} s.") from exc
        return response, snapshot, time.monotonic() - began

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
            self._delay_s = max(self._delay_s, self._robots.delay_s)

    async def _keep(self, snapshot: Snapshot, response: Response, *, depth: int, took_s: float) -> None:
        page = snapshot.page
        self.walked.snapshots.append(snapshot)
        self.walked.pages.append(
            PageSeen(
                url=page.url[:2048],
                status=response.status,
                title=page.title[:200],
                depth=depth,
                forms=len(page.forms),
                requests=len(snapshot.exchanges),
                took_s=round(took_s, 3),
            )
        )
        self._links.add(page, depth=depth)
        done = len(self.walked.pages)
        total = min(self._request.max_pages, done + len(self._links))
        await asyncio.to_thread(self._job.report, "pages", done, total, page.url)

    def _times_fatal(self, url: str) -> int:
        """Return how many attempts in a row have ended while they looked at this page."""
        times = self._earlier.get("times")
        return times if url == self._earlier.get("page") and isinstance(times, int) else 0

    def _may_not_spend(self, extra_s: float) -> bool:
        self._is_spent = self._is_spent or not self._may_spend(extra_s)
        return self._is_spent

    def _left_out(self, url: str, reason: str) -> None:
        self._notes.skip("link", url, reason=reason)

    def _tell_rest(self) -> None:
        """Say why links were not followed that could have been."""
        if not len(self._links):
            self.walked.is_exhausted = not self._links.is_cut
            return
        reason, message = "max_pages", f"{len(self._links)} links were not followed."
        if len(self.walked.pages) < self._request.max_pages:
            reason = "max_cost" if self._is_spent else "too_slow"
        self._notes.skip("page", self.walked.origin, reason=reason, message=message)


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
