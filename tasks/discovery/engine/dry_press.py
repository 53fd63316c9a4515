"""What buttons would send, found out with nothing reaching the site.

The page is opened, then its browser context is cut off: its connections are ended, its pass to the proxy withdrawn,
and every request is caught. Only then the fields are filled in and the buttons pressed, those that delete included.
What a script asks for is kept as an exchange that was not sent.
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import resources

from playwright.async_api import Dialog, Request, Route
from playwright.async_api import Error as PlaywrightError

from tasks.core.browser import Visit, VisitOptions
from tasks.core.errors import Transient
from tasks.core.job import JobContext
from tasks.discovery.engine.api_words import is_secret
from tasks.discovery.engine.page import Control, Page
from tasks.discovery.engine.proving import StorageState
from tasks.discovery.engine.running.traffic import Traffic
from tasks.discovery.engine.site import WOULD_PRESS, Exchange, Snapshot
from tasks.discovery.engine.trouble import PAGE_TROUBLE, told

_MOST_PAGES = 6
_MOST_PRESSED = 40
_LIMIT_S = 30.0
_PAGE_LIMIT_S = 20.0
_LOAD_LIMIT_S = 3.0
_SETTLE_MS = 60
_MAX_BODY_CHARS = 20_000
_SCRIPTED = frozenset({"xhr", "fetch"})

_Key = tuple[str, str, str]


def press_unsent(
    snapshots: Sequence[Snapshot], job: JobContext, *, session: StorageState | None
) -> tuple[Snapshot, ...]:
    """Return the snapshots with what their buttons would send; pages whose buttons were met before are left out."""
    ends_at = time.monotonic() + _LIMIT_S
    pressed: set[_Key] = set()
    pages = 0
    found = []
    for snapshot in snapshots:
        new = _keys(snapshot.page) - pressed
        if not new or "<script" not in snapshot.html or pages >= _MOST_PAGES or time.monotonic() > ends_at:
            found.append(snapshot)
            continue
        pressed |= new
        pages += 1
        trial = _Trial(snapshot.page.url)
        try:
            job.browser.visit(trial.work, timeout_s=_PAGE_LIMIT_S, options=VisitOptions(storage_state=session))
        except PAGE_TROUBLE as exc:
            job.log(f"The buttons of {snapshot.page.url} could not be tried: {told(exc)}", level="warning")
        found.append(replace(snapshot, exchanges=(*snapshot.exchanges, *trial.exchanges)))
    return tuple(found)


def _keys(page: Page) -> set[_Key]:
    """Return the buttons that send no form by themselves."""
    in_forms = (control for form in page.forms for control in form.controls)
    return {_key(control) for control in (*page.loose, *in_forms) if _is_scripted(control, page.loose)}


def _is_scripted(control: Control, loose: Iterable[Control]) -> bool:
    return control.type == "button" or (control.is_submit and any(control is one for one in loose))


def _key(control: Control) -> _Key:
    return control.id, control.name, control.caption or control.label


@dataclass  # without slots: Playwright notes something of its own on the object that a handler is bound to
class _Trial:
    """One page, on the event loop of the browser."""

    url: str
    exchanges: list[Exchange] = field(default_factory=list)
    _trigger: str = ""

    async def work(self, visit: Visit) -> None:
        """Open, cut off, fill in, press one after another."""
        page = await visit.context.new_page()
        page.on("dialog", _accept)
        traffic = Traffic(visit.context, page)
        await visit.open(page, self.url)
        with suppress(Transient):  # it goes on loading; what is there can be pressed
            await traffic.settle(limit_s=_LOAD_LIMIT_S, name="open")
        await visit.context.route("**/*", self._catch)
        visit.cut_off()
        texts: list[str] = await page.evaluate(resources.files(__package__).joinpath("dry_press.js").read_text("utf-8"))
        for at, text in enumerate(texts[:_MOST_PRESSED]):
            self._trigger = f"{WOULD_PRESS} {text!r}"
            try:
                await page.evaluate("(at) => window[Symbol.for('discovery.buttons')][at].click()", at)
                await page.wait_for_timeout(_SETTLE_MS)
            except PlaywrightError:
                return  # the page is gone

    async def _catch(self, route: Route) -> None:
        request = route.request
        if self._trigger and request.resource_type in _SCRIPTED:
            self.exchanges.append(_unsent(request, self._trigger))
        # "aborted" leaves the page as it is, also for a navigation.
        await route.abort("aborted")


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
