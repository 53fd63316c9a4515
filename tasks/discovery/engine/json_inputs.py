"""The inputs of a JSON body that was seen: its scalars and lists of scalars, by pointer; the rest is sent as it was."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tasks.discovery.engine.api_words import is_secret, role_of, words
from tasks.discovery.engine.endpoints import Endpoint, Sighting
from tasks.discovery.engine.inference import Schema, infer_schema, read_json
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
from tasks.discovery.tool import Place, Slot

_MAX_DEPTH = 3


def add_json_body(inputs: Inputs, endpoint: Endpoint, choices: Choices) -> None:
    """Add the inputs and the fixed part of a JSON body; nothing where there is none."""
    bodies = [read_json(sighting.exchange.request_body) for sighting in endpoint.sightings]
    known = [(body, sighting) for body, sighting in zip(bodies, endpoint.sightings, strict=True) if body is not None]
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
        schema = enumeration(options, texts)
    if typed:
        schema["examples"] = sorted(set(typed), key=len, reverse=True)[:MAX_EXAMPLES]
    elif is_fixed:
        # Sent as it was seen where the caller says nothing.
        schema["default"] = values[0]
    if role:
        schema["description"] = ROLE_WORDS[role]
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
