"""References of pages and style sheets: found as a browser finds them, replaced without touching anything else."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.publishing.engine.references import (
    Use,
    candidates,
    in_page,
    in_style,
    local_path,
    rewritten,
    rewritten_style,
)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('<img src="a.png">', [("a.png", Use.ASSET)]),
        ("<IMG ALT='x > y' SRC = 'a.png' >", [("a.png", Use.ASSET)]),
        ("<img src=a.png/>", [("a.png/", Use.ASSET)]),
        ('<img src=" a&amp;b.png\n">', [("a&b.png", Use.ASSET)]),
        ('<img src="1.png" src="2.png">', [("1.png", Use.ASSET)]),
        ('<img data-src="no.png">', []),
        (
            '<img srcset="a.png 1x, b,c.png 2x,d.png">',
            [("a.png", Use.ASSET), ("b,c.png", Use.ASSET), ("d.png", Use.ASSET)],
        ),
        ('<script src="a.js"></script>', [("a.js", Use.ASSET)]),
        ('<script type="module" src="a.js"></script>', [("a.js", Use.MODULE)]),
        ('<script type="application/json" src="a.json"></script>', [("a.json", Use.OTHER)]),
        ('<link rel="stylesheet" href="a.css">', [("a.css", Use.ASSET)]),
        ('<link rel="Shortcut Icon" href="f.ico">', [("f.ico", Use.ASSET)]),
        ('<link rel="canonical" href="/x">', [("/x", Use.OTHER)]),
        ('<link rel="modulepreload" href="m.js">', [("m.js", Use.MODULE)]),
        ('<link rel="preload" as="script" href="m.js">', [("m.js", Use.MODULE)]),
        ('<a href="b.html#x">', [("b.html#x", Use.PAGE)]),
        ('<!-- <img src="no.png"> --><img src="a.png">', [("a.png", Use.ASSET)]),
        ('<script>"<img src=no.png>"</script>', []),
        ('<style>a::after{content:"<img src=no.png>"}</style>', []),
        (
            '<svg><image href="a.png"/></svg><video poster="p.jpg"></video>',
            [("a.png", Use.ASSET), ("p.jpg", Use.ASSET)],
        ),
    ],
)
def test_references_are_found_as_a_browser_finds_them(page: str, expected: list[tuple[str, Use]]) -> None:
    assert [(one.url, one.use) for one in in_page(page)] == expected


def test_a_reference_knows_that_its_bytes_are_checked() -> None:
    assert [one.is_checked for one in in_page('<script src="a.js" integrity="sha384-x"></script><img src="b">')] == [
        True,
        False,
    ]


def test_only_the_value_is_replaced() -> None:
    page = (
        "<p>é\n<Img\n  alt='\"' SRC=a.png class=x><pre>\n\n x</pre>"
        "<img src='a.png' srcset='a.png 1x, b.png 2x'><b><i></b></i>"
    )
    found = rewritten(page, in_page(page), lambda one: "n&.png" if one.url == "a.png" else None)
    assert found == (
        '<p>é\n<Img\n  alt=\'"\' SRC="n&amp;.png" class=x><pre>\n\n x</pre>'
        '<img src="n&amp;.png" srcset="n&amp;.png 1x, b.png 2x"><b><i></b></i>'
    )


def test_nothing_to_replace_leaves_every_character() -> None:
    page = "<!DOCTYPE html>\r\n<p a=1 a='2'>x<br/>\n<img src=a.png >&nbsp;&unknown;"
    assert rewritten(page, in_page(page), lambda _: None) == page


@given(st.text(alphabet="<>ab=\"'&;/ \nsrcimghef-!", max_size=80))
def test_any_text_can_be_read_and_kept(text: str) -> None:
    found = in_page(text)
    assert rewritten(text, found, lambda _: None) == text
    assert all(0 <= one.start < one.end <= len(text) for one in found)


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("a{background:url(x.png)}", ["x.png"]),
        ("a{background:url( 'x y.png' )}", ["x y.png"]),
        ('@import "b.css" screen; @import url(c.css);', ["b.css", "c.css"]),
        ('a::after{content:"no.png"} /* url(no.png) */', []),
        ("@font-face{src:local(x),url('f.woff2') format('woff2')}", ["f.woff2"]),
        ("@media print{a{background:url(x\\.png)}}", ["x.png"]),
        ("@layer a{b{mask:image-set(url(1.png) 1x, url(2.png) 2x)}}", ["1.png", "2.png"]),
    ],
)
def test_references_of_a_style_sheet_are_found(style: str, expected: list[str]) -> None:
    assert in_style(style) == expected


def test_only_urls_of_a_style_sheet_are_replaced() -> None:
    style = "/* url(x) */ a > b{ color : RED; background:url(x) , url( 'y' ) }\n@import 'x' ;"
    assert rewritten_style(style, lambda url: 'n"w' if url == "x" else None) == (
        '/* url(x) */ a > b{ color : RED; background:url("n\\"w") , url( "y" ) }\n@import "n\\"w" ;'
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("b.png", "a/b.png"),
        ("../b.png?v=1#x", "b.png"),
        ("/b%20c.png", "b c.png"),
        ("./", "a/"),
        ("../../../b", "b"),
        ("#top", None),
        ("", None),
        ("https://example.org/x", None),
        ("//example.org/x", None),
        ("data:image/png,x", None),
        ("mailto:a@b", None),
        ("javascript:void(0)", None),
        ("http://[bad", None),
    ],
)
def test_url_names_a_file_of_the_site_or_none(url: str, expected: str | None) -> None:
    assert local_path(url, page="a/page.html") == expected


@given(
    st.lists(st.sampled_from(["a", "b.png", "..", "."]), min_size=1, max_size=5).map("/".join),
    st.booleans(),
    st.sampled_from(["page.html", "a/page.html", "a/b/page.html"]),
)
def test_plain_paths_lead_where_the_library_says(path: str, is_folder: bool, page: str) -> None:
    """The short way for them is the same way."""
    url = path + "/" * is_folder
    expected = urlsplit(urljoin(f"http:///{page}", url)).path.lstrip("/")
    assert expected == local_path(url, page=page)


def test_candidates_keep_commas_within_urls() -> None:
    srcset = "data:image/png;base64,xx 1x, a.png 2x"
    assert [srcset[first:last] for first, last in candidates(srcset)] == ["data:image/png;base64,xx", "a.png"]
