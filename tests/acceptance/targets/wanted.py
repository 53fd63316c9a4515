"""The tools that a person would want from a target, and whether a found tool is one of them: see README.md."""

import re
import tomllib
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

Does = Literal[
    "search", "filter", "sort", "page", "open", "list", "sign-in", "sign-out", "create", "change", "delete", "download",
    "call",
]  # fmt: skip
Effect = Literal["reads", "writes", "destroys"]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

_LISTS = Path(__file__).parent / "lists"
_PLACEHOLDER = re.compile(r"\{[^{}/]*\}")


class BadList(ValueError):
    """A list breaks its format; the message names the file, the entry and the field."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a tool may end in: `path` has `{name}` where a value goes, and `*` where either may stand."""

    method: Method
    path: str
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """The document that says that the software can do this."""

    title: str
    section: str
    url: str


@dataclass(frozen=True, slots=True)
class Example:
    """How the list itself is proven: the first request, sent with these values, answers so."""

    path: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    shows: str = ""
    hides: str = ""
    send: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """One tool that a person would want."""

    id: str
    want: str
    page: str
    does: Does
    requests: tuple[Request, ...]
    effects: tuple[Effect, ...]
    sign_in: bool
    source: Source
    example: Example


def wanted(target: str) -> tuple[Wanted, ...]:
    """Read a target's list.

    Raises:
        BadList: it breaks its format.
        FileNotFoundError: the target has no list.
    """
    path = _LISTS / f"{target}.toml"
    return parse(path.read_text(encoding="utf-8"), name=path.name)


def parse(text: str, *, name: str) -> tuple[Wanted, ...]:
    """Read a list from its text; `name` is for messages.

    Raises:
        BadList: it breaks its format.
    """
    document = tomllib.loads(text)
    where = _Where(name)
    where.check(set(document) == {"sources", "wanted"}, "needs the tables sources and wanted, and no other")
    sources = {key: _source(entry, where.at(key)) for key, entry in document["sources"].items()}
    found = tuple(_wanted(entry, sources, where.at(str(entry.get("id")))) for entry in document["wanted"])
    ids = [entry.id for entry in found]
    where.check(len(set(ids)) == len(ids), "has an id twice")
    return found


def matches(wanted: Wanted, tool: Mapping[str, Any]) -> bool:
    """Tell whether a found tool is the wanted one.

    Args:
        tool: `method`; `url`, or instead of it `path`, either with `{name}` where an argument goes; `inputs`, the
            names of its arguments outside of the path; `effect`.
    Raises:
        KeyError: one of them is missing.
    """
    path = _normal(str(tool["path"]) if "path" in tool else urlsplit(str(tool["url"])).path)
    method, inputs, effect = str(tool["method"]).upper(), set(tool["inputs"]), tool["effect"]
    return effect in wanted.effects and any(
        request.method == method and _covers(request.path, path) and inputs.issuperset(request.inputs)
        for request in wanted.requests
    )


def _covers(pattern: str, path: str) -> bool:
    parts = re.escape(_normal(pattern)).replace(r"\*", r"[^/]+")
    return re.fullmatch(parts, path) is not None


def _normal(path: str) -> str:
    # What a placeholder is called says nothing; nor does a slash at the end.
    return _PLACEHOLDER.sub("{}", unquote(path)).rstrip("/") or "/"


@dataclass(frozen=True, slots=True)
class _Where:
    """A place in a list, for messages."""

    name: str

    def at(self, part: str) -> "_Where":
        return _Where(f"{self.name}: {part}")

    def check(self, holds: bool, message: str) -> None:
        if not holds:
            raise BadList(f"{self.name}: {message}")

    def table(self, value: object, *, required: Set[str], optional: Set[str] = frozenset()) -> dict[str, Any]:
        self.check(isinstance(value, dict), "is no table")
        assert isinstance(value, dict)
        missing, surplus = required - set(value), set(value) - required - optional
        self.check(not missing, f"lacks {sorted(missing)}")
        self.check(not surplus, f"has {sorted(surplus)}, which mean nothing")
        return value

    def text(self, value: object) -> str:
        self.check(isinstance(value, str) and value.strip() == value != "", f"{value!r} is no text")
        return str(value)

    def path(self, value: object) -> str:
        self.check(isinstance(value, str) and value.startswith("/") and "?" not in value, f"{value!r} is no path")
        return str(value)

    def choice(self, value: object, choices: object) -> Any:
        self.check(value in get_args(choices), f"{value!r} is none of {get_args(choices)}")
        return value

    def some(self, value: object) -> list[Any]:
        self.check(isinstance(value, list) and len(value) > 0, f"{value!r} is no list with entries")
        assert isinstance(value, list)
        return value


def _source(entry: object, where: _Where) -> Source:
    table = where.table(entry, required={"title", "section", "url"})
    where.check(str(table["url"]).startswith("https://"), "url is not https")
    return Source(**{key: where.text(value) for key, value in table.items()})


def _wanted(entry: object, sources: Mapping[str, Source], where: _Where) -> Wanted:
    required = {"id", "want", "page", "does", "requests", "effects", "sign_in", "source"}
    table = where.table(entry, required=required, optional={"example"})
    where.check(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", where.text(table["id"])) is not None, "id is not in kebab-case")
    where.check(table["source"] in sources, f"source {table['source']!r} is not among the sources")
    where.check(isinstance(table["sign_in"], bool), "sign_in is neither true nor false")
    requests = tuple(_request(request, where.at("requests")) for request in where.some(table["requests"]))
    return Wanted(
        id=table["id"],
        want=where.text(table["want"]),
        page=where.path(table["page"]),
        does=where.choice(table["does"], Does),
        requests=requests,
        effects=tuple(where.choice(effect, Effect) for effect in where.some(table["effects"])),
        sign_in=table["sign_in"],
        source=sources[table["source"]],
        example=_example(table.get("example", {}), requests[0], where.at("example")),
    )


def _request(entry: object, where: _Where) -> Request:
    table = where.table(entry, required={"method", "path"}, optional={"inputs"})
    inputs = tuple(where.text(name) for name in table.get("inputs", []))
    where.check(len(set(inputs)) == len(inputs), "has an input twice")
    return Request(where.choice(table["method"], Method), where.path(table["path"]), inputs)


def _example(entry: object, request: Request, where: _Where) -> Example:
    names = {"path", "values", "status", "shows", "hides", "send"}
    example = Example(**where.table(entry, required=set(), optional=names))
    where.check(isinstance(example.path, dict) and isinstance(example.values, dict), "path and values are no tables")
    where.check(isinstance(example.status, int) and isinstance(example.send, bool), "status or send is of a wrong type")
    if example.send:
        holes = {hole[1:-1] for hole in _PLACEHOLDER.findall(request.path)} | ({"*"} if "*" in request.path else set())
        where.check(set(example.path) == holes, f"path needs {sorted(holes)}")
        lacking = set(request.inputs) - set(example.values)
        where.check(not lacking, f"values lack {sorted(lacking)}")
    return example
