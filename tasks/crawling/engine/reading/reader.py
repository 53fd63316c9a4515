"""One page, read: what type it is, and its main text by the blocks that such a page's text is in."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from lxml import etree

from tasks.crawling.engine.reading.belonging import with_pieces
from tasks.crawling.engine.reading.blocks import FLAGS, Cut, cut_page
from tasks.crawling.engine.reading.choosing import choose
from tasks.crawling.engine.reading.copies import without_copies
from tasks.crawling.engine.reading.features import block_table
from tasks.crawling.engine.reading.headings import without_idle_headings
from tasks.crawling.engine.reading.markdown import Renderer
from tasks.crawling.engine.reading.metadata import shown_title
from tasks.crawling.engine.reading.mixing import mixed
from tasks.crawling.engine.reading.page_type import page_table
from tasks.crawling.engine.reading.paths import Paths
from tasks.crawling.engine.reading.structured import Item, read_structured, types_of
from tasks.crawling.engine.reading.table import Floats, Table
from tasks.crawling.engine.reading.told import read_told
from tasks.crawling.engine.reading.trees import load
from tasks.crawling.engine.reading.word_model import load_words

# A page with fewer words than this is a shell that scripts fill; what it tells machines is all that there is to read.
MIN_WORDS = 30

# Characters of what may name the program that made the page.
MAX_MADE_BY = 2000
_OG_TYPES = etree.XPath("//meta[@property='og:type']/@content")
_AROUND = FLAGS["nav"] | FLAGS["header"] | FLAGS["footer"] | FLAGS["aside"]


@dataclass(frozen=True, slots=True)
class Reading:
    """The main text in Markdown. ``page_type`` is one of ``PAGE_TYPES``, or empty where there is nothing to judge."""

    text: str
    page_type: str
    structured: tuple[Item, ...]


def read_main(root: etree._Element, *, url: str, base: str) -> Reading:
    """Return the main text of the page that ``url`` answered with; ``base`` is what relative links start from.

    The tree is left as it is. The same tree gives the same text, always.
    """
    items = read_structured(root)
    cut = cut_page(root)
    if cut.sums.total_words < MIN_WORDS:
        return Reading(_of_shell(cut, root, items=items, base=base), "", items)
    page = page_row(cut, root, url=url, items=items)
    types = load("page_types")
    odds = types.probabilities(page.matrix())[0]
    rows = block_table(cut, url=url, title=title_of(root), told=read_told(root, items), odds=odds).matrix()
    paths = Paths(cut.nodes, cut.blocks)
    by_words = load_words().scores(cut.blocks, paths)
    likely = mixed(load("blocks").scores(rows)[:, 0], by_words, words=lengths(cut), paths=paths.of_block)
    text = Renderer(cut, base=base).render(kept_blocks(cut, likely))
    return Reading(text, types.classes[int(np.argmax(odds))], items)


def page_row(cut: Cut, root: etree._Element, *, url: str, items: tuple[Item, ...]) -> Table:
    """Return the features by which a page's type is judged."""
    og_type = next(iter(_OG_TYPES(root)), "")
    return page_table(
        cut, url=url, types=types_of(items), og_type=str(og_type), made=" ".join(_made_by(root))[:MAX_MADE_BY]
    )


def _made_by(root: etree._Element) -> Iterator[str]:
    """Give the texts that may name the program that made the page, in their order."""
    for element in root.iter("html", "meta", "body"):
        if element.tag == "meta":
            if element.get("name") == "generator":
                yield element.get("content", "")
        elif element.tag == "body":
            yield from (value for name, value in element.items() if name in ("class", "id"))
        elif element.getparent() is None:
            yield element.get("class", "")


def title_of(root: etree._Element) -> str:
    """Return what stands in the page's ``title``."""
    return shown_title(root)[:500]


def lengths(cut: Cut) -> Floats:
    """Return how many words each block has."""
    return cut.columns.lengths


def kept_blocks(cut: Cut, likely: Floats) -> list[int]:
    """Return the numbers of the blocks that are the page's text, given how likely each is main text."""
    chosen = [int(number) for number in choose(likely, lengths(cut))]
    whole = with_pieces(cut, with_heading(cut, chosen), likely)
    return without_idle_headings(cut.blocks, without_copies(cut.blocks, whole))


def with_heading(cut: Cut, chosen: list[int]) -> list[int]:
    """Return the chosen blocks with the last first-level heading above them, where there is none among them.

    Reviewers of main text often leave it out, and so do the models; a document is of more use with it.
    """
    headings = [number for number, block in enumerate(cut.blocks) if block.tag == "h1"]
    if not chosen or not set(chosen).isdisjoint(headings):
        return chosen
    return [*[number for number in headings if number < chosen[0]][-1:], *chosen]


def _of_shell(cut: Cut, root: etree._Element, *, items: tuple[Item, ...], base: str) -> str:
    """Return what the page tells machines, or the few words that it shows: whichever is more."""
    told = read_told(root, items).longest
    shown = [number for number, block in enumerate(cut.blocks) if not block.flags & _AROUND]
    if len(told.split()) > sum(len(cut.blocks[number].tokens) for number in shown):
        return " ".join(told.split())
    return Renderer(cut, base=base).render(shown)
