"""Which blocks of a page are built alike: by the elements around them, headings above, repeated items."""

from dataclasses import dataclass

import numpy as np

from tasks.crawling.engine.reading.blocks import Cut
from tasks.crawling.engine.reading.columns import HEADINGS
from tasks.crawling.engine.reading.table import Floats, Numbers, Table, Whole, bits, log, numbered
from tasks.crawling.engine.reading.words import TEXT_GROUPS, text_mask

# So many siblings of the same tag and classes make a repeated item of each.
REPEATED = 3
MIN_ITEM_WORDS = 5
BIG_HEADING = 2
_HEADING_BITS, _BIG_BITS = numbered("heading", TEXT_GROUPS), numbered("big", TEXT_GROUPS)
_BUILD_NAMES = tuple(f"build.{what}" for what in ("count", "words", "share", "density", "spread", "span"))
_ITEM_NAMES = tuple(
    tuple(f"{name}.{what}" for what in ("count", "words", "share", "mean", "place", "blocks", "rank", "density"))
    for name in ("inner", "outer", "often")
)


@dataclass(frozen=True, slots=True)
class Likeness:
    """Numbers by block, save where a field says node. What is in no item has -1."""

    build: Whole
    """Blocks whose three innermost elements have the same tags and classes have the same number."""
    heading: Whole
    big_heading: Whole
    """The number of the nearest heading block above, of any level and of the first two; -1 before the first."""
    items: dict[str, Whole]
    """Nodes of the repeated items around: the innermost, the outermost, and the one with most siblings like it."""
    group: Whole
    """By node: siblings of the same tag and classes have the same number, those without words have -1."""
    group_size: Whole
    group_words: Floats
    node_words: Floats


def find_likeness(cut: Cut) -> Likeness:
    """Return which blocks are built alike."""
    group, size = cut.sums.group, cut.sums.group_size
    words = cut.sums.words.astype(np.float32)
    grouped = group >= 0
    levels, owner = cut.columns.level, cut.columns.owner
    at = np.arange(len(levels))
    inner, outer, most = _items(cut)
    return Likeness(
        build=_builds(cut, owner),
        heading=np.maximum.accumulate(np.where(levels > 0, at, -1)),
        big_heading=np.maximum.accumulate(np.where((levels > 0) & (levels <= BIG_HEADING), at, -1)),
        items={"inner": inner[owner], "outer": outer[owner], "often": most[owner]},
        group=group,
        group_size=size,
        group_words=np.bincount(group[grouped], words[grouped], minlength=len(size)).astype(np.float32),
        node_words=words,
    )


def _builds(cut: Cut, owner: Whole) -> Whole:
    nodes = cut.nodes
    kind, parent = np.array(nodes.kinds, dtype=np.int64), np.maximum(np.array(nodes.parent, dtype=np.int64), 0)
    above = parent[owner]
    build = (kind[owner] * nodes.kind_count + kind[above]) * nodes.kind_count + kind[parent[above]]
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(one, len(numbers)) for one in build.tolist()], dtype=np.int64)


def _items(cut: Cut) -> tuple[Whole, Whole, Whole]:
    """Return for each node the innermost repeated item around it or itself, the outermost, and the most repeated."""
    sums = cut.sums
    often = np.where(sums.group >= 0, sums.group_size[sums.group], 0)
    of_node = np.where(often >= REPEATED, often, 0)
    repeats = of_node.tolist()
    holds = np.where(sums.words >= MIN_ITEM_WORDS, of_node, 0).tolist()
    inner: list[int] = []
    outer: list[int] = []
    most: list[int] = []
    for number, parent in enumerate(cut.nodes.parent):
        in_inner, in_outer, in_most = (inner[parent], outer[parent], most[parent]) if parent >= 0 else (-1, -1, -1)
        if repeats[number]:
            inner.append(number)
            outer.append(in_outer if in_outer >= 0 else number)
            most.append(number if holds[number] and (in_most < 0 or holds[number] >= repeats[in_most]) else in_most)
        else:
            inner.append(in_inner)
            outer.append(in_outer)
            most.append(in_most)
    return np.array(inner), np.array(outer), np.array(most)


def add_likeness(table: Table, cut: Cut, alike: Likeness, *, words: Floats, density: Floats) -> None:
    """Add what the blocks built like each block are like, the words of the heading above, and the items around."""
    total = max(float(words.sum()), 1.0)
    at = np.arange(len(words))
    _add_builds(table, alike.build, words=words, density=density, total=total)
    levels = cut.columns.level
    # Of headings only: those of other blocks are not asked for.
    masks = np.array([text_mask(b.tokens[:12]) if b.tag in HEADINGS else 0 for b in cut.blocks], dtype=np.int64)
    for names, above in ((_HEADING_BITS, alike.heading), (_BIG_BITS, alike.big_heading)):
        table.add_all(names, bits(np.where(above >= 0, masks[above], 0), TEXT_GROUPS))
    table.add("big.since", np.minimum(np.where(alike.big_heading >= 0, at - alike.big_heading, 100), 100))
    table.add("big.level", np.where(alike.big_heading >= 0, levels[alike.big_heading], 0))
    before = np.cumsum(levels > 0)
    table.add("headings.before", log(before))
    table.add("headings", np.log1p(before[-1]))
    known: dict[bytes, Numbers | float] = {}
    for names, item in zip(_ITEM_NAMES, alike.items.values(), strict=True):
        # As a rule two of the three are the same.
        key = item.tobytes()
        if key not in known:
            known[key] = _of_items(alike, item=item, words=words, density=density, total=total)
        table.add_all(names, known[key])


def _add_builds(table: Table, build: Whole, *, words: Floats, density: Floats, total: float) -> None:
    at = np.arange(len(build))
    count, size = np.bincount(build), np.bincount(build, words)
    squares = np.bincount(build, words * words)
    first, last = np.full(len(count), len(build)), np.zeros(len(count), dtype=np.int64)
    np.minimum.at(first, build, at)
    np.maximum.at(last, build, at)
    mean = size / count
    spread = log(np.sqrt(np.maximum(squares / count - mean**2, 0)))
    of_build = np.stack(
        (
            log(count),
            log(mean),
            size / total,
            np.bincount(build, density * words) / size,
            spread,
            (last - first) / len(build),
        )
    )
    table.add_all(_BUILD_NAMES, of_build[:, build])
    table.add("build.place", (at - first[build]) / np.maximum(last - first, 1)[build])


def _of_items(alike: Likeness, *, item: Whole, words: Floats, density: Floats, total: float) -> Numbers | float:
    """Return what the blocks' items are like, a row for each of the names; -1 everywhere outside of items."""
    inside = item >= 0
    if not inside.any():
        return -1.0
    node = np.maximum(item, 0)
    group = np.where(inside, alike.group[node], 0)
    sizes, of_group = alike.group_size, alike.group_words
    at = np.arange(len(item))
    first = np.full(len(alike.group), len(item))
    np.minimum.at(first, node, at)
    blocks = np.bincount(node[inside], minlength=len(alike.group))
    linked = np.bincount(group[inside], (density * words)[inside], minlength=len(sizes))
    is_there = np.zeros(len(sizes), dtype=bool)
    is_there[group[inside]] = True
    largest = np.argsort(-np.where(is_there, of_group, -1), kind="stable")
    rank = np.empty(len(sizes))
    rank[largest] = np.arange(len(sizes))
    size, of_all = sizes[group], of_group[group]
    found = np.stack(
        (
            np.log1p(size),
            np.log1p(alike.node_words[node]),
            of_all / total,
            np.log1p(of_all / np.maximum(size, 1)),
            np.minimum(at - first[node], 50),
            np.log1p(blocks[node]),
            np.minimum(rank[group], 20),
            linked[group] / np.maximum(of_all, 1),
        )
    )
    return np.where(inside, found, -1.0)
