"""Open a page, let its scripts come to rest, read it, and try its safe controls."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page, Response
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from tasks.core.browser import Visit
from tasks.core.errors import Transient
from tasks.discovery.engine.document_links import header_links
from tasks.discovery.engine.exercise import exercise
from tasks.discovery.engine.links import kind_of
from tasks.discovery.engine.site import Snapshot
from tasks.discovery.engine.snapshot import take_snapshot
from tasks.discovery.engine.watch import Watch

# A page that still loads its pictures can be read; one that is being built by its scripts cannot.
_LOAD_LIMIT_S = 5.0
_FIRST_REQUEST_S = 0.1
_QUIET_LIMIT_S = 3.0
# Controls of one page; and pages of different kinds, because those of one kind have the same controls.
_EXERCISE_S = 4.0
_MOST_EXERCISED = 4
_CLOSE_LIMIT_S = 2.0


class PageHangs(Transient):
    """The page keeps its tab from closing; the browser must go with it."""


@dataclass(slots=True)
class Looking:
    """Looks at the pages of one site, one after another.

    Args:
        explores: try safe controls, to see the requests of scripts.
    """

    explores: bool = True
    _exercised: set[str] = field(default_factory=set)

    async def __call__(self, visit: Visit, url: str, timeout_s: float) -> tuple[Response, Snapshot]:
        """Open ``url`` in a tab of its own; return its answer and what was there. The tab is closed again.

        Raises:
            EgressRefused, Transient: see ``Visit.open`` and ``take_snapshot``.
            PageHangs: its tab cannot be closed.
        """
        page = await visit.context.new_page()
        watch = Watch(page)
        try:
            await watch.start()
            return await self._read(visit, page, watch, url=url, timeout_s=timeout_s)
        finally:
            await _close(page)
            # Only now, so that what a page sends as it goes is judged like the rest.
            await watch.release()
            await watch.stop()

    async def _read(
        self, visit: Visit, page: Page, watch: Watch, *, url: str, timeout_s: float
    ) -> tuple[Response, Snapshot]:
        response = await visit.open(page, url, timeout_s=timeout_s)
        with suppress(PlaywrightTimeoutError):
            await page.wait_for_load_state("load", timeout=_LOAD_LIMIT_S * 1000)
        await watch.settle(first_s=_FIRST_REQUEST_S, most_s=_QUIET_LIMIT_S)
        snapshot = _with_header(await take_snapshot(page, status=response.status), response)
        if self._is_worth_exercising(page.url, response.status):
            await exercise(page, watch, budget_s=_EXERCISE_S, reopen=False)
        return response, replace(snapshot, exchanges=await watch.exchanges())

    def _is_worth_exercising(self, url: str, status: int) -> bool:
        kind = kind_of(url)
        if not self.explores or status >= 400 or kind in self._exercised or len(self._exercised) >= _MOST_EXERCISED:
            return False
        self._exercised.add(kind)
        return True


def _with_header(snapshot: Snapshot, response: Response) -> Snapshot:
    """Return the snapshot with the links of the answer's header beside those of its head."""
    links = header_links(response.headers.get("link", ""), base=response.url)
    return replace(snapshot, page=replace(snapshot.page, head_links=(*snapshot.page.head_links, *links)))


async def _close(page: Page) -> None:
    try:
        async with asyncio.timeout(_CLOSE_LIMIT_S):
            with suppress(PlaywrightError):
                await page.close()
    except TimeoutError as exc:
        raise PageHangs("The page did not let its tab be closed.") from exc
