"""What is counted of each block of a page, as columns of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tasks.crawling.engine.reading.table import Floats, Whole

# And their levels.
HEADINGS = {f"h{n}": n for n in range(1, 7)}


class _Run(Protocol):
    @property
    def tokens(self) -> list[str]: ...
    @property
    def link_words(self) -> int: ...
    @property
    def links(self) -> int: ...
    @property
    def owner(self) -> int: ...
    @property
    def flags(self) -> int: ...
    @property
    def mask(self) -> int: ...
    @property
    def tag(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Columns:
    """A number a block."""

    words: Whole
    link_words: Whole
    links: Whole
    owner: Whole
    flags: Whole
    mask: Whole
    level: Whole
    """Of a heading, 1 to 6; 0 of what is none."""
    lengths: Floats
    """The words again, as models read them."""

    @classmethod
    def of(cls, blocks: Sequence[_Run]) -> "Columns":
        """Return what is counted of these blocks."""
        rows = [
            (len(b.tokens), b.link_words, b.links, b.owner, b.flags, b.mask, HEADINGS.get(b.tag, 0)) for b in blocks
        ]
        # An array without a row has no second axis of its own.
        table = np.ascontiguousarray(np.array(rows, dtype=np.int64).reshape(-1, 7).T)
        words, link_words, links, owner, flags, mask, level = table
        return cls(words, link_words, links, owner, flags, mask, level, lengths=words.astype(np.float32))
