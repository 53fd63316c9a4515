"""What a page tells machines (JSON-LD, ``meta``), and how much of each block is in it."""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from lxml import etree

from tasks.crawling.engine.reading.blocks import WORD, Cut
from tasks.crawling.engine.reading.structured import Item, first_text, parts_of
from tasks.crawling.engine.reading.table import Floats, Table

# More of it than this is not read: whole catalogues are told, too.
MAX_CHARS = 300_000
_KEYS = {
    "name": ("name", "headline", "alternateName", "title"),
    "about": ("description", "abstract"),
    "body": ("articleBody", "text", "reviewBody"),
}
_DESCRIPTIONS = etree.XPath("//meta[@property='og:description']/@content")
_METAS = etree.XPath(
    "//meta[@name='description' or @property='og:description' or @property='og:title'"
    " or @name='twitter:description']/@content"
)
_TAGS = re.compile(r"<[^>]{0,500}>")
RUN = 3


@dataclass(frozen=True, slots=True)
class Told:
    """The longest single text that the page tells of itself, and all of its texts by what they are."""

    longest: str
    texts: dict[str, tuple[str, ...]]


def read_told(root: etree._Element, items: tuple[Item, ...]) -> Told:
    """Return what the page tells machines."""
    longest = first_text(items, "articleBody", "text", "description")
    longest = longest or str(next(iter(_DESCRIPTIONS(root)), ""))
    room = MAX_CHARS
    found: dict[str, list[str]] = {kind: [] for kind in _KEYS}
    for part in (part for item in items for part in parts_of(item)):
        for kind, keys in _KEYS.items():
            for key in keys:
                value = part.get(key)
                if isinstance(value, str) and len(value) <= room:
                    room -= len(value)
                    found[kind].append(html.unescape(_TAGS.sub(" ", value)) if "<" in value or "&" in value else value)
    found["meta"] = [str(text)[:MAX_CHARS] for text in _METAS(root)[:10]]
    return Told(longest=longest, texts={kind: tuple(texts) for kind, texts in found.items()})


def add_told(table: Table, cut: Cut, told: Told) -> None:
    """Add, for each block and kind of text, how much of the block is in such texts: of its runs of three words.

    A block of one or two words counts where it is such a text as a whole.
    """
    for kind, texts in told.texts.items():
        runs: set[tuple[str, ...]] = set()
        wholes: set[tuple[str, ...]] = set()
        for text in texts:
            words = WORD.findall(text.lower())
            runs.update(_runs(words))
            if len(words) < RUN:
                wholes.add(tuple(words))
        shares: Floats | float = 0.0
        if runs or wholes:
            shares = np.zeros(len(cut.blocks), dtype=np.float32)
            for number, block in enumerate(cut.blocks):
                words = block.tokens
                if len(words) < RUN:
                    shares[number] = tuple(words) in wholes
                elif runs:
                    shares[number] = sum(run in runs for run in _runs(words)) / (len(words) - RUN + 1)
        table.add(f"told.{kind}", shares)
        table.add(f"told.{kind}.all", np.log1p(len(runs)))


def _runs(words: list[str]) -> Iterable[tuple[str, ...]]:
    return zip(words, words[1:], words[2:], strict=False)
