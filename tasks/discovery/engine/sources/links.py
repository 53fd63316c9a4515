"""Tools from links: other pages of a list, its orders, its filters. Each is an address with a part left open."""

import re
from collections.abc import Iterable
from typing import Any

from tasks.discovery.engine.effects import effect_of
from tasks.discovery.engine.names import Names
from tasks.discovery.engine.page import Page
from tasks.discovery.engine.schema import DIALECT, MAX_DESCRIPTION_CHARS, tool_name
from tasks.discovery.engine.site import Site
from tasks.discovery.engine.sources.addresses import Query, asked_in, list_name, told_fixed
from tasks.discovery.engine.sources.choices import Choice, choices
from tasks.discovery.engine.sources.paging import PLACEHOLDER, Counter, counters
from tasks.discovery.tool import Effect, JSONSchema, Place, RequestCall, Slot, Source, Tool

# Of each source; a site has more lists than anybody asks for.
MAX_TOOLS = 40
_MAX_CURSOR_CHARS = 2000
_MAX_ASKED_CHARS = 200
# How sure an order or a filter is: links differ in one parameter, whose name or place says what it is for.
_SORT_PRIOR = 0.9
_FILTER_PRIOR = 0.7
_LONE_PRIOR = 0.5

# How some frameworks spell a comparison.
_LOOKUP = re.compile(r"(_+id)?_+(exact|in|isnull|contains)$")

_Key = tuple[str, str, Query]


def find_tools(site: Site) -> list[Tool]:
    """Return the tools that the links between a site's pages make: pagination, then orders, then filters."""
    names = Names()
    paging: dict[_Key, tuple[Counter, Page]] = {}
    choosing: dict[_Key, Choice] = {}
    for snapshot in site.snapshots:
        page = snapshot.page
        found = [counter for counter in counters(page) if counter.origin == site.origin]
        for counter in found[:1]:
            _join_counter(paging, counter, page)
        counting = frozenset(counter.name for counter in found if counter.name)
        for choice in choices(page, paging=counting):
            if choice.origin == site.origin:
                _join_choice(choosing, choice)
    pages = [_page_tool(site, counter, page, names) for counter, page in paging.values()]
    sorts = [_choice_tool(site, choice, names) for choice in choosing.values() if choice.is_sort]
    filters = [_choice_tool(site, choice, names) for choice in choosing.values() if not choice.is_sort]
    return [
        *filter(None, pages[:MAX_TOOLS]),
        *[tool for tool in sorts if tool][:MAX_TOOLS],
        *[tool for tool in filters if tool][:MAX_TOOLS],
    ]


def _join_counter(known: dict[_Key, tuple[Counter, Page]], counter: Counter, page: Page) -> None:
    rest = tuple(pair for pair in counter.rest if pair[0] not in asked_in(counter.rest))
    first, _ = known.setdefault((counter.path, counter.name, tuple(sorted(rest))), (counter, page))
    if first is not counter and sorted(first.rest) == sorted(counter.rest):
        first.signs += counter.signs


def _join_choice(known: dict[_Key, Choice], choice: Choice) -> None:
    rest = tuple(pair for pair in choice.rest if pair[0] not in asked_in(choice.rest))
    first = known.setdefault((choice.path, choice.name, tuple(sorted(rest))), choice)
    if first is not choice:
        first.titles = {**choice.titles, **first.titles}
        for name, values in choice.directions.items():
            first.directions[name] |= values


def _page_tool(site: Site, counter: Counter, page: Page, names: Names) -> Tool | None:
    called = list_name(counter.path.partition(PLACEHOLDER)[0] if not counter.name else counter.path, title=page.title)
    name = counter.name or "page"
    rules, examples, says = _cursor(counter) if counter.is_cursor else _numbers(counter)
    if effect_of("GET", counter.path, *(pair for fixed in counter.rest for pair in fixed)) is not Effect.READ:
        return None
    place = (
        Slot(input=name, place=Place.QUERY, name=name)
        if counter.name
        else Slot(input=name, place=Place.PATH, name=name)
    )
    kinds = sorted({sign.kind.value for sign in counter.signs})
    return _tool(
        site,
        page,
        name=names.take(tool_name(f"browse {called}", fallback="browse")),
        title=f"Browse {called}, page by page",
        description=f"Another page of the list “{called}” at {counter.path}{says}.",
        source=Source.PAGINATION,
        call=_request(counter.origin, counter.path, counter.rest, (place,)),
        schema=_schema({name: rules}, required=[name], fixed=counter.rest),
        prior=counter.probability,
        evidence=(
            f"{len(counter.signs)} links ({', '.join(kinds)}) differ in "
            f"{name if counter.name else 'a part of the path'} alone.",
        ),
        examples=_with_asked(examples, name, counter.rest),
    )


def _numbers(counter: Counter) -> tuple[JSONSchema, list[Any], str]:
    """Return the rules of a page's number or offset, examples, and the range in words."""
    first, step = counter.step() or (1 if counter.here else 0, 1)
    rules: JSONSchema = {"type": "integer", "minimum": first, "default": first}
    if step > 1:
        rules["description"] = f"How many items to skip; a page has {step}"
        if first % step == 0:
            rules["multipleOf"] = step
    else:
        rules["description"] = f"Number of the page, from {first}"
    last = counter.last()
    if last is not None and last > first:
        rules["maximum"] = last
    seen = sorted({int(sign.value) for sign in counter.signs} - {first})
    return rules, [*seen[:1], first], f", {first} to {last}" if last is not None and last > first else ""


def _cursor(counter: Counter) -> tuple[JSONSchema, list[Any], str]:
    values = list(dict.fromkeys(sign.value for sign in counter.signs))
    rules = {
        "type": "string",
        "minLength": 1,
        "maxLength": _MAX_CURSOR_CHARS,
        "description": "Where the page begins, as the link to it on the page before says",
    }
    return rules, list(values[:1]), ""


def _choice_tool(site: Site, choice: Choice, names: Names) -> Tool | None:
    page = choice.page
    said = (choice.name, *choice.titles, *choice.titles.values(), *(pair for fixed in choice.rest for pair in fixed))
    if effect_of("GET", choice.path, *said) is not Effect.READ:
        return None
    called = list_name(choice.path, title=page.title)
    by = _LOOKUP.sub("", tool_name(choice.name, fallback="choice")).replace("_", " ")
    properties = {choice.name: _enum(choice.titles, "The order" if choice.is_sort else f"Only those of this {by}")}
    for name, values in choice.directions.items():
        properties[name] = _enum(dict.fromkeys(sorted(values), ""), "The direction of the order")
    title = f"Sort {called}" if choice.is_sort else f"Filter {called} by {by}"
    directions = {name: sorted(values)[0] for name, values in choice.directions.items()}
    examples = [{choice.name: value, **directions} for value in list(choice.titles)[:2]]
    lone_prior = _SORT_PRIOR if choice.is_sort else _FILTER_PRIOR
    return _tool(
        site,
        page,
        name=names.take(tool_name(title, fallback="sort" if choice.is_sort else "filter")),
        title=title,
        description=f"{title}: {', '.join(filter(None, choice.titles.values()))[:300]}. The list is at {choice.path}.",
        source=Source.SORT if choice.is_sort else Source.FILTER,
        call=_request(
            choice.origin,
            choice.path,
            choice.rest,
            tuple(Slot(input=name, place=Place.QUERY, name=name) for name in properties),
        ),
        schema=_schema(properties, required=[choice.name], fixed=choice.rest),
        prior=lone_prior if len(choice.titles) > 1 else _LONE_PRIOR,
        evidence=(f"{len(choice.titles)} links differ in {choice.name} alone.",),
        examples=[{**example, **_asked(choice.rest)} for example in examples],
    )


def _enum(titles: dict[str, str], description: str) -> JSONSchema:
    schema: JSONSchema = {"type": "string", "enum": list(titles), "description": description}
    if any(titles.values()):
        schema["oneOf"] = [
            {"const": value, "title": title} if title else {"const": value} for value, title in titles.items()
        ]
    return schema


def _request(origin: str, path: str, rest: Query, slots: tuple[Slot, ...]) -> RequestCall:
    """Return a GET of the list. What was searched for may be anything; other parameters stay as they are."""
    asked = asked_in(rest)
    open_slots = tuple(Slot(input=name, place=Place.QUERY, name=name) for name in asked)
    fixed = tuple(pair for pair in rest if pair[0] not in asked)
    return RequestCall(url=f"{origin}{path}", query=fixed, slots=(*open_slots, *slots))


def _schema(properties: dict[str, JSONSchema], *, required: list[str], fixed: Query) -> JSONSchema:
    asked: dict[str, JSONSchema] = {
        name: {"type": "string", "maxLength": _MAX_ASKED_CHARS, "description": "What the list is searched for"}
        for name in asked_in(fixed)
    }
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": {**asked, **properties},
        "required": required,
        "additionalProperties": False,
    }


def _asked(rest: Query) -> dict[str, str]:
    asked = asked_in(rest)
    return {name: value for name, value in rest if name in asked}


def _with_asked(values: Iterable[Any], name: str, rest: Query) -> list[dict[str, Any]]:
    return [{**_asked(rest), name: value} for value in values]


def _tool(
    site: Site,
    page: Page,
    *,
    name: str,
    title: str,
    description: str,
    source: Source,
    call: RequestCall,
    schema: JSONSchema,
    prior: float,
    evidence: tuple[str, ...],
    examples: list[dict[str, Any]],
) -> Tool:
    return Tool(
        name=name,
        title=title[:200],
        description=f"{description}{told_fixed(call.query)}"[:MAX_DESCRIPTION_CHARS],
        site=site.origin,
        found_on=page.url,
        source=source,
        purpose=source.value,
        effect=Effect.READ,
        is_idempotent=True,
        call=call,
        input_schema=schema,
        prior=prior,
        evidence=evidence,
        examples=tuple(examples[:5]),
    )
