"""What models are told of a block: where its links lead, and what the page tells machines of it."""

import json

import numpy as np
import pytest

from tasks.crawling.engine.page import parse_page
from tasks.crawling.engine.reading.blocks import cut_page
from tasks.crawling.engine.reading.link_targets import add_link_targets, targets_of
from tasks.crawling.engine.reading.structured import read_structured
from tasks.crawling.engine.reading.table import Table
from tasks.crawling.engine.reading.told import add_told, read_told

URL = "https://www.example.org/shop/shoes"


def features(fragment: str, *, head: str = "", url: str = URL) -> list[dict[str, float]]:
    """Return each block's features of these two kinds by name."""
    tree = parse_page(f"<head>{head}</head><body>{fragment}</body>".encode(), charset=None)
    assert tree is not None
    cut = cut_page(tree)
    table = Table(len(cut.blocks))
    add_link_targets(table, cut, url=url)
    add_told(table, cut, read_told(tree, read_structured(tree)))
    return [dict(zip(table.names, row, strict=True)) for row in table.matrix().tolist()]


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("#top", {"fragment"}),
        ("", {"none"}),
        ("javascript:open()", {"script"}),
        ("MAILTO:a@example.org", {"mail"}),
        ("/", {"home", "shallower"}),
        ("/shop/shoes", {"here"}),
        ("https://example.org/shop/shoes?page=2", {"here", "query"}),
        ("/shop/shoes/red", {"below", "deeper"}),
        ("/shop/hats", {"beside"}),
        ("//cdn.example.net/a.pdf", {"outside", "file"}),
        ("http://[broken", set()),
    ],
)
def test_link_is_judged_by_where_it_leads_from_the_page(href: str, expected: set[str]) -> None:
    """Seen from the page's own address; what is no address is of no kind."""
    (block,) = features(f"<p><a href='{href}'>a link</a></p>")
    kinds = {name[3:-2] for name, value in block.items() if name.startswith("to.") and name.endswith("~0") and value}
    assert expected == {kind for kind in kinds if not kind.startswith("lead")}


def test_shares_of_links_are_those_of_the_block_and_of_its_neighbourhood() -> None:
    """Half of the first block's links lead out, and a quarter of all in reach."""
    first, last = features(
        "<p><a href='https://other.org/x'>a</a> <a href='/y'>b</a></p><p><a href=/z>c</a> <a href=/v>d</a></p>"
    )
    assert (0.5, 0.25) == (first["to.outside~0"], first["to.outside~8"])
    assert (0.0, 0.25) == (last["to.outside~0"], last["to.outside~8"])


def test_link_around_boxes_leads_from_each_of_them() -> None:
    """As cards are built that are one link as a whole."""
    tree = parse_page(b"<body><a href='/c'><h3>Card</h3><p>text of it</p></a>", charset=None)
    assert tree is not None
    assert [["/c"], ["/c"]] == [targets_of(block) for block in cut_page(tree).blocks]


def test_block_is_held_against_each_kind_of_text_that_machines_are_told() -> None:
    """A name as a whole, of a description the runs of three words; markup in it does not matter."""
    told = {"@type": "Product", "name": "Loom", "description": "<p>Weaves&nbsp;patterns as engines weave numbers.</p>"}
    head = f'<script type="application/ld+json">{json.dumps(told)}</script><meta name=description content="On looms.">'
    name, text, half, other = features(
        "<h1>Loom</h1><p>Weaves patterns as engines weave numbers.</p>"
        "<p>weave numbers. Weaves patterns as</p><p>Sign in to buy it</p>",
        head=head,
    )
    assert (1.0, 0.0) == (name["told.name"], name["told.about"])
    assert (0.0, 1.0) == (text["told.name"], text["told.about"])
    assert np.isclose(1 / 3, half["told.about"])
    assert (0.0, 0.0, 0.0, 0.0) == tuple(other[f"told.{kind}"] for kind in ("name", "about", "body", "meta"))
