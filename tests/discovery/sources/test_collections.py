"""Lists of an API whose inputs no page names: what shows itself in the answers becomes an input, nothing else does."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.site import Document, Site, Snapshot
from tasks.discovery.engine.sources.collections import MAX_REQUESTS, find_tools

Knows = dict[str, Callable[[list[Any], str], list[Any]]]

ORIGIN = "https://notes.example"
ITEMS = [
    {"id": number, "title": title, "meta": {"type": kind}}
    for number, (title, kind) in enumerate(
        [("Dracula", "post"), ("Kidnapped", "post"), ("About", "page"), ("Emma", "post"), ("Legal", "page")], start=1
    )
]


class API:
    """Answers ``/api/notes`` by the parameters that it knows; strict ones refuse others."""

    def __init__(self, knows: Knows, *, is_strict: bool = False) -> None:
        self.knows, self.is_strict = knows, is_strict
        self.asked: list[str] = []

    def __call__(self, url: str, *, accept: str = "*/*") -> Document:
        self.asked.append(url)
        items: list[Any] = list(ITEMS)
        for name, value in parse_qsl(urlsplit(url).query):
            if name in self.knows:
                items = self.knows[name](items, value)
            elif self.is_strict:
                return Document(url, 400, "application/json", '{"message": "unknown parameter"}')
        return Document(url, 200, "application/json", json.dumps({"total": len(ITEMS), "items": items}))


def site(api: API, path: str = "/api/notes", *, may_explore: bool = True) -> Site:
    def post(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing is posted")

    page = read_page("<h1>Notes</h1>", url=ORIGIN + path)
    return Site(ORIGIN, (Snapshot(page=page, html=""),), api, post if may_explore else None)


def ordered(items: list[Any], by: str) -> list[Any]:
    key = by.removeprefix("-")
    return sorted(items, key=lambda one: one[key], reverse=by.startswith("-")) if key in items[0] else items


EVERYTHING: Knows = {
    "offset": lambda items, value: items[int(value) :],
    "limit": lambda items, value: items[: int(value)],
    "search": lambda items, value: [one for one in items if value.lower() in one["title"].lower()],
    "order": ordered,
    "type": lambda items, value: [one for one in items if one["meta"]["type"] == value],
}


def test_inputs_that_do_what_they_are_called_are_found() -> None:
    """Also where the site refuses what it does not know; the evidence says what was seen."""
    for is_strict in (False, True):
        (tool,) = find_tools(site(API(EVERYTHING, is_strict=is_strict)))
        assert set(EVERYTHING) == set(tool.input_schema["properties"]), is_strict
        assert ["id", "-id", "title", "-title"] == tool.input_schema["properties"]["order"]["enum"]
        assert ["page", "post"] == tool.input_schema["properties"]["type"]["examples"]
        assert f"{ORIGIN}/api/notes" == getattr(tool.call, "url", "")
        assert ["search"] == list(tool.examples[0])
        assert any("two items later" in line for line in tool.evidence)


def test_a_list_that_only_answers_has_no_inputs() -> None:
    """Every address answers the same; the requests are bounded."""
    api = API({})
    assert [] == find_tools(site(api))
    assert 1 < len(api.asked) <= MAX_REQUESTS + 1


def test_what_does_something_else_is_no_input() -> None:
    """A search that finds everything, an offset that starts anew, an order that never turns."""
    api = API(
        {
            "offset": lambda items, _: items,
            "search": lambda items, _: items[:2],
            "order": lambda items, _: sorted(items, key=lambda one: one["id"]),
            "page": lambda items, value: items[1:] if value == "2" else items,
        }
    )
    assert [] == find_tools(site(api))


def test_only_lists_of_an_api_are_asked_and_only_where_that_is_allowed() -> None:
    """Pages of the site, single things and sites that may not be explored are left alone."""
    for path, may_explore in (("/notes", True), ("/api/notes/7", True), ("/api/delete", True), ("/api/notes", False)):
        api = API(EVERYTHING)
        assert [] == find_tools(site(api, path, may_explore=may_explore)), path
        assert [] == api.asked, path
