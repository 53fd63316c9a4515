"""Pages cut into chunks: small enough to compare with a question, whole enough to answer it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SIZE_CHARS = 1000
OVERLAP_CHARS = 100
MAX_CHUNKS = 1000
RECIPE = 1
"""How chunks are cut and their words counted; a page that was cut by another recipe is cut again."""

_MAX_HEADING_CHARS = 300
_HEADING = re.compile(r"(#{1,6})[ \t]+(\S.*?)[ \t#¶]*")
_FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})")
# A chunk that is too long is cut after the last of the best of these that it has.
_BREAKS = (re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"(?<=[.!?;:])\s+"), re.compile(r"\s+"))


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a page's text: ``text[start:end]``, under the headings ``heading``, outermost first."""

    start: int
    end: int
    heading: str


def chunks_of(text: str) -> list[Chunk]:
    """Cut Markdown into chunks of at most 1,000 characters, each within one section.

    The parts of a section that is longer overlap by up to 100 characters. A heading with little below it goes
    with the section of its own that follows. What would be the 1,001st chunk of a page, and all after it, is left out.
    """
    found: list[Chunk] = []
    for section in _joined(list(_sections(text))):
        for start, end in _pieces(text, section.start, section.end):
            if len(found) == MAX_CHUNKS:
                return found
            found.append(Chunk(start, end, section.heading))
    return found


def _sections(text: str) -> Iterator[Chunk]:
    """Give the sections, each with the line of its heading; what looks like one in a code block is none."""
    path: list[tuple[int, str]] = []
    fence, begin, at = "", 0, 0
    for line in text.splitlines(keepends=True):
        marker = _FENCE.match(line)
        if marker and (not fence or marker.group(1).startswith(fence)):
            fence = "" if fence else marker.group(1)
        heading = None if fence else _HEADING.fullmatch(line.strip("\r\n"))
        if heading:
            yield Chunk(begin, at, _shown(path))
            begin, level = at, len(heading.group(1))
            path = [*(one for one in path if one[0] < level), (level, heading.group(2))]
        at += len(line)
    yield Chunk(begin, at, _shown(path))


def _shown(path: list[tuple[int, str]]) -> str:
    return " > ".join(title for _, title in path)[:_MAX_HEADING_CHARS]


def _joined(sections: list[Chunk]) -> Iterator[Chunk]:
    """Put a heading that has nothing of its own to the section below it."""
    held: Chunk | None = None
    for section in sections:
        start = section.start if held is None else held.start
        one = Chunk(start, section.end, section.heading)
        is_inside = held is None or not held.heading or section.heading.startswith(f"{held.heading} > ")
        if held is not None and not is_inside:
            yield held
            one = section
        held = one if one.end - one.start < SIZE_CHARS // 5 else None
        if held is None:
            yield one
    if held is not None:
        yield held


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while True:
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        if start == end:
            return
        cut = end if end - start <= SIZE_CHARS else _cut(text, start)
        stop = cut
        while text[stop - 1].isspace():
            stop -= 1
        yield start, stop
        if cut == end:
            return
        start = _after(text, max(start + 1, stop - OVERLAP_CHARS), cut)


def _cut(text: str, start: int) -> int:
    """Return where a piece that begins at ``start`` and is too long ends: at the best break in its second half."""
    least, most = start + SIZE_CHARS // 2, start + SIZE_CHARS
    for pattern in _BREAKS:
        ends = [found.end() for found in pattern.finditer(text, least, most) if found.end() < most]
        if ends:
            return ends[-1]
    return most


def _after(text: str, least: int, most: int) -> int:
    """Return the first beginning of a word from ``least`` on; ``most`` where there is none before it."""
    found = re.compile(r"\s+").search(text, least, most)
    return found.end() if found else most
