"""A page of a live browser as a snapshot: what static HTML says, and what only the browser knows.

One script (``snapshot.js``) reads each frame in an isolated world, where nothing that the page's own scripts have
redefined can reach it. It is bounded in elements, characters and time.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

from playwright.async_api import CDPSession, Page
from playwright.async_api import Error as PlaywrightError

from tasks.core.errors import Transient
from tasks.discovery.engine.live_page import Frame, read_frame
from tasks.discovery.engine.page import Form
from tasks.discovery.engine.site import DeclaredTool, Snapshot

MAX_FRAMES = 20
MAX_HTML_CHARS = 2_000_000
# For all of it; the script itself stops earlier and keeps what it has.
TIME_LIMIT_S = 20.0
# The script keeps its own time, but not that of the layout which it is the first to need.
_SCRIPT_LIMIT_MS = 10_000
_LIMITS = {
    "time_ms": 2500,
    "elements": 40_000,
    "characters": 4_000_000,
    "attribute": 4000,
    "text": 20_000,
    # A selector that finds more than this is not worth counting.
    "same": 20,
    "selectors": 6,
    # For asking the browser for computed names, which takes it some 20 ms each.
    "naming_ms": 150,
}
_WORLD = "switchyard"
_HTML = """((limit) => new XMLSerializer().serializeToString(document.doctype ?? document.createComment("")) +
    Object.getOwnPropertyDescriptor(Element.prototype, "outerHTML").get.call(
        Object.getOwnPropertyDescriptor(Document.prototype, "documentElement").get.call(document)).slice(0, limit))"""
_DECLARED = """(async (limit) => JSON.stringify((await (document.modelContext?.getTools?.() ?? []))
    .filter((tool) => tool.origin === self.origin).slice(0, limit)
    .map(({ name, title, description, inputSchema, annotations }) =>
        ({ name, title, description, inputSchema, annotations }))))"""
MAX_DECLARED = 200


async def take_snapshot(page: Page, *, status: int = 200) -> Snapshot:
    """Return what ``page`` shows now: its own document, open shadow roots, and frames of the same origin.

    Args:
        status: of the answer that the page came with.
    Raises:
        Transient: the page did not give control back in time.
    """
    try:
        async with asyncio.timeout(TIME_LIMIT_S):
            session = await page.context.new_cdp_session(page)
            try:
                return await _take(session, status)
            finally:
                with suppress(PlaywrightError):  # it has gone with its page
                    await session.detach()
    except TimeoutError as exc:
        raise Transient(f"{page.url[:200]} did not let itself be read within {TIME_LIMIT_S:g} s.") from exc


async def _take(session: CDPSession, status: int) -> Snapshot:
    tree = (await session.send("Page.getFrameTree"))["frameTree"]
    world = await _world(session, tree["frame"]["id"])
    top = await _read(session, world, is_top=True)
    html = await _evaluate(session, world, f"{_HTML}({MAX_HTML_CHARS})")
    declared = json.loads(await _evaluate(session, world, f"{_DECLARED}({MAX_DECLARED})"))
    inner: list[Frame] = []
    for frame_id in list(_inner(tree))[:MAX_FRAMES]:
        with suppress(PlaywrightError):  # it has gone, or is another process's
            frame = await _read(session, await _world(session, frame_id), is_top=False)
            if frame.origin == top.origin:
                inner.append(frame)
    frames = (top, *inner)
    return Snapshot(
        page=replace(
            top.page,
            forms=tuple(_in_charset(form, frame, top) for frame in frames for form in frame.page.forms),
            links=tuple(link for frame in frames for link in frame.page.links),
        ),
        html=html,
        status=status,
        charset=top.charset,
        selectors=tuple(found for frame in frames for found in frame.selectors),
        loose_selectors=top.loose_selectors,
        declared=tuple(_declared(tool, top) for tool in declared),
        is_cut=any(frame.is_cut for frame in frames),
    )


def _in_charset(form: Form, frame: Frame, top: Frame) -> Form:
    """Return the form with the charset of its own frame, where that is not the page's."""
    is_told = bool(form.charset) or frame.charset == top.charset
    return form if is_told else replace(form, charset=frame.charset)


def _declared(tool: dict[str, Any], top: Frame) -> DeclaredTool:
    schema = tool.get("inputSchema")
    return DeclaredTool(
        name=str(tool.get("name", "")),
        title=str(tool.get("title") or ""),
        description=str(tool.get("description") or ""),
        input_schema=schema if isinstance(schema, dict) else {"type": "object"},
        annotations=tool.get("annotations"),
        is_imperative=tool.get("name") not in top.declarative,
    )


def _inner(tree: dict[str, Any]) -> Iterator[str]:
    for child in tree.get("childFrames", ()):
        yield child["frame"]["id"]
        yield from _inner(child)


async def _world(session: CDPSession, frame_id: str) -> int:
    made = await session.send("Page.createIsolatedWorld", {"frameId": frame_id, "worldName": _WORLD})
    return int(made["executionContextId"])


async def _read(session: CDPSession, world: int, *, is_top: bool) -> Frame:
    answer = await _evaluate(session, world, f"({_script()})({json.dumps(_LIMITS)})")
    # The loop also carries the browser's traffic.
    return await asyncio.to_thread(_parsed, answer, is_top)


def _parsed(answer: str, is_top: bool) -> Frame:
    return read_frame(json.loads(answer), is_top=is_top)


async def _evaluate(session: CDPSession, world: int, expression: str) -> str:
    answer = await session.send(
        "Runtime.evaluate",
        {
            "expression": expression,
            "contextId": world,
            "returnByValue": True,
            "awaitPromise": True,
            "timeout": _SCRIPT_LIMIT_MS,
        },
    )
    if "exceptionDetails" in answer:
        details = answer["exceptionDetails"]
        text = details.get("exception", {}).get("description") or details.get("text", "")
        raise PlaywrightError(f"The page could not be read: {text[:300]}")
    return str(answer["result"]["value"])


@cache
def _script() -> str:
    return resources.files(__package__).joinpath("snapshot.js").read_text("utf-8")
