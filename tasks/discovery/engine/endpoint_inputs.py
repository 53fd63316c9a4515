"""What a caller may set of an endpoint that was seen, and what is always sent with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tasks.discovery.engine.api_words import is_cache_buster, is_secret, role_of, words
from tasks.discovery.engine.endpoints import Endpoint, Sighting, body_fields
from tasks.discovery.engine.inference import Schema, read_text, text_schema
from tasks.discovery.engine.inputs import (
    MAX_EXAMPLES,
    MAX_INPUTS,
    ROLE_WORDS,
    Choices,
    Input,
    Inputs,
    enumeration,
    is_typed_text,
)
from tasks.discovery.engine.json_inputs import add_json_body
from tasks.discovery.tool import Place, Slot

_MAX_TEXT_CHARS = 200
_SLOT_WORDS = {"slug": "slug", "date": "date", "typed": "query"}


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
        schema["examples"] = [read_text(value, schema) for value in values[:MAX_EXAMPLES]]
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
        schema = enumeration(options, flat)
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
        schema["examples"] = [value for value in read if value != ""][:MAX_EXAMPLES]
    if role and "description" not in schema:
        schema["description"] = ROLE_WORDS[role]
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


def _add_body(inputs: Inputs, endpoint: Endpoint, choices: Choices) -> None:
    if endpoint.method in ("GET", "HEAD"):
        return
    if any(body_fields(sighting) for sighting in endpoint.sightings):
        _add_fields(inputs, endpoint, choices)
    else:
        add_json_body(inputs, endpoint, choices)


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
