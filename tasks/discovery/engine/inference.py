"""JSON Schema from values that were seen, bounded against values that were made to hurt.

The inference itself is genson's. What is seen is never all there is: nothing is closed, and a member counts as
required only at the root and where several values agree.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from genson import SchemaBuilder

Schema = dict[str, Any]

MAX_JSON_CHARS = 600_000
MAX_JSON_DEPTH = 40
_MAX_VALUES = 20
_MAX_DEPTH = 8
_MAX_ITEMS = 30
_MAX_MEMBERS = 80
_MAX_KEY_CHARS = 100
# From so many objects on, an agreement about a member means something.
_ENOUGH = 2

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})\.\d{1,18}")
_BOOLEANS = frozenset({"true", "false"})


def read_json(text: str) -> Any:
    """Return the value of a JSON text, or None where it is none, is too long or too deep.

    ``NaN`` and its like are no JSON.
    """
    if not text or len(text) > MAX_JSON_CHARS:
        return None
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return None if _is_deep(value, MAX_JSON_DEPTH) else value


def infer_schema(values: Sequence[Any]) -> Schema:
    """Return a schema that all ``values`` fit; an empty one for none."""
    builder = SchemaBuilder(schema_uri=None)
    builder.add_schema({})
    for value in values[:_MAX_VALUES]:
        builder.add_object(_bounded(value))
    schema: Schema = builder.to_schema()
    required = schema.get("required", [])
    loose: Schema = _without_required(schema)
    return loose | {"required": required} if required and len(values) >= _ENOUGH else loose


def text_schema(values: Iterable[str]) -> Schema:
    """Return the type of what stands as text in a query or a path. An empty value says nothing."""
    said = {value for value in values if value}
    if said and all(_INTEGER.fullmatch(value) for value in said):
        return {"type": "integer"}
    if said and all(_INTEGER.fullmatch(value) or _NUMBER.fullmatch(value) for value in said):
        return {"type": "number"}
    if said and said <= _BOOLEANS:
        return {"type": "boolean"}
    return {"type": "string"}


def read_text(value: str, schema: Schema) -> Any:
    """Return a text as a value of the type that ``text_schema`` gave it."""
    match schema.get("type"):
        case "integer" if value:
            return int(value)
        case "number" if value:
            return float(value)
        case "boolean" if value:
            return value == "true"
        case _:
            return value


def shape_of(value: Any) -> frozenset[str]:
    """Return the paths of a value's members, lists as one step: what two answers of one kind have in common."""
    return frozenset(_paths(value, "", 4))


def _is_deep(value: Any, levels: int) -> bool:
    held = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deep(each, levels - 1) for each in held)


def _paths(value: Any, path: str, depth: int) -> Iterable[str]:
    if depth == 0:
        return
    if isinstance(value, dict):
        for key in list(value)[:_MAX_MEMBERS]:
            yield f"{path}.{key}"
            yield from _paths(value[key], f"{path}.{key}", depth - 1)
    elif isinstance(value, list):
        for item in value[:3]:
            yield from _paths(item, f"{path}[]", depth - 1)


def _bounded(value: Any, depth: int = 0) -> Any:
    """Return the value without what no schema should spell out: great depth, many members, endless lists."""
    if isinstance(value, dict):
        if depth >= _MAX_DEPTH or len(value) > _MAX_MEMBERS or any(len(key) > _MAX_KEY_CHARS for key in value):
            return {}
        return {key: _bounded(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_bounded(each, depth + 1) for each in value[:_MAX_ITEMS]] if depth < _MAX_DEPTH else []
    return value


def _without_required(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_required(each) for each in node]
    if not isinstance(node, dict):
        return node
    loose = {}
    for key, each in node.items():
        if key == "properties":
            loose[key] = {name: _without_required(rules) for name, rules in each.items()}
        elif key != "required":
            loose[key] = _without_required(each)
    return loose


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
