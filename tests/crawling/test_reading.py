"""Main text as Markdown, by type of page, and what a page says about itself."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.crawling.engine.page import parse_page, read_text
from tasks.crawling.engine.page_content import MainText
from tasks.crawling.engine.reading.blocks import cut_page
from tasks.crawling.engine.reading.content_hash import content_hash
from tasks.crawling.engine.reading.markdown import Renderer, plain
from tasks.crawling.engine.reading.page_type import PAGE_TYPES
from tasks.crawling.records import PageType

PAGES = Path(__file__).parent / "pages"


def read(page: bytes | str, *, url: str = "https://example.org/docs/x") -> MainText:
    body = page.encode() if isinstance(page, str) else page
    return read_text(parse_page(body, charset=None), url=url)


def rendered(fragment: str) -> str:
    """Return a whole fragment as Markdown, whatever the models think of it."""
    tree = parse_page(f"<body>{fragment}</body>".encode(), charset=None)
    cut = cut_page(tree)
    return Renderer(cut, base="https://example.org/docs/x").render(range(len(cut.blocks)))


@pytest.mark.parametrize("name", sorted(path.stem for path in PAGES.glob("*.html")))
def test_page_of_each_type_reads_as_its_golden_markdown(name: str) -> None:
    """Main text whole, menus, footers and boxes left out; the file beside the page has every character."""
    page = read((PAGES / f"{name}.html").read_bytes(), url=f"https://example.org/{name}")
    assert (PAGES / f"{name}.md").read_text(encoding="utf-8") == page.text + "\n"
    assert "Accept all cookies" not in page.text


def test_same_page_gives_the_same_record() -> None:
    """Twice in one process, and whatever was read between."""
    article = (PAGES / "article.html").read_bytes()
    first = read(article)
    read((PAGES / "forum.html").read_bytes())
    assert first == read(article)


def test_types_are_those_of_the_contract() -> None:
    """The models and the record speak of the same types."""
    assert [kind.value for kind in PageType] == list(PAGE_TYPES)


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("<h2>A <a href='/b'>b</a></h2>", "## A [b](https://example.org/b)"),
        ("<p>one<br>two</p>", "one\ntwo"),
        ("<p><span>2019</span><span>12 posts</span></p>", "2019 12 posts"),
        ("<p><span>Ann Smith</span><span>Editor</span></p>", "Ann Smith Editor"),
        ("<p><span>H</span><span>ello</span> <span>gr</span><span>ey</span></p>", "Hello grey"),
        ("<p><span>x</span><span>2</span>, <span>12</span><span>.50</span></p>", "x2, 12.50"),
        ("<code><span>int</span><span>8 x</span></code>", "`int8 x`"),
        ("<p>1. no list</p>", "\\1. no list"),
        ("<p><b>bold</b>, <em>so</em> <code>x = 1</code>.</p>", "**bold**, *so* `x = 1`."),
        ("<p><a href='#here'>here</a> <a href='javascript:x()'>there</a></p>", "here there"),
        ("<p><a href='a(b)'>c</a></p>", "[c](https://example.org/docs/a%28b%29)"),
        ("<ul><li>a<ol><li>b</li><li>c</li></ol></li></ul>", "- a\n    1. b\n    2. c"),
        ("<ol><li><p>a</p><p>b</p></li></ol>", "1. a\n\n    b"),
        ("<blockquote>said<br>so</blockquote>", "> said\n> so"),
        ("<dl><dt>term</dt><dd>meaning</dd></dl>", "term\n: meaning"),
        ("<pre><code class='language-py'>def f():\n    pass\n</code></pre>", "```py\ndef f():\n    pass\n```"),
        ("<div class='highlight-c notranslate'><div><pre>a ``` b</pre></div></div>", "````c\na ``` b\n````"),
        (
            "<table><tr><th>a<th>b</tr><tr><td>1|2</td><td><p>x</p><p>y</p></td></tr></table>",
            "| a | b |\n| --- | --- |\n| 1\\|2 | x y |",
        ),
        ("<table><tr><td><p>only</p></td></tr><tr><td>layout</td></tr></table>", "only\n\nlayout"),
        (
            "<a href='/c'><h3>Card</h3><p>text</p></a>",
            "### [Card](https://example.org/c)\n\n[text](https://example.org/c)",
        ),
        ("<p>shown</p><script>no()</script><style>p{}</style><!-- no --><template>no</template>", "shown"),
    ],
)
def test_markup_becomes_markdown(fragment: str, expected: str) -> None:
    """Headings, lists, tables, code, links."""
    assert expected == rendered(fragment)


def test_targets_of_links_are_no_words() -> None:
    """What is counted and hashed is what a person reads."""
    assert plain("see [the docs](https://e.org/x) and\n```python\nx\n```") == "see the docs and\n\nx\n"


def test_page_says_who_wrote_it_and_when() -> None:
    """From its head and its JSON-LD, which is kept."""
    told = {
        "@context": "https://schema.org",
        "@graph": [
            {"@type": "WebSite", "potentialAction": {"@type": "SearchAction", "target": "/s?q={q}"}},
            {"@type": "BlogPosting", "dateModified": "2024-03-02T10:00:00Z", "author": {"name": "Ada Byron"}},
        ],
    }
    page = read(
        f"""<html lang="en-GB"><head><title>Looms and numbers | A blog</title>
        <meta property="og:title" content="Looms and numbers"><meta name="description" content="On looms.">
        <meta property="article:published_time" content="2024-02-01T08:00:00Z">
        <script type="application/ld+json">{json.dumps(told)}</script>
        <script type="application/ld+json">not json</script></head>
        <body><form action="/find"><input name="q"><input type="submit" name="go"></form>
        <form method="POST" action="/in"><input type="password" name="key"><select name="as"></select></form>
        <article><h1>Looms and numbers</h1>
        <p>{"The loom weaves patterns as the engine weaves numbers. " * 9}</p></article>
        </body></html>"""
    )
    assert ("Looms and numbers", "Ada Byron", "On looms.") == (page.headline, page.author, page.description)
    assert ("2024-02-01", "2024-03-02", "en-GB") == (page.published, page.modified, page.language)
    assert told["@graph"] == list(page.structured)
    assert page.forms == (
        {"action": "https://example.org/find", "method": "get", "fields": ["q"]},
        {"action": "https://example.org/in", "method": "post", "fields": ["key", "as"]},
    )


@pytest.mark.parametrize(
    ("declared", "text", "expected"),
    [
        ("", "Der Webstuhl webt Muster, wie die Maschine Zahlen webt, und niemand wundert sich dabei. " * 5, "de"),
        ("pt_BR", "O tear tece padrões como a máquina tece números, e ninguém se admira disso. " * 5, "pt-BR"),
        ("no language at all", "short", ""),
    ],
)
def test_language_is_declared_or_told_by_the_text(declared: str, text: str, expected: str) -> None:
    """A declaration that is none is passed over; a few words tell nothing."""
    assert read(f'<html lang="{declared}"><body><main><p>{text}</p></main>').language == expected


def test_hash_of_content_ignores_what_is_no_content() -> None:
    """Scripts, styles, comments, white space, markup and points in time."""
    text = "The loom weaves patterns as the engine weaves numbers, and nobody minds. " * 5
    page = "<html><body><main><h1>Looms</h1><p>{}</p><p>{}</p></main>{}</body></html>"
    first = read(
        page.format(text, "Updated 3 minutes ago, on 2 March 2024 at 10:14 UTC by the weaver of this page.", "")
    )
    other = read(
        page.format(
            text.replace("loom", "<b>loom</b>").replace(" ", "\n  "),
            "Updated 2 days ago, on 5 June 2025 at 9:02 am by the weaver of this page.",
            "<script>var now = 7</script><style>p { color: red }</style><!-- built yesterday -->",
        )
    )
    assert first.content_hash == other.content_hash
    assert first.hash != other.hash
    assert first.content_hash != read(page.format(text.replace("loom", "web"), "", "")).content_hash


@pytest.mark.parametrize(
    ("before", "after"),
    [("2024-03-02T10:00:00Z", "2025-01-01"), ("March 2, 2024", "7 Apr 2025"), ("an hour ago", "5 days ago")],
)
def test_points_in_time_do_not_change_the_hash(before: str, after: str) -> None:
    """But versions and prices do."""
    assert content_hash(f"seen {before}") == content_hash(f"Seen: {after}")
    assert content_hash("version 1.2") != content_hash("version 1.3")


def test_page_that_scripts_would_fill_is_read_from_noscript() -> None:
    """As forums do that serve crawlers their threads there."""
    words = "Has anybody wired the sensor to the second port without losing the first one? " * 8
    page = read(f"<body><div>Loading</div><noscript><div class='post'><p>{words}</p></div></noscript></body>")
    assert "second port" in page.text


def test_shell_without_text_is_read_from_what_it_tells_machines() -> None:
    """Its own summary, and nothing made up."""
    head = '<meta property="og:description" content="A chair of mesh and steel that bends with whoever sits on it.">'
    assert read(f"<head>{head}</head><body><div id=app></div>").text.startswith("A chair of mesh")
    assert read("<head><title>x</title></head><body><div id=app></div>").text == ""


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 5000 + "deep",
        "<table>" + "<tr>" + "<td>cell" * 50 + "</table>" + "<table><tr><td>" * 300 + "nested",
        "<table>" + "<tr><td>a<td>b" * 20_000,
        "<ul>" + "<li>item " * 30_000,
        "<p>" + "<a href=x>" * 3000 + "links",
        "<p>" + "<b><i>" * 3000 + "bold",
        "<pre>" + "`" * 50_000,
        "<p>" + "word " * 200_000,
        '<script type="application/ld+json">' + "[" * 100_000 + "</script><p>x",
        '<script type="application/ld+json">' + '{"a":' * 400 + "1" + "}" * 400 + "</script><p>x",
        "<p>x</p>" * 60_000,
    ],
    ids=[
        "deep",
        "nested tables",
        "long table",
        "long list",
        "links",
        "bold",
        "ticks",
        "words",
        "brackets",
        "deep JSON",
        "blocks",
    ],
)
def test_hostile_page_is_read_in_bounded_time(page: str) -> None:
    """No build of a page makes reading take more than a few seconds of CPU."""
    started = time.process_time()
    read(page)
    assert time.process_time() - started < 20


_TAGS = st.sampled_from([
    "html", "body", "p", "div", "table", "tr", "td", "th", "ul", "ol", "li", "a", "pre", "code", "h1", "h2",
    "br", "img", "form", "input", "noscript", "template", "svg", "b", "title", "meta",
])  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            _TAGS.map(lambda tag: f"<{tag}>".encode()),
            _TAGS.map(lambda tag: f"</{tag}>".encode()),
            st.just(b'<script type="application/ld+json">'),
            st.just(b'<a href="'),
            st.just(b'<td class="highlight-c" hidden style="display:none">'),
            st.binary(max_size=12),
            st.text(max_size=12).map(lambda text: text.encode("utf-8", "replace")),
            st.just(b"some more words than one would think of, and a full stop. " * 3),
        ),
        max_size=30,
    ).map(b"".join),
)
def test_any_bytes_are_read(page: bytes) -> None:
    """Whatever comes, the record can be written and holds what the contract allows."""
    main = read(page)
    json.dumps(main.text, ensure_ascii=False).encode()
    assert main.page_type in (*PAGE_TYPES, "")
