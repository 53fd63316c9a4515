"""Where pointers can lead: the document of a job that has not run yet, as a JSON Schema made of its kind's models."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel

from tasks.core.follow_ups.plans import Branch
from tasks.core.follow_ups.templates import PARENT
from tasks.core.spec import JobSpec

_ANYTHING: Mapping[str, Any] = {}
_TEXT: Mapping[str, Any] = {"type": "string"}
_JOB = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("id", "kind", "reference", "site", "created_at", "finished_at"), _TEXT),
        "labels": {"type": "object"},
    },
    "additionalProperties": False,
}
_ERROR = {
    "type": "object",
    "properties": dict.fromkeys(("code", "message", "field"), _TEXT),
    "additionalProperties": False,
}


def leads_somewhere(ancestors: Sequence[tuple[JobSpec, Branch]], tokens: Sequence[str]) -> bool:
    """Tell whether a pointer can have a value.

    Args:
        ancestors: the kind that is followed and how it ends, then what that one followed, and so on.
    """
    if not tokens:
        return True
    spec, branch = ancestors[0]
    match tokens[0]:
        case "job":
            return _leads(_JOB, tokens[1:], {})
        case "request":
            return _leads_into(_schema_of(spec.request), tokens[1:])
        case "result" if branch is Branch.SUCCESS:
            return _leads_into(_schema_of(spec.result), tokens[1:])
        case "error" if branch is Branch.FAILURE:
            return _leads(_ERROR, tokens[1:], {})
        case name if name == PARENT and len(ancestors) > 1:
            return leads_somewhere(ancestors[1:], tokens[1:])
    return False


@cache
def _schema_of(model: type[BaseModel]) -> Mapping[str, Any]:
    return model.model_json_schema(mode="serialization")


def _leads_into(schema: Mapping[str, Any], tokens: Sequence[str]) -> bool:
    return _leads(schema, tokens, schema.get("$defs", {}))


def _leads(schema: object, tokens: Sequence[str], definitions: Mapping[str, Any]) -> bool:
    if not isinstance(schema, Mapping):
        return schema is not False  # `true` is anything
    if "$ref" in schema:
        return _leads(definitions.get(str(schema["$ref"]).rpartition("/")[2], _ANYTHING), tokens, definitions)
    if not tokens:
        return True
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return any(_leads(one, tokens, definitions) for one in schema[word])
    if "type" not in schema:
        return "properties" not in schema or _leads_in_object(schema, tokens, definitions)
    if schema["type"] == "object":
        return _leads_in_object(schema, tokens, definitions)
    return schema["type"] == "array" and _leads_in_array(schema, tokens, definitions)


def _leads_in_object(schema: Mapping[str, Any], tokens: Sequence[str], definitions: Mapping[str, Any]) -> bool:
    properties = schema.get("properties", {})
    if tokens[0] in properties:
        return _leads(properties[tokens[0]], tokens[1:], definitions)
    if "additionalProperties" in schema:
        return _leads(schema["additionalProperties"], tokens[1:], definitions)
    return not properties


def _leads_in_array(schema: Mapping[str, Any], tokens: Sequence[str], definitions: Mapping[str, Any]) -> bool:
    if not (tokens[0].isascii() and tokens[0].isdigit()):
        return False
    first = schema.get("prefixItems", [])
    index = int(tokens[0][:9])
    inner = first[index] if index < len(first) else schema.get("items", _ANYTHING)
    return _leads(inner, tokens[1:], definitions)
