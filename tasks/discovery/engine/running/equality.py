"""Whether a plain request would be what the browser sends: tried, with nothing reaching the site.

The form is opened and then cut off: its context's connections are ended and its pass to the proxy withdrawn. It is
filled in and sent; what the browser asks for is caught, answered with an empty page, and compared with what our own
encoder makes of the same arguments. So forms that write can be tried like those that read.
"""

import asyncio
import time
from dataclasses import dataclass

from playwright.async_api import Request, Route

from tasks.core.browser import Visit, VisitOptions
from tasks.core.errors import Permanent, Transient
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
from tasks.discovery.tool import FormCall, FormField, Tool

TRY_LIMIT_S = 60.0
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
        call: the form as it was found to be: ``is_plain`` set or not, ``needs_page`` where its page sets a cookie, and
            hidden fields that differ from load to load marked as tokens.
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
    call = tool.call
    if not isinstance(call, FormCall):
        raise Permanent(f"A tool of the kind {call.kind!r} has no form to compare.")
    check_arguments(tool.input_schema, arguments)
    trial = _Trial(tool, call, arguments)
    try:
        return job.browser.visit(trial.work, timeout_s=TRY_LIMIT_S, options=VisitOptions(storage_state=session))
    finally:
        for line in trial.diary.lines:
            job.log(line, level="debug", stream="browser")


class _Trial:
    """One comparison, on the event loop of the browser."""

    def __init__(self, tool: Tool, call: FormCall, arguments: Arguments) -> None:
        self.diary = Diary()
        self._tool = tool
        self._call = call
        self._arguments = arguments
        self._caught: list[Request] = []

    async def work(self, visit: Visit) -> Equality:
        """Open, cut off, fill in, send, compare."""
        before = await visit.context.cookies()
        page = await visit.context.new_page()
        traffic = Traffic(visit.context, page)
        response = await visit.open(page, self._call.page_url)
        await traffic.settle(limit_s=_LOAD_LIMIT_S, name="open")
        static = "" if self._call.frame_url else await response.text()
        sets_cookies = any(cookie not in before for cookie in await visit.context.cookies(self._call.url))
        await visit.context.route("**/*", self._catch)
        visit.cut_off()
        call = _as_loaded(self._call, static)
        frame = frame_of(page, call.frame_url)
        filled = fill(call, self._arguments, schema=self._tool.input_schema)
        await set_controls(frame, filled, diary=self.diary)
        self._caught.clear()
        await press(frame, call, diary=self.diary)
        sent = await self._sent()
        difference = _difference(form_request(call, filled), sent) if is_known(call.charset) else "its charset"
        learnt = {"is_plain": not difference, "needs_page": call.needs_page or sets_cookies}
        return Equality(not difference, difference, call.model_copy(update=learnt))

    async def _catch(self, route: Route) -> None:
        self._caught.append(route.request)
        await route.fulfill(status=200, content_type="text/html", body="")

    async def _sent(self) -> Request:
        ends_at = time.monotonic() + _SENDING_LIMIT_S
        while time.monotonic() < ends_at:
            for request in self._caught:
                if request.is_navigation_request():
                    return request
            await asyncio.sleep(_LOOK_EVERY_S)
        by_script = next((request for request in self._caught if request.resource_type in ("fetch", "xhr")), None)
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
