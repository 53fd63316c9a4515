"""One visit: a fresh browser context for one job, and what came of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from playwright.async_api import BrowserContext, Page, Response, Route
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from tasks.core.browser.flags import LOCAL_SCHEMES
from tasks.core.egress.guard import Guard
from tasks.core.egress.proxy import Pass
from tasks.core.egress.refusals import refuse
from tasks.core.errors import Transient

# Each call of Playwright that takes a time limit has at least this one; the visit's own ends whatever has none.
ACTION_LIMIT_S = 10.0
NAVIGATION_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Visit:
    """What an engine's coroutine works with. Every connection of ``context`` is judged by the egress guard.

    ``cut_off()`` ends all its connections and lets it make no more: whatever its pages do then, nothing leaves.
    """

    context: BrowserContext
    holder: Pass
    guard: Guard
    cut_off: Callable[[], None]

    @property
    def refused(self) -> dict[str, int]:
        """How often each ``host:port`` was refused."""
        return self.holder.refused

    @property
    def bytes_carried(self) -> int:
        """What went over the network so far, both directions."""
        return self.holder.bytes_carried

    async def open(
        self, page: Page, url: str, *, timeout_s: float = NAVIGATION_LIMIT_S, until: str = "domcontentloaded"
    ) -> Response:
        """Load ``url`` in ``page`` and return the last answer of its redirects.

        Args:
            until: ``commit``, ``domcontentloaded``, ``load`` or ``networkidle``.
        Raises:
            EgressRefused: the address, or that of a redirect, is not allowed.
            Transient: no answer, or not in time.
        """
        target = self.guard.check(url)
        refusals = sum(self.refused.values())
        try:
            response = await page.goto(target.href, timeout=timeout_s * 1000, wait_until=until)  # type: ignore[arg-type]
        except PlaywrightTimeoutError as exc:
            raise Transient(f"{target.endpoint} took longer than {timeout_s:g} s to load.") from exc
        except PlaywrightError as exc:
            if sum(self.refused.values()) > refusals:
                raise refuse("in the browser", host=target.host, port=target.port) from exc
            raise Transient(f"{target.endpoint} could not be loaded: {first_line(exc)}") from exc
        return self.judged(response, url)

    def judged(self, response: Response | None, url: str) -> Response:
        """Return ``response``, the answer to going to ``url``, if it is the site's own.

        Raises:
            EgressRefused: it is the proxy's: the address is not allowed.
            Transient: there is none.
        """
        if response is None:
            raise Transient(f"No answer came for {url[:200]}.")
        # The proxy's own answer to a refused plain request looks like a page to the browser.
        if (target := self.guard.check(response.url)).endpoint in self.refused:
            raise refuse("in the browser", host=target.host, port=target.port)
        return response


async def prepare(context: BrowserContext) -> None:
    """Give every call a limit, and let no page of ``context`` load what lies on this machine."""
    context.set_default_timeout(ACTION_LIMIT_S * 1000)
    context.set_default_navigation_timeout(NAVIGATION_LIMIT_S * 1000)
    await context.route(re.compile(LOCAL_SCHEMES, re.IGNORECASE), _refuse_local)


async def _refuse_local(route: Route) -> None:
    await route.abort("blockedbyclient")


def first_line(exc: PlaywrightError) -> str:
    """Return what happened, without Playwright's log of how it came to that."""
    return exc.message.partition("\n")[0][:300]
