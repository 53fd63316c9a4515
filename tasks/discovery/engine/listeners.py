"""Which controls of a live page any script listens to: trying the others is waiting for nothing."""

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Frame, JSHandle

# Hands the controls from Playwright's call to the one that may ask for listeners.
_HAND_OVER = """(found, places) => {
  window[Symbol.for('discovery.listeners')] = places.map((at) => found.elements[at]);
}"""


async def heeded(frame: Frame, found: JSHandle, places: Sequence[int]) -> list[int]:
    """Return those of ``places`` in ``found.elements`` that something may come of, in their order.

    Of a frame inside the page, and where the browser does not say, that is all of them.
    """
    if not places or frame.parent_frame is not None:
        return list(places)
    try:
        await found.evaluate(_HAND_OVER, list(places))
        answers = json.loads(await _asked(frame))
    except (PlaywrightError, ValueError):
        return list(places)
    is_whole = isinstance(answers, list) and len(answers) == len(places)
    return [at for at, is_heeded in zip(places, answers, strict=True) if is_heeded] if is_whole else list(places)


async def _asked(frame: Frame) -> str:
    session = await frame.page.context.new_cdp_session(frame.page)
    try:
        answer = await session.send(
            "Runtime.evaluate", {"expression": _script(), "includeCommandLineAPI": True, "returnByValue": True}
        )
    finally:
        await session.detach()
    return str(answer["result"].get("value", ""))


@cache
def _script() -> str:
    return resources.files(__package__).joinpath("listeners.js").read_text("utf-8")
