"""The tabs of one browser context: kept for the next page, and which of them may ask the site for anything."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

from playwright.async_api import BrowserContext, Page, Request, Route, WebSocketRoute
from playwright.async_api import Error as PlaywrightError

Judge = Callable[[Route], Awaitable[None]]

_NOTHING = "about:blank"
# A tab that is not empty by then is closed.
_LEAVE_LIMIT_S = 2.0
# What a page sends as it goes is not seen before it leaves (tried: a beacon at ``pagehide`` passes a route), so that a
# guarded page must not notice that it goes. Runs before any script of the page, hence its listeners come first.
# A shared worker's requests are not seen at all; pages ask whether there is such a thing.
_FAREWELLS = """(() => {
  const key = Symbol.for('discovery.guard');
  const guard = {isOn: false};
  // A frame that a page makes later asks the page.
  const isOn = () => { try { return guard.isOn || top[key].isOn; } catch { return false; } };
  const hold = (event) => { if (isOn()) event.stopImmediatePropagation(); };
  for (const name of ['pagehide', 'beforeunload', 'unload', 'visibilitychange', 'freeze']) {
    addEventListener(name, hold, true);
  }
  Object.defineProperty(window, key, {value: guard});
  delete window.SharedWorker;
})()"""
HOLD_FAREWELLS = "window[Symbol.for('discovery.guard')].isOn = true"


class Tabs:
    """Opens tabs and guards some of them. Belongs to the loop that its context belongs to.

    A tab costs the browser a process, hence half a second of its processor: one that has been left shows the next page.

    While a tab is guarded, what it asks for is judged, and so is what no tab of ours asks for: a window that a guarded
    page opened, whoever that says it is. Such windows are closed. Tabs of ours beside it are let alone.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self._own: set[Page] = set()
        self._left: list[Page] = []
        self._prepared: set[Page] = set()
        self._judges: dict[Page, Judge] = {}
        self._opening = asyncio.Lock()
        self._guarding = asyncio.Lock()

    async def open(self) -> Page:
        """Return a tab of ours that shows nothing."""
        # The event of a new one comes before it is returned; who closes what is not ours waits for that.
        async with self._opening:
            if self._left:
                return self._left.pop()
            page = await self.context.new_page()
            self._own.add(page)
        return page

    async def empty(self, page: Page) -> bool:
        """Let go of what a tab shows; False where it could not be."""
        try:
            async with asyncio.timeout(_LEAVE_LIMIT_S):
                await page.goto(_NOTHING)
        except (PlaywrightError, TimeoutError):
            return False
        return True

    def keep(self, page: Page) -> None:
        """Keep a tab that is empty, and not guarded, for the next page."""
        self._left.append(page)

    async def prepare(self, page: Page) -> None:
        """Take a page for one of ours, and make it fit to be guarded, before it is opened."""
        if page not in self._prepared:
            self._own.add(page)
            self._prepared.add(page)
            await page.add_init_script(_FAREWELLS)
            await page.route_web_socket(re.compile(""), lambda socket: self._join(page, socket))

    async def guard(self, page: Page, judge: Judge) -> None:
        """Let ``judge`` decide on what the page asks for, until it is released."""
        async with self._guarding:
            is_first = not self._judges
            self._judges[page] = judge
            if is_first:
                self.context.on("page", self._close_stray)
                await self.context.route("**/*", self._judge)

    async def release(self, page: Page) -> None:
        """Let the page ask for everything again; one that is closed is none of ours from here on."""
        async with self._guarding:
            if page.is_closed():
                self._own.discard(page)
            if self._judges.pop(page, None) and not self._judges:
                self.context.remove_listener("page", self._close_stray)
                await self.context.unroute("**/*", self._judge)

    def _join(self, page: Page, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        socket.on_message(lambda message: None if page in self._judges else server.send(message))

    async def _judge(self, route: Route) -> None:
        page = page_of(route.request)
        judge = self._judges.get(page) if page else None
        if judge is None and page not in self._own:
            judge = next(iter(self._judges.values()), None)
        with suppress(PlaywrightError):  # the page went before the request did
            await (judge(route) if judge else route.fallback())

    async def _close_stray(self, page: Page) -> None:
        async with self._opening:
            is_own = page in self._own
        if not is_own:
            with suppress(PlaywrightError):
                await page.close()


def page_of(request: Request) -> Page | None:
    """Return the page that a request belongs to; None for that of a window which is just being opened."""
    try:
        return request.frame.page
    except PlaywrightError:
        return None
