"""The tabs of one browser context, and which of them may ask the site for anything."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from playwright.async_api import BrowserContext, Page, Request, Route
from playwright.async_api import Error as PlaywrightError

Judge = Callable[[Route], Awaitable[None]]


class Tabs:
    """Opens tabs and guards some of them. Belongs to the loop that its context belongs to.

    While a tab is guarded, what it asks for is judged, and so is what no tab of ours asks for: a window that a guarded
    page opened, whoever that says it is. Such windows are closed. Tabs of ours beside it are let alone.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self._own: set[Page] = set()
        self._judges: dict[Page, Judge] = {}
        self._opening = asyncio.Lock()
        self._guarding = asyncio.Lock()

    async def open(self) -> Page:
        """Return a tab of ours."""
        # Its event comes before it is returned; who closes what is not ours waits for that.
        async with self._opening:
            page = await self.context.new_page()
            self._own.add(page)
        return page

    def own(self, page: Page) -> None:
        """Take a page for one of ours."""
        self._own.add(page)

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
