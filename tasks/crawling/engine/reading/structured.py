"""What a page says in JSON-LD."""

import json
from collections.abc import Iterator
from typing import Any

from lxml import etree

MAX_SCRIPTS = 50
MAX_SCRIPT_CHARS = 1_000_000
MAX_OBJECTS = 100
MAX_KEPT_CHARS = 200_000
MAX_DEPTH = 30

Item = dict[str, Any]

_SCRIPTS = etree.XPath("//script[translate(@type, 'JSOND+LAPITCN', 'jsond+lapitcn')='application/ld+json']")


def read_structured(root: etree._Element) -> tuple[Item, ...]:
    """Return the objects of the page's JSON-LD, each of a list or graph; what is no JSON is passed over."""
    found: list[Item] = []
    for script in _SCRIPTS(root)[:MAX_SCRIPTS]:
        text = (script.text or "")[: MAX_SCRIPT_CHARS + 1]
        if len(text) > MAX_SCRIPT_CHARS:
            continue
        try:
            value = json.loads(text.strip().rstrip(";"), strict=False, parse_constant=lambda _name: None)
        except (ValueError, RecursionError):
            continue
        for item in _objects(value, depth=0):
            if len(found) == MAX_OBJECTS:
                return tuple(found)
            found.append(item)
    return tuple(found)


def kept(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return the leading objects that are small enough to be kept in a page's record."""
    out: list[Item] = []
    room = MAX_KEPT_CHARS
    for item in items:
        if _depth(item) > MAX_DEPTH:
            continue
        room -= len(json.dumps(item))
        if room < 0:
            break
        out.append(item)
    return tuple(out)


def types_of(items: tuple[Item, ...]) -> frozenset[str]:
    """Return the names of the objects' types, those of their parts too."""
    names: set[str] = set()
    for item in items:
        for part in parts_of(item):
            kinds = part.get("@type")
            for kind in kinds if isinstance(kinds, list) else [kinds]:
                if isinstance(kind, str):
                    names.add(kind.rpartition("/")[2])
    return frozenset(names)


def first_text(items: tuple[Item, ...], *keys: str) -> str:
    """Return the longest text under one of the keys in any object."""
    texts = (part[key] for item in items for part in parts_of(item) for key in keys if isinstance(part.get(key), str))
    return max(texts, key=len, default="")


def _objects(value: object, *, depth: int) -> Iterator[Item]:
    if depth > 4:
        return
    if isinstance(value, list):
        for part in value:
            yield from _objects(part, depth=depth + 1)
    elif isinstance(value, dict):
        graph = value.get("@graph")
        if isinstance(graph, list) and "@type" not in value:
            yield from _objects(graph, depth=depth + 1)
        else:
            yield value


def parts_of(item: Item) -> Iterator[Item]:
    """Return the object and the objects within, breadth first and not without end."""
    waiting: list[object] = [item]
    for _ in range(2000):
        if not waiting:
            return
        value = waiting.pop(0)
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value[:200])


def _depth(item: Item) -> int:
    level: list[object] = [item]
    depth = 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        below: list[object] = []
        for value in level:
            below.extend(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
        level = below
    return depth
