"""The lists' format is kept, and the matching rule is the one of the README."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.acceptance.targets.starting import NAMES
from tests.acceptance.targets.wanted import BadList, Wanted, matches, parse, wanted

SOURCES = '[sources]\ndocs = { title = "Manual", section = "Books", url = "https://example.org/" }\n'
ENTRY = """
[[wanted]]
id = "search-books"
want = "Search the books."
page = "/books/"
does = "search"
requests = [{ method = "GET", path = "/books/", inputs = ["q"] }, { method = "GET", path = "/api/books.json", inputs = ["term"] }]
effects = ["reads"]
sign_in = false
source = "docs"
example = { values = { q = "x" } }
"""  # noqa: E501  # a line of TOML
FOUND = {"method": "GET", "url": "http://127.0.0.1:8000/books/?q=emma", "inputs": ["q", "page"], "effect": "reads"}


def entry(changes: Mapping[str, str] | None = None) -> Wanted:
    text = ENTRY
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    (found,) = parse(SOURCES + text, name="books.toml")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_target_has_a_list(name: str) -> None:
    """Six to twenty-five tools each, with something that reads and something that does more."""
    found = wanted(name)
    assert 6 <= len(found) <= 25
    assert {"reads"} < {effect for one in found for effect in one.effects}


@pytest.mark.parametrize("name", NAMES)
def test_a_list_finds_itself(name: str) -> None:
    """A tool that is just what an entry asks for is the wanted one, by each of the entry's requests."""
    for one in wanted(name):
        for request in one.requests:
            tool = {"method": request.method, "path": request.path.replace("*", "some"), "inputs": request.inputs}
            assert all(matches(one, {**tool, "effect": effect}) for effect in one.effects)


@pytest.mark.parametrize(
    "tool",
    [
        FOUND,
        FOUND | {"method": "get"},
        FOUND | {"url": "http://127.0.0.1:8000/books"},
        FOUND | {"path": "/books/", "url": "http://127.0.0.1:8000/elsewhere"},
        FOUND | {"url": "http://127.0.0.1:8000/b%6Foks/"},
        FOUND | {"url": "/api/books.json", "inputs": ["term"]},
    ],
)
def test_the_wanted_tool_is_recognised(tool: Mapping[str, Any]) -> None:
    """By either request, however the address is written, with more inputs than asked for."""
    assert matches(entry(), tool)


@pytest.mark.parametrize(
    "tool",
    [
        FOUND | {"method": "POST"},
        FOUND | {"inputs": ["query"]},
        FOUND | {"inputs": []},
        FOUND | {"inputs": ["term"]},
        FOUND | {"effect": "writes"},
        FOUND | {"url": "http://127.0.0.1:8000/books/3/"},
        FOUND | {"path": "/{table}/"},
        FOUND | {"path": "/old/books/"},
        FOUND | {"path": "/api/booksXjson", "inputs": ["term"]},
    ],
)
def test_a_nearly_right_tool_is_another(tool: Mapping[str, Any]) -> None:
    """Another method, input, effect or path, or a path that is wider or narrower."""
    assert not matches(entry(), tool)


@pytest.mark.parametrize(
    ("pattern", "path", "is_wanted"),
    [
        ("/books/{id}/change/", "/books/{object_id}/change/", True),
        ("/books/{id}.json", "/books/{number}.json", True),
        ("/books/{id}/change/", "/books/3/change/", False),
        ("/books/{id}/change/", "/books/{id}/delete/", False),
        ("/books/{id}/", "/books/{shelf}/{id}/", False),
        ("/worker/*", "/worker/desk@library", True),
        ("/worker/*", "/worker/{workername}", True),
        ("/worker/*", "/worker/a/b", False),
        ("/worker/*", "/worker/", False),
        ("/", "/", True),
        ("/", "/books", False),
    ],
)
def test_placeholders_and_stars(pattern: str, path: str, is_wanted: bool) -> None:
    """A placeholder wants a placeholder, a star takes either, both one segment."""
    one = entry({'path = "/books/"': f'path = "{pattern}"', "example = { values": "example = { send = false, values"})
    assert is_wanted == matches(one, {"method": "GET", "path": path, "inputs": ["q"], "effect": "reads"})


@pytest.mark.parametrize("missing", ["method", "url", "inputs", "effect"])
def test_a_description_must_be_whole(missing: str) -> None:
    """A caller that forgets a part has no right to an answer."""
    with pytest.raises(KeyError):
        matches(entry(), {key: value for key, value in FOUND.items() if key != missing})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({'id = "search-books"': 'id = "Search books"'}, "search-books|kebab-case"),
        ({'want = "Search the books."\n': ""}, "lacks ['want']"),
        ({"sign_in = false": 'sign_in = "no"'}, "sign_in is neither true nor false"),
        ({"sign_in = false": "sign_in = false\nnote = 1"}, "has ['note'], which mean nothing"),
        ({'does = "search"': 'does = "browse"'}, "'browse' is none of"),
        ({'method = "GET", path = "/books/"': 'method = "HEAD", path = "/books/"'}, "'HEAD' is none of"),
        ({'effects = ["reads"]': "effects = []"}, "[] is no list with entries"),
        ({'effects = ["reads"]': 'effects = ["harms"]'}, "'harms' is none of"),
        ({'page = "/books/"': 'page = "books"'}, "'books' is no path"),
        ({'path = "/books/"': 'path = "/books/?q="'}, "'/books/?q=' is no path"),
        ({'source = "docs"': 'source = "blog"'}, "source 'blog' is not among the sources"),
        ({'inputs = ["q"]': 'inputs = ["q", "q"]'}, "has an input twice"),
        ({'values = { q = "x" }': "values = {}"}, "values lack ['q']"),
        ({'path = "/books/"': 'path = "/books/{id}/"'}, "path needs ['id']"),
        ({"example = { values": 'example = { status = "200", values'}, "status or send is of a wrong type"),
    ],
)
def test_a_bad_list_is_refused(changes: Mapping[str, str], message: str) -> None:
    """The message names the file and what is wrong."""
    expected = "|".join(re.escape(part) for part in message.split("|"))
    with pytest.raises(BadList, match=rf"^books\.toml.*({expected})"):
        entry(changes)


def test_an_id_is_used_once() -> None:
    """Two entries of one name could not be told apart in a report."""
    with pytest.raises(BadList, match="has an id twice"):
        parse(SOURCES + ENTRY + ENTRY, name="books.toml")


def test_a_source_has_an_address() -> None:
    """Somebody must be able to look it up."""
    with pytest.raises(BadList, match=r"books\.toml: docs: url is not https"):
        parse(SOURCES.replace("https", "http") + ENTRY, name="books.toml")
