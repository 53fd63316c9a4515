"""Open a page, let its scripts come to rest, and read it."""

import asyncio
import time
from contextlib import suppress

from playwright.async_api import Page, Request, Response
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from tasks.core.browser import Visit
from tasks.discovery.engine.site import Snapshot
from tasks.discovery.engine.snapshot import take_snapshot

# A page that still loads its pictures can be read; one that is being built by its scripts cannot.
_LOAD_LIMIT_S = 5.0
_QUIET_S = 0.1
_QUIET_LIMIT_S = 3.0
_POLL_S = 0.02
_SCRIPTED = frozenset({"xhr", "fetch"})


async def look(visit: Visit, page: Page, url: str, timeout_s: float) -> tuple[Response, Snapshot]:
    """Open ``url`` in an empty tab and return its answer and what is there once its scripts rest.

    Raises:
        EgressRefused, Transient: see ``Visit.open`` and ``take_snapshot``.
    """
    traffic = _Traffic(page)
    response = await visit.open(page, url, timeout_s=timeout_s)
    with suppress(PlaywrightTimeoutError):
        await page.wait_for_load_state("load", timeout=_LOAD_LIMIT_S * 1000)
    await traffic.rest()
    return response, await take_snapshot(page, status=response.status)


class _Traffic:
    """The requests of a page's scripts that are under way."""

    def __init__(self, page: Page) -> None:
        self._under_way: set[Request] = set()
        self._changed_at = time.monotonic()
        self._is_scripted = False
        page.on("request", self._begin)
        page.on("requestfinished", self._end)
        page.on("requestfailed", self._end)

    async def rest(self) -> None:
        """Wait until there are none for a moment; not for long, because some pages never rest."""
        ends_at = time.monotonic() + _QUIET_LIMIT_S
        while self._is_scripted and time.monotonic() < ends_at:
            if not self._under_way and time.monotonic() - self._changed_at >= _QUIET_S:
                return
            await asyncio.sleep(_POLL_S)

    def _begin(self, request: Request) -> None:
        if request.resource_type in _SCRIPTED:
            self._is_scripted = True
            self._under_way.add(request)
            self._changed_at = time.monotonic()

    def _end(self, request: Request) -> None:
        if request in self._under_way:
            self._under_way.discard(request)
            self._changed_at = time.monotonic()
