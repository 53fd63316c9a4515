"""Lists of an API whose inputs no page names: asked for under their usual names, kept where the answer shows them.

An input counts only if the list does what its name says: two are left out at the start, one is left, those with a word
are left, the order turns. What merely answers counts for nothing.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from tasks.discovery.engine.effects import effect_of
from tasks.discovery.engine.json_records import Record, find_json_records
from tasks.discovery.engine.names import Names
from tasks.discovery.engine.schema import DIALECT, MAX_DESCRIPTION_CHARS, tool_name
from tasks.discovery.engine.site import Site
from tasks.discovery.engine.sources.addresses import address_of, list_name
from tasks.discovery.tool import Effect, JSONSchema, Place, RequestCall, Slot, Source, Tool

# Each input of a list costs a request or two.
MAX_LISTS = 2
MAX_REQUESTS = 30
_ENOUGH = 4
_PRIOR = 0.9
_NONSENSE = "zqxvkwjyq"
_MAX_WORD_CHARS = 200
_MAX_ORDERS = 4
_API_PATH = re.compile(r"(^|/)(api|rest|v\d+(\.\d+)?)(/|$)", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{4,20}")
_OFFSETS, _PAGES = ("offset", "start", "skip"), ("page",)
_LIMITS = ("limit", "per_page", "page_size", "size")
_SEARCHES = ("search", "q", "query")
_ORDERS = ("order", "ordering", "sort", "order_by", "sort_by")


@dataclass(slots=True)
class _List:
    """A list while it is being asked. ``inputs`` has the rules of each input that showed itself."""

    url: str
    fetch: Callable[[str], list[Record] | None]
    items: list[Record]
    left: int = MAX_REQUESTS
    inputs: dict[str, JSONSchema] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, **values: Any) -> list[Record] | None:
        """Return the items with these parameters; None where the site refuses, or enough was asked."""
        if self.left <= 0:
            return None
        self.left -= 1
        return self.fetch(f"{self.url}?{urlencode(values)}")

    def keep(self, name: str, rules: JSONSchema, example: Any, seen: str) -> None:
        """Note an input."""
        self.inputs[name] = rules
        self.examples.append({name: example})
        self.seen.append(f"Asked with {name}={example}, {seen}.")


def find_tools(site: Site) -> list[Tool]:
    """Return a tool for each list of the site's API that takes an input; none where the site may not be explored."""
    if site.post_json is None:
        return []
    names = Names()
    tools = []
    for url, found_on in list(_addresses(site))[:MAX_LISTS]:
        items = _items(site, url)
        if len(items or []) >= _ENOUGH:
            asked = _List(url, lambda address: _items(site, address), items or [])
            for find in (_find_start, _find_limit, _find_words, _find_order, _find_values):
                find(asked)
            if asked.inputs:
                tools.append(_tool(site, asked, found_on=found_on, names=names))
    return tools


def _addresses(site: Site) -> Iterator[tuple[str, str]]:
    """Yield the addresses of what may be lists: pages of an API, and what scripts were answered."""
    seen = set()
    pages = [(snapshot.page.url, snapshot.page.url) for snapshot in site.snapshots]
    asked = [
        (one.url, snapshot.page.url)
        for snapshot in site.snapshots
        for one in snapshot.exchanges
        if one.method == "GET" and one.is_sent and "json" in one.media_type
    ]
    for url, found_on in (*pages, *asked):
        address = address_of(url)
        if address is None or address.origin != site.origin or address.path in seen:
            continue
        is_item = re.search(r"\d", address.path.rstrip("/").rpartition("/")[2]) is not None
        if _API_PATH.search(address.path) and not is_item and effect_of("GET", address.path) is Effect.READ:
            seen.add(address.path)
            yield f"{address.origin}{address.path}", found_on


def _items(site: Site, url: str) -> list[Record] | None:
    document = site.fetch(url, accept="application/json")
    if document is None or document.status >= 400 or "json" not in document.media_type:
        return None
    try:
        return find_json_records(json.loads(document.text))
    except (ValueError, RecursionError):
        return None


def _find_start(asked: _List) -> None:
    """Find what begins the list later: by items, or by pages."""
    items = asked.items
    for name in _OFFSETS:
        found = asked.ask(**{name: 2})
        if found and found[0] == items[2]:
            rules = {"type": "integer", "minimum": 0, "default": 0, "description": "How many items to skip"}
            return asked.keep(name, rules, 2, "the list begins two items later")
    for name in _PAGES:
        found = asked.ask(**{name: 2})
        if found and not any(one in items for one in found):
            rules = {"type": "integer", "minimum": 1, "default": 1, "description": "Number of the page"}
            return asked.keep(name, rules, 2, "no item is the same")
    return None


def _find_limit(asked: _List) -> None:
    for name in _LIMITS:
        if asked.ask(**{name: 1}) == asked.items[:1]:
            rules = {"type": "integer", "minimum": 1, "description": "How many items to return at most"}
            return asked.keep(name, rules, 1, "one item is left")
    return None


def _find_words(asked: _List) -> None:
    """Find what is searched with: a word of an item's own leaves fewer, and one that nobody has leaves none."""
    word = _word(asked.items)
    for name in _SEARCHES if word else ():
        found = asked.ask(**{name: word})
        if found and len(found) < len(asked.items) and asked.ask(**{name: _NONSENSE}) == []:
            rules = {"type": "string", "maxLength": _MAX_WORD_CHARS, "description": "What the list is searched for"}
            asked.keep(name, rules, word, f"{len(found)} of {len(asked.items)} items are left, of nonsense none")
            # A tool is tried with its first example: this is the one that tells most.
            asked.examples.insert(0, asked.examples.pop())
            return


def _find_order(asked: _List) -> None:
    fields = [name for name, values in _columns(asked.items) if len(set(map(str, values))) == len(values)]
    for name in _ORDERS:
        kept: list[str] = []
        for column in fields[:_MAX_ORDERS]:
            if _turns(asked, name, column):
                kept += [column, f"-{column}"]
            elif not kept:
                break
        if kept:
            rules = {"type": "string", "enum": kept, "description": "The order; with a minus the other way round"}
            return asked.keep(name, rules, kept[1], "the items stand in that order")
    return None


def _turns(asked: _List, name: str, column: str) -> bool:
    rising = asked.ask(**{name: column})
    falling = asked.ask(**{name: f"-{column}"}) if rising else None
    if not rising or not falling or rising == falling:
        return False
    up, down = ([one.get(column) for one in found] for found in (rising, falling))
    # Databases order capitals before small letters, or do not tell them apart.
    return any(up == sorted(up, key=key) and down == sorted(down, key=key, reverse=True) for key in (_plain, _folded))


def _find_values(asked: _List) -> None:
    """Find the columns by whose values the list is filtered: those in which several items agree and others do not."""
    for column, values in _columns(asked.items, also_inner=True):
        choices = sorted({str(value) for value in values})
        if column in asked.inputs or not 1 < len(choices) < len(values) or not all(map(_is_text, values)):
            continue
        rarest = min(choices, key=values.count)
        found = asked.ask(**{column: rarest})
        of_found = [value for name, each in _columns(found or [], also_inner=True) if name == column for value in each]
        if found and set(of_found) == {rarest} and found != asked.items:
            rules = {"type": "string", "examples": choices[:10], "description": f"Only those of this {column}"}
            asked.keep(column, rules, rarest, f"{len(found)} items are left, and all have it")


def _columns(items: list[Record], *, also_inner: bool = False) -> list[tuple[str, list[Any]]]:
    """Return the members that all items have, with their plain values; those of inner objects where they are new."""
    found: dict[str, list[Any]] = {}
    rows = [_flat(item) if also_inner else item for item in items]
    for name in rows[0] if rows else ():
        values = [row.get(name) for row in rows]
        if all(isinstance(value, str | int | float) and not isinstance(value, bool) for value in values):
            found[name] = values
    return list(found.items())


def _flat(item: Record) -> Record:
    inner = {name: value for each in item.values() if isinstance(each, dict) for name, value in each.items()}
    return {**inner, **item}


def _word(items: list[Record]) -> str:
    """Return a word that is in the words of the fewest items, that of the last item first."""
    said = [" ".join(str(value) for value in item.values() if _is_text(value)).casefold() for item in items]
    words = {word for text in reversed(said) for word in _WORD.findall(text)}
    return min(sorted(words), key=lambda word: sum(word in text for text in said), default="")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_WORD_CHARS and "://" not in value


def _plain(value: Any) -> tuple[float, str]:
    return (float(value), "") if isinstance(value, int | float) else (0.0, str(value))


def _folded(value: Any) -> tuple[float, str]:
    number, text = _plain(value)
    return number, text.casefold()


def _tool(site: Site, asked: _List, *, found_on: str, names: Names) -> Tool:
    path = urlsplit(asked.url).path
    called = list_name(path, title="items")
    title = f"Find {called}" if any(name in _SEARCHES for name in asked.inputs) else f"Browse {called}"
    return Tool(
        name=names.take(tool_name(title, fallback="find")),
        title=title[:200],
        description=f"{title} by {', '.join(asked.inputs)}, as JSON from {path}."[:MAX_DESCRIPTION_CHARS],
        site=site.origin,
        found_on=found_on,
        source=Source.LIST,
        purpose="list",
        is_idempotent=True,
        call=RequestCall(
            url=asked.url, slots=tuple(Slot(input=name, place=Place.QUERY, name=name) for name in asked.inputs)
        ),
        input_schema={
            "$schema": DIALECT,
            "type": "object",
            "properties": asked.inputs,
            "additionalProperties": False,
        },
        prior=_PRIOR,
        evidence=tuple(asked.seen),
        examples=tuple(asked.examples[:5]),
    )
