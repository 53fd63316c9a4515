"""Headings that are left over nothing: what stands below them is not main text, so neither are they."""

from collections.abc import Sequence
from itertools import pairwise

from tasks.crawling.engine.reading.blocks import Block
from tasks.crawling.engine.reading.columns import HEADINGS


def without_idle_headings(blocks: Sequence[Block], chosen: list[int]) -> list[int]:
    """Return the chosen blocks without headings whose own texts are all left out.

    A heading's own texts stand before the next heading. One of the first level stays, and so does one with a link,
    which may be all that a card says, one with no text of its own, and one with a lower heading next.
    """
    headings = [number for number, block in enumerate(blocks) if block.tag in HEADINGS]
    ends = dict(pairwise([*headings, len(blocks)]))
    kept = set(chosen)

    def is_idle(number: int) -> bool:
        level, end = HEADINGS[blocks[number].tag], ends[number]
        if level == 1 or blocks[number].link_words or end == number + 1 or not kept.isdisjoint(range(number + 1, end)):
            return False
        return end == len(blocks) or HEADINGS[blocks[end].tag] <= level

    return [number for number in chosen if number not in ends or not is_idle(number)]
