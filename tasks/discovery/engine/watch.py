"""Watches the requests that a page's scripts make, and stops those that might change something.

Redirects are not judged: Playwright does not show them before they are followed. A GET leads to another GET, and of a
POST only one that asks has left.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import urlsplit

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Frame, Page, Request, Route

from tasks.discovery.engine.api_words import is_api_address, is_same_site, is_secret
from tasks.discovery.engine.queries import is_query
from tasks.discovery.engine.site import LOAD, Exchange
from tasks.discovery.engine.tabs import HOLD_FAREWELLS, Tabs, page_of

_POLL_S = 0.02
# An answer that is not there by then is recorded without its body.
_BODY_LIMIT_S = 2.0
# A frame that does not answer by then is left as it is.
_FRAME_LIMIT_S = 1.0
_TEXT_TYPE = re.compile(r"(application/([\w.+-]*\+)?(json|xml|javascript|graphql[\w+-]*|x-ndjson)|text/.*)$")
_SCRIPTED = frozenset({"xhr", "fetch"})


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """How much is kept of what a page asks for. Characters of one body, bytes of all."""

    max_exchanges: int = 80
    max_request_chars: int = 20_000
    max_response_bytes: int = 512 * 1024
    max_bytes: int = 4 * 1024 * 1024


@dataclass(slots=True, eq=False)
class _Entry:
    """One request on its way to becoming an ``Exchange``."""

    request: Request
    trigger: str
    typed: str
    began: float
    is_sent: bool = True
    is_over: bool = False
    status: int = 0
    media_type: str = ""
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Watch:
    """The requests of one page, from ``start`` on. Belongs to the loop that the page belongs to.

    While it is ``guarded``, nothing leaves that is not clearly a question: no other method, no navigation, no message
    through a WebSocket, no new window. A page that was tried stays guarded until it is gone.
    """

    def __init__(
        self,
        page: Page,
        *,
        tabs: Tabs | None = None,
        hosts: frozenset[str] = frozenset(),
        limits: WatchLimits | None = None,
    ) -> None:
        """Take ``tabs`` for those beside it in its context, ``hosts`` for those of the site's API beside its own."""
        self.stopped: list[str] = []
        self._page = page
        self._context = page.context
        self._tabs = tabs or Tabs(page.context)
        self._hosts = hosts
        self._limits = limits or WatchLimits()
        self._entries: dict[Request, _Entry] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._bytes_left = self._limits.max_bytes
        self._trigger, self._typed = LOAD, ""
        self._is_guarded = self._is_paused = False

    async def start(self) -> None:
        """Begin, before the page is opened."""
        self._context.on("request", self._note)
        self._context.on("requestfinished", self._finish)
        self._context.on("requestfailed", self._fail)
        await self._tabs.prepare(self._page)

    async def guard(self) -> None:
        """From now on let only questions out.

        Raises:
            PlaywrightError: the page does not answer; it must not be tried.
        """
        if not self._is_guarded:
            self._is_guarded = True
            await self._tabs.guard(self._page, self._judge)
            await self._page.evaluate(HOLD_FAREWELLS)
            await asyncio.gather(*map(_hold, self._page.frames[1:]))

    async def release(self) -> None:
        """Let everything out again. Only for a page that holds nothing of the site."""
        if self._is_guarded:
            self._is_guarded = False
            await self._tabs.release(self._page)

    def pause(self) -> None:
        """Take no note of what is asked from now on; it is judged all the same."""
        self._is_paused = True

    @contextmanager
    def acting(self, trigger: str, *, typed: str = "") -> Iterator[None]:
        """Ascribe requests to an act."""
        self._trigger, self._typed = trigger, typed
        try:
            yield
        finally:
            self._trigger, self._typed = "afterwards", ""

    @property
    def total(self) -> int:
        """How many requests were seen so far."""
        return len(self._entries)

    def count(self, trigger: str) -> int:
        """Return how many requests were ascribed to an act."""
        return sum(entry.trigger == trigger for entry in self._entries.values())

    async def settle(self, *, first_s: float, quiet_s: float = 0.1, most_s: float = 1.5) -> None:
        """Wait until the act that was just done has had its answers.

        Args:
            first_s: how long a first request may take to come.
            quiet_s: so long there must be none under way.
        """
        began = quiet_since = monotonic()
        seen = len(self._entries)
        is_first = True
        while (now := monotonic()) - began < most_s:
            is_first = is_first and len(self._entries) == seen
            if len(self._entries) != seen or any(not entry.is_over for entry in self._entries.values()):
                seen, quiet_since = len(self._entries), now
            elif now - quiet_since >= (first_s if is_first else quiet_s):
                return
            await asyncio.sleep(_POLL_S)

    async def exchanges(self) -> tuple[Exchange, ...]:
        """Return what was seen, in the order in which it was asked."""
        if self._readers:
            await asyncio.wait(set(self._readers), timeout=_BODY_LIMIT_S)
        return tuple(_exchange(entry, self._limits) for entry in self._entries.values())

    async def stop(self) -> None:
        """Stop looking; what is guarded stays guarded."""
        self._context.remove_listener("request", self._note)
        self._context.remove_listener("requestfinished", self._finish)
        self._context.remove_listener("requestfailed", self._fail)
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    def _note(self, request: Request) -> None:
        if not self._is_paused and self._is_of_interest(request) and len(self._entries) < self._limits.max_exchanges:
            self._entries.setdefault(request, _Entry(request, self._trigger, self._typed, monotonic()))

    def _is_of_interest(self, request: Request) -> bool:
        if request.resource_type not in _SCRIPTED or request.method == "OPTIONS" or not is_api_address(request.url):
            return False
        if page_of(request) is not self._page:
            return False
        host = urlsplit(request.url).hostname or ""
        own = urlsplit(self._page.url).hostname or ""
        return host in self._hosts or is_same_site(host, own)

    def _finish(self, request: Request) -> None:
        if entry := self._entries.get(request):
            reader = asyncio.create_task(self._read(entry))
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)

    def _fail(self, request: Request) -> None:
        if entry := self._entries.get(request):
            entry.is_over = True

    async def _read(self, entry: _Entry) -> None:
        try:
            async with asyncio.timeout(_BODY_LIMIT_S):
                await self._read_answer(entry)
        except (PlaywrightError, TimeoutError):
            # The page has gone on, or the body never ends; what is known of it is kept.
            pass
        finally:
            entry.is_over = True

    async def _read_answer(self, entry: _Entry) -> None:
        entry.headers = await entry.request.all_headers()
        response = await entry.request.response()
        if response is None:
            return
        entry.status = response.status
        entry.media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        size = (await entry.request.sizes())["responseBodySize"]
        room = min(self._limits.max_response_bytes, self._bytes_left)
        if 0 < size <= room and _TEXT_TYPE.match(entry.media_type):
            body = await response.body()
            # What was compressed on the wire is larger here.
            if len(body) <= room:
                self._bytes_left -= len(body)
                entry.text = body.decode("utf-8", "replace")

    async def _judge(self, route: Route) -> None:
        request = route.request
        body = _body(request)
        if not request.is_navigation_request() and is_query(
            request.method, request.url, headers=request.headers, body=body
        ):
            await route.fallback()
            return
        self._note(request)
        if entry := self._entries.get(request):
            entry.is_sent, entry.headers = False, request.headers
        self.stopped.append(f"{request.method} {request.url[:300]}")
        # "aborted" leaves the page as it is; any other reason shows an error page for a navigation.
        await route.abort("aborted")


async def _hold(frame: Frame) -> None:
    with suppress(PlaywrightError, TimeoutError):  # gone, or it never came to run a script
        async with asyncio.timeout(_FRAME_LIMIT_S):
            await frame.evaluate(HOLD_FAREWELLS)


def _body(request: Request) -> str:
    return (request.post_data_buffer or b"").decode("utf-8", "replace")


def _exchange(entry: _Entry, limits: WatchLimits) -> Exchange:
    headers = entry.headers or entry.request.headers
    body = _body(entry.request)
    return Exchange(
        method=entry.request.method.upper(),
        url=entry.request.url,
        request_headers={name.lower(): "" if is_secret(name) else value for name, value in headers.items()},
        request_body=body if len(body) <= limits.max_request_chars else "",
        status=entry.status,
        media_type=entry.media_type,
        response_text=entry.text,
        trigger=entry.trigger,
        typed=entry.typed,
        is_sent=entry.is_sent,
    )
