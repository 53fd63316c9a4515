"""Acts in a page, each with a name for when it fails, and elements found by ranked selectors."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Frame, Locator, Page
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from tasks.core.browser.visits import first_line
from tasks.core.errors import Permanent, Transient

FIND_LIMIT_S = 5.0
_LOOK_EVERY_S = 0.1
_MAX_SHOWN_SELECTORS = 3


@dataclass(slots=True)
class Diary:
    """What a run did, for the job's log and the tool's notes. Names and selectors only, never values."""

    lines: list[str] = field(default_factory=list)
    found_by: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        """Add a line."""
        self.lines.append(line[:300])


@asynccontextmanager
async def step(name: str) -> AsyncIterator[None]:
    """Name the step in what Playwright raises.

    Raises:
        Transient: it failed, or not in time.
    """
    try:
        yield
    except PlaywrightTimeoutError as exc:
        raise Transient(f"{name}: not done in time.") from exc
    except PlaywrightError as exc:
        raise Transient(f"{name}: {first_line(exc)}") from exc


async def find(
    where: Page | Frame | Locator,
    selectors: Iterable[str],
    *,
    name: str,
    diary: Diary,
    at: int = 0,
    limit_s: float = FIND_LIMIT_S,
) -> Locator:
    """Return the element that the best selector which finds one finds; several selectors are tried in turn.

    A selector that finds exactly one element wins over a better one that finds several; of several, it is the one
    ``at`` that place.

    Raises:
        Permanent: none of them finds anything in time.
    """
    ranked = list(dict.fromkeys(selectors))
    ends_at = time.monotonic() + limit_s
    while ranked:
        ambiguous: tuple[int, Locator] | None = None
        lost: list[str] = []
        for rank, selector in enumerate(ranked):
            locator = where.locator(selector)
            count = await _count(locator)
            if count == 1:
                diary.note(_found(name, ranked, rank))
                diary.found_by.append(selector)
                diary.lost += lost
                return locator
            if not count:
                lost.append(selector)
            if count > max(at, 1) and ambiguous is None:
                ambiguous = (rank, locator)
        if ambiguous is not None:
            diary.note(f"{_found(name, ranked, ambiguous[0])} Of several, it is number {at + 1}.")
            diary.found_by.append(ranked[ambiguous[0]])
            return ambiguous[1].nth(at)
        if time.monotonic() > ends_at:
            break
        await asyncio.sleep(_LOOK_EVERY_S)
    tried = ", ".join(ranked[:_MAX_SHOWN_SELECTORS]) or "no selector is known"
    raise Permanent(f"{name}: not found on the page ({tried[:200]}). The page has changed: discover it again.")


async def _count(locator: Locator) -> int:
    try:
        return await locator.count()
    except PlaywrightError:  # between two documents, or no selector at all: the next try or the next selector tells
        return 0


def css_string(text: str) -> str:
    """Return the text in quotes as a selector has it."""
    return '"' + re.sub(r'[\x00-\x1f\x7f"\\]', lambda found: f"\\{ord(found[0]):x} ", text) + '"'


def _found(name: str, ranked: list[str], rank: int) -> str:
    return f"{name}: found by {ranked[rank]!r} ({rank + 1} of {len(ranked)})."


def frame_of(page: Page, frame_url: str) -> Frame:
    """Return the frame that shows ``frame_url``, or the page's main one where none is named.

    Raises:
        Permanent: no frame shows it.
    """
    if not frame_url:
        return page.main_frame
    bare = frame_url.partition("#")[0].partition("?")[0]
    for wanted in (frame_url, bare):
        for frame in page.frames:
            if wanted in (frame.url, frame.url.partition("#")[0].partition("?")[0]):
                return frame
    raise Permanent(f"frame: no frame of the page shows {frame_url[:200]}. The page has changed: discover it again.")
