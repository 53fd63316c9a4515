"""What is known of each block of a page, as numbers."""

import re

import numpy as np

from tasks.crawling.engine.reading.blocks import FLAG_COUNT, HEADINGS, WORD, Cut
from tasks.crawling.engine.reading.likeness import add_likeness, find_likeness
from tasks.crawling.engine.reading.link_targets import add_link_targets
from tasks.crawling.engine.reading.table import Floats, Table, Whole, log
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
# Of a word, by its length.
_SHORT = (4).__gt__
_DATE = re.compile(r"\b(?:19|20)\d\d\b")


def _shifted(column: Floats, by: int) -> Floats:
    out = np.zeros_like(column)
    if by > 0:
        out[by:] = column[:-by]
    else:
        out[:by] = column[-by:]
    return out


def _window(column: Floats, radius: int) -> Floats:
    total = np.concatenate([[0.0], np.cumsum(column, dtype=np.float64)])
    at = np.arange(len(column))
    low, high = np.maximum(at - radius, 0), np.minimum(at + radius + 1, len(column))
    means: Floats = ((total[high] - total[low]) / (high - low)).astype(np.float32)
    return means


def block_table(cut: Cut, *, url: str, title: str, told: Told, odds: Floats) -> Table:
    """Return the features of the blocks.

    Args:
        url: what the page answers to; where links lead is seen from there.
        odds: how likely the page is of each type.
    """
    blocks = cut.blocks
    table = Table()
    count = len(blocks)
    words = np.array([len(b.tokens) for b in blocks], dtype=np.float32)
    linked = np.array([b.link_words for b in blocks], dtype=np.float32)
    texts = [b.text.strip() for b in blocks]
    heading = np.array([HEADINGS.get(b.tag, 0) for b in blocks], dtype=np.float32)
    owner = np.array([b.owner for b in blocks], dtype=np.int64)
    ends = np.array([t.endswith(_ENDS) for t in texts], dtype=np.float32)
    density = linked / words
    position = np.arange(count, dtype=np.float32)
    before = np.cumsum(words) - words
    total = words.sum()
    _add_texts(table, cut, texts=texts, words=words, density=density, ends=ends)
    _add_titles(table, cut, title=title)
    said = set(WORD.findall(told.longest.lower()))
    table.add("told", np.array([sum(map(said.__contains__, b.tokens)) if said else 0 for b in blocks]) / words)
    table.add("told.words", np.full(count, np.log1p(len(said))))
    prose = float((words * ((words >= 10) & (density < 0.34))).sum())
    table.add("all.words", np.full(count, np.log1p(total)))
    table.add("all.prose", np.full(count, prose / total))
    table.add("all.density", np.full(count, linked.sum() / total))
    table.add("all.longest", np.full(count, np.log1p(words.max())))
    _add_place(table, position=position, before=before, total=total, heading=heading, words=words)
    _add_around(table, words=words, density=density, heading=heading, ends=ends, owner=owner)
    _add_boxes(table, cut, owner=owner, total=total)
    add_likeness(table, cut, find_likeness(cut), words=words, density=density)
    add_link_targets(table, cut, url=url)
    add_told(table, cut, told)
    repeated: dict[str, int] = {}
    for text in texts:
        repeated[text] = repeated.get(text, 0) + 1
    table.add("repeated", log(np.array([repeated[t] - 1 for t in texts])))
    for number, value in enumerate(odds):
        table.add(f"page{number}", np.full(count, value, dtype=np.float32))
    return table


def _add_texts(table: Table, cut: Cut, *, texts: list[str], words: Floats, density: Floats, ends: Floats) -> None:
    """Add what each block is by itself."""
    blocks = cut.blocks
    chars = np.array([len(t) for t in texts], dtype=np.float32)
    code = np.array([_TAG_CODE.get(b.tag, 0) for b in blocks])
    for number, tags in enumerate(TAGS):
        table.add(f"tag.{tags[0]}", code == number + 1)
    table.add("words", log(words))
    table.add("density", density)
    table.add("links", log(np.array([b.links for b in blocks])))
    table.add("chars/word", chars / words)
    table.add("ends", ends)
    table.add("commas", log(np.array([t.count(",") for t in texts])))
    table.add("stops", log(np.array([t.count(". ") for t in texts])))
    table.add("lines", log(np.array([b.lines for b in blocks])))
    table.add("digits", np.array([sum(map(str.isdigit, b.tokens)) for b in blocks]) / words)
    table.add("upper", np.array([t[:1].isupper() for t in texts], dtype=np.float32))
    table.add("capitals", np.array([t.isupper() for t in texts], dtype=np.float32))
    table.add("short", np.array([sum(map(_SHORT, map(len, b.tokens))) for b in blocks]) / words)
    table.add("distinct", np.array([len(set(b.tokens)) for b in blocks]) / words)
    table.add("price", np.array([_PRICE.search(t[:400]) is not None for t in texts]))
    table.add("year", np.array([_DATE.search(t[:400]) is not None for t in texts]))
    table.add("copyright", np.array(["©" in t for t in texts]))
    table.add_bits("text", np.array([b.mask for b in blocks], dtype=np.int64), TEXT_GROUPS)
    table.add_bits("flag", np.array([b.flags for b in blocks], dtype=np.int64), FLAG_COUNT)


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


def _add_place(table: Table, *, position: Floats, before: Floats, total: float, heading: Floats, words: Floats) -> None:
    count = len(position)
    table.add("position", position / count)
    table.add("index", log(position))
    table.add("from.end", log(count - position))
    table.add("before", before / total)
    top = np.flatnonzero(heading == 1)
    first, last = (float(top[0]), float(top[-1])) if len(top) else (-1.0, -1.0)
    table.add("after.h1", np.clip(position - first, -50, 200) if len(top) else np.full(count, -99.0))
    table.add("after.last.h1", np.clip(position - last, -50, 200) if len(top) else np.full(count, -99.0))
    marked = np.where(heading > 0, position, -1)
    since = position - np.maximum.accumulate(marked)
    table.add("since.heading", np.minimum(since, 100))
    level = heading[np.maximum.accumulate(np.where(heading > 0, np.arange(count), 0))]
    table.add("under.level", level)
    big = np.flatnonzero(words >= 20)
    first_big, last_big = (float(big[0]), float(big[-1])) if len(big) else (0.0, float(count))
    table.add("after.first.prose", np.clip(position - first_big, -100, 100))
    table.add("before.last.prose", np.clip(last_big - position, -100, 100))


def _add_around(table: Table, *, words: Floats, density: Floats, heading: Floats, ends: Floats, owner: Whole) -> None:
    logs = log(words)
    is_prose = ((words >= 10) & (density < 0.34)).astype(np.float32)
    for by in (1, 2, -1, -2):
        table.add(f"words{by:+}", _shifted(logs, by))
        table.add(f"density{by:+}", _shifted(density, by))
        table.add(f"heading{by:+}", _shifted(heading, by))
    table.add("ends+1", _shifted(ends, 1))
    table.add("ends-1", _shifted(ends, -1))
    for radius in (3, 10, 30):
        table.add(f"words~{radius}", log(_window(words, radius)))
        table.add(f"density~{radius}", _window(density, radius))
        table.add(f"prose~{radius}", _window(is_prose, radius))
    table.add("same.owner", owner == _shifted(owner.astype(np.float32), 1))


def _add_boxes(table: Table, cut: Cut, *, owner: Whole, total: float) -> None:
    """Add what the boxes around each block are like, from the innermost outwards and from the outermost inwards."""
    nodes = cut.nodes
    parent, own, names = (np.array(column, dtype=np.int64) for column in (nodes.parent, nodes.own_names, nodes.names))
    depth = nodes.depths()
    sums = cut.sums
    words, linked, blocks, prose, images, same = (
        column.astype(np.float32)
        for column in (sums.words, sums.link_words, sums.blocks, sums.prose_words, sums.images, sums.same)
    )
    table.add("depth", depth[owner])
    at = owner
    near = own[owner]
    most = same[owner].copy()
    most_words = words[owner].copy()
    most_images = images[owner].copy()
    for level in range(1, 7):
        at = np.maximum(parent[at], 0)
        if level <= 2:
            near = near | own[at]
        if level in (1, 2, 3, 4, 6):
            table.add(f"box{level}.words", log(words[at]))
            table.add(f"box{level}.share", words[at] / max(total, 1))
            table.add(f"box{level}.density", linked[at] / np.maximum(words[at], 1))
            table.add(f"box{level}.block", log(words[at] / np.maximum(blocks[at], 1)))
            table.add(f"box{level}.prose", prose[at] / np.maximum(words[at], 1))
            table.add(f"box{level}.images", log(images[at]))
            table.add(f"box{level}.same", log(same[at]))
        more = (same[at] > most) & (words[at] > 0)
        most = np.where(more, same[at], most)
        most_words = np.where(more, words[at], most_words)
        most_images = np.where(more, images[at], most_images)
    table.add("most.same", log(most))
    table.add("most.words", log(most_words))
    table.add("most.images", log(most_images))
    table.add_bits("near", near, NAME_GROUPS)
    table.add_bits("far", names[owner], NAME_GROUPS)
    # The smallest box with most of the prose, and how far a block is from it.
    whole = float(prose[0]) if len(prose) else 0.0
    holders = np.flatnonzero(prose >= 0.6 * whole) if whole else np.zeros(1, dtype=np.int64)
    holder = int(holders[np.argmax(depth[holders])])
    first, last = nodes.span(holder, cut.blocks)
    position = np.arange(len(owner))
    table.add("in.holder", (position >= first) & (position <= last))
    table.add("holder.depth", depth[owner] - depth[holder])
    table.add("holder.share", np.full(len(owner), words[holder] / max(total, 1)))
