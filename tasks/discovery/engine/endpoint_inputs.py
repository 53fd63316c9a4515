"""What a caller may set of an endpoint that was seen, and what is always sent with it."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tasks.discovery.engine.api_words import ParameterRole, is_cache_buster, is_secret, role_of, words
from tasks.discovery.engine.endpoints import Endpoint, Sighting, body_fields
from tasks.discovery.engine.inference import Schema, infer_schema, read_json, read_text, text_schema
from tasks.discovery.engine.page import Option
from tasks.discovery.tool import Place, Slot

MAX_INPUTS = 40
_MAX_EXAMPLES = 5
_MAX_TEXT_CHARS = 200
_MAX_DEPTH = 3
_ROLE_WORDS: dict[ParameterRole, str] = {
    "query": "What to search for.",
    "page": "Which page of the list.",
    "offset": "How many items to pass over.",
    "cursor": "Where to go on.",
    "size": "How many items.",
    "sort": "The order of the items.",
}
_SLOT_WORDS = {"slug": "slug", "date": "date", "typed": "query"}

# Returns the options of a control that offers these values under this name, or none.
Choices = Callable[[str, frozenset[str]], Sequence[Option]]


@dataclass(frozen=True, slots=True)
class Input:
    """One property of the input schema, where it goes, and how the page itself filled it."""

    slot: Slot
    schema: Schema
    example: Any
    is_required: bool
    role: ParameterRole | None = None
    is_typed: bool = False


@dataclass(slots=True)
class Inputs:
    """All of an endpoint's inputs, and the parts that are fixed.

    ``secrets`` are the names of what belongs to a session and was left out. ``body`` is the fixed JSON or fields.
    """

    found: list[Input] = field(default_factory=list)
    query: list[tuple[str, str]] = field(default_factory=list)
    body: Any = None
    media_type: str = ""
    secrets: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Values:
    """What was seen under one name. ``rows`` is parallel to the sightings; None where it was absent."""

    name: str
    rows: tuple[tuple[str, ...] | None, ...]

    @property
    def present(self) -> list[tuple[str, ...]]:
        return [row for row in self.rows if row is not None]

    @property
    def flat(self) -> list[str]:
        return list(dict.fromkeys(value for row in self.present for value in row))


def inputs_of(endpoint: Endpoint, choices: Choices) -> Inputs:
    """Return what may be set, in the order of path, query and body."""
    inputs = Inputs()
    inputs.found += _path_inputs(endpoint)
    _add_parameters(inputs, endpoint, choices)
    _add_body(inputs, endpoint, choices)
    del inputs.found[MAX_INPUTS:]
    inputs.found = _named_apart(inputs.found)
    return inputs


def path_with_slots(endpoint: Endpoint) -> str:
    """Return the path with ``{name}`` for each slot, named as ``inputs_of`` names them."""
    names = iter(_path_names(endpoint))
    parts = (
        f"{{{next(names)}}}" if s is None else s.replace("{", "%7B").replace("}", "%7D") for s in endpoint.segments
    )
    return "/" + "/".join(parts)


def _path_names(endpoint: Endpoint) -> list[str]:
    """Return ``id`` for the last slot, and for one before it its noun too: ``user_id``."""
    kinds = iter(endpoint.slots)
    places = [place for place, segment in enumerate(endpoint.segments) if segment is None]
    names = []
    for place in places:
        name = _SLOT_WORDS.get(next(kinds), "id")
        before = endpoint.segments[place - 1] if place else None
        if place != places[-1]:
            name = f"{singular(before)}_{name}" if before else f"{name}_{place}"
        names.append(name)
    return [f"{name}_{at}" if name in names[:at] else name for at, name in enumerate(names)]


def singular(noun: str) -> str:
    """Return an English noun of an address in the singular, as far as its ending tells; underscores for hyphens."""
    word = "_".join(part for part in noun.replace("-", "_").split("_") if part.isalnum()).lower()
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _path_inputs(endpoint: Endpoint) -> Iterable[Input]:
    places = [place for place, segment in enumerate(endpoint.segments) if segment is None]
    for name, place, kind in zip(_path_names(endpoint), places, endpoint.slots, strict=True):
        values = list(dict.fromkeys(unquote(sighting.segments[place]) for sighting in endpoint.sightings))
        is_typed = kind == "typed"
        schema: Schema = {"type": "string"} if is_typed else text_schema(values)
        if kind in ("uuid", "date"):
            schema = {"type": "string", "format": kind}
        if schema == {"type": "string"}:
            schema["minLength"] = 1
        example = read_text(values[-1] if is_typed else values[0], schema)
        schema["examples"] = [read_text(value, schema) for value in values[:_MAX_EXAMPLES]]
        yield Input(
            Slot(input=name, place=Place.PATH, name=name),
            schema,
            example,
            is_required=True,
            role="query" if is_typed else None,
            is_typed=is_typed,
        )


def _add_parameters(inputs: Inputs, endpoint: Endpoint, choices: Choices) -> None:
    rows = [sighting.parameters for sighting in endpoint.sightings]
    for values in _by_name(rows):
        if is_secret(values.name):
            inputs.secrets.append(values.name)
        elif all(is_cache_buster(values.name, value) for value in values.flat):
            continue
        elif _is_fixed(values):
            inputs.query += [(values.name, value) for value in values.present[0]]
        else:
            inputs.found.append(_text_input(values, endpoint.sightings, place=Place.QUERY, choices=choices))


def _by_name(rows: Sequence[Sequence[tuple[str, str]]]) -> list[_Values]:
    names = list(dict.fromkeys(name for row in rows for name, _ in row))
    return [
        _Values(name, tuple(tuple(value for key, value in row if key == name) or None for row in rows))
        for name in names
    ]


def _is_fixed(values: _Values) -> bool:
    is_one = None not in values.rows and len(set(values.present)) == 1
    return is_one and values.name.lower() in words("fixed_names")


def _text_input(values: _Values, sightings: Sequence[Sighting], *, place: Place, choices: Choices) -> Input:
    role = role_of(values.name)
    typed = _typed_rows(values, sightings)
    is_typed = bool(typed)
    schema: Schema = {"type": "string"} if is_typed or role in ("query", "cursor") else text_schema(values.flat)
    is_list = any(len(row) > 1 for row in values.present)
    flat = values.flat
    if not is_typed and (options := choices(values.name, frozenset(filter(None, flat)))):
        schema = _enumeration(options, flat)
    elif is_typed:
        schema["minLength"] = 1
    read = [read_text(value[:_MAX_TEXT_CHARS], schema) for value in flat]
    example: Any = typed[0] if is_typed else read[0]
    if is_list:
        schema = {"type": "array", "items": schema}
        example = [read_text(value, schema["items"]) for value in next(row for row in values.present if len(row) > 1)]
    elif len(flat) == 1 and not is_typed:
        schema["default"] = read[0]
    elif "enum" not in schema and role != "cursor":
        schema["examples"] = [value for value in read if value != ""][:_MAX_EXAMPLES]
    if role and "description" not in schema:
        schema["description"] = _ROLE_WORDS[role]
    is_always = None not in values.rows and (is_typed or all(any(row) for row in values.present))
    is_required = (is_always and role != "cursor") or (is_typed and None not in values.rows)
    slot = Slot(input=values.name, place=place, name=values.name)
    return Input(slot, schema, example, is_required=is_required, role="query" if is_typed else role, is_typed=is_typed)


def _typed_rows(values: _Values, sightings: Sequence[Sighting]) -> list[str]:
    """Return the values that are what was being typed then, the longest first."""
    found = []
    for row, sighting in zip(values.rows, sightings, strict=True):
        if row and sighting.typed:
            found += [value for value in row if is_typed_text(value, sighting.typed)]
    return sorted(dict.fromkeys(found), key=len, reverse=True)


def is_typed_text(value: str, typed: str) -> bool:
    """Whether a value holds what was being typed, or its beginning: a script may ask at each letter."""
    said = value.strip().strip("*%\"'").lower()
    return said == typed or typed in said.split() or (len(said) > 1 and typed.startswith(said))


def _enumeration(options: Sequence[Option], seen: Sequence[str]) -> Schema:
    titles = {option.value: option.label for option in options if option.value or "" in seen}
    schema: Schema = {"type": "string", "enum": list(titles)}
    if any(titles.values()):
        schema["oneOf"] = [
            {"const": value, "title": title} if title else {"const": value} for value, title in titles.items()
        ]
    return schema


def _add_body(inputs: Inputs, endpoint: Endpoint, choices: Choices) -> None:
    if endpoint.method in ("GET", "HEAD"):
        return
    sightings = endpoint.sightings
    if any(body_fields(sighting) for sighting in sightings):
        _add_fields(inputs, endpoint, choices)
        return
    bodies = [read_json(sighting.exchange.request_body) for sighting in sightings]
    known = [(body, sighting) for body, sighting in zip(bodies, sightings, strict=True) if body is not None]
    if not known:
        return
    inputs.media_type = "application/json"
    if all(isinstance(body, dict) for body, _ in known):
        inputs.body = _without_secrets(known[0][0], inputs)
        inputs.found += _json_inputs(known, inputs.body, choices)
        return
    example = known[0][0]
    slot = Slot(input="body", place=Place.BODY, name="body")
    inputs.found.append(Input(slot, infer_schema([body for body, _ in known]), example, is_required=True))


def _add_fields(inputs: Inputs, endpoint: Endpoint, choices: Choices) -> None:
    inputs.media_type = "application/x-www-form-urlencoded"
    fixed: dict[str, str] = {}
    for values in _by_name([body_fields(sighting) for sighting in endpoint.sightings]):
        if is_secret(values.name):
            inputs.secrets.append(values.name)
        elif _is_fixed(values) and len(values.present[0]) == 1:
            fixed[values.name] = values.present[0][0]
        else:
            inputs.found.append(_text_input(values, endpoint.sightings, place=Place.FORM, choices=choices))
    inputs.body = fixed or None


def _without_secrets(body: Any, inputs: Inputs) -> Any:
    if isinstance(body, list):
        return [_without_secrets(each, inputs) for each in body]
    if not isinstance(body, dict):
        return body
    inputs.secrets += [key for key in body if is_secret(key) and key not in inputs.secrets]
    return {key: _without_secrets(each, inputs) for key, each in body.items() if not is_secret(key)}


def _json_inputs(known: Sequence[tuple[Any, Sighting]], fixed: Any, choices: Choices) -> Iterable[Input]:
    leaves = [dict(_leaves(body)) for body, _ in known]
    paths = list(dict.fromkeys(path for found in leaves for path in found))
    for path in paths:
        if any(map(is_secret, path)) or (path[-1].lower() in words("fixed_names") and _is_same(leaves, path)):
            continue
        values = [found[path] for found in leaves if path in found]
        typed = [
            found[path]
            for found, (_, sighting) in zip(leaves, known, strict=True)
            if isinstance(found.get(path), str) and sighting.typed and is_typed_text(found[path], sighting.typed)
        ]
        yield _json_input(path, values, typed=typed, choices=choices, is_fixed=_has(fixed, path))


def _json_input(
    path: tuple[str, ...], values: list[Any], *, typed: list[str], choices: Choices, is_fixed: bool
) -> Input:
    role = role_of(path[-1])
    schema: Schema = {"type": "string", "minLength": 1} if typed else infer_schema(values)
    texts = [value for value in values if isinstance(value, str)]
    if not typed and texts == values and (options := choices(path[-1], frozenset(filter(None, texts)))):
        schema = _enumeration(options, texts)
    if typed:
        schema["examples"] = sorted(set(typed), key=len, reverse=True)[:_MAX_EXAMPLES]
    elif is_fixed:
        # Sent as it was seen where the caller says nothing.
        schema["default"] = values[0]
    if role:
        schema["description"] = _ROLE_WORDS[role]
    pointer = "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path)
    slot = Slot(input=".".join(path), place=Place.JSON, name=path[-1], pointer=pointer)
    example = schema["examples"][0] if typed else values[0]
    return Input(slot, schema, example, is_required=bool(typed), role="query" if typed else role, is_typed=bool(typed))


def _leaves(node: Any, path: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], Any]]:
    """Yield what may be set by itself: scalars, and lists of them."""
    if isinstance(node, dict):
        for key in list(node)[:MAX_INPUTS] if len(path) < _MAX_DEPTH else ():
            yield from _leaves(node[key], (*path, key))
    elif path and (not isinstance(node, list) or not any(isinstance(each, dict | list) for each in node)):
        yield path, node


def _is_same(leaves: Sequence[dict[tuple[str, ...], Any]], path: tuple[str, ...]) -> bool:
    return all(path in found and json.dumps(found[path]) == json.dumps(leaves[0].get(path)) for found in leaves)


def _has(body: Any, path: tuple[str, ...]) -> bool:
    for part in path:
        if not isinstance(body, dict) or part not in body:
            return False
        body = body[part]
    return True


def _named_apart(found: list[Input]) -> list[Input]:
    """Give each input a name of its own: a member's last name where that is free, else with the path or the place."""
    taken: set[str] = set()
    apart = []
    for one in found:
        tries = [one.slot.name, one.slot.input, f"{one.slot.place}_{one.slot.name}"]
        names = [name for name in tries if name and name not in taken]
        name = names[0] if names else f"{one.slot.place}_{one.slot.input}_{len(taken)}"
        taken.add(name)
        slot = one.slot.model_copy(update={"input": name})
        apart.append(Input(slot, one.schema, one.example, one.is_required, one.role, one.is_typed))
    return apart
