"""What is known of each block of a page, as numbers."""

import re

import numpy as np

from tasks.crawling.engine.reading.blocks import FLAG_COUNT, WORD, Cut
from tasks.crawling.engine.reading.likeness import add_likeness, find_likeness
from tasks.crawling.engine.reading.link_targets import add_link_targets
from tasks.crawling.engine.reading.table import Floats, Numbers, Table, Whole, bits, log, numbered, reach, windowed
from tasks.crawling.engine.reading.told import Told, add_told
from tasks.crawling.engine.reading.words import NAME_GROUPS, TEXT_GROUPS

TAGS = (
    ("p",), ("h1",), ("h2",), ("h3",), ("h4", "h5", "h6"), ("li",), ("tr", "td", "th", "caption"), ("pre",),
    ("dt",), ("dd",), ("div",), ("blockquote",), ("button",), ("figcaption",), ("section", "article"),
    ("label", "summary", "legend"),
)  # fmt: skip
_TAG_CODE = {tag: number + 1 for number, tags in enumerate(TAGS) for tag in tags}
_ENDS = (".", "!", "?", ":", "…", ".”", ".)", '."', "。")
_PRICE = re.compile(r"[$€£¥₹]\s?\d|\d\s?(?:€|£|USD|EUR)")
_TAG_NAMES = tuple(f"tag.{tags[0]}" for tags in TAGS)
_TAG_CODES = np.arange(1, len(TAGS) + 1)[:, None]
_TEXT_NAMES, _FLAG_NAMES = numbered("text", TEXT_GROUPS), numbered("flag", FLAG_COUNT)
_NEAR_NAMES, _FAR_NAMES = numbered("near", NAME_GROUPS), numbered("far", NAME_GROUPS)
_BESIDE_NAMES = {by: (f"words{by:+}", f"density{by:+}", f"heading{by:+}") for by in (1, 2, -1, -2)}
_WINDOW_NAMES = {radius: (f"words~{radius}", f"density~{radius}", f"prose~{radius}") for radius in (3, 10, 30)}
_BOX_NAMES = {
    level: tuple(f"box{level}.{what}" for what in ("words", "share", "density", "block", "prose", "images", "same"))
    for level in (1, 2, 3, 4, 6)
}
# Of a word, by its length.
_SHORT = (4).__gt__
_DIGIT = re.compile(r"\d")
_DATE = re.compile(r"\b(?:19|20)\d\d\b")


def _shifted(columns: Floats, by: int) -> Floats:
    out = np.zeros_like(columns)
    if by > 0:
        out[..., by:] = columns[..., :-by]
    else:
        out[..., :by] = columns[..., -by:]
    return out


def block_table(cut: Cut, *, url: str, title: str, told: Told, odds: Floats) -> Table:
    """Return the features of the blocks.

    Args:
        url: what the page answers to; where links lead is seen from there.
        odds: how likely the page is of each type.
    """
    blocks, columns = cut.blocks, cut.columns
    table = Table(len(blocks))
    words, linked, owner = columns.lengths, columns.link_words.astype(np.float32), columns.owner
    heading = columns.level.astype(np.float32)
    texts = [b.text.strip() for b in blocks]
    ends = np.array([t.endswith(_ENDS) for t in texts], dtype=np.float32)
    density = linked / words
    total = words.sum()
    is_prose = (words >= 10) & (density < 0.34)
    _add_texts(table, cut, texts=texts, words=words, density=density, ends=ends)
    _add_titles(table, cut, title=title)
    said = set(WORD.findall(told.longest.lower()))
    table.add("told", np.array([sum(map(said.__contains__, b.tokens)) for b in blocks]) / words if said else 0.0)
    table.add("told.words", np.log1p(len(said)))
    table.add("all.words", np.log1p(total))
    table.add("all.prose", float((words * is_prose).sum()) / total)
    table.add("all.density", linked.sum() / total)
    table.add("all.longest", np.log1p(words.max()))
    _add_place(table, before=np.cumsum(words) - words, total=total, heading=heading, words=words)
    _add_around(table, words=words, density=density, heading=heading, ends=ends, is_prose=is_prose)
    table.add("same.owner", owner == _shifted(owner.astype(np.float32), 1))
    _add_boxes(table, cut, owner=owner, total=total)
    add_likeness(table, cut, find_likeness(cut), words=words, density=density)
    add_link_targets(table, cut, url=url)
    add_told(table, cut, told)
    repeated: dict[str, int] = {}
    for text in texts:
        repeated[text] = repeated.get(text, 0) + 1
    table.add("repeated", log(np.array([repeated[t] - 1 for t in texts])))
    table.add_all(numbered("page", len(odds)), odds[:, None])
    return table


def _add_texts(table: Table, cut: Cut, *, texts: list[str], words: Floats, density: Floats, ends: Floats) -> None:
    """Add what each block is by itself."""
    blocks = cut.blocks
    chars = np.array([len(t) for t in texts], dtype=np.float32)
    code = np.array([_TAG_CODE.get(b.tag, 0) for b in blocks])
    table.add_all(_TAG_NAMES, code == _TAG_CODES)
    commas, stops, lines, links = log(
        np.array([
            [t.count(",") for t in texts], [t.count(". ") for t in texts], [b.lines for b in blocks],
            [b.links for b in blocks],
        ])
    )  # fmt: skip
    digits, short, distinct = (
        np.array(
            [
                [sum(map(str.isdigit, b.tokens)) for b in blocks],
                [sum(map(_SHORT, map(len, b.tokens))) for b in blocks],
                [len(set(b.tokens)) for b in blocks],
            ]
        )
        / words
    )
    table.add("words", log(words))
    table.add("density", density)
    table.add("links", links)
    table.add("chars/word", chars / words)
    table.add("ends", ends)
    table.add("commas", commas)
    table.add("stops", stops)
    table.add("lines", lines)
    table.add("digits", digits)
    table.add_all(("upper", "capitals"), np.array([[t[:1].isupper() for t in texts], [t.isupper() for t in texts]]))
    table.add("short", short)
    table.add("distinct", distinct)
    # Neither is looked for where there is no digit.
    starts = [t[:400] if _DIGIT.search(t, 0, 400) else "" for t in texts]
    signs = [
        [_PRICE.search(t) is not None for t in starts],
        [_DATE.search(t) is not None for t in starts],
        ["©" in t for t in texts],
    ]
    table.add_all(("price", "year", "copyright"), np.array(signs))
    table.add_all(_TEXT_NAMES, bits(cut.columns.mask, TEXT_GROUPS))
    table.add_all(_FLAG_NAMES, bits(cut.columns.flags, FLAG_COUNT))


def _add_titles(table: Table, cut: Cut, *, title: str) -> None:
    wanted = set(WORD.findall(title.lower()))
    shared, covered = np.zeros(len(cut.blocks)), np.zeros(len(cut.blocks))
    for number, block in enumerate(cut.blocks):
        if len(block.tokens) < 40 and not wanted.isdisjoint(block.tokens):
            own = set(block.tokens)
            both = len(wanted & own)
            shared[number], covered[number] = both / len(own), both / len(wanted)
    table.add("title.shared", shared)
    table.add("title.covered", covered)


def _between(low: int, column: Floats, high: int) -> Floats:
    # What ``numpy.clip`` does, in a quarter of its time for a few numbers.
    return np.minimum(np.maximum(column, low), high)


def _add_place(table: Table, *, before: Floats, total: float, heading: Floats, words: Floats) -> None:
    count = len(words)
    position = np.arange(count, dtype=np.float32)
    table.add("position", position / count)
    table.add("index", log(position))
    table.add("from.end", log(count - position))
    table.add("before", before / total)
    top = np.flatnonzero(heading == 1)
    table.add("after.h1", _between(-50, position - float(top[0]), 200) if len(top) else -99.0)
    table.add("after.last.h1", _between(-50, position - float(top[-1]), 200) if len(top) else -99.0)
    marked = np.where(heading > 0, position, -1)
    since = position - np.maximum.accumulate(marked)
    table.add("since.heading", np.minimum(since, 100))
    level = heading[np.maximum.accumulate(np.where(heading > 0, np.arange(count), 0))]
    table.add("under.level", level)
    big = np.flatnonzero(words >= 20)
    first_big, last_big = (float(big[0]), float(big[-1])) if len(big) else (0.0, float(count))
    table.add("after.first.prose", _between(-100, position - first_big, 100))
    table.add("before.last.prose", _between(-100, last_big - position, 100))


def _add_around(
    table: Table, *, words: Floats, density: Floats, heading: Floats, ends: Floats, is_prose: Numbers
) -> None:
    own = np.stack((log(words), density, heading))
    for by, names in _BESIDE_NAMES.items():
        table.add_all(names, _shifted(own, by))
    table.add("ends+1", _shifted(ends, 1))
    table.add("ends-1", _shifted(ends, -1))
    rows = np.stack((words, density, is_prose), axis=1)
    for radius, names in _WINDOW_NAMES.items():
        low, high = reach(len(rows), radius)
        means = (windowed(rows, radius).T / (high - low)).astype(np.float32)
        means[0] = log(means[0])
        table.add_all(names, means)


def _add_boxes(table: Table, cut: Cut, *, owner: Whole, total: float) -> None:
    """Add what the boxes around each block are like, from the innermost outwards and from the outermost inwards."""
    nodes, sums = cut.nodes, cut.sums
    parent, own, names = (np.array(column, dtype=np.int64) for column in (nodes.parent, nodes.own_names, nodes.names))
    parent = np.maximum(parent, 0)
    depth = nodes.depths()
    words, linked, blocks, prose, images, same = np.stack(
        (sums.words, sums.link_words, sums.blocks, sums.prose_words, sums.images, sums.same)
    ).astype(np.float32)
    some_words = np.maximum(words, 1)
    boxes = np.stack((
        log(words), words / max(total, 1), linked / some_words, log(words / np.maximum(blocks, 1)),
        prose / some_words, log(images), log(same),
    ))  # fmt: skip
    table.add("depth", depth[owner])
    at = most = owner
    near, most_same = own[owner], same[owner]
    for level in range(1, 7):
        at = parent[at]
        if level <= 2:
            near = near | own[at]
        if level in _BOX_NAMES:
            table.add_all(_BOX_NAMES[level], boxes[:, at])
        more = (same[at] > most_same) & (words[at] > 0)
        most = np.where(more, at, most)
        most_same = same[most]
    table.add_all(("most.same", "most.words", "most.images"), log(np.stack((most_same, words[most], images[most]))))
    table.add_all(_NEAR_NAMES, bits(near, NAME_GROUPS))
    table.add_all(_FAR_NAMES, bits(names[owner], NAME_GROUPS))
    # The smallest box with most of the prose, and how far a block is from it.
    whole = float(prose[0]) if len(prose) else 0.0
    holders = np.flatnonzero(prose >= 0.6 * whole) if whole else np.zeros(1, dtype=np.int64)
    holder = int(holders[np.argmax(depth[holders])])
    first, last = nodes.span(holder, cut.blocks)
    position = np.arange(len(owner))
    table.add("in.holder", (position >= first) & (position <= last))
    table.add("holder.depth", depth[owner] - depth[holder])
    table.add("holder.share", words[holder] / max(total, 1))
