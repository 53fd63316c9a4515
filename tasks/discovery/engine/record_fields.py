"""The fields of one record: what an item of a list says, under the names that the page has for it."""

import re
from collections import defaultdict

from lxml.html import HtmlElement

from tasks.discovery.engine.html_words import absolute, one_line

MAX_FIELDS = 40
MAX_TEXT_CHARS = 2000
# So many looks at elements are taken on one page; of 1,230 real pages none needed more than 81,000.
MAX_LOOKS = 400_000
_MAX_CLASS_CHARS = 2000
_MAX_VALUES = 20
_MAX_DEPTH = 30

Fields = dict[str, list[str]]

_UNREAD = frozenset(
    {*("script", "style", "template", "noscript", "button", "input", "select", "textarea", "form", "svg", "iframe")}
)
# They style words of a sentence; without a class of their own they name nothing.
_INLINE = frozenset(
    {"a", "b", "i", "em", "strong", "span", "code", "sup", "sub", "br", "small", "mark", "abbr", "wbr", "u"}
)
_ROLES = {
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "title"),
    "p": "text",
    "time": "time",
    "address": "address",
    "blockquote": "quote",
    "figcaption": "caption",
    "pre": "code",
    "li": "entry",
    "dt": "term",
    "dd": "description",
}
# Classes of style sheets' toolkits say how something looks.
_LOOKS = re.compile(
    r"^(col|row|container|grid|flex|d|m[trblxyse]?|p[trblxyse]?|text|font|bg|border|rounded|shadow|w|h|min|max|gap|space|"
    r"btn|is|has|js|u|fa|fas|far|icon|clearfix|pull|float|align|items|justify|sm|md|lg|xl|hidden|visible|block|inline|"
    r"truncate|leading|tracking|hover|focus|css|sc)(-|$)|[:\d\[\]/!@]|^.$|^_"
)
_NOT_NAME = re.compile(r"[^0-9a-zA-Z\u00c0-\uffff]+")


def field_name(text: str) -> str:
    """Return a name in lower case with underscores, at most 60 characters; empty where nothing is left."""
    return _NOT_NAME.sub("_", one_line(text)).strip("_").lower()[:60].rstrip("_")


class TooMuchToRead(Exception):
    """A page is built so that its records cannot be read in reasonable time."""


class FieldReader:
    """Reads the fields of a page's records; ``base`` is what relative addresses start from."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._looks = 0

    def read(self, item: HtmlElement) -> Fields:
        """Return the values of each field of ``item``, in order. A link gives ``NAME_url`` beside its text.

        Raises:
            TooMuchToRead: more than ``MAX_LOOKS`` elements were looked at on this page.
        """
        fields: Fields = defaultdict(list)
        if item.tag == "a" and item.get("href"):
            _add(fields, "url", absolute(self._base, item.get("href")))
        self._visit(item, fields, depth=0, is_item=True)
        return dict(fields)

    def _visit(self, element: HtmlElement, fields: Fields, *, depth: int, is_item: bool = False) -> None:
        self._look()
        if element.tag in _UNREAD or depth > _MAX_DEPTH or len(fields) >= MAX_FIELDS or _is_hidden(element):
            return
        if element.tag == "img":
            source = element.get("src") or element.get("data-src") or ""
            _add(fields, _own_name(element) or "image", absolute(self._base, source))
        elif element.tag == "time" or self._is_leaf(element):
            self._take(element, fields, is_item=is_item)
        else:
            if element.text and not element.text.isspace():
                _add(fields, "text" if is_item else self._name_of(element), one_line(element.text))
            if element.tag == "a" and not is_item:
                self._add_link(element, fields, "")
            for child in element:
                self._visit(child, fields, depth=depth + 1)

    def _take(self, element: HtmlElement, fields: Fields, *, is_item: bool) -> None:
        text = one_line(element.text_content())
        links = [link for link in element.iter("a") if link.get("href")]
        is_link = len(links) == 1 and one_line(links[0].text_content()) == text
        name = "text" if is_item else self._name_of(element)
        if is_item and is_link:
            name = "title"
        if text:
            _add(fields, name, text)
        if element.tag == "time" and element.get("datetime"):
            _add(fields, f"{name}_at", one_line(element.get("datetime")))
        if not (is_item and element.tag == "a"):
            for link in links[:1]:
                self._add_link(link, fields, name)

    def _add_link(self, link: HtmlElement, fields: Fields, name: str) -> None:
        if link.get("href"):
            # What a title leads to is where the record is.
            url_name = f"{name}_url" if name not in ("", "title", "link") else "url"
            _add(fields, url_name, absolute(self._base, link.get("href")))

    def _is_leaf(self, element: HtmlElement) -> bool:
        """Whether everything in the element reads as one text."""
        for child in element.iterdescendants():
            self._look()
            is_named = (child.tag != "a" and _own_name(child)) or child.get("itemprop")
            if child.tag not in _INLINE or is_named:
                return False
        return not (len(element.findall(".//a")) > 1 and not _own_text(element))

    def _name_of(self, element: HtmlElement) -> str:
        own = _own_name(element)
        if own:
            return own
        if element.tag == "a":
            return "link"
        for inner in element.iterdescendants():
            self._look()
            if inner.tag in _INLINE and _own_name(inner):
                return _own_name(inner)
        return _ROLES.get(element.tag, "text")

    def _look(self) -> None:
        self._looks += 1
        if self._looks > MAX_LOOKS:
            raise TooMuchToRead


def _add(fields: Fields, name: str, value: str) -> None:
    if value and len(fields[name]) < _MAX_VALUES and value not in fields[name]:
        fields[name].append(value[:MAX_TEXT_CHARS])
    if not fields[name]:
        del fields[name]


def _own_text(element: HtmlElement) -> str:
    return one_line((element.text or "") + "".join(child.tail or "" for child in element))


def _own_name(element: HtmlElement) -> str:
    if element.get("itemprop"):
        return field_name(element.get("itemprop").split()[0])
    if element.tag in _ROLES and element.tag.startswith("h"):
        return "title"
    for token in element.get("class", "")[:_MAX_CLASS_CHARS].split():
        if not _LOOKS.search(token):
            return field_name(token)
    return ""


def _is_hidden(element: HtmlElement) -> bool:
    return element.get("hidden") is not None or element.get("aria-hidden") == "true"
