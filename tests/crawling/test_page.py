"""Reading one HTML page."""

import hashlib
from dataclasses import dataclass

import pytest

from tasks.crawling.engine.page import MAX_LINKS, MAX_TITLE_CHARS, decode, parse_page, read_outline, read_text
from tests.crawling.local_site import html

URL = "https://example.org/docs/page"


@dataclass(frozen=True)
class Read:
    """A page that was read."""

    title: str
    links: tuple[str, ...]
    canonical: str | None
    text: str
    hash: str


def read(body: bytes, *, charset: str | None = None) -> Read:
    tree = parse_page(body, charset=charset)
    outline = read_outline(tree, url=URL)
    main = read_text(tree, url=URL)
    return Read(outline.title, outline.links, outline.canonical, main.text, main.hash)


def body(inner: str, *, head: str = "") -> bytes:
    return f"<html><head><title>T</title>{head}</head><body>{inner}</body></html>".encode()


def test_main_text_is_markdown_without_navigation() -> None:
    """Headings are marked, links of the menu are not part of the text."""
    page = read(html("/docs/page", "/elsewhere"))
    assert page.text.startswith("# Heading of /docs/page")
    assert "elsewhere" not in page.text
    assert page.title == "Page /docs/page"


def test_hash_is_that_of_the_text() -> None:
    """Pages that differ in their menu only have the same hash."""
    page, other = (read(html("/x", link)) for link in ("/a", "/b"))
    assert hashlib.sha256(page.text.encode()).hexdigest() == page.hash == other.hash


def test_links_are_absolute_distinct_and_in_order() -> None:
    """Fragments, other schemes and broken links are left out."""
    hrefs = ("b", "/a", "b#part", "#top", "mailto:x@example.org", "javascript:x()", "http://[", "//other.net/x")
    page = read(body("".join(f'<a href="{href}">x</a>' for href in hrefs) + '<map><area href="c"></map>'))
    assert page.links == (
        "https://example.org/docs/b",
        "https://example.org/a",
        "https://other.net/x",
        "https://example.org/docs/c",
    )


def test_base_element_moves_relative_links() -> None:
    """As browsers do."""
    assert read(body('<a href="x">x</a>', head='<base href="/other/">')).links == ("https://example.org/other/x",)


def test_number_of_links_is_bounded() -> None:
    """A page of endless links is cut."""
    assert len(read(body("".join(f'<a href="{n}">x</a>' for n in range(MAX_LINKS + 9)))).links) == MAX_LINKS


def test_canonical_link_is_resolved() -> None:
    """Among other values of rel, in any case."""
    assert read(body("x", head='<link rel="Canonical" href="../c#x">')).canonical == "https://example.org/c"
    assert read(body("x", head='<link rel="icon" href="/i">')).canonical is None


@pytest.mark.parametrize("title", ["  two\n words ", "two words", "two&#32;words"])
def test_title_has_its_whitespace_collapsed(title: str) -> None:
    """One line, whatever the source looks like."""
    assert read(f"<html><head><title>{title}</title></head><body>x</body></html>".encode()).title == "two words"


def test_title_is_bounded() -> None:
    """Some put an essay there."""
    assert len(read(f"<title>{'a' * 999}</title>".encode()).title) == MAX_TITLE_CHARS


@pytest.mark.parametrize("nothing", [b"", b"   ", b"<!-- only a comment -->", b"\0\0"])
def test_empty_page_has_empty_text(nothing: bytes) -> None:
    """No text is said to be no text; nothing is made up."""
    page = read(nothing)
    assert (page.text, page.links, page.hash) == ("", (), hashlib.sha256(b"").hexdigest())


@pytest.mark.parametrize(
    ("encoded", "charset"),
    [
        ("caf\u00e9".encode(), None),
        ("caf\u00e9".encode(), "utf-8"),
        ("caf\u00e9".encode("latin-1"), None),
        ("caf\u00e9".encode("latin-1"), "ISO-8859-1"),
        ("\ufeffcaf\u00e9".encode("utf-16-le"), "utf-8"),
        (b"\xef\xbb\xbf" + "caf\u00e9".encode(), "latin-1"),
        ("caf\u00e9".encode(), "no-such-charset"),
        ("caf\u00e9".encode(), "\0"),
        ("caf\u00e9".encode(), "hex"),
        ("caf\u00e9".encode(), "unicode_escape"),
        ("caf\u00e9".encode(), "ISO-8859-1"),
        ("caf\u00e9".encode("latin-1"), "utf-8"),
    ],
)
def test_charset_is_found(encoded: bytes, charset: str | None) -> None:
    """A byte order mark beats the header; labels that are unknown or that the bytes contradict are passed over."""
    assert decode(encoded, charset=charset) == "caf\u00e9"


def test_a_broken_byte_spoils_no_page_in_utf_8() -> None:
    """What is UTF-8 for the rest stays so, and only the byte is lost."""
    assert "caf\u00e9 \ufffd" == decode("caf\u00e9 ".encode() + b"\xe9", charset="utf-8")


def test_charset_of_the_page_counts_where_the_header_names_none() -> None:
    """And the label iso-8859-1 means windows-1252, as in browsers."""
    page = '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">\u20ac'.encode("cp1252")
    assert decode(page, charset=None).endswith("\u20ac")
    assert decode(b'<meta charset="koi8-r">\xc1', charset=None).endswith("\u0430")


def test_xml_declaration_does_not_stop_the_reader() -> None:
    """XHTML says its encoding twice."""
    page = b"<?xml version='1.0' encoding='iso-8859-1'?>" + html("/x", text="Caf\u00e9 " * 20)
    assert "Caf\u00e9" in read(page, charset="utf-8").text
