"""What a page says twice is kept once."""

from pathlib import Path

import pytest

from tasks.crawling.engine.page import parse_page, read_text
from tasks.crawling.engine.reading.blocks import cut_page
from tasks.crawling.engine.reading.copies import without_copies

PAGES = Path(__file__).parent / "pages"
SAID = "<p>Cut from one sheet of steel.</p>"


def kept(fragment: str) -> list[str]:
    """Return the texts that are left of a fragment of which every block was chosen."""
    tree = parse_page(f"<body>{fragment}</body>".encode(), charset=None)
    blocks = cut_page(tree).blocks
    return [blocks[number].text for number in without_copies(blocks, list(range(len(blocks))))]


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        (f"{SAID}<p>Other words stand here.</p><p>cut from ONE sheet of steel</p>", 2),
        (f"{SAID}{SAID}{SAID}", 1),
        ("<p>Read more</p><p>Read more</p>", 2),
        ("<p>steel of sheet one</p><p>sheet of steel one</p>", 2),
        ("<pre>import the whole module</pre><pre>import the whole module</pre>", 2),
        ("<table><tr><td>one two three<tr><td>one two three</table>", 2),
        ("", 0),
    ],
    ids=["said twice", "said thrice", "labels", "another order", "code", "rows", "nothing"],
)
def test_texts_are_kept_once_where_they_stand_for_themselves(fragment: str, expected: int) -> None:
    """Case and stops make no difference; labels, code and rows of tables are left alone."""
    assert expected == len(kept(fragment))


def test_the_first_of_the_copies_is_kept() -> None:
    """What comes between stays where it is."""
    assert ["Cut from one sheet of steel.", "In between."] == kept(f"{SAID}<p>In between.</p>{SAID}")


def test_heading_goes_only_with_what_stands_below_it() -> None:
    """The same heading over another text is no copy; over a copy, or over nothing, it is. However short it is."""
    heading = "<h2>Material</h2>"
    assert 4 == len(kept(f"{heading}{SAID}{heading}<p>Rubber, and nothing else.</p>"))
    assert 2 == len(kept(f"{heading}{SAID}{heading}{SAID}"))
    assert 2 == len(kept(f"{heading}{SAID}{heading}"))


def test_article_that_is_printed_for_two_widths_reads_as_once() -> None:
    """From the page to its Markdown: all of the article twice in the page, once in the text."""
    page = (PAGES / "article.html").read_text(encoding="utf-8")
    start, end = page.index('<div class="entry-content">'), page.index("</article>")
    page = page[:end] + page[start:end] + page[end:]
    text = read_text(parse_page(page.encode(), charset=None), url="https://example.org/article").text
    once = (PAGES / "article.md").read_text(encoding="utf-8")
    assert paragraphs(once) == paragraphs(text)


def paragraphs(text: str) -> list[str]:
    """Return all but who wrote it: whether that is kept is not what is asked here."""
    return [line for line in text.splitlines() if line and not line.startswith("By [")]
