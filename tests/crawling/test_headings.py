"""Headings over nothing that is kept."""

import pytest

from tasks.crawling.engine.page import parse_page
from tasks.crawling.engine.reading.blocks import cut_page
from tasks.crawling.engine.reading.headings import without_idle_headings

REST = "<h2>Next</h2><p>More</p>"


def kept(fragment: str, *, without: str) -> list[str]:
    """Choose all blocks but those whose text is named, and return the texts that stay."""
    blocks = cut_page(parse_page(f"<body>{fragment}</body>".encode(), charset=None)).blocks
    chosen = [number for number, block in enumerate(blocks) if block.text.strip() not in without.split()]
    return [blocks[number].text.strip() for number in without_idle_headings(blocks, chosen)]


@pytest.mark.parametrize("rest", [REST, ""])
def test_heading_goes_whose_own_texts_are_all_left_out(rest: str) -> None:
    """Before a heading as high, and at the end of the page."""
    texts = kept(f"<p>Text</p><h2>Filter</h2><p>One</p><p>Two</p>{rest}", without="One Two")
    assert ["Text", *(["Next", "More"] if rest else [])] == texts


@pytest.mark.parametrize(
    "fragment",
    [
        "<h2>Title</h2><p>One</p><p>Two</p><h2>Next</h2>",  # one of its texts is kept
        "<h2>Title</h2><h2>Next</h2>",  # it has none
        "<h2>Title</h2><p>One</p><h3>Next</h3>",  # a lower heading is its own
        '<h2><a href="/t">Title</a></h2><p>One</p><h2>Next</h2>',  # a card's name
        "<h1>Title</h1><p>One</p><h2>Next</h2>",
    ],
)
def test_other_headings_stay(fragment: str) -> None:
    """What a heading may stand for is kept."""
    assert "Title" in kept(fragment, without="One")


def test_page_without_headings_or_blocks_stays_as_it_is() -> None:
    """Nothing to look for."""
    assert ["Text"] == kept("<p>Text</p><p>One</p>", without="One")
    assert [] == kept("", without="")
