"""Running a tool in the warm browser: a form filled in and sent, steps, or a tool of the page's own."""

import asyncio
import json
import time
from dataclasses import replace

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Frame, Page, Response

from tasks.core.browser import Visit, VisitOptions
from tasks.core.egress.refusals import refuse
from tasks.core.errors import EngineUnavailable, InputRejected, NotAllowed, Permanent, TooLarge, Transient
from tasks.core.job import JobContext
from tasks.discovery.engine.answers import MAX_TEXT_CHARS, Answer, media_type_of
from tasks.discovery.engine.outcome import Outcome
from tasks.discovery.engine.outputs import read_outcome
from tasks.discovery.engine.running.controls import press, set_controls
from tasks.discovery.engine.running.filling import Arguments, fill
from tasks.discovery.engine.running.page_steps import Diary, frame_of
from tasks.discovery.engine.running.page_tools import call_page_tool
from tasks.discovery.engine.running.sent import hidden_in
from tasks.discovery.engine.running.sessions import StorageState
from tasks.discovery.engine.running.step_words import StepWords
from tasks.discovery.engine.running.traffic import Traffic
from tasks.discovery.tool import FormCall, PageToolCall, StepsCall, Tool

RUN_LIMIT_S = 120.0
ANSWER_LIMIT_S = 20.0
LOAD_LIMIT_S = 5.0
FAILURE_PICTURE = "failure.png"

_PICTURE_LIMIT_S = 3.0
_LOOK_EVERY_S = 0.1
_HTML = "text/html"


def run_in_browser(job: JobContext, tool: Tool, arguments: Arguments, *, session: StorageState | None) -> Outcome:
    """Run the tool in a fresh browser context and read what the page shows then.

    A failure leaves the artifact ``failure.png``, with password fields covered.

    Raises:
        InputRejected: the page's own checks refuse the arguments.
        EgressRefused, EngineUnavailable, TooLarge: of the browser.
        Transient, Permanent: a step failed; the message names it.
    """
    began = time.monotonic()
    run = _BrowserRun(tool, arguments)
    try:
        answer = job.browser.visit(run.work, timeout_s=RUN_LIMIT_S, options=VisitOptions(storage_state=session))
    finally:
        for line in run.diary.lines:
            job.log(line, stream="browser")
        if run.picture:
            job.save(FAILURE_PICTURE, run.picture, "image/png")
    outcome = read_outcome(answer, backend="browser", took_s=time.monotonic() - began)
    diary = run.diary
    return replace(outcome, selectors=tuple(diary.found_by), lost_selectors=tuple(diary.lost))


class _BrowserRun:
    """One run, on the event loop of the browser."""

    def __init__(self, tool: Tool, arguments: Arguments) -> None:
        self.diary = Diary()
        self.picture = b""
        self._tool = tool
        self._arguments = arguments
        self._hidden = hidden_in(tool, arguments)

    async def work(self, visit: Visit) -> Answer:
        """Do what the tool's call says and return the answer."""
        page = await visit.context.new_page()
        traffic = Traffic(visit.context, page)
        try:
            answer = await self._call(visit, traffic)
        except (InputRejected, NotAllowed, EngineUnavailable, TooLarge, Transient, Permanent, PlaywrightError):
            self.picture = await _picture(traffic.page)
            raise
        return Answer(answer.status, self._hidden.struck_from(answer.url), answer.media_type, answer.text)

    async def _call(self, visit: Visit, traffic: Traffic) -> Answer:
        match self._tool.call:
            case FormCall() as call:
                await _open(visit, traffic, call.page_url)
                return await self._send_form(visit, traffic, call)
            case PageToolCall() as call:
                await _open(visit, traffic, call.page_url)
                value = await call_page_tool(traffic.page, call.tool_name, self._arguments)
                return Answer(200, traffic.page.url, "application/json", json.dumps(value))
            case StepsCall() as call:
                await _open(visit, traffic, call.page_url)
                words = StepWords(visit, traffic, self._arguments, diary=self.diary)
                extracted = await words.carry_out(call.steps)
                return await _read(visit, traffic, html=extracted)
            case other:
                raise Permanent(
                    f"A tool of the kind {other.kind!r} runs as a plain request: do not ask for the browser."
                )

    async def _send_form(self, visit: Visit, traffic: Traffic, call: FormCall) -> Answer:
        frame = frame_of(traffic.page, call.frame_url)
        filled = fill(call, self._arguments, schema=self._tool.input_schema)
        await set_controls(frame, filled, diary=self.diary)
        traffic.frame = frame
        traffic.forget()
        await press(frame, call, diary=self.diary)
        await traffic.settle(limit_s=ANSWER_LIMIT_S, name="submit")
        return await _read(visit, traffic)


async def _open(visit: Visit, traffic: Traffic, url: str) -> Response:
    response = await visit.open(traffic.page, url)
    if response.status >= 400:
        raise Transient(f"open: the page answered {response.status}.")
    await traffic.settle(limit_s=LOAD_LIMIT_S, name="open")
    return response


async def _read(visit: Visit, traffic: Traffic, *, html: str | None = None) -> Answer:
    """Return the page, or the frame that was answered in, as it stands now."""
    document, frame = traffic.document, traffic.frame
    if document is not None:
        _check(visit, document)
        if frame.parent_frame is not None and document.frame.parent_frame is None:  # a form that leads out of its frame
            frame = document.frame
        content_type = media_type_of(document.headers.get("content-type", ""))
        if traffic.is_download or (content_type and content_type != _HTML and html is None):
            return Answer(document.status, document.url, content_type, await _body_text(document))
    content = html if html is not None else await _content(frame)
    return Answer(document.status if document else 200, frame.url, _HTML, content[:MAX_TEXT_CHARS])


async def _content(frame: Frame) -> str:
    """Return the frame's document; one that is just being replaced is asked again."""
    ends_at = time.monotonic() + LOAD_LIMIT_S
    while True:
        try:
            await frame.wait_for_load_state("domcontentloaded", timeout=LOAD_LIMIT_S * 1000)
            return await frame.content()
        except PlaywrightError as exc:
            if time.monotonic() > ends_at:
                raise Transient("read: the page changed while it was being read.") from exc
            await asyncio.sleep(_LOOK_EVERY_S)


def _check(visit: Visit, document: Response) -> None:
    if document.url.startswith("http") and (target := visit.guard.check(document.url)).endpoint in visit.refused:
        raise refuse("in the browser", host=target.host, port=target.port)


async def _body_text(document: Response) -> str:
    try:
        return (await document.text())[:MAX_TEXT_CHARS]
    except (PlaywrightError, UnicodeDecodeError):  # a file to download, or no text
        return ""


async def _picture(page: Page) -> bytes:
    try:
        return await page.screenshot(mask=[page.locator("input[type=password]")], timeout=_PICTURE_LIMIT_S * 1000)
    except PlaywrightError:  # the page, or the browser, is gone
        return b""
