"""What a page says twice, said once.

Templates print a text for wide screens and again for narrow ones, or in a preview and again below; the models cannot
tell which of the copies a reader would see, and take them both.
"""

from collections.abc import Sequence

from tasks.crawling.engine.reading.blocks import FLAGS, Block
from tasks.crawling.engine.reading.columns import HEADINGS

# Fewer words are labels, which are repeated because each belongs to something else.
MIN_WORDS = 3
# A line of code and a row of a table are what they are by where they stand.
_IN_PLACE = FLAGS["code"] | FLAGS["table"]


def without_copies(blocks: Sequence[Block], chosen: list[int]) -> list[int]:
    """Return the chosen blocks without those whose words, in their order, an earlier one of them has.

    A heading stays where the block below it does: the same heading may stand over different texts.
    """
    said: set[tuple[str, ...]] = set()
    copies = set()
    for number in chosen:
        block = blocks[number]
        is_long = len(block.tokens) >= MIN_WORDS or block.tag in HEADINGS
        if is_long and not block.flags & _IN_PLACE:
            words = tuple(block.tokens)
            if words in said:
                copies.add(number)
            said.add(words)
    for number, below in zip(reversed(chosen[:-1]), reversed(chosen[1:]), strict=True):
        if number in copies and blocks[number].tag in HEADINGS and below not in copies:
            copies.remove(number)
    return [number for number in chosen if number not in copies]
