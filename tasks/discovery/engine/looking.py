"""Open a page, let its scripts come to rest, read it, and try its safe controls."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace

from playwright.async_api import BrowserContext, Page, Response
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from tasks.core.browser import Visit
from tasks.core.errors import Transient
from tasks.discovery.engine.document_links import header_links
from tasks.discovery.engine.exercise import exercise
from tasks.discovery.engine.kept_back import links_kept_back
from tasks.discovery.engine.links import kind_of
from tasks.discovery.engine.site import Snapshot
from tasks.discovery.engine.snapshot import take_snapshot
from tasks.discovery.engine.tabs import Tabs
from tasks.discovery.engine.watch import Watch

# Tabs at a time. More wait for the same processor, and for a site that did not ask for so many guests.
AT_ONCE = 3
# A page that still loads its pictures can be read; one that is being built by its scripts cannot.
_LOAD_LIMIT_S = 5.0
_FIRST_REQUEST_S = 0.1
_QUIET_LIMIT_S = 3.0
# Controls of one page; and pages of different kinds, because those of one kind have the same controls.
_EXERCISE_S = 4.0
_MOST_EXERCISED = 12
_CLOSE_LIMIT_S = 2.0
# Whatever may ask for something by itself; a page without it is at rest as soon as it is there.
_HAS_SCRIPTS = """document.scripts.length > 0 ||
    document.querySelector('iframe,frame,object,embed,[onload],[onerror],[http-equiv=refresh i]') !== null"""
_ANSWER_LIMIT_S = 1.0

_Keys = set[tuple[str, ...]]


class PageHangs(Transient):
    """The page keeps its tab from closing; the browser must go with it."""


@dataclass(slots=True)
class Looking:
    """Looks at the pages of one site, at most ``AT_ONCE`` at a time, the oldest of which is waited for first.

    Which pages have their controls tried, and which controls of them are known to ask for nothing, goes by the order
    in which they are asked for, not by who is ready first.

    Args:
        explores: try safe controls, to see the requests of scripts.
    """

    explores: bool = True
    # By kind, the page that stands for it.
    _exercised: dict[str, str] = field(default_factory=dict)
    # Of each page, the controls that asked for nothing; those of a menu are on every page.
    _silent: list[_Keys] = field(default_factory=list)
    _tabs: Tabs | None = None

    async def __call__(self, visit: Visit, url: str, timeout_s: float) -> tuple[Response, Snapshot]:
        """Open ``url`` in a tab that shows nothing else; return its answer and what was there.

        Raises:
            EgressRefused, Transient: see ``Visit.open`` and ``take_snapshot``.
            PageHangs: its tab cannot be closed.
        """
        own: _Keys = set()
        self._silent.append(own)
        is_tried = self._is_worth_exercising(url)
        # The first page is read alone. Of the newest ones some may be under way, and nobody knows how far.
        over = max(1, len(self._silent) - AT_ONCE)
        known = frozenset(key for keys in self._silent[:over] for key in keys) if is_tried else None
        return await self._look(visit, _Errand(url, timeout_s, known, own))

    async def _look(self, visit: Visit, errand: "_Errand") -> tuple[Response, Snapshot]:
        tabs = self._tabs_of(visit.context)
        page = await tabs.open()
        watch = Watch(page, tabs=tabs)
        is_empty = False
        try:
            await watch.start()
            seen = await self._read(visit, page, watch, errand)
            watch.pause()
            is_empty = await tabs.empty(page)
        finally:
            if not is_empty:
                await _close(page)
            # Only now, so that what a page sends as it goes is judged like the rest.
            await watch.release()
            await watch.stop()
        if is_empty:
            tabs.keep(page)
        return seen

    async def _read(self, visit: Visit, page: Page, watch: Watch, errand: "_Errand") -> tuple[Response, Snapshot]:
        response = await visit.open(page, errand.url, timeout_s=errand.timeout_s)
        with suppress(PlaywrightTimeoutError):
            await page.wait_for_load_state("load", timeout=_LOAD_LIMIT_S * 1000)
        has_scripts = await _has_scripts(page)
        if has_scripts:
            await watch.settle(first_s=_FIRST_REQUEST_S, most_s=_QUIET_LIMIT_S)
        snapshot = _with_header(await take_snapshot(page, status=response.status), response)
        if has_scripts:
            kept_back = await links_kept_back(response, snapshot.page)
            snapshot = replace(snapshot, page=replace(snapshot.page, kept_back=kept_back))
        if errand.known is not None and response.status < 400:
            silent, pressed = set(errand.known), set[tuple[str, str, str]]()
            await exercise(page, watch, budget_s=_EXERCISE_S, silent=silent, pressed=pressed, reopen=False)
            errand.own.update(silent - errand.known)
            snapshot = replace(snapshot, pressed=frozenset(pressed))
        return response, replace(snapshot, exchanges=await watch.exchanges())

    def _tabs_of(self, context: BrowserContext) -> Tabs:
        if self._tabs is None or self._tabs.context is not context:
            self._tabs = Tabs(context)
        return self._tabs

    def _is_worth_exercising(self, url: str) -> bool:
        if self.explores and len(self._exercised) < _MOST_EXERCISED:
            self._exercised.setdefault(kind_of(url), url)
        return self._exercised.get(kind_of(url)) == url


@dataclass(frozen=True, slots=True)
class _Errand:
    """One page to look at. ``known`` are controls that are not worth trying, None where none is; ``own`` takes those
    that this page shows to be silent.
    """

    url: str
    timeout_s: float
    known: frozenset[tuple[str, ...]] | None
    own: _Keys


async def _has_scripts(page: Page) -> bool:
    try:
        async with asyncio.timeout(_ANSWER_LIMIT_S):
            return bool(await page.evaluate(_HAS_SCRIPTS))
    except (PlaywrightError, TimeoutError):  # it is busy, hence it has
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
