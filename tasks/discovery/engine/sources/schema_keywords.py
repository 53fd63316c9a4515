"""One schema of a stranger, keyword by keyword, as JSON Schema 2020-12: what is kept is valid by construction.

Read are 2020-12 itself, draft 4 as Swagger 2.0 and OpenAPI 3.0 have it (``nullable``, boolean ``exclusiveMinimum``,
``example``), and the drafts between. A keyword whose value is malformed is left out, which only allows more.
Source: JSON Schema 2020-12, core and validation; OpenAPI 3.0.4, 4.7.24; OpenAPI 3.1.1, 4.8.24.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urljoin

from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

MAX_TEXT_CHARS = 500
MAX_PATTERN_CHARS = 300
MAX_VALUE_NODES = 300
MAX_VALUE_DEPTH = 12
# Of one schema without what it refers to.
MAX_NODES = 2000
MAX_LEVELS = 20

_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_KEYWORDS = {
    "schema": (
        *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
        *("unevaluatedItems", "unevaluatedProperties"),
    ),
    "schemas": ("allOf", "anyOf", "oneOf", "prefixItems"),
    "members": ("properties", "patternProperties", "dependentSchemas"),
    "count": (
        *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        *("minContains", "maxContains"),
    ),
    "bound": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    "text": ("title", "description", "format", "contentEncoding", "contentMediaType", "x-control"),
    "flag": ("deprecated", "readOnly", "writeOnly", "uniqueItems"),
    "value": ("default", "const"),
    "special": ("enum", "multipleOf", "pattern", "discriminator", "examples", "example"),
}
_KINDS = {keyword: kind for kind, keywords in _KEYWORDS.items() for keyword in keywords}
# A repeated group in which something repeats: how a pattern takes exponential time.
_REPEATED_REPEAT = re.compile(r"[+*}][^()]{0,300}\)[+*{]")


@dataclass(frozen=True, slots=True)
class Reference:
    """Stands in a schema for another one that it refers to; ``beside`` are the keywords next to the reference."""

    uri: str
    beside: dict[str, Any]


@dataclass(slots=True)
class Reading:
    """Reads one schema. ``is_answer`` says whose point of view it is.

    What only an answer holds is not required of a request, and the other way round.
    """

    is_answer: bool = False
    # The address of the document, which references are relative to.
    base: str = ""
    count: int = 0
    level: int = 0

    def read(self, raw: Any) -> Any:
        """Return the schema: a dictionary, a boolean, or a ``Reference``."""
        self.count += 1
        if isinstance(raw, bool):
            return raw
        if not isinstance(raw, dict) or self.count > MAX_NODES or self.level > MAX_LEVELS:
            return {}
        uri = raw.get("$ref")
        if isinstance(uri, str):
            return Reference(
                absolute_reference(uri, base=self.base),
                {key: raw[key] for key in ("title", "description") if _is_text(raw.get(key))},
            )
        schema = _types(raw.get("type"))
        self.level += 1
        for key, value in raw.items():
            self._read_keyword(key, value, schema)
        self.level -= 1
        _tighten_bounds(raw, schema)
        self._read_required(raw, schema)
        return _with_null(schema) if raw.get("nullable") is True or raw.get("x-nullable") is True else schema

    def _read_keyword(self, key: str, value: Any, schema: dict[str, Any]) -> None:
        match _KINDS.get(key):
            case "text" if isinstance(value, str):
                schema.setdefault(key, value[:MAX_TEXT_CHARS])
            case "flag" if isinstance(value, bool):
                schema[key] = value
            case "count" if _is_count(value):
                schema[key] = int(value)
            case "bound" if is_number(value):
                schema[key] = value
            case "value" if is_small(value):
                schema[key] = value
            case "schema" if isinstance(value, dict | bool):
                schema[key] = self.read(value)
            case "schemas" if isinstance(value, list) and value:
                schema[key] = [self.read(item) for item in value[:MAX_NODES]]
            case "schema" if key == "items" and isinstance(value, list) and value:  # a tuple, before 2020-12
                schema["prefixItems"] = [self.read(item) for item in value[:MAX_NODES]]
            case "members" if isinstance(value, dict):
                schema[key] = self._members(key, value)
            case "special":
                self._read_special(key, value, schema)

    def _members(self, key: str, members: dict[str, Any]) -> dict[str, Any]:
        usable = {
            name: item
            for name, item in list(members.items())[:MAX_NODES]
            if isinstance(item, dict | bool) and (key != "patternProperties" or is_usable_pattern(name))
        }
        return {name: self.read(item) for name, item in usable.items()}

    def _read_special(self, key: str, value: Any, schema: dict[str, Any]) -> None:
        match key:
            case "enum" if isinstance(value, list) and value and is_small(value, limit=MAX_NODES):
                schema[key] = list(value)
                self.count += len(value)
            case "multipleOf" if is_number(value) and value > 0:
                schema[key] = value
            case "pattern" if is_usable_pattern(value):
                schema[key] = value
            case "discriminator" if isinstance(value, dict) and is_small(value):
                schema[key] = value
            case "examples" if isinstance(value, list) and value and is_small(value):
                schema[key] = value
            case "example" if is_small(value):
                schema.setdefault("examples", [value])

    def _read_required(self, raw: dict[str, Any], schema: dict[str, Any]) -> None:
        required = raw.get("required")
        if not isinstance(required, list):
            return
        hidden = "writeOnly" if self.is_answer else "readOnly"
        members = raw.get("properties")
        pairs = members.items() if isinstance(members, dict) else ()
        unseen = {name for name, item in pairs if isinstance(item, dict) and item.get(hidden) is True}
        names = [name for name in dict.fromkeys(filter(_is_text, required)) if name not in unseen]
        if names:
            schema["required"] = names[:MAX_NODES]


@lru_cache(4096)
def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
        Draft202012Validator({"pattern": pattern}, pattern_options=RegexOptions())
    except (re.error, RecursionError, OverflowError, ValidationError, ValueError):
        return False
    return True


def is_usable_pattern(pattern: Any) -> bool:
    """Whether every checker that reads our schemas understands the pattern and runs it in good time."""
    if not isinstance(pattern, str) or not 0 < len(pattern) <= MAX_PATTERN_CHARS:
        return False
    return not _REPEATED_REPEAT.search(pattern) and _compiles(pattern)


def absolute_reference(reference: str, *, base: str) -> str:
    """Return the address that a ``$ref`` in the document at ``base`` means."""
    if reference.startswith("#"):
        return base + reference
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference


def is_small(value: Any, *, limit: int = MAX_VALUE_NODES) -> bool:
    """Whether a JSON value is finite, of few parts, and plainly a value."""
    level, count, depth = [value], 0, 0
    while level:
        count += len(level)
        depth += 1
        if count > limit or depth > MAX_VALUE_DEPTH or not all(map(_is_short, level)):
            return False
        below: list[Any] = []
        for item in level:
            below.extend(item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
        level = below
    return True


def _is_short(value: Any) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case int():
            return abs(value) < 2**63
        case str():
            return len(value) <= MAX_TEXT_CHARS * 4
        case dict():
            # Some readers of schemas follow it wherever it stands.
            return "$ref" not in value
    return True


def _types(raw: Any) -> dict[str, Any]:
    if raw == "file":  # Swagger 2.0
        return {"type": "string", "format": "binary", "contentEncoding": "base64", "x-control": "file"}
    if isinstance(raw, str) and raw in _TYPES:
        return {"type": raw}
    if isinstance(raw, list):
        names = list(dict.fromkeys(item for item in raw if isinstance(item, str) and item in _TYPES))
        if names:
            return {"type": names if len(names) > 1 else names[0]}
    return {}


def _tighten_bounds(raw: dict[str, Any], schema: dict[str, Any]) -> None:
    """Write a bound that draft 4 marks as exclusive as the exclusive bound that it is."""
    for key, strict in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if raw.get(strict) is True and key in schema:
            schema[strict] = schema.pop(key)


def _with_null(schema: dict[str, Any]) -> dict[str, Any]:
    if "enum" in schema and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    match schema.get("type"):
        case "null":
            return schema
        case str() as name:
            schema["type"] = [name, "null"]
        case list() as names if "null" not in names:
            schema["type"] = [*names, "null"]
        case None if schema.keys() & {"allOf", "anyOf", "oneOf"}:
            return {"anyOf": [schema, {"type": "null"}]}
    return schema


def is_number(value: Any) -> bool:
    """Whether it is a finite number of JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return is_number(value) and value >= 0 and value == int(value) and value < 2**53


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
