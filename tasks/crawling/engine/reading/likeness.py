"""Which blocks of a page are built alike: by the elements around them, headings above, repeated items."""

from dataclasses import dataclass

import numpy as np

from tasks.crawling.engine.reading.blocks import HEADINGS, Cut
from tasks.crawling.engine.reading.table import Floats, Table, Whole, log
from tasks.crawling.engine.reading.words import TEXT_GROUPS, text_mask

# So many siblings of the same tag and classes make a repeated item of each.
REPEATED = 3
MIN_ITEM_WORDS = 5
BIG_HEADING = 2


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
    owner = np.array([b.owner for b in cut.blocks], dtype=np.int64)
    levels = np.array([HEADINGS.get(b.tag, 0) for b in cut.blocks])
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
    numbers: Whole = np.unique(build, return_inverse=True)[1]
    return numbers


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
    masks = np.array([text_mask(block.tokens[:12]) for block in cut.blocks], dtype=np.int64)
    levels = np.array([HEADINGS.get(block.tag, 0) for block in cut.blocks])
    for name, above in (("heading", alike.heading), ("big", alike.big_heading)):
        table.add_bits(name, np.where(above >= 0, masks[above], 0), TEXT_GROUPS)
    table.add("big.since", np.minimum(np.where(alike.big_heading >= 0, at - alike.big_heading, 100), 100))
    table.add("big.level", np.where(alike.big_heading >= 0, levels[alike.big_heading], 0))
    before = np.cumsum(levels > 0)
    table.add("headings.before", log(before))
    table.add("headings", np.full(len(words), np.log1p(before[-1])))
    for name, item in alike.items.items():
        _add_items(table, name, alike, item=item, words=words, density=density, total=total)


def _add_builds(table: Table, build: Whole, *, words: Floats, density: Floats, total: float) -> None:
    at = np.arange(len(build))
    count, size = np.bincount(build), np.bincount(build, words)
    squares = np.bincount(build, words * words)
    first, last = np.full(len(count), len(build)), np.zeros(len(count), dtype=np.int64)
    np.minimum.at(first, build, at)
    np.maximum.at(last, build, at)
    mean = size / count
    table.add("build.count", log(count[build]))
    table.add("build.words", log(mean[build]))
    table.add("build.share", (size / total)[build])
    table.add("build.density", (np.bincount(build, density * words) / size)[build])
    table.add("build.spread", log(np.sqrt(np.maximum(squares / count - mean**2, 0))[build]))
    table.add("build.span", ((last - first) / len(build))[build])
    table.add("build.place", (at - first[build]) / np.maximum(last - first, 1)[build])


def _add_items(
    table: Table, name: str, alike: Likeness, *, item: Whole, words: Floats, density: Floats, total: float
) -> None:
    inside = item >= 0
    node = np.maximum(item, 0)
    group = np.where(inside, alike.group[node], 0)
    sizes, of_group = alike.group_size, alike.group_words
    first = np.full(len(alike.group), len(item))
    np.minimum.at(first, node, np.arange(len(item)))
    blocks = np.bincount(node[inside], minlength=len(alike.group))
    linked = np.bincount(group[inside], (density * words)[inside], minlength=len(sizes))
    largest = np.argsort(-np.where(np.isin(np.arange(len(sizes)), group[inside]), of_group, -1), kind="stable")
    rank = np.empty(len(sizes))
    rank[largest] = np.arange(len(sizes))
    for what, column in (
        ("count", np.log1p(sizes[group])),
        ("words", np.log1p(alike.node_words[node])),
        ("share", of_group[group] / total),
        ("mean", np.log1p(of_group[group] / np.maximum(sizes[group], 1))),
        ("place", np.minimum(np.arange(len(item)) - first[node], 50)),
        ("blocks", np.log1p(blocks[node])),
        ("rank", np.minimum(rank[group], 20)),
        ("density", linked[group] / np.maximum(of_group[group], 1)),
    ):
        table.add(f"{name}.{what}", np.where(inside, column, -1.0))
