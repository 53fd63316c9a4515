"""How likely the blocks around each block are main text, by a first look at each alone."""

import numpy as np

from tasks.crawling.engine.reading.blocks import Cut
from tasks.crawling.engine.reading.table import Floats, Table, log

_NOTHING = -0.1  # beyond the page's ends


def surroundings(cut: Cut, likely: Floats) -> Table:
    """Return features from how likely the neighbours are, and the boxes around, as a whole."""
    table = Table()
    count = len(likely)
    words = np.array([len(b.tokens) for b in cut.blocks], dtype=np.float32)
    expected = likely * words
    table.add("likely", likely)
    for by in (1, 2, 3, -1, -2, -3):
        column = np.full(count, _NOTHING, dtype=np.float32)
        if abs(by) < count:
            if by > 0:
                column[by:] = likely[:-by]
            else:
                column[:by] = likely[-by:]
        table.add(f"likely{by:+}", column)
    sums, widths = np.concatenate([[0.0], np.cumsum(expected)]), np.concatenate([[0.0], np.cumsum(words)])
    at = np.arange(count)
    for radius in (3, 8, 20):
        low, high = np.maximum(at - radius, 0), np.minimum(at + radius + 1, count)
        table.add(f"likely~{radius}", (sums[high] - sums[low]) / (widths[high] - widths[low]))
    _add_boxes(table, cut, expected=expected, words=words)
    total = max(float(expected.sum()), 1e-9)
    table.add("likely.before", np.cumsum(expected) / total)
    table.add("likely.share", np.full(count, total / words.sum()))
    table.add("likely.words", np.full(count, log(np.array([total]))[0]))
    return table


def _add_boxes(table: Table, cut: Cut, *, expected: Floats, words: Floats) -> None:
    parent = np.array([n.parent for n in cut.nodes], dtype=np.int64)
    depth = np.array([n.depth for n in cut.nodes], dtype=np.int64)
    owner = np.array([b.owner for b in cut.blocks], dtype=np.int64)
    around = np.bincount(owner, words, minlength=len(parent))
    inside = np.bincount(owner, expected, minlength=len(parent))
    for level in range(int(depth.max()), 0, -1):
        here = np.flatnonzero(depth == level)
        np.add.at(around, parent[here], around[here])
        np.add.at(inside, parent[here], inside[here])
    at = owner
    for level in range(6):
        if level != 4:
            table.add(f"likely.box{level}", inside[at] / np.maximum(around[at], 1))
        at = np.maximum(parent[at], 0)
