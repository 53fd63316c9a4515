"""What a page asks for while it is being used, to tell when it has answered."""

import asyncio
import time

from playwright.async_api import BrowserContext, Download, Frame, Page, Request, Response
from playwright.async_api import Error as PlaywrightError

from tasks.core.errors import Transient
from tasks.discovery.engine.tabs import page_of

# A page is quiet when it has asked for nothing for so long. Where nothing was asked for yet, a script may be waiting
# for the end of the typing; those delays are shorter than the longer time.
_QUIET_S = 0.2
_QUIET_AT_FIRST_S = 1.5
_LOOK_EVERY_S = 0.05
# From the head of an answer to its document in the frame.
_SHOWN_WITHIN_S = 3.0
_SHOWS_NOTHING = frozenset({204, 205})
_AWAITED = frozenset({"document", "xhr", "fetch", "script"})


class Traffic:
    """Watches one tab, and from ``forget`` on all of its context, from the moment it is made.

    Attributes:
        page: where the answer is: the newest page that was opened, else the first.
        frame: the frame in it whose navigations count beside those of the page itself.
        document: the newest answer of a navigation.
        is_download: the newest navigation ended in a file.
    """

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.page = page
        # Where a form in a frame is sent from, and mostly answered.
        self.frame: Frame = page.main_frame
        self.document: Response | None = None
        self.is_download = False
        self._is_touched = False
        self._is_acting = False
        # Until then the newest document may still be on its way into its frame.
        self._shown_by = 0.0
        self._open: set[Request] = set()
        self._changed_at = time.monotonic()
        context.on("request", self._begin)
        context.on("requestfinished", self._end)
        context.on("requestfailed", self._end)
        context.on("response", self._take)
        context.on("page", self._follow)
        self._listen(page)

    def forget(self) -> None:
        """Begin to act: what was seen so far is no answer, and a window that is opened from now on is one."""
        self._is_acting = True
        self.document = None
        self.is_download = False
        self._is_touched = False
        self._changed_at = time.monotonic()

    async def settle(self, *, limit_s: float, name: str) -> None:
        """Wait until the page is quiet.

        Raises:
            Transient: a navigation is under way when the time is up.
        """
        ends_at = time.monotonic() + limit_s
        while time.monotonic() < ends_at:
            quiet_s = _QUIET_S if self._is_touched else _QUIET_AT_FIRST_S
            now = time.monotonic()
            if not self._open and now - self._changed_at >= quiet_s and now >= self._shown_by:
                return
            await asyncio.sleep(_LOOK_EVERY_S)
        if any(request.is_navigation_request() for request in self._open):
            raise Transient(f"{name}: no answer within {limit_s:g} s.")

    def _begin(self, request: Request) -> None:
        if request.resource_type in _AWAITED and not self._is_of_another(request):
            self._open.add(request)
            self._is_touched = True
            self._changed_at = time.monotonic()

    def _end(self, request: Request) -> None:
        self._open.discard(request)
        self._changed_at = time.monotonic()

    def _take(self, response: Response) -> None:
        if not response.request.is_navigation_request() or 300 <= response.status < 400:
            return
        if self._is_of_another(response.request):
            return
        try:
            frame = response.frame
        except PlaywrightError:  # of a window that is just being opened
            frame = None
        if frame is None or frame is self.frame or frame.parent_frame is None:
            self.document = response
            self._shown_by = 0.0 if response.status in _SHOWS_NOTHING else time.monotonic() + _SHOWN_WITHIN_S

    def _is_of_another(self, request: Request) -> bool:
        """Whether it is of a tab beside ours; once we act, what opens is of our doing."""
        page = page_of(request)
        return not self._is_acting and page is not None and page is not self.page

    def _follow(self, page: Page) -> None:
        if not self._is_acting:  # an advertisement
            return
        self.page, self.frame = page, page.main_frame
        self._listen(page)

    def _listen(self, page: Page) -> None:
        page.on("download", self._note_download)
        page.on("framenavigated", self._note_shown)

    def _note_shown(self, frame: Frame) -> None:
        if frame is self.frame or frame.parent_frame is None:
            self._shown_by = 0.0
            self._changed_at = time.monotonic()

    def _note_download(self, _: Download) -> None:
        self.is_download = True
        self._shown_by = 0.0
