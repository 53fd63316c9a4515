"""Tools from the requests that a page's scripts were seen to make."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from urllib.parse import unquote

from tasks.discovery.engine.api_words import is_api_address, is_static, split_name, words
from tasks.discovery.engine.effects import effect_of, is_idempotent
from tasks.discovery.engine.endpoint_inputs import inputs_of, path_with_slots, singular
from tasks.discovery.engine.endpoints import Endpoint, Sighting, group_endpoints, read_sighting
from tasks.discovery.engine.fixed_headers import fixed_headers, session_headers
from tasks.discovery.engine.graphql_wire import operations_in
from tasks.discovery.engine.inference import infer_schema
from tasks.discovery.engine.inputs import Input, Inputs
from tasks.discovery.engine.json_records import find_json_records
from tasks.discovery.engine.page import Control, Option
from tasks.discovery.engine.queries import is_query
from tasks.discovery.engine.schema import DIALECT
from tasks.discovery.engine.site import LOAD, WOULD_PRESS, Exchange, Site
from tasks.discovery.tool import Effect, JSONSchema, RequestCall, Source, Tool

MAX_TOOLS = 60
MAX_SIGHTINGS = 400
_MAX_NAME_CHARS = 80
_MAX_EVIDENCE = 20
_PRIOR_OF_BUTTON = 0.6
_MARKUP = frozenset({"text/html", "application/xhtml+xml", "application/xml", "text/xml"})
_VERBS = {"POST": "post", "PUT": "replace", "PATCH": "change", "DELETE": "delete"}


def find_tools(site: Site) -> list[Tool]:
    """Return one tool for each endpoint, in the order in which they were first seen."""
    found_on: dict[int, str] = {}
    sightings: list[Sighting] = []
    for snapshot in site.snapshots:
        for exchange in snapshot.exchanges:
            if _may_be_a_tool(exchange) and (sighting := read_sighting(exchange)):
                sightings.append(sighting)
                found_on[id(sighting)] = snapshot.page.url
    endpoints = group_endpoints(sightings[:MAX_SIGHTINGS])[:MAX_TOOLS]
    options = _Options(site)
    tools: list[Tool] = []
    for endpoint in endpoints:
        name = _free_name(_name(endpoint, inputs := inputs_of(endpoint, options)), tools)
        tools.append(_tool(site, endpoint, inputs, name=name, found_on=found_on[id(endpoint.sightings[0])]))
    return tools


def _may_be_a_tool(exchange: Exchange) -> bool:
    """Whether it was answered with data or with a piece of a page, or was stopped because it may change something."""
    if (
        exchange.method in ("HEAD", "OPTIONS")
        or not is_api_address(exchange.url)
        or operations_in(exchange.request_body)
    ):
        return False
    if not exchange.is_sent:
        return True
    is_data = "json" in exchange.media_type or exchange.media_type in _MARKUP
    return is_data and 200 <= exchange.status < 300


def _tool(site: Site, endpoint: Endpoint, inputs: Inputs, *, name: str, found_on: str) -> Tool:
    effect = _effect(endpoint)
    exchanges = [sighting.exchange for sighting in endpoint.sightings]
    secrets = list(dict.fromkeys([*inputs.secrets, *session_headers(exchanges)]))
    answers = [sighting.answer for sighting in endpoint.sightings if sighting.answer is not None]
    typed = [one for one in inputs.found if one.is_typed]
    path = path_with_slots(endpoint)
    return Tool(
        name=name,
        title=name.replace("_", " ").capitalize()[:200],
        description=_description(endpoint, path=path, typed=bool(typed), effect=effect),
        site=site.origin,
        found_on=found_on,
        source=Source.XHR,
        purpose="search" if typed else "api",
        effect=effect,
        is_idempotent=is_idempotent(endpoint.method, effect),
        call=RequestCall(
            method=endpoint.method,
            url=f"{endpoint.origin}{path}",
            query=tuple(inputs.query),
            headers=fixed_headers(exchanges),
            slots=tuple(one.slot for one in inputs.found),
            body=inputs.body,
            media_type=inputs.media_type,
        ),
        input_schema=_input_schema(inputs.found),
        output_schema=infer_schema(answers) if answers else None,
        prior=_prior(endpoint, typed=bool(typed), needs_session=bool(secrets), has_answers=bool(answers)),
        evidence=tuple(_evidence(endpoint, inputs, secrets))[:_MAX_EVIDENCE],
        examples=({one.slot.input: one.example for one in inputs.found},),
    )


def _input_schema(found: Sequence[Input]) -> JSONSchema:
    schema: JSONSchema = {
        "$schema": DIALECT,
        "type": "object",
        "properties": {one.slot.input: one.schema for one in found},
        "additionalProperties": False,
    }
    if required := [one.slot.input for one in found if one.is_required]:
        schema["required"] = required
    return schema


def _name(endpoint: Endpoint, inputs: Inputs) -> str:
    """Return a verb and what the path is about: ``search_products``, ``get_product``."""
    nouns = [_plain(noun) for noun in endpoint.nouns]
    verbs = [noun for noun in nouns if set(split_name(noun)) & (words("verbs") | words("qualifiers"))]
    things = [noun for noun in nouns if noun not in verbs]
    thing = things[-1] if things else ""
    is_one = bool(endpoint.segments) and endpoint.segments[-1] is None
    if any(one.is_typed for one in inputs.found) or set(verbs) & words("search_verbs"):
        return _joined("search", thing)
    if endpoint.method in _VERBS and not _is_asked(endpoint):
        return _joined(verbs[-1] if verbs else _VERBS[endpoint.method], thing)
    if verbs:
        return _joined(*((verbs[-1], thing) if verbs[-1].startswith(("get", "list")) else ("get", thing, verbs[-1])))
    return _joined("get", singular(thing)) if is_one else _joined("list" if _is_listed(endpoint) else "get", thing)


def _plain(segment: str) -> str:
    return "_".join(split_name(re.sub(r"\.(json|php|aspx?|jsp|do)$", "", unquote(segment))))


def _joined(*parts: str) -> str:
    text = "_".join(filter(None, (re.sub(r"[^A-Za-z0-9]+", "_", part).strip("_") for part in parts)))
    return text[:_MAX_NAME_CHARS].strip("_") or "call"


def _free_name(name: str, tools: Sequence[Tool]) -> str:
    taken = {tool.name for tool in tools}
    number = 2
    wanted = name
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name


def _is_listed(endpoint: Endpoint) -> bool:
    """Whether it answers with a list, alone or in an envelope."""
    for sighting in endpoint.sightings:
        answer = sighting.answer
        held = answer.values() if isinstance(answer, dict) else (answer,)
        if any(isinstance(each, list) and (not each or isinstance(each[0], dict)) for each in held):
            return True
    return False


def _is_asked(endpoint: Endpoint) -> bool:
    return all(
        is_query(s.exchange.method, s.exchange.url, headers=s.exchange.request_headers, body=s.exchange.request_body)
        for s in endpoint.sightings
    )


def _effect(endpoint: Endpoint) -> Effect:
    if _is_asked(endpoint):
        return Effect.READ
    path = path_with_slots(endpoint)
    said = [value for sighting in endpoint.sightings[:3] for pair in sighting.parameters for value in pair]
    effect = effect_of(endpoint.method, path, *said)
    if effect is Effect.WRITE and endpoint.method == "POST" and any(map(_fills_page, endpoint.sightings)):
        return Effect.READ
    # The method is a query's, and yet something speaks against it.
    return Effect.WRITE if effect is Effect.READ else effect


def _fills_page(sighting: Sighting) -> bool:
    """Whether a page asks it by itself as it is opened, and is answered with records: so tables are filled."""
    is_own = sighting.exchange.trigger == LOAD and sighting.exchange.is_sent
    return is_own and bool(find_json_records(sighting.answer))


def _description(endpoint: Endpoint, *, path: str, typed: bool, effect: Effect) -> str:
    does = {Effect.READ: "Asks", Effect.WRITE: "Sends something to", Effect.DESTROY: "Deletes or changes for good at"}
    text = f"{does[effect]} {endpoint.method} {path}"
    return f"{text}{' with words to search for' if typed else ''}."[:500]


def _evidence(endpoint: Endpoint, inputs: Inputs, secrets: Sequence[str]) -> Iterable[str]:
    triggers = dict.fromkeys(sighting.exchange.trigger for sighting in endpoint.sightings)
    yield f"seen {len(endpoint.sightings)} times"
    yield from (f"after: {trigger}"[:200] for trigger in list(triggers)[:5])
    yield from (f"{one.slot.input!r} is what was typed"[:200] for one in inputs.found if one.is_typed)
    yield from (f"{one.slot.input!r} turns pages"[:200] for one in inputs.found if one.role in ("page", "offset"))
    for one in inputs.found:
        if one.role == "cursor":
            held = _cursor_source(endpoint, one.slot.name)
            yield f"{one.slot.input!r} is a cursor{f', from {held!r} of the answer before' if held else ''}"[:200]
    yield from (f"needs a session: {name}"[:200] for name in secrets[:5])
    if not all(sighting.exchange.is_sent for sighting in endpoint.sightings):
        yield "stopped before it was sent: it may change something"


def _cursor_source(endpoint: Endpoint, parameter: str) -> str:
    """Return the member of an earlier answer whose value was the cursor of a later request."""
    for before, after in pairwise(endpoint.sightings):
        value = dict(after.parameters).get(parameter)
        if value and isinstance(before.answer, dict):
            for path, held in _scalars(before.answer):
                if str(held) == value:
                    return path
    return ""


def _scalars(node: object, path: str = "", depth: int = 3) -> Iterable[tuple[str, object]]:
    if isinstance(node, dict) and depth:
        for key, value in node.items():
            yield from _scalars(value, f"{path}.{key}" if path else str(key), depth - 1)
    elif isinstance(node, str | int) and not isinstance(node, bool):
        yield path, node


def _prior(endpoint: Endpoint, *, typed: bool, needs_session: bool, has_answers: bool) -> float:
    """Return how sure this is a function of the site: by what was answered, how often and after what it was asked."""
    if any(sighting.exchange.trigger.startswith(WOULD_PRESS) for sighting in endpoint.sightings):
        return _PRIOR_OF_BUTTON  # a person is offered it, whatever its address looks like
    prior = 0.55 if has_answers else 0.35
    prior += 0.15 if _is_listed(endpoint) else 0.0
    prior += 0.2 if typed else 0.0
    prior += 0.05 * min(len(endpoint.sightings) - 1, 2)
    prior -= 0.25 if needs_session else 0.0
    prior -= 0.4 if any(is_static(f"/{'/'.join(s.segments)}") for s in endpoint.sightings) else 0.0
    prior -= 0.15 if not all(sighting.exchange.is_sent for sighting in endpoint.sightings) else 0.0
    return round(min(max(prior, 0.05), 0.95), 2)


class _Options:
    """Finds the control whose options a parameter takes its values from."""

    def __init__(self, site: Site) -> None:
        pages = [snapshot.page for snapshot in site.snapshots]
        controls = [c for page in pages for c in (*(c for form in page.forms for c in form.controls), *page.loose)]
        self._offered = [(c.name or c.id, _options(c)) for c in controls if c.type.startswith("select")]

    def __call__(self, name: str, values: frozenset[str]) -> Sequence[Option]:
        for control, options in self._offered:
            offered = {option.value for option in options}
            is_meant = control.lower() == name.lower() or len(values) > 1
            if values and values <= offered and len(offered) > 1 and is_meant:
                return options
        return ()


def _options(control: Control) -> tuple[Option, ...]:
    return tuple(option for option in control.options if not option.is_disabled)
