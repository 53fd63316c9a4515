"""Structured data of a page as nodes: JSON-LD, and microdata turned into the same shape.

Source: JSON-LD 1.1 (embedded in HTML, ``@graph``); HTML standard, 5 (microdata).
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from lxml.html import HtmlElement

from tasks.discovery.engine.sources.html_tree import parse_html
from tasks.discovery.engine.sources.structured_text import read_json

MAX_NODES = 20_000
_MAX_SCRIPTS = 50
_MAX_ITEMS = 2000
_MAX_NESTED = 20
_VALUE_ATTRIBUTES = {
    **dict.fromkeys(("a", "area", "link"), "href"),
    **dict.fromkeys(("audio", "embed", "iframe", "img", "source", "track", "video"), "src"),
    **dict.fromkeys(("data", "meter"), "value"),
    "meta": "content",
    "object": "data",
    "time": "datetime",
}

Node = dict[str, Any]


def nodes(html: str) -> Iterator[Node]:
    """Return every node of a page's JSON-LD and microdata, outer ones before what they hold."""
    if "ld+json" not in html and "itemtype" not in html:
        return
    root = parse_html(html)
    if root is None:
        return
    roots: list[Any] = [
        read_json((script.text or "").strip().removeprefix("<!--").removesuffix("-->"))
        for script in list(root.iter("script"))
        if script.get("type", "").partition(";")[0].strip().lower() == "application/ld+json"
    ][:_MAX_SCRIPTS]
    roots += _Microdata(root).items()
    yield from _walk(roots)


def types_of(node: Node) -> set[str]:
    """Return the names of schema.org that the node's types have, without the vocabulary's address."""
    raw = node.get("@type")
    names = raw if isinstance(raw, list) else [raw]
    return {name.rstrip("/").rpartition("/")[2].rpartition(":")[2] for name in names if isinstance(name, str)}


def values_of(node: Node, key: str) -> list[Any]:
    """Return the values at ``key``: all of a list, the one that there is, or none."""
    value = node.get(key, [])
    return value if isinstance(value, list) else [value]


def text_of(node: Node, key: str) -> str:
    """Return the first text at ``key`` in one line, empty if there is none."""
    found = next((value for value in values_of(node, key) if isinstance(value, str)), "")
    return " ".join(found[:2000].split())


def _walk(roots: list[Any]) -> Iterator[Node]:
    level, count = roots, 0
    while level and count < MAX_NODES:
        below: list[Any] = []
        for value in level[: MAX_NODES - count]:
            if isinstance(value, dict):
                yield value
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
        count += len(level)
        level = [value for value in below if isinstance(value, dict | list)]


class _Microdata:
    """Reads the items of a page."""

    def __init__(self, root: HtmlElement) -> None:
        self._root = root
        # References let a small page describe an endless item.
        self._left = MAX_NODES
        self._by_id: dict[str, HtmlElement] = {}
        if any(element.get("itemref") for element in root.iter()):
            for element in root.iter():
                self._by_id.setdefault(element.get("id", ""), element)

    def items(self) -> list[Node]:
        """Return the items that are no property of another one, as nodes."""
        found = [element for element in self._root.iter() if element.get("itemscope") is not None][:_MAX_ITEMS]
        return [self._item(element, above=()) for element in found if element.get("itemprop") is None]

    def _item(self, element: HtmlElement, *, above: tuple[HtmlElement, ...]) -> Node:
        node: Node = {"@type": (element.get("itemtype") or "").split()}
        path, seen = (*above, element), {element}
        waiting = list(reversed([*element, *self._referenced(element)]))
        while waiting and self._left > 0:
            child = waiting.pop()
            if child in seen:  # inside of the item, and referenced
                continue
            seen.add(child)
            self._left -= 1
            is_item = child.get("itemscope") is not None
            is_readable = is_item and len(above) < _MAX_NESTED and child not in path
            for name in (child.get("itemprop") or "").split():
                value = self._item(child, above=path) if is_readable else _value(child)
                node.setdefault(name, []).append(value)
            if not is_item:
                waiting.extend(reversed(child))
        return node

    def _referenced(self, element: HtmlElement) -> list[HtmlElement]:
        names = dict.fromkeys((element.get("itemref") or "").split()[:_MAX_NESTED])
        return [self._by_id[name] for name in names if name in self._by_id]


def _value(element: HtmlElement) -> Any:
    if element.tag == "input":
        # An input is described, not valued: schema.org's "input and output constraints".
        return _input(element)
    attribute = _VALUE_ATTRIBUTES.get(str(element.tag))
    if attribute is not None:
        return element.get(attribute, "")
    return element.get("content") or "".join(islice(element.itertext(), 200))[:5000]


def _input(element: HtmlElement) -> Node:
    limits = {"valueMaxLength": "maxlength", "valueMinLength": "minlength", "minValue": "min", "maxValue": "max"}
    node = {key: element.get(attribute) for key, attribute in limits.items() if element.get(attribute) is not None}
    node |= {"@type": "PropertyValueSpecification", "valueName": element.get("name", "")}
    return node | {"valueRequired": element.get("required") is not None}
