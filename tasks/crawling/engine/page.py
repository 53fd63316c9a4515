"""Reading one HTML page: links and title first, then the main text. Runs in its own process."""

import codecs
import hashlib
import re
from dataclasses import asdict

from lxml import etree

from tasks.core.web_address import canonical
from tasks.crawling.engine.page_content import MainText, Outline
from tasks.crawling.engine.reading.content_hash import content_hash
from tasks.crawling.engine.reading.markdown import plain
from tasks.crawling.engine.reading.metadata import read_forms, read_metadata, shown_title
from tasks.crawling.engine.reading.reader import MIN_WORDS, read_main
from tasks.crawling.engine.reading.structured import kept

MAX_LINKS = 2000
MAX_TITLE_CHARS = 500
# What a page may say of itself to robots; more is no page's need.
MAX_ROBOTS_LINES = 20

# Of one element; more is no page's need, and lxml looks through all of them for the value of each.
MAX_ATTRIBUTES = 1000

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# The HTML standard looks for a declared charset in the first 1024 bytes.
_META_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]{1,40})""", re.IGNORECASE)
# What the Encoding standard reads as windows-1252, whatever the label promises.
_LATIN = frozenset({"ascii", "iso8859-1", "cp1252"})
# What nobody sees where scripts run.
_UNSEEN = frozenset({"head", "noscript", "script", "style", "template"})
# Shorter ones count visitors and set classes.
_MIN_SCRIPT_CHARS = 100
# Compiled once: most of what a search of a small page costs is to read what is searched for.
_HAS_CROWDS = etree.XPath(f"boolean(//@*[{MAX_ATTRIBUTES + 1}])")
_CROWDED = etree.XPath(f"//*[@*[{MAX_ATTRIBUTES + 1}]]")
_BASES = etree.XPath("//base/@href")
_METAS = etree.XPath("//meta[@name and @content]")
_LINK_ELEMENTS = etree.XPath("//link[@rel and @href]")
# Where a page leads by itself after some seconds; one without an address only loads itself again. What was matched is
# not given back: blanks that each part may take would be dealt out in every way.
_REFRESH = re.compile(r"""[\s\d.]*+[;,]\s*+(?:url\s*+=\s*+)?+["']?+\s*+([^"'\s][^"']*+)""", re.IGNORECASE)
_ROBOTS_WORD = re.compile(r"\b(?:noindex|nofollow|none)\b", re.IGNORECASE)
# Codecs of Python that are no character sets of the web.
_NOT_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})


def parse_page(body: bytes, *, charset: str | None) -> etree._Element | None:
    """Return the page's tree, or None where there is nothing in it; ``charset`` is the Content-Type header's."""
    # Fed as bytes: lxml refuses a str that carries an XML encoding declaration.
    text = decode(body, charset=charset).replace("\0", "").encode("utf-8", "replace")
    # Not the parser of lxml.html, which asks Python for the class of each element.
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    tree = etree.fromstring(text, parser)
    if tree is not None and _HAS_CROWDS(tree):
        for element in _CROWDED(tree):
            for name in element.keys()[MAX_ATTRIBUTES:]:
                del element.attrib[name]
    return tree


def read_outline(tree: etree._Element | None, *, url: str) -> Outline:
    """Return title, distinct absolute links and canonical link of the page that ``url`` answered with."""
    if tree is None:
        return Outline(title="", links=(), canonical=None)
    base = _base_of(tree, url)
    title = " ".join(shown_title(tree).split())[:MAX_TITLE_CHARS]
    links = _links(tree, base)
    return Outline(
        title=title,
        links=tuple(links),
        canonical=_canonical_link(tree, base),
        unfollowed=tuple(url for url, is_followed in links.items() if not is_followed),
        robots=_robots(tree),
        is_shell=_is_shell(tree),
    )


def read_text(tree: etree._Element | None, *, url: str) -> MainText:
    """Return the main text and metadata; empty where none is found. May change the tree, so read the outline before."""
    if tree is None:
        tree = etree.HTML("<html></html>")
    base = _base_of(tree, url)
    reading = read_main(tree, url=url, base=base)
    forms = read_forms(tree, base=base)
    words = plain(reading.text)
    metadata = read_metadata(tree, url=url, text=words, items=reading.structured)
    return MainText(
        text=reading.text,
        hash=hashlib.sha256(reading.text.encode("utf-8", "replace")).hexdigest(),
        content_hash=content_hash(words),
        page_type=reading.page_type,
        headline=metadata.title,
        author=metadata.author,
        published=metadata.published,
        modified=metadata.modified,
        language=metadata.language,
        description=metadata.description,
        structured=kept(reading.structured),
        forms=tuple({**asdict(form), "fields": list(form.fields)} for form in forms),
    )


def decode(body: bytes, *, charset: str | None) -> str:
    """Return the body's text: by byte order mark, else header, else ``meta``, else UTF-8, else windows-1252.

    A label of UTF-8 or windows-1252 that the bytes contradict gives way to the other of the two.
    """
    for mark, name in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, errors="replace")
    meta = _META_CHARSET.search(body[:1024])
    for label in (charset, meta[1].decode("ascii") if meta else None):
        if codec := _codec_name(label):
            return _as_labelled(body, codec)
    return _as_labelled(body, "cp1252")


def _as_labelled(body: bytes, codec: str) -> str:
    if codec not in {"cp1252", "utf-8"}:
        return body.decode(codec, errors="replace")
    try:
        # No other text comes out as UTF-8 by chance, unless all of it is ASCII.
        return body.decode("utf-8")
    except UnicodeDecodeError:
        text = body.decode("utf-8", errors="replace")
    is_broken_utf8 = codec == "utf-8" and not text.replace("\ufffd", "").isascii()
    return text if is_broken_utf8 else body.decode("cp1252", errors="replace")


def _codec_name(label: str | None) -> str | None:
    if not label:
        return None
    try:
        codec = codecs.lookup(label)
        "".encode(codec.name)  # refuses codecs that do not make text, such as hex
    except (LookupError, ValueError):  # the latter for a NUL, which a header can write as %00
        return None
    if codec.name.replace("_", "-") in _NOT_CHARSETS:
        return None
    return "cp1252" if codec.name in _LATIN else codec.name


def _base_of(tree: etree._Element, url: str) -> str:
    hrefs = _BASES(tree)
    return (canonical(hrefs[0], base=url) if hrefs else None) or url


def _links(tree: etree._Element, base: str) -> dict[str, bool]:
    """Return the links in order, and whether any element that leads there lets robots follow it."""
    found: dict[str, bool] = {}
    spelled: dict[str, str | None] = {}
    # Not by a union of paths: libxml2 compares each element of the one with each of the other.
    for element in tree.iter("a", "area", "meta"):
        if len(found) >= MAX_LINKS:
            break
        href = element.get("href") if element.tag != "meta" else _refreshed_to(element)
        # A fragment alone leads nowhere else; many pages have hundreds of them, and as many to parts of one other page.
        if href is None or href.startswith("#"):
            continue
        address = href.partition("#")[0]
        if address not in spelled:
            spelled[address] = canonical(address, base=base)
        if url := spelled[address]:
            found[url] = found.get(url, False) or "nofollow" not in element.get("rel", "").lower().split()
    return found


def _refreshed_to(meta: etree._Element) -> str | None:
    if meta.get("http-equiv", "").strip().lower() != "refresh":
        return None
    found = _REFRESH.match(meta.get("content", ""))
    is_for_scriptless = found is not None and next(meta.iterancestors("noscript"), None) is not None
    return None if found is None or is_for_scriptless else found[1]


def _is_shell(tree: etree._Element) -> bool:
    """Tell whether the page has scripts of its own and fewer words than a text has."""
    words = 0
    walk = etree.iterwalk(tree, events=("start", "end"))
    for event, element in walk:
        if event == "end":
            words += len((element.tail or "").split())
        elif element.tag in _UNSEEN:
            walk.skip_subtree()
        else:
            words += len((element.text or "").split())
        if words >= MIN_WORDS:
            return False
    return any(
        script.get("src") or ("json" not in script.get("type", "") and len(script.text or "") >= _MIN_SCRIPT_CHARS)
        for script in tree.iter("script")
    )


def _robots(tree: etree._Element) -> tuple[tuple[str, str], ...]:
    metas = ((meta.get("name"), meta.get("content")) for meta in _METAS(tree))
    told = [(name, content) for name, content in metas if _ROBOTS_WORD.search(content)]
    return tuple(told[:MAX_ROBOTS_LINES])


def _canonical_link(tree: etree._Element, base: str) -> str | None:
    for link in _LINK_ELEMENTS(tree):
        if "canonical" in link.get("rel").lower().split():
            return canonical(link.get("href"), base=base)
    return None
