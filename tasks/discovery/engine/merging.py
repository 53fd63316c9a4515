"""The same function found twice is one tool: the surer source's, with the other's evidence."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tasks.core.web_address import canonical
from tasks.discovery.tool import FormCall, FormField, PageToolCall, RequestCall, Source, StepsCall, Tool

_MAX_EVIDENCE = 20
_MAX_EXAMPLES = 5
_PLACEHOLDER = re.compile(r"\{[^{}/]*\}|%7B[^/]*?%7D", re.IGNORECASE)
_ORDER = {source: place for place, source in enumerate(Source)}
# What links are found to do is one input of theirs.
_OF_LINKS = frozenset({Source.PAGINATION, Source.SORT, Source.FILTER})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a call ends in, as far as two sources of it agree.

    Args:
        place: method and address without query, or what stands for them where a page is driven.
        names: of what the caller sets, as they are sent.
        fixed: what is always sent with it.
        body: the fixed part of a JSON body.
    """

    place: str
    names: frozenset[str]
    fixed: frozenset[tuple[str, str]]
    body: str = ""

    def is_same(self, other: "Endpoint") -> bool:
        """Whether calls of both do the same."""
        if self.place != other.place or (self.body and other.body and self.body != other.body):
            return False
        mine, theirs = dict(self.fixed), dict(other.fixed)
        if any(mine[name] != theirs[name] for name in mine.keys() & theirs.keys()):
            return False
        if not self.names or not other.names:
            return self.names == other.names and self.fixed == other.fixed
        shared = len(self.names & other.names)
        return shared == min(len(self.names), len(other.names)) or 2 * shared >= len(self.names | other.names)


def merge(tools: Iterable[Tool]) -> list[Tool]:
    """Return one tool for each function, with names that tell them apart, the surest source first."""
    ordered = sorted(tools, key=lambda tool: (_ORDER[tool.source], -tool.prior))
    places: dict[str, list[int]] = {}
    groups: list[tuple[Endpoint, list[Tool]]] = []
    for tool in ordered:
        endpoint = endpoint_of(tool)
        of_place = places.setdefault(endpoint.place, [])
        twin = next(
            (at for at in of_place if groups[at][0].is_same(endpoint) and not _loses(tool, endpoint, groups[at][0])),
            None,
        )
        if twin is None:
            of_place.append(len(groups))
            groups.append((endpoint, [tool]))
        else:
            groups[twin][1].append(tool)
    return with_own_names([_joined(group) for _, group in groups])


def _loses(tool: Tool, found: Endpoint, kept: Endpoint) -> bool:
    """Whether what the tool is for would be lost: a search that takes no page does not give its second one."""
    return tool.source in _OF_LINKS and not kept.names >= found.names.intersection(
        tool.input_schema.get("required", ())
    )


def endpoint_of(tool: Tool) -> Endpoint:
    """Return what the tool's call ends in."""
    call = tool.call
    match call:
        case RequestCall():
            address, query = _address(call.url)
            body = "" if call.body is None else json.dumps(call.body, sort_keys=True)
            names = frozenset(slot.name or slot.pointer or slot.input for slot in call.slots if slot.place != "path")
            return Endpoint(f"{call.method.upper()} {address}", names, frozenset((*query, *call.query)), body)
        case FormCall():
            address, query = _address(call.url)
            if call.method.upper() == "GET":
                query = ()  # replaced by what the form sends
            names = frozenset(field.name for field in call.fields if field.input and field.name)
            kept = ((field.name, field.value) for field in call.fields if _is_fixed(field))
            return Endpoint(f"{call.method.upper()} {address}", names, frozenset((*query, *kept)))
        case PageToolCall():
            return Endpoint(f"page tool {call.tool_name}", frozenset(), frozenset())
        case StepsCall():
            steps = json.dumps([step.model_dump(mode="json") for step in call.steps])
            return Endpoint(f"steps {call.page_url}", frozenset(), frozenset(), steps)


def _is_fixed(field: FormField) -> bool:
    return field.type == "hidden" and not field.input and bool(field.name) and not field.is_token


def _address(url: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    plain = canonical(_PLACEHOLDER.sub("*", url)) or url
    parts = urlsplit(plain)
    return f"{parts.scheme}://{parts.netloc}{parts.path}", tuple(parse_qsl(parts.query, keep_blank_values=True))


def _joined(group: Sequence[Tool]) -> Tool:
    first, *others = group
    if not others:
        return first
    evidence = list(first.evidence)
    for other in others:
        if other.source is not first.source:
            evidence.append(_also(other))
    pages = {tool.found_on for tool in group if tool.source is first.source}
    if len(pages) > 1:
        evidence.append(f"on {len(pages)} pages that were looked at")
    examples: list[dict[str, Any]] = []
    for tool in group:
        examples += [example for example in tool.examples if example not in examples]
    changes: dict[str, Any] = {
        "evidence": tuple(dict.fromkeys(evidence))[:_MAX_EVIDENCE],
        "examples": tuple(examples[:_MAX_EXAMPLES]),
    }
    for name in ("title", "description", "purpose", "output_schema"):
        if not getattr(first, name):
            changes[name] = next((value for other in others if (value := getattr(other, name))), getattr(first, name))
    return first.model_copy(update=changes)


def _also(other: Tool) -> str:
    seen = f": {other.evidence[0]}" if other.evidence else ""
    return f"also found as {other.source.value} on {other.found_on}{seen}"[:500]


def with_own_names(tools: Sequence[Tool]) -> list[Tool]:
    """Return the tools, each with a name that no earlier one has: the end of its path, else a number, is added."""
    taken: set[str] = set()
    named = []
    for tool in tools:
        name = next(name for name in _names(tool) if name not in taken)
        taken.add(name)
        named.append(tool if name == tool.name else tool.model_copy(update={"name": name}))
    return named


def _names(tool: Tool) -> Iterable[str]:
    yield tool.name
    url = getattr(tool.call, "url", "") or tool.found_on
    words = [part for part in re.split(r"[^A-Za-z0-9]+", urlsplit(_PLACEHOLDER.sub("", url)).path) if part]
    if words:
        ending = words[-1].lower()[:30]
        yield f"{tool.name[: 99 - len(ending)]}_{ending}"
    number = 2
    while True:
        yield f"{tool.name[: 99 - len(str(number))]}_{number}"
        number += 1
