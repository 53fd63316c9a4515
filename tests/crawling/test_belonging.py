"""Tables, lists, code and quotations of short pages: which belong to the text, and which do not."""

import numpy as np
import pytest

from tasks.crawling.engine.page import parse_page, read_text
from tasks.crawling.engine.reading.belonging import LEAST_LIKELY, MOST_WORDS, with_pieces
from tasks.crawling.engine.reading.blocks import cut_page
from tests.crawling.short_pages import NEVER, PAGES

TEXT = "<p>Kept: the room is open to everybody who brings a card and is quiet.</p>"
PIECE = "<ul><li>Two ladders<li>Lime</ul>"


@pytest.mark.parametrize("name", PAGES)
def test_short_page_keeps_its_pieces(name: str) -> None:
    """With all that the page says, and nothing of what is around it."""
    page = PAGES[name]
    text = read_text(parse_page(page.html(), charset=None), url="https://larkspur.example/x").text
    assert text.startswith(f"# {page.title}\n")
    assert page.phrase in text
    assert [] == [words for words in NEVER if words in text]


def added(fragment: str, *, likely: float = 0.5) -> list[str]:
    """Choose the blocks that begin with "Kept", and return what comes with them."""
    cut = cut_page(parse_page(f"<body>{fragment}</body>".encode(), charset=None))
    chosen = [number for number, block in enumerate(cut.blocks) if block.text.startswith("Kept")]
    odds = np.full(len(cut.blocks), likely, dtype=np.float32)
    kept = with_pieces(cut, chosen, odds)
    assert set(chosen) <= set(kept)
    return [cut.blocks[number].text.strip() for number in kept if number not in chosen]


@pytest.mark.parametrize(
    "fragment",
    [
        TEXT + PIECE,
        f"{TEXT}<div><div>{PIECE}</div></div>",
        f"<div>{TEXT}</div>{PIECE}",
        f"<section>{TEXT}<p>Kept</p></section><section>{PIECE}</section>",
        f"<div>Kept: text of the box itself, which is long enough. {PIECE}</div>",
        f"<ul><li>Kept: an item that is long enough<li>Two ladders<li>Lime</ul>{TEXT}",
        f"{TEXT}<div class=code><pre>Kept</pre></div>{PIECE}",
    ],
    ids=["below", "in boxes", "beside a box of one text", "in a section alike", "in a text", "in part", "below code"],
)
def test_piece_in_kept_text_comes_with_it(fragment: str) -> None:
    """Directly below, in boxes of its own, in a section like that above, or where a part of it is kept."""
    assert ["Two ladders", "Lime"] == added(fragment)


def test_heading_comes_with_the_piece_below_it() -> None:
    """And the pieces after it, one after the other; at the top of a page only where text follows."""
    assert ["List", "Two ladders", "Lime", "Code", "x = 1"] == added(
        f"{TEXT}<h2>List</h2>{PIECE}<h2>Code</h2><pre>x = 1</pre>"
    )
    assert ["Top", "Two ladders", "Lime"] == added(f"<h1>Top</h1>{PIECE}{TEXT}")
    assert [] == added(f"<h1>Top</h1>{PIECE}<p>Other</p>{TEXT}")


@pytest.mark.parametrize(
    "fragment",
    [
        f"{TEXT}<p>Between.</p>{PIECE}",
        f"<div class=main>{TEXT}<p>Kept</p></div><div class=side>{PIECE}</div>",
        f"{TEXT}<div>{PIECE}<p>Of its own.</p></div>",
        f"{TEXT}<aside>{PIECE}</aside>",
        f"{TEXT}<form>{PIECE}</form>",
        f"{TEXT}<div hidden>{PIECE}</div>",
        TEXT + "<ul><li><a href=/a>One</a><li><a href=/b>Two</a><li>Three</ul>",
        TEXT + "<table><tr><td><h3>Offer</h3>Text<td>Text</table>",
        TEXT + "<ul><li>" + "word " * int(MOST_WORDS * 20) + "</ul>",
        PIECE,
    ],
    ids=["apart", "column", "box of its own", "aside", "form", "hidden", "links", "layout", "long", "nothing kept"],
)
def test_other_pieces_are_left_to_the_models(fragment: str) -> None:
    """What stands elsewhere, leads elsewhere, arranges the page or is most of it."""
    assert [] == added(fragment)


def test_piece_that_is_hardly_text_is_left_out() -> None:
    """However it stands."""
    assert [] == added(TEXT + PIECE, likely=LEAST_LIKELY - 0.01)
    assert added(TEXT + PIECE, likely=LEAST_LIKELY + 0.01)
