"""Pages that scripts fill: opened in the browser where plain HTTP brings an empty shell."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tasks.core.errors import EgressRefused, EngineUnavailable, TooLarge, Transient
from tasks.core.job import JobContext
from tasks.core.web_address import host_of
from tasks.crawling.contract import RenderMode
from tasks.crawling.engine.fetch import FetchFailed
from tasks.crawling.engine.politeness import Politeness
from tasks.crawling.records import FailureReason, RenderReason

if TYPE_CHECKING:
    from playwright.async_api import Page, Route

    from tasks.core.browser import Visit

# So many shells of a host that stay empty in the browser, and none that does not, and it is asked no more.
VAIN_TRIES = 3
PAGE_LIMIT_S = 45.0
# How long a page's requests may go on after it has loaded; those that never end are not waited for.
_IDLE_LIMIT_MS = 5000
_LOOK_EVERY_S = 0.1
# What text does not need.
_LEFT_OUT = frozenset({"font", "image", "media"})


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page as its scripts have left it."""

    url: str
    """Where it is now, as the browser spells it."""
    body: bytes
    """HTML in UTF-8."""


class Rendering:
    """The job's browser, for one page at a time; which hosts are worth it is learned on the way."""

    def __init__(self, job: JobContext, politeness: Politeness, *, mode: RenderMode, user_agent: str) -> None:
        self._job = job
        self._politeness = politeness
        self._mode = mode
        self._user_agent = user_agent
        self._turn = asyncio.Lock()
        self._vain: Counter[str] = Counter()
        self._filled: set[str] = set()
        self._is_away = False

    @property
    def is_for_all(self) -> bool:
        """Whether every page is wanted as scripts leave it."""
        return self._mode is RenderMode.ALWAYS

    def reason(self, url: str, *, is_shell: bool) -> RenderReason | None:
        """Return why the page must be opened in the browser, or None where it need not or cannot be."""
        if self._mode is RenderMode.ALWAYS:
            return RenderReason.ASKED_FOR
        if self._mode is RenderMode.NEVER or not is_shell or self._is_away:
            return None
        host = host_of(url)
        is_vain = self._vain[host] >= VAIN_TRIES and host not in self._filled
        return None if is_vain else RenderReason.SHELL

    def learn(self, url: str, *, is_shell: bool) -> None:
        """Note whether a page that was opened in the browser has got a text by it."""
        host = host_of(url)
        if not is_shell:
            self._filled.add(host)
            return
        self._vain[host] += 1
        if self._vain[host] == VAIN_TRIES and host not in self._filled and self._mode is RenderMode.AUTO:
            self._job.log(f"{host}: scripts bring no text, so the browser opens no more of its pages")

    async def open(self, url: str) -> Rendered | None:
        """Return the page, or None where that cannot be and the page is to be taken as it was sent.

        Raises:
            FetchFailed: it could not be opened.
            EngineUnavailable: there is no browser, and every page needs one. Permanent.
        """
        async with self._turn, self._politeness.gate(host_of(url)).turn():
            try:
                return await self._visit(url)
            except EngineUnavailable as exc:
                if self.is_for_all:
                    raise
                self._is_away = True
                self._job.log(f"pages that need scripts are taken as they are: {exc.message}", level="warning")
                return None
            except (EgressRefused, TooLarge, Transient) as exc:
                failure = FetchFailed(f"in the browser: {exc.message}", reason=FailureReason.RENDERING)
                if self.is_for_all:
                    raise failure from exc
                self._job.log(f"{url}: taken without its scripts: {failure.message}", level="warning")
                return None

    async def _visit(self, url: str) -> Rendered:
        from tasks.core.browser import VisitOptions  # noqa: PLC0415  # Playwright is for crawls that need it

        ended = threading.Event()
        options = VisitOptions(user_agent=self._user_agent)
        work = partial(_while_wanted, partial(_load, url=url), ended)
        call = partial(self._job.browser.visit, work, timeout_s=PAGE_LIMIT_S, options=options)
        visit = asyncio.get_running_loop().run_in_executor(None, call)
        try:
            return await asyncio.shield(visit)
        except asyncio.CancelledError:
            # The browser is the next job's, too: it is left before this one ends.
            ended.set()
            await asyncio.wait({visit})
            visit.exception()
            raise


async def _while_wanted(
    load: Callable[["Visit"], Awaitable[Rendered]], ended: threading.Event, visit: "Visit"
) -> Rendered:
    """Load the page on the browser's own loop, for as long as the crawl waits for it."""
    loading = asyncio.ensure_future(load(visit))
    try:
        while not (await asyncio.wait({loading}, timeout=_LOOK_EVERY_S))[0]:
            if ended.is_set():
                raise Transient("the crawl has ended")
        return loading.result()
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)


async def _load(visit: "Visit", *, url: str) -> Rendered:
    page: Page = await visit.context.new_page()
    await page.route("**/*", _leave_out)
    await visit.open(page, url)
    await settled(page, within_ms=_IDLE_LIMIT_MS)
    return Rendered(page.url, (await page.content()).encode("utf-8", "replace"))


async def settled(page: "Page", *, within_ms: int) -> None:
    """Wait until the page's requests have ended, or for so long: one that polls is never idle."""
    from playwright.async_api import TimeoutError as PlaywrightTimeoutError  # noqa: PLC0415  # as above

    with suppress(PlaywrightTimeoutError):
        await page.wait_for_load_state("networkidle", timeout=within_ms)


async def _leave_out(route: "Route") -> None:
    if route.request.resource_type in _LEFT_OUT:
        await route.abort("blockedbyclient")
    else:
        await route.fallback()
