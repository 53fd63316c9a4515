"""What pages and style sheets refer to, and where it stands, so that it can be replaced and all else kept.

A page is never written anew from its tree: what a parser makes of careless HTML and a browser's view of it may differ.
"""

import html
import re
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import tinycss2  # type: ignore[import-untyped]  # no types upstream


class Use(StrEnum):
    """What a browser does with what is referred to."""

    ASSET = "asset"
    """It fetches it for the page; any name will do."""
    MODULE = "module"
    """It fetches it, and takes another name for another module."""
    PAGE = "page"
    """A person may go there."""
    OTHER = "other"
    """Something with a name of its own: a canonical address, a manifest, a feed."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One URL in a text; ``start`` and ``end`` are where its attribute's value stands, quotes included.

    Args:
        url: as a browser reads it: character references resolved, blanks around it gone.
        is_checked: the page says by ``integrity`` which bytes it expects.
    """

    start: int
    end: int
    url: str
    use: Use
    is_checked: bool = False
    # Of a list of candidates: where in it the URL stands, character references resolved.
    is_in_srcset: bool = False


_ASSETS = {
    ("img", "src"), ("source", "src"), ("video", "src"), ("audio", "src"), ("track", "src"), ("embed", "src"),
    ("video", "poster"), ("input", "src"), ("image", "href"), ("image", "xlink:href"), ("object", "data"),
}  # fmt: skip
_SRCSETS = {("img", "srcset"), ("source", "srcset"), ("link", "imagesrcset")}
_PAGES = {("a", "href"), ("area", "href"), ("iframe", "src"), ("frame", "src"), ("form", "action")}
_ASSET_RELS = {"stylesheet", "icon", "apple-touch-icon", "mask-icon", "preload", "prefetch"}
_PAGE_RELS = {"next", "prev", "alternate", "author", "help", "license", "search"}
# As the HTML standard reads tags (13.2.5), in time that grows with the text: nothing is tried twice. Comments and end
# tags are tokens, too, so that what looks like a tag in them, or in a value, is none.
_TOKEN = re.compile(
    r"""<!--(?:-?>|.*?(?:--!?>|\Z))|<[!?/][^>]*+>|
    <([a-zA-Z][^\s/>]*+)
    ((?:[\s/]++|[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+)?+)?+)*+)>""",
    re.DOTALL | re.VERBOSE,
)
_ATTRIBUTE = re.compile(r"""([^\s/>][^\s/>=]*+)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+)?+)?+""")
# Elements whose content is text, whatever it looks like.
_RAW = {"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"}
# One candidate of a srcset (HTML standard, 4.8.4.2.1): a URL without blanks, then what it is for, up to a comma.
_CANDIDATE = re.compile(r"[\s,]*([^\s,]\S*[^\s,]|[^\s,])(\s+[^,]*)?(?:,|$)")
_LOADING = {tag for tag, _ in (*_ASSETS, *_SRCSETS)} | {"link", "script"}
_REFERRING = _LOADING | {tag for tag, _ in _PAGES}
# A relative path that means itself: nothing to be decoded, no scheme, no empty part but the last.
_PLAIN = re.compile(r"(?:[A-Za-z0-9_.-]+/)*[A-Za-z0-9_.-]*")
_SCRIPTS = {"", "text/javascript", "application/javascript"}


def in_page(text: str) -> list[Reference]:
    """Return the references of an HTML page, in the order of the text."""
    return [one for tag, start, attributes in start_tags(text, _REFERRING) for one in _in_tag(tag, start, attributes)]


def assets_in_page(text: str) -> list[Reference]:
    """Return those of ``in_page`` that a browser fetches for the page by any name, in half the time."""
    tags = start_tags(text, _LOADING)
    found = (one for tag, start, attributes in tags for one in _in_tag(tag, start, attributes))
    return [one for one in found if one.use is Use.ASSET]


def candidates(srcset: str) -> Iterator[tuple[int, int]]:
    """Where the URLs of a ``srcset`` stand in it."""
    for match in _CANDIDATE.finditer(srcset):
        yield match.span(1)


def rewritten(text: str, found: list[Reference], new_url: Callable[[Reference], str | None]) -> str:
    """Replace what ``new_url`` gives a URL for; None leaves a reference as it is."""
    pieces, at = [], 0
    for start, end, references in _by_place(found):
        value = _plain(text[start:end])
        first = references[0]
        url = _new_srcset(value, references, new_url) if first.is_in_srcset else new_url(first)
        if url is not None:
            pieces += [text[at:start], f'"{html.escape(url)}"']
            at = end
    return "".join([*pieces, text[at:]])


def in_style(text: str) -> list[str]:
    """Return the URLs that a style sheet refers to: ``url(…)`` and ``@import``."""
    found: list[str] = []

    def note(url: str) -> None:
        found.append(url)

    rewritten_style(text, note)
    return found


def imports_of(text: str) -> list[str]:
    """Return the URLs of the style sheets that a style sheet imports for every medium."""
    found = []
    for rule in tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True):
        if rule.type != "at-rule" or rule.lower_at_keyword not in ("import", "charset", "layer"):
            break  # an import counts only before all else
        if rule.lower_at_keyword == "import":
            named, *condition = [one for one in rule.prelude if one.type != "whitespace"] or [None]
            if named is not None and not condition:
                found += in_style(f"@import {tinycss2.serialize([named])};")
    return found


def rewritten_style(text: str, new_url: Callable[[str], str | None]) -> str:
    """Replace the URLs of a style sheet for which ``new_url`` gives one; of all else only quotes of strings change."""
    nodes = tinycss2.parse_component_value_list(text)
    _walk(nodes, new_url)
    return str(tinycss2.serialize(nodes))


def local_path(url: str, *, page: str) -> str | None:
    """Return which file of the site the URL in ``page`` names, as its path; None if it names none of this site.

    The site's own root is ``/``. A fragment and a query are left out.
    """
    return _local_path(url.partition("#")[0], page)


# Many references of a page differ only in their fragments.
@lru_cache(maxsize=1024)
def _local_path(url: str, page: str) -> str | None:
    if not url:
        return None
    if _PLAIN.fullmatch(url) and _PLAIN.fullmatch(page):
        return _joined(url, page)
    try:
        whole = urlsplit(urljoin(f"http:///{page}", url))
    except ValueError:
        return None
    if whole.scheme != "http" or whole.netloc:
        return None
    return unquote(whole.path).lstrip("/")


def _joined(url: str, page: str) -> str:
    """What ``urljoin`` makes of two plain paths, in a tenth of the time."""
    parts = page.split("/")[:-1]
    for part in url.split("/"):
        if part == "..":
            del parts[-1:]
        elif part != ".":
            parts.append(part)
    return "/".join([*parts, ""] if url.rpartition("/")[2] in (".", "..") else parts)


def start_tags(text: str, wanted: Set[str]) -> Iterator[tuple[str, int, str]]:
    """Yield those of the names that are wanted: name, where the attributes begin, and these."""
    at = 0
    while (found := _TOKEN.search(text, at)) is not None:
        at = found.end()
        if (name := found.group(1)) is None:
            continue
        tag = name.lower()
        if tag in wanted:
            yield tag, found.start(2), found.group(2)
        if tag in _RAW:
            end = re.compile(f"</{tag}", re.IGNORECASE).search(text, at)
            at = len(text) if end is None else end.start()


def values_of(attributes: str) -> dict[str, str]:
    """Return a tag's attributes by name, character references resolved; of two with one name, the first counts."""
    found = [(match.group(1).lower(), match.group(2) or "") for match in _ATTRIBUTE.finditer(attributes)]
    return {name: _plain(raw) for name, raw in reversed(found)}


def _in_tag(tag: str, start: int, attributes: str) -> Iterator[Reference]:
    found = [
        (match.group(1).lower(), match.start(2), match.group(2) or "") for match in _ATTRIBUTE.finditer(attributes)
    ]
    values = values_of(attributes)
    seen: set[str] = set()
    for name, at, raw in found:
        if name not in seen and raw:
            yield from _references(tag, name, values, start + at, raw)
        seen.add(name)


def _references(tag: str, name: str, values: dict[str, str], start: int, raw: str) -> Iterator[Reference]:
    value, end = _plain(raw), start + len(raw)
    is_checked = "integrity" in values
    if (tag, name) in _SRCSETS:
        for first, last in candidates(value):
            yield Reference(start, end, value[first:last], Use.ASSET, is_in_srcset=True)
    elif (use := _use(tag, name, values)) is not None:
        yield Reference(start, end, value.strip(), use, is_checked)


def _use(tag: str, name: str, values: dict[str, str]) -> Use | None:
    if (tag, name) == ("script", "src"):
        kind = values.get("type", "").strip().lower()
        return Use.MODULE if kind == "module" else Use.ASSET if kind in _SCRIPTS else Use.OTHER
    if (tag, name) == ("link", "href"):
        rels = set(values.get("rel", "").lower().split())
        if rels & {"modulepreload"} or (rels & {"preload"} and values.get("as") not in ("style", "image", "font")):
            return Use.MODULE
        return Use.ASSET if rels & _ASSET_RELS else Use.PAGE if rels & _PAGE_RELS else Use.OTHER
    if (tag, name) in _ASSETS:
        return Use.ASSET
    return Use.PAGE if (tag, name) in _PAGES else None


def _plain(raw: str) -> str:
    return html.unescape(raw[1:-1] if raw[:1] in "\"'" else raw)


def _by_place(found: list[Reference]) -> Iterator[tuple[int, int, list[Reference]]]:
    places: dict[tuple[int, int], list[Reference]] = {}
    for reference in found:
        places.setdefault((reference.start, reference.end), []).append(reference)
    for (start, end), references in sorted(places.items(), key=lambda one: one[0]):
        yield start, end, references


def _new_srcset(value: str, found: list[Reference], new_url: Callable[[Reference], str | None]) -> str | None:
    pieces, at = [], 0
    for (first, last), reference in zip(candidates(value), found, strict=True):
        url = new_url(reference)
        if url is not None:
            pieces += [value[at:first], url]
            at = last
    return "".join([*pieces, value[at:]]) if pieces else None


def _walk(nodes: list[Any], new_url: Callable[[str], str | None]) -> None:
    is_import = False
    for node in nodes:
        if node.type == "at-keyword":
            is_import = node.lower_value == "import"
        elif node.type == "literal" and node.value == ";":
            is_import = False
        elif node.type == "url" or (node.type == "string" and is_import):
            _replace(node, new_url)
            is_import = False
        elif node.type == "function" and node.lower_name == "url":
            for argument in node.arguments:
                if argument.type == "string":
                    _replace(argument, new_url)
            is_import = False
        for inner in (getattr(node, "content", None), getattr(node, "arguments", None)):
            if isinstance(inner, list) and not (node.type == "function" and node.lower_name == "url"):
                _walk(inner, new_url)


def _replace(node: Any, new_url: Callable[[str], str | None]) -> None:
    url = new_url(node.value)
    if url is not None:
        node.value = url
        quoted = f'"{tinycss2.serializer.serialize_string_value(url)}"'
        node.representation = quoted if node.type == "string" else f"url({quoted})"
