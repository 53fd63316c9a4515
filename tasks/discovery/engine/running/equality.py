"""Whether a plain request would be what the browser sends: tried, with nothing reaching the site.

The form is opened and then cut off: its context's connections are ended and its pass to the proxy withdrawn. It is
filled in and sent; what the browser asks for is caught, answered with an empty page, and compared with what our own
encoder makes of the same arguments. So forms that write can be tried like those that read.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page, Request, Route

from tasks.core.browser import Visit, VisitOptions
from tasks.core.browser.visits import first_line
from tasks.core.errors import AppError, EgressRefused, EngineFailed, InputRejected, Permanent, TooLarge, Transient
from tasks.core.job import JobContext
from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.running.arguments import check_arguments
from tasks.discovery.engine.running.charsets import is_known
from tasks.discovery.engine.running.controls import press, set_controls
from tasks.discovery.engine.running.encoding import WireRequest, form_request
from tasks.discovery.engine.running.filling import Arguments, fill
from tasks.discovery.engine.running.multipart_parts import same_body
from tasks.discovery.engine.running.page_steps import Diary, frame_of
from tasks.discovery.engine.running.sessions import StorageState
from tasks.discovery.engine.running.tokens import find_form, refreshed, same_controls
from tasks.discovery.engine.running.traffic import Traffic
from tasks.discovery.engine.tabs import page_of
from tasks.discovery.tool import FormCall, FormField, Tool

TRY_LIMIT_S = 60.0
# Forms in one visit, each in a tab of its own.
AT_ONCE = 4
_SENDING_LIMIT_S = 5.0
_LOAD_LIMIT_S = 5.0
_LOOK_EVERY_S = 0.02
_MAX_BODY_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Equality:
    """What the comparison showed.

    Attributes:
        is_equal: method, URL, content type and body are the same; multipart bodies part by part, in order.
        difference: the first one, in a few words; empty where there is none.
        call: the form as it was found to be: ``is_plain`` set or not, ``needs_page`` where its page, or one that was
            opened with it, sets a cookie, and hidden fields that differ from load to load marked as tokens.
    """

    is_equal: bool
    difference: str
    call: FormCall


def compare_with_browser(
    job: JobContext, tool: Tool, arguments: Arguments, *, session: StorageState | None = None
) -> Equality:
    """Fill in and send the tool's form in the browser, against nobody, and compare.

    Raises:
        InputRejected: the arguments do not fit, for the schema or for the page.
        EgressRefused, EngineUnavailable, TooLarge: of the browser.
        Transient, Permanent: the form could not be filled in or sent; the message names the step.
    """
    trial = _Trial(tool, arguments)
    _try_together([trial], job, session)
    return trial.result()


def compare_together(
    job: JobContext, forms: Sequence[tuple[Tool, Arguments]], *, session: StorageState | None = None
) -> list[Equality | AppError]:
    """Do the same for many forms, several in one visit; what one fails with stands in its place."""
    trials: list[_Trial | AppError] = []
    for tool, arguments in forms:
        try:
            trials.append(_Trial(tool, arguments))
        except (InputRejected, EngineFailed) as exc:
            trials.append(exc)
    waiting = [one for one in trials if isinstance(one, _Trial)]
    for first in range(0, len(waiting), AT_ONCE):
        together = waiting[first : first + AT_ONCE]
        try:
            _try_together(together, job, session)
        except (EgressRefused, EngineFailed, TooLarge) as exc:
            for one in together:
                one.fail(exc)
    return [one.outcome() if isinstance(one, _Trial) else one for one in trials]


def _try_together(trials: Sequence["_Trial"], job: JobContext, session: StorageState | None) -> None:
    """Open all, cut off, then fill in and send one after another."""
    sending: list[_Trial] = []

    async def catch(route: Route) -> None:
        page = page_of(route.request)
        # A window that a form opens belongs to nobody yet.
        owners = [one for one in trials if page is not None and one.page is page] or sending[-1:]
        for owner in owners:
            owner.caught.append(route.request)
        await route.fulfill(status=200, content_type="text/html", body="")

    async def work(visit: Visit) -> None:
        before = await visit.context.cookies()
        await asyncio.gather(*(one.open(visit) for one in trials))
        cookies = [cookie for cookie in await visit.context.cookies() if cookie not in before]
        await visit.context.route("**/*", catch)
        visit.cut_off()
        for one in trials:
            sending.append(one)
            await one.send(sets_cookies=bool(cookies))

    try:
        job.browser.visit(work, timeout_s=TRY_LIMIT_S, options=VisitOptions(storage_state=session))
    finally:
        for one in trials:
            for line in one.diary.lines:
                job.log(line, level="debug", stream="browser")


class _Trial:
    """One comparison, on the event loop of the browser. What fails is kept and raised by ``result``."""

    def __init__(self, tool: Tool, arguments: Arguments) -> None:
        if not isinstance(tool.call, FormCall):
            raise Permanent(f"A tool of the kind {tool.call.kind!r} has no form to compare.")
        check_arguments(tool.input_schema, arguments)
        self.diary = Diary()
        self.page: Page | None = None
        self.caught: list[Request] = []
        self._tool = tool
        self._call = tool.call
        self._arguments = arguments
        self._static = ""
        self._found: Equality | AppError = Transient("It was not tried.")
        self._is_over = False

    def fail(self, exc: AppError) -> None:
        """Take what ended all, unless it was over by then."""
        if not self._is_over:
            self._found, self._is_over = exc, True

    def outcome(self) -> Equality | AppError:
        """Return what was found, or what it failed with."""
        return self._found

    def result(self) -> Equality:
        """Return what was found; raises what it failed with."""
        if isinstance(self._found, AppError):
            raise self._found
        return self._found

    async def open(self, visit: Visit) -> None:
        """Open the form's page and let it come to rest."""
        with self._failing():
            page = await visit.context.new_page()
            traffic = Traffic(visit.context, page)
            response = await visit.open(page, self._call.page_url)
            await traffic.settle(limit_s=_LOAD_LIMIT_S, name="open")
            self._static = "" if self._call.frame_url else await response.text()
            self.page = page

    async def send(self, *, sets_cookies: bool) -> None:
        """Fill in, send, compare. Only in a context that was cut off."""
        if self.page is None:
            return
        with self._failing():
            call = _as_loaded(self._call, self._static)
            frame = frame_of(self.page, call.frame_url)
            filled = fill(call, self._arguments, schema=self._tool.input_schema)
            await set_controls(frame, filled, diary=self.diary)
            self.caught.clear()
            await press(frame, call, diary=self.diary)
            sent = await self._sent()
            difference = _difference(form_request(call, filled), sent) if is_known(call.charset) else "its charset"
            learnt = {"is_plain": not difference, "needs_page": call.needs_page or sets_cookies}
            self._found = Equality(not difference, difference, call.model_copy(update=learnt))
            self._is_over = True

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (EgressRefused, EngineFailed, InputRejected, TooLarge) as exc:
            self.fail(exc)
        except PlaywrightError as exc:
            self.fail(Transient(f"The browser failed: {first_line(exc)}"))

    async def _sent(self) -> Request:
        ends_at = time.monotonic() + _SENDING_LIMIT_S
        while time.monotonic() < ends_at:
            for request in self.caught:
                if request.is_navigation_request():
                    return request
            await asyncio.sleep(_LOOK_EVERY_S)
        by_script = next((request for request in self.caught if request.resource_type in ("fetch", "xhr")), None)
        if by_script is not None:
            return by_script
        raise Transient("submit: the browser sent nothing.")


def _as_loaded(call: FormCall, static: str) -> FormCall:
    """Return the call with tokens of this very load, and with what else turned out to change marked as a token."""
    if not static:
        return call
    page = read_page(static, url=call.page_url)
    form = find_form(call, page)
    if form is None:
        return call

    def judged(field: FormField) -> FormField:
        values = [control.value for control in same_controls(field, form)]
        is_changed = field.type == "hidden" and not field.input and len(values) == 1 and values[0] != field.value
        return field.model_copy(update={"is_token": True}) if is_changed and values[0] else field

    marked = call.model_copy(update={"fields": tuple(judged(field) for field in call.fields)})
    try:
        return refreshed(marked, page)
    except Permanent:  # a script puts the token there: the comparison will tell
        return call


def _difference(ours: WireRequest, theirs: Request) -> str:
    """Return in what the two requests differ first."""
    if not theirs.is_navigation_request():
        return "a script sends it"
    if ours.method != theirs.method:
        return f"method: {theirs.method} in the browser, {ours.method} from here"
    if _bare(ours.url) != _bare(theirs.url):
        return f"URL: {theirs.url[:100]} in the browser, {ours.url[:100]} from here"
    media_type = theirs.headers.get("content-type", "")
    own_type = dict(ours.headers).get("Content-Type", "")
    if media_type.partition(";")[0] != own_type.partition(";")[0]:
        return f"content type: {media_type[:60]!r} in the browser, {own_type[:60]!r} from here"
    body = theirs.post_data_buffer or b""
    if len(body) > _MAX_BODY_BYTES:
        return "body: too large to compare"
    return "" if same_body(own_type, ours.body, media_type, body) else "body"


def _bare(url: str) -> str:
    return url.partition("#")[0]
