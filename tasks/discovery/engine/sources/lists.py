"""Tools that show a list as it is: pages with repeated records, and the same as data (JSON, CSV, a sheet)."""

import re
from urllib.parse import urlsplit

from tasks.discovery.engine.effects import effect_of
from tasks.discovery.engine.names import Names
from tasks.discovery.engine.page import Form, Link, Method, Page
from tasks.discovery.engine.records import find_records
from tasks.discovery.engine.schema import DIALECT, MAX_DESCRIPTION_CHARS
from tasks.discovery.engine.site import Site, Snapshot
from tasks.discovery.engine.sources.addresses import Address, address_of, list_name
from tasks.discovery.engine.sources.templates import Template, templates
from tasks.discovery.tool import Effect, JSONSchema, Place, RequestCall, Slot, Source, Tool

MAX_TOOLS = 40
_ENOUGH_RECORDS = 2
_FEW_FIELDS = 2
_TYPED = frozenset({"text", "textarea", "password", "email", "number", "date", "url", "tel"})
# Of two or three that are alike, each may be a place of its own.
_FEW_ITEMS = 3
_MAX_VALUE_CHARS = 4000
_LIST_PRIOR, _DATA_PRIOR = 0.5, 0.8
_FORMATS = "json|csv|tsv|xlsx?|xml|ics|ndjson|jsonl|parquet|geojson|ods|txt"
_DATA_PATH = re.compile(rf"\.({_FORMATS})$", re.IGNORECASE)
_DATA_NAME = re.compile(r"_?(export|format|output|download|as)", re.IGNORECASE)
_DATA_VALUE = re.compile(rf"{_FORMATS}|excel", re.IGNORECASE)
_TITLE_HYPHENS = 2
_DATA_WORDS = re.compile(rf"\b(export|download|{_FORMATS}|excel|spreadsheet)\b", re.IGNORECASE)


def find_tools(site: Site) -> list[Tool]:
    """Return the lists that pages show, then those that links offer as data; each address once."""
    names = Names()
    of_many = templates(site.origin, [snapshot.page for snapshot in site.snapshots])
    of_one = [one for one in of_many if one.is_clear]
    lists = [tool for snapshot in site.snapshots if (tool := _list(site, snapshot, names, of_many))]
    data: dict[str, Tool] = {}
    for snapshot in site.snapshots:
        page = snapshot.page
        for link in (
            *page.links,
            *page.kept_back,
            *(link for link in page.head_links if "alternate" in link.rel),
        ):
            address = address_of(link.href)
            if address is None or address.origin != site.origin or address.path in data or not _is_data(link, address):
                continue
            if any(one.value_in(address.path) is not None for one in of_one):
                continue
            if effect_of("GET", link.text or link.label, address.path) is Effect.READ:
                data[address.path] = _data(site, page, link, address, names)
    seen: dict[str, Tool] = {}
    for tool in lists:
        seen.setdefault(tool.call.url if isinstance(tool.call, RequestCall) else tool.name, tool)
    return [*list(seen.values())[:MAX_TOOLS], *list(data.values())[:MAX_TOOLS]]


def _list(site: Site, snapshot: Snapshot, names: Names, of_many: list[Template]) -> Tool | None:
    page = snapshot.page
    here = address_of(page.url)
    if here is None or here.origin != site.origin or here.query or snapshot.status >= 400:
        return None
    if any(len(one.values) > _FEW_ITEMS and _is_one_of(one, here.path) for one in of_many):
        return None
    if any(_is_written_in(form) for form in page.forms):
        return None
    records = find_records(snapshot.html, url=page.url)
    if len(records) < _ENOUGH_RECORDS or effect_of("GET", here.path) is not Effect.READ:
        return None
    called = list_name(here.path, title=page.title)
    return Tool(
        name=names.take(f"list_{called}".replace(" ", "_").lower()),
        title=f"List {called}"[:200],
        description=f"What the page {here.path} lists{f' ({page.title})' if page.title else ''}."[
            :MAX_DESCRIPTION_CHARS
        ],
        site=site.origin,
        found_on=page.url,
        source=Source.LIST,
        purpose="list",
        is_idempotent=True,
        call=RequestCall(url=f"{here.origin}{here.path}"),
        input_schema=_schema({}),
        prior=_LIST_PRIOR,
        evidence=(f"{len(records)} records that are built alike.",),
        examples=({},),
    )


def _is_one_of(template: Template, path: str) -> bool:
    """Whether the page at ``path`` is one of many things: its value is no word, or a whole title."""
    value = template.value_in(path)
    return value is not None and (template.is_clear or value.count("-") >= _TITLE_HYPHENS)


def _is_written_in(form: Form) -> bool:
    """Whether the page is there to fill in this form; what repeats on it are fields."""
    return form.method is Method.POST and sum(control.type in _TYPED for control in form.fields) >= _FEW_FIELDS


def _is_data(link: Link, address: Address) -> bool:
    if _DATA_PATH.search(address.path):
        return True
    if any(_DATA_NAME.fullmatch(name) and _DATA_VALUE.fullmatch(value) for name, value in address.query):
        return True
    return "alternate" in link.rel and bool(_DATA_WORDS.search(link.text or link.title))


def _data(site: Site, page: Page, link: Link, address: Address, names: Names) -> Tool:
    form = _format(address)
    called = list_name(_DATA_PATH.sub("", address.path), title=page.title)
    values = dict(address.query)
    properties: JSONSchema = {
        name: {"type": "string", "maxLength": _MAX_VALUE_CHARS, **({"default": value} if value else {})}
        for name, value in values.items()
    }
    required = [name for name, value in values.items() if value]
    return Tool(
        name=names.take(f"{called}_as_{form}".replace(" ", "_").lower()),
        title=f"{called.capitalize()} as {form.upper()}"[:200],
        description=f"The data of {urlsplit(page.url).path} as {form.upper()}, at {address.path}."[
            :MAX_DESCRIPTION_CHARS
        ],
        site=site.origin,
        found_on=page.url,
        source=Source.LIST,
        purpose="download",
        is_idempotent=True,
        call=RequestCall(
            url=f"{address.origin}{address.path}",
            slots=tuple(Slot(input=name, place=Place.QUERY, name=name) for name in values),
        ),
        input_schema=_schema(properties, required),
        prior=_DATA_PRIOR,
        evidence=(f"A link says “{(link.text or link.title or form)[:100]}”.",),
        examples=(values,),
    )


def _format(address: Address) -> str:
    if found := _DATA_PATH.search(address.path):
        return found[1].lower()
    return next((value.lower() for _, value in address.query if _DATA_VALUE.fullmatch(value)), "data")


def _schema(properties: JSONSchema, required: list[str] | None = None) -> JSONSchema:
    schema: JSONSchema = {
        "$schema": DIALECT,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return schema | {"required": required} if required else schema
