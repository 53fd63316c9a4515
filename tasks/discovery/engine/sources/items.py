"""Tools that open one thing of many: links whose addresses differ in one value, in the path or in the query."""

import re
from collections import defaultdict
from dataclasses import dataclass, field

from tasks.discovery.engine.effects import effect_of
from tasks.discovery.engine.endpoint_inputs import singular
from tasks.discovery.engine.inference import text_schema
from tasks.discovery.engine.names import Names
from tasks.discovery.engine.page import Link, Page
from tasks.discovery.engine.schema import DIALECT, MAX_DESCRIPTION_CHARS
from tasks.discovery.engine.site import Site
from tasks.discovery.engine.sources.addresses import address_of, list_name, told_fixed
from tasks.discovery.engine.sources.templates import Template, templates
from tasks.discovery.tool import Effect, JSONSchema, Place, RequestCall, Slot, Source, Tool

MAX_TOOLS = 60
_MAX_VALUES = 50
_MAX_VALUE_CHARS = 200
_ENOUGH_OF_QUERY = 2
# Values that are addresses or queries say where a visitor came from.
_WHERE_FROM = re.compile(r"^(https?:/)?/|=")
_MANY = 5
_MANY_PRIOR, _FEW_PRIOR = 0.75, 0.6


def find_tools(site: Site) -> list[Tool]:
    """Return what opens one thing by a part of its path, then what does by a parameter."""
    names = Names()
    pages = [snapshot.page for snapshot in site.snapshots if snapshot.status < 400]
    by_path = [_by_path(site, template, names) for template in templates(site.origin, pages)]
    by_query = [_by_query(site, one, names) for one in _queries(site, pages)]
    return [tool for tool in (*by_path, *by_query) if tool][:MAX_TOOLS]


def _by_path(site: Site, template: Template, names: Names) -> Tool | None:
    thing = singular(list_name("/".join(template.before), title="")) or "item"
    does = " ".join(template.after).replace("-", " ").replace("_", " ")
    if effect_of("GET", *template.before, *template.after) is not Effect.READ or not template.values:
        return None
    title = f"Open {_spoken(thing)}{f': {does}' if does else ''}"
    example = ", ".join(text for text in template.texts[:3] if text)
    path = template.path("id")
    return Tool(
        name=names.take(f"open_{thing}{f'_{does}' if does else ''}".replace(" ", "_")),
        title=title[:200],
        description=f"The page {path} of one {_spoken(thing)}{f', such as {example}' if example else ''}."[
            :MAX_DESCRIPTION_CHARS
        ],
        site=site.origin,
        found_on=template.page.url,
        source=Source.ITEM,
        purpose="open",
        is_idempotent=True,
        call=RequestCall(url=f"{template.origin}{path}", slots=(Slot(input="id", place=Place.PATH, name="id"),)),
        input_schema=_schema("id", template.values, f"Which {_spoken(thing)}, as links to it say"),
        prior=_MANY_PRIOR if len(template.values) >= _MANY else _FEW_PRIOR,
        evidence=(f"{len(template.values)} links differ in one part of {path} alone.",),
        examples=tuple({"id": value} for value in _typed(template.values)[:3]),
    )


@dataclass(slots=True)
class _Query:
    """A path and a parameter, with the values that links give it. ``rest`` are the other parameters."""

    path: str
    name: str
    rest: tuple[tuple[str, str], ...]
    page: Page
    values: dict[str, str] = field(default_factory=dict)


def _queries(site: Site, pages: list[Page]) -> list[_Query]:
    found: dict[tuple[str, str], dict[tuple[tuple[str, str], ...], _Query]] = defaultdict(dict)
    of_one = templates(site.origin, pages)
    for page in pages:
        for link in page.links:
            address = address_of(link.href)
            if address is None or address.origin != site.origin or _is_unsafe(link, address.path):
                continue
            for name, value in address.query:
                if _WHERE_FROM.search(value) or any(one.value_in(address.path) is not None for one in of_one):
                    continue
                rest = tuple(sorted(address.without(name)))
                one = found[address.path, name].setdefault(rest, _Query(address.path, name, rest, page))
                if value and len(value) <= _MAX_VALUE_CHARS and len(one.values) < _MAX_VALUES:
                    one.values.setdefault(value, link.text or link.label)
    best = [max(apart.values(), key=lambda one: (len(one.values), -len(one.rest))) for apart in found.values()]
    return [one for one in best if len(one.values) >= _ENOUGH_OF_QUERY and len(one.rest) <= 1]


def _is_unsafe(link: Link, path: str) -> bool:
    return effect_of("GET", link.text or link.label, path) is not Effect.READ


def _by_query(site: Site, one: _Query, names: Names) -> Tool | None:
    if effect_of("GET", one.path, one.name, *(pair for fixed in one.rest for pair in fixed)) is not Effect.READ:
        return None
    called = list_name(one.path, title=one.page.title)
    by = one.name.strip("_").replace("_", " ")
    shown = ", ".join(text for text in one.values.values() if text)[:200]
    return Tool(
        name=names.take(f"{called}_by_{by}".replace(" ", "_").lower()),
        title=f"{called.capitalize()} by {by}"[:200],
        description=f"{one.path} for one value of {one.name}{f', such as {shown}' if shown else ''}."
        f"{told_fixed(one.rest)}"[:MAX_DESCRIPTION_CHARS],
        site=site.origin,
        found_on=one.page.url,
        source=Source.ITEM,
        purpose="open",
        is_idempotent=True,
        call=RequestCall(
            url=f"{site.origin}{one.path}",
            query=one.rest,
            slots=(Slot(input=one.name, place=Place.QUERY, name=one.name),),
        ),
        input_schema=_schema(one.name, list(one.values), "As links of the site have it"),
        prior=_MANY_PRIOR if len(one.values) >= _MANY else _FEW_PRIOR,
        evidence=(f"{len(one.values)} links differ in {one.name} alone.",),
        examples=tuple({one.name: value} for value in _typed(list(one.values))[:3]),
    )


def _schema(name: str, values: list[str], description: str) -> JSONSchema:
    rules = {**text_schema(values), "description": description}
    if rules.get("type") == "string":
        rules |= {"minLength": 1, "maxLength": _MAX_VALUE_CHARS}
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": {name: rules},
        "required": [name],
        "additionalProperties": False,
    }


def _typed(values: list[str]) -> list[str | int]:
    return [int(value) for value in values] if text_schema(values).get("type") == "integer" else list(values)


def _spoken(name: str) -> str:
    return name.replace("_", " ").replace("-", " ")
