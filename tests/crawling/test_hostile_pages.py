"""Pages that are built to keep their reader busy.

Where time grew with the square of what is on a page, or faster, pages are so large that it was hours, or what is looked
at is counted.
"""

import ast
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import SupportsIndex, overload

import pytest

import tasks
from tasks.crawling.engine import sitemaps
from tasks.crawling.engine.page import MAX_ATTRIBUTES, parse_page, read_outline, read_text
from tasks.crawling.engine.page_content import MainText, Outline
from tasks.crawling.engine.reading import markdown, paths
from tasks.crawling.engine.reading.blocks import MAX_HREF_CHARS, Block, Cut, cut_page
from tasks.crawling.engine.reading.markdown import Renderer
from tasks.crawling.engine.sitemaps import parse_sitemap

URL = "https://example.org/docs/x"
PROSE = f"<p>{'Plain words of a text that goes on for a while. ' * 9}</p>"


def outline(page: str) -> Outline:
    return read_outline(parse_page(page.encode(), charset=None), url=URL)


def text_of(page: str) -> MainText:
    return read_text(parse_page(page.encode(), charset=None), url=URL)


def cut(page: str) -> Cut:
    tree = parse_page(page.encode(), charset=None)
    assert tree is not None
    return cut_page(tree)


def rendered(fragment: str) -> str:
    """Return a whole fragment as Markdown, whatever the models think of it."""
    found = cut(fragment)
    return Renderer(found, base=URL).render(range(len(found.blocks)))


def letters(number: int) -> str:
    """Return a name of its own for each number."""
    return "".join(chr(97 + number // 26**place % 26) for place in range(4))


class Counted(list[Block]):
    """Blocks that count how often one is looked at."""

    looks = 0

    def __iter__(self) -> Iterator[Block]:
        self.looks += len(self)
        return super().__iter__()

    @overload
    def __getitem__(self, at: SupportsIndex, /) -> Block: ...
    @overload
    def __getitem__(self, at: slice, /) -> list[Block]: ...
    def __getitem__(self, at: SupportsIndex | slice, /) -> Block | list[Block]:
        self.looks += 1
        return super().__getitem__(at)


@pytest.mark.parametrize("content", ["0;{}", "{}", ";{}url{}={}'{}", "0{}0;"], ids=["wait", "nothing", "url", "time"])
def test_address_of_a_refresh_is_not_looked_for_among_blanks(content: str) -> None:
    """A hundred thousand of them lead nowhere, which took hours to find."""
    told = content.replace("{}", " " * 100_000)
    found = outline(f'<meta http-equiv="refresh" content="{told}"><a href="/a">a</a>')
    assert ("https://example.org/a",) == found.links


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("0;url=b", ("b",)),
        ("5 , URL = 'b c'", ("b%20c",)),
        (".5; b", ("b",)),
        ("0; url=", ()),
        ("0; url=''", ()),
        ("9", ()),
    ],
)
def test_refresh_leads_where_it_says(content: str, expected: tuple[str, ...]) -> None:
    """A name that is given no address is none."""
    found = outline(f'<meta http-equiv="refresh" content="{content}">')
    assert tuple(f"https://example.org/docs/{name}" for name in expected) == found.links


def test_no_path_is_a_union() -> None:
    """For one libxml2 compares each element that one part finds with each of the other: minutes for a page of 5 MB."""
    found = []
    for source in Path(tasks.__path__[0]).rglob("*.py"):
        text = source.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "xpath" in text.lower() else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("XPath", ".xpath")):
                found += [(source.name, part.value) for part in ast.walk(node) if isinstance(part, ast.Constant)]
    assert len(found) > 9
    assert [] == [(name, path) for name, path in found if "|" in str(path)]


def test_what_unions_found_is_found_in_the_order_of_the_page() -> None:
    """Links of several elements, the title wherever it stands, bylines by attribute and by class."""
    links = "<area href=c><a href=b>b</a><meta http-equiv=refresh content='0;d'><a>none</a><a href=e>e</a>"
    names = [link.rpartition("/")[2] for link in outline(links).links]
    assert ["c", "b", "d", "e"] == names
    assert "a" == outline("<svg><title>no</title></svg><title>a</title><p>x</p><title>b</title>").title
    head = '<script type="application/ld+json">{"@type": "Article"}</script>'
    by_class, by_attribute = "<p class=byline>By Ann Smith</p>", "<b rel=author>Bo Lind</b>"
    assert "Ann Smith" == text_of(head + PROSE + by_class + by_attribute).author
    assert "Bo Lind" == text_of(head + PROSE + by_attribute + by_class).author


def test_rendering_looks_at_each_block_a_few_times() -> None:
    """Whatever boxes keep them together."""
    for fragment in ("<pre>word word</pre>", "<table><tr><td>a<td>b</table>", "<table><tr><td><pre>a</pre></table>"):
        found = cut(fragment * 2000)
        blocks = found.blocks = Counted(found.blocks)
        Renderer(found, base=URL).render(range(2000))
        assert (2000, True) == (len(blocks), blocks.looks < 20_000)


def test_fence_is_longer_than_any_in_the_code() -> None:
    """By one, however long that is."""
    for ticks in (2, 3, 1_000_000):
        fence, code, end = rendered(f"<pre>a {'`' * ticks} b</pre>").split("\n")
        assert (fence, max(3, ticks + 1)) == (end, len(fence))
        assert f"a {'`' * ticks} b" == code


def test_class_names_around_code_are_read_to_a_bound() -> None:
    """Those of one element may be around any number of codes."""
    near, far = "a " * 9, "a " * markdown.MAX_CLASS_CHARS
    assert "```c\nx\n```\n\n```\nx\n```" == rendered(
        f"<div class='{near}language-c'><pre>x</pre></div><div class='{far}language-c'><pre>x</pre></div>"
    )


def test_long_address_is_kept_once() -> None:
    """Not for each of the boxes that its link is around."""
    found = cut(f"<a href='{'/x' * 200_000}'>{'<p>word</p>' * 1000}</a>")
    marks = {id(mark) for block in found.blocks for _, mark in block.marks if mark.startswith("a")}
    assert (1000, 1) == (len(found.blocks), len(marks))
    assert all(len(mark) <= 1 + MAX_HREF_CHARS for block in found.blocks for _, mark in block.marks)


def test_names_around_a_block_are_bounded() -> None:
    """Each element may add its own to those around it."""
    names = [" ".join(letters(60 * outer + inner) for inner in range(60)) for outer in range(100)]
    found = cut("".join(f"<div class='{one}'>" for one in names) + "<p>word")
    of_page = paths.Paths(found.nodes, found.blocks)
    near, far = of_page.near_and_far(int(of_page.of_block[0]))
    assert letters(60 * 99) in near
    assert paths.MAX_WORDS <= len(far) < paths.MAX_WORDS + 100


def test_texts_of_elements_in_each_other_are_read_once() -> None:
    """Emphasis is marked to a bound; what is said once for readers without scripts is less than what all others see."""
    words = "word " * 1000
    assert "*x*" == rendered("<p>" + "<i>" * markdown.MAX_NESTED + "<b>x")
    assert "word" not in rendered(f"<p>{'seen ' * 1500}</p>{'<noscript><div>' * 50}{words}")


def test_attributes_of_one_element_are_bounded() -> None:
    """The first are kept, and what comes after the element is read."""
    many = " ".join(f"a{number}" for number in range(5000))
    tree = parse_page(f"<div id=x {many}><p class=y>word".encode(), charset=None)
    assert tree is not None
    (crowded,) = tree.iter("div")
    assert (MAX_ATTRIBUTES, "x", "y") == (len(crowded.attrib), crowded.get("id"), crowded[0].get("class"))


def test_each_member_of_a_sitemap_is_handed_a_small_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gzip file may have a million members, each of next to nothing, and what follows was copied for each."""
    handed, real = 0, zlib.decompressobj

    class Counting:
        def __init__(self, **options: int) -> None:
            self._real = real(**options)

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

        def decompress(self, piece: bytes, most: int) -> bytes:
            nonlocal handed
            handed += len(piece)
            return self._real.decompress(piece, most)

    monkeypatch.setattr(zlib, "decompressobj", Counting)
    whole = gzip.compress(b"<urlset><url><loc>https://example.org/a</loc></url></urlset>")
    found = parse_sitemap(gzip.compress(b"", mtime=0) * 5000 + whole, max_urls=9)
    assert (("https://example.org/a",), "") == (found.pages, found.problem)
    assert handed <= 5001 * sitemaps.GZIP_PIECE_BYTES
