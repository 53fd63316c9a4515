"""From answers that were seen to the JSON Schema of what a tool gives.

The inference is genson's: small, pure Python, released since 2014 and again within the last year, and the one that
merges samples (an integer here and a number there are a number) instead of describing the last one.
"""

from collections.abc import Iterable
from typing import Any

from genson import SchemaBuilder

from tasks.discovery.engine.schema import DIALECT
from tasks.discovery.tool import JSONSchema

MAX_SAMPLES = 200
# What a handful of records all have, the next one may lack.
_MIN_FOR_REQUIRED = 5
_MAX_PROPERTIES = 100


def schema_of_values(values: Iterable[Any]) -> JSONSchema:
    """Return the schema that all the values fit; any JSON where there are none."""
    schema = _inferred(list(values)[:MAX_SAMPLES])
    return {"$schema": DIALECT, **schema}


def schema_of_records(records: Iterable[dict[str, Any]]) -> JSONSchema:
    """Return the schema of one of the records; a property is required where all of at least five have it."""
    return _inferred(list(records)[:MAX_SAMPLES])


def schema_of_page(records: Iterable[dict[str, Any]]) -> JSONSchema:
    """Return the schema of a page as ``outputs`` reads it, with these records for items."""
    text = {"type": "string"}
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": {
            "title": text,
            "text": text,
            "url": {"type": "string", "format": "uri"},
            "items": {"type": "array", "items": schema_of_records(records)},
        },
        "required": ["title", "text", "url", "items"],
    }


def _inferred(samples: list[Any]) -> JSONSchema:
    builder = SchemaBuilder(schema_uri=None)
    for sample in samples:
        builder.add_object(sample)
    return _loosened(builder.to_schema(), is_sure=len(samples) >= _MIN_FOR_REQUIRED)


def _loosened(schema: JSONSchema, *, is_sure: bool) -> JSONSchema:
    """Drop what few samples cannot say, and the names of objects that are used as maps."""
    loosened = {name: value for name, value in schema.items() if name != "required" or is_sure}
    properties = schema.get("properties")
    if isinstance(properties, dict):
        if len(properties) > _MAX_PROPERTIES:
            return {"type": "object"}
        loosened["properties"] = {name: _loosened(inner, is_sure=is_sure) for name, inner in properties.items()}
    if isinstance(schema.get("items"), dict):
        # Of a list inside a record there are as many samples as there are elements, and nobody counted them.
        loosened["items"] = _loosened(schema["items"], is_sure=False)
    if isinstance(schema.get("anyOf"), list):
        loosened["anyOf"] = [_loosened(each, is_sure=is_sure) for each in schema["anyOf"]]
    return loosened
