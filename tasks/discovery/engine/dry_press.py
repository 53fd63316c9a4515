"""What buttons would send, found out with nothing reaching the site.

The page is opened, then its browser context is cut off: its connections are ended, its pass to the proxy withdrawn,
and every request is caught. Only then the fields are filled in and the buttons pressed, those that delete included.
What a script asks for is kept as an exchange that was not sent.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources

from playwright.async_api import Dialog, Request, Route
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page as PlaywrightPage

from tasks.core.browser import Visit, VisitOptions
from tasks.core.errors import Transient
from tasks.core.job import JobContext
from tasks.discovery.engine.api_words import is_secret
from tasks.discovery.engine.page import Control, Page
from tasks.discovery.engine.proving import StorageState
from tasks.discovery.engine.running.traffic import Traffic
from tasks.discovery.engine.site import WOULD_PRESS, Exchange, Snapshot
from tasks.discovery.engine.tabs import page_of
from tasks.discovery.engine.trouble import PAGE_TROUBLE, told

_MOST_PAGES = 6
# Pages that are open together.
_AT_ONCE = 3
_MOST_PRESSED = 40
_LIMIT_S = 30.0
_VISIT_LIMIT_S = 20.0
_LOAD_LIMIT_S = 3.0
_SETTLE_MS = 60
_MAX_BODY_CHARS = 20_000
_SCRIPTED = frozenset({"xhr", "fetch"})

_Key = tuple[str, str, str]


def press_unsent(
    snapshots: Sequence[Snapshot], job: JobContext, *, session: StorageState | None
) -> tuple[Snapshot, ...]:
    """Return the snapshots with what their buttons would send; pages are left out whose buttons were met before, or
    pressed as the page was looked at.
    """
    ends_at = time.monotonic() + _LIMIT_S
    trials = {place: _Trial(snapshots[place].page.url) for place in _worth_pressing(snapshots)}
    waiting = list(trials.values())
    for first in range(0, len(waiting), _AT_ONCE):
        if time.monotonic() < ends_at:
            _press_together(waiting[first : first + _AT_ONCE], job, session=session)
    return tuple(
        replace(snapshot, exchanges=(*snapshot.exchanges, *trials[place].exchanges)) if place in trials else snapshot
        for place, snapshot in enumerate(snapshots)
    )


def _worth_pressing(snapshots: Sequence[Snapshot]) -> list[int]:
    pressed: set[_Key] = set()
    found: list[int] = []
    for place, snapshot in enumerate(snapshots):
        pressed |= snapshot.pressed
        new = _keys(snapshot.page) - pressed
        if new and "<script" in snapshot.html and len(found) < _MOST_PAGES:
            pressed |= new
            found.append(place)
    return found


def _press_together(trials: Sequence["_Trial"], job: JobContext, *, session: StorageState | None) -> None:
    async def work(visit: Visit) -> None:
        await asyncio.gather(*(trial.open(visit) for trial in trials))
        await visit.context.route("**/*", catch)
        visit.cut_off()
        await asyncio.gather(*(trial.press() for trial in trials))

    async def catch(route: Route) -> None:
        page = page_of(route.request)
        for trial in trials:
            if page is not None and page is trial.page:
                trial.note(route.request)
        # "aborted" leaves the page as it is, also for a navigation.
        await route.abort("aborted")

    try:
        job.browser.visit(work, timeout_s=_VISIT_LIMIT_S, options=VisitOptions(storage_state=session))
    except PAGE_TROUBLE as exc:
        for trial in trials:
            trial.trouble = trial.trouble or told(exc)
    for trial in trials:
        if trial.trouble:
            job.log(f"The buttons of {trial.url} could not be tried: {trial.trouble}", level="warning")


def _keys(page: Page) -> set[_Key]:
    """Return the buttons that send no form by themselves."""
    in_forms = (control for form in page.forms for control in form.controls)
    return {_key(control) for control in (*page.loose, *in_forms) if _is_scripted(control, page.loose)}


def _is_scripted(control: Control, loose: Iterable[Control]) -> bool:
    return control.type == "button" or (control.is_submit and any(control is one for one in loose))


def _key(control: Control) -> _Key:
    return control.id, control.name, control.caption or control.label


@dataclass(slots=True)
class _Trial:
    """One page, on the event loop of the browser."""

    url: str
    exchanges: list[Exchange] = field(default_factory=list)
    trouble: str = ""
    page: PlaywrightPage | None = None
    _trigger: str = ""

    async def open(self, visit: Visit) -> None:
        """Open the page and let it come to rest."""
        try:
            page = await visit.context.new_page()
            page.on("dialog", _accept)
            traffic = Traffic(visit.context, page)
            await visit.open(page, self.url)
            with suppress(Transient):  # it goes on loading; what is there can be pressed
                await traffic.settle(limit_s=_LOAD_LIMIT_S, name="open")
        except PAGE_TROUBLE as exc:
            self.trouble = told(exc)
        else:
            self.page = page

    async def press(self) -> None:
        """Fill in and press, one after another. Only of a page that has been cut off."""
        if self.page is None:
            return
        with suppress(PlaywrightError):  # the page is gone
            texts: list[str] = await self.page.evaluate(_script())
            for at, text in enumerate(texts[:_MOST_PRESSED]):
                self._trigger = f"{WOULD_PRESS} {text!r}"
                await self.page.evaluate("(at) => window[Symbol.for('discovery.buttons')][at].click()", at)
                await self.page.wait_for_timeout(_SETTLE_MS)

    def note(self, request: Request) -> None:
        """Keep what a button would have sent."""
        if self._trigger and request.resource_type in _SCRIPTED:
            self.exchanges.append(_unsent(request, self._trigger))


@cache
def _script() -> str:
    return resources.files(__package__).joinpath("dry_press.js").read_text("utf-8")


def _unsent(request: Request, trigger: str) -> Exchange:
    body = (request.post_data_buffer or b"").decode("utf-8", "replace")
    return Exchange(
        method=request.method.upper(),
        url=request.url,
        request_headers={name: "" if is_secret(name) else value for name, value in request.headers.items()},
        request_body=body if len(body) <= _MAX_BODY_CHARS else "",
        status=0,
        media_type="",
        response_text="",
        trigger=trigger,
        is_sent=False,
    )


async def _accept(dialog: Dialog) -> None:
    try:
        await dialog.accept("1")
    except PlaywrightError:
        return
