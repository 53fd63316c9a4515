"""The browser of one worker child: launched when first wanted, kept warm, replaced in time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import structlog
from playwright.async_api import BrowserContext
from playwright.async_api import Error as PlaywrightError

from tasks.core.browser.chromium import Chromium
from tasks.core.browser.options import BrowserOptions, VisitOptions
from tasks.core.browser.visits import Visit, first_line, prepare
from tasks.core.egress.guard import Guard
from tasks.core.egress.lookups import Resolver, system_resolver
from tasks.core.egress.proxy import EgressProxy, Pass
from tasks.core.errors import TooLarge, Transient
from tasks.core.loop_thread import LoopThread

log = structlog.get_logger()

T = TypeVar("T")
Work = Callable[[Visit], Awaitable[T]]
Told = Callable[[Visit], None]

# A context closes in milliseconds unless a page hangs; then the whole browser goes, well within a cancel's grace.
_LEAVE_LIMIT_S = 1.0
# Closing the context, killing the browser, stopping the driver.
_CLEANUP_LIMIT_S = 5.0
_CLOSE_LIMIT_S = 15.0


class WarmBrowser:
    """Gives visits, one at a time. Used and closed by the thread that made it."""

    def __init__(self, options: BrowserOptions, *, resolver: Resolver = system_resolver) -> None:
        self._options = options
        self._guard = Guard(options.policy)
        self._proxy = EgressProxy(options.policy, resolver=resolver)
        self._loop = LoopThread("browser")
        self._loop.run(self._proxy.start(), cleanup_s=0)
        self._chromium: Chromium | None = None

    @property
    def pid(self) -> int | None:
        """The browser's main process; None when none runs."""
        return None if self._chromium is None else self._chromium.pid

    def run(
        self,
        work: Work[T],
        *,
        timeout_s: float,
        checkpoint: Callable[[], None] = lambda: None,
        told: Told = lambda _: None,
        visit: VisitOptions | None = None,
    ) -> T:
        """Await ``work`` on a fresh context and return its result.

        Args:
            timeout_s: for everything, even where a page never gives control back.
            checkpoint: called ten times a second; what it raises ends the visit.
            told: called with the visit when it has ended in any way.
        Raises:
            EngineUnavailable: there is no Chromium.
            EgressRefused: from ``Visit.open``.
            TooLarge: the visit's traffic is used up.
            Transient: the time is, or the browser failed.
        """
        return self._loop.run(
            self._visit(work, visit or VisitOptions(), timeout_s, told),
            meanwhile=checkpoint,
            cleanup_s=_CLEANUP_LIMIT_S,
            give_up=self._kill,
        )

    def close(self) -> None:
        """End the browser, the proxy and the thread."""
        ends_at = time.monotonic() + _CLOSE_LIMIT_S

        def give_up_in_time() -> None:
            if time.monotonic() > ends_at:
                raise TimeoutError

        with suppress(TimeoutError):
            self._loop.run(self._close(), meanwhile=give_up_in_time, cleanup_s=0, give_up=self._kill)
        self._loop.close()

    async def _visit(self, work: Work[T], options: VisitOptions, timeout_s: float, told: Told) -> T:
        max_bytes = min(options.max_bytes or self._options.max_bytes, self._options.max_bytes)
        holder = self._proxy.issue(max_bytes=max_bytes)
        try:
            async with asyncio.timeout(timeout_s) as bound:
                # A page whose bytes stop coming would load until its time is up.
                holder.on_spent = lambda: None if bound.expired() else bound.reschedule(0)
                chromium = await self._ready()
                return await self._work(chromium, work, options, holder, told)
        except (TimeoutError, PlaywrightError) as exc:
            if holder.is_spent:
                raise TooLarge(f"The pages sent more than {max_bytes} bytes, the most one visit may fetch.") from exc
            if isinstance(exc, PlaywrightError):
                raise Transient(f"The browser failed: {first_line(exc)}") from exc
            raise Transient(f"The browser was not done after {timeout_s:g} s.") from exc
        finally:
            holder.on_spent = lambda: None
            self._proxy.withdraw(holder)
            await self._recycle()

    async def _work(self, chromium: Chromium, work: Work[T], options: VisitOptions, holder: Pass, told: Told) -> T:
        context = await chromium.new_context(
            options, proxy_url=self._proxy.url, holder=holder, user_agent=self._options.user_agent
        )
        visit = Visit(context, holder, self._guard, cut_off=lambda: self._proxy.withdraw(holder))
        try:
            await prepare(context)
            return await work(visit)
        finally:
            await _leave(context, chromium)
            told(visit)

    async def _ready(self) -> Chromium:
        if self._chromium is not None and not self._chromium.is_alive:
            log.warning("browser_crashed", visits=self._chromium.visits)
            await self._drop()
        if self._chromium is None:
            self._chromium = await Chromium.launch(self._options, proxy_url=self._proxy.url)
            log.info("browser_launched", pid=self._chromium.pid)
        return self._chromium

    async def _recycle(self) -> None:
        """Replace a browser that has served its time; the next visit launches another."""
        chromium = self._chromium
        if chromium is None:
            return
        held_bytes = chromium.held_bytes()
        if (
            not chromium.is_alive
            or chromium.visits >= self._options.max_visits
            or held_bytes > self._options.max_memory_bytes
        ):
            log.info("browser_recycled", visits=chromium.visits, held_bytes=held_bytes)
            await self._drop()

    async def _drop(self) -> None:
        chromium, self._chromium = self._chromium, None
        if chromium is not None:
            await chromium.close()

    async def _close(self) -> None:
        await self._drop()
        await self._proxy.close()

    def _kill(self) -> None:
        if self._chromium is not None:
            self._chromium.kill()


async def _leave(context: BrowserContext, chromium: Chromium) -> None:
    """Close the context; where a page keeps it from closing, end the browser."""
    try:
        async with asyncio.timeout(_LEAVE_LIMIT_S):
            await context.close()
    except (TimeoutError, PlaywrightError):
        log.warning("browser_context_did_not_close", pid=chromium.pid)
        chromium.kill()
