"""Arguments of a run, checked against the tool's input schema before anything is sent.

Patterns and schemas come from strangers' pages, so the checker is one that bounds them: jsonschema-rs runs patterns in
linear time, counts the steps of those that must backtrack, limits their compiled size, and fetches no references.
Source: JSON Schema 2020-12, formats asserted.
"""

import json
from functools import lru_cache
from typing import Any

from jsonschema_rs import Draft202012Validator, FancyRegexOptions, ReferencingError, ValidationError

from tasks.core.errors import InputRejected, Permanent
from tasks.discovery.tool import JSONSchema

# Steps of one match; a pattern that people write for a field needs some hundreds.
_BACKTRACK_LIMIT = 10_000
# Compiled, of one pattern, and of its cache of states.
_PATTERN_BYTES = 1 << 20
_MAX_SHOWN = 80
_MAX_ERRORS = 10
_CACHED_SCHEMAS = 256
# Stands for the value in the checker's words.
_IT = "it"


def check_arguments(schema: JSONSchema, arguments: dict[str, Any]) -> None:
    """Do nothing if ``arguments`` fit ``schema``.

    Raises:
        InputRejected: they do not; names each property, its value (shortened; never a password's) and the remedy.
        Permanent: the schema itself is unusable.
    """
    properties = schema.get("properties", {})
    unknown = [name for name in arguments if name not in properties]
    problems = [f"{name}: no such input, leave it out (there are: {_names(properties)})" for name in unknown]
    known = {name: value for name, value in arguments.items() if name in properties}
    fields = [*unknown]
    for error in _compiled(json.dumps(schema, sort_keys=True)).iter_errors(known):
        path = [str(part) for part in error.instance_path]
        fields.append(".".join(path) or _missing(error))
        problems.append(_problem(error, path, properties))
    if problems:
        raise InputRejected(_listed(problems), field=fields[0])


def secret_inputs(schema: JSONSchema) -> frozenset[str]:
    """Return the names of the inputs whose values may be shown nowhere."""
    properties = schema.get("properties", {})
    return frozenset(name for name, rules in properties.items() if _is_secret(rules))


@lru_cache(_CACHED_SCHEMAS)
def _compiled(schema: str) -> Draft202012Validator:
    options = FancyRegexOptions(
        backtrack_limit=_BACKTRACK_LIMIT, size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES
    )
    try:
        return Draft202012Validator(
            json.loads(schema), validate_formats=True, pattern_options=options, mask=_IT, offline=True
        )
    except (ValidationError, ReferencingError) as exc:
        raise Permanent(f"The tool's input schema cannot be used: {str(exc)[:300]}") from exc


def _problem(error: ValidationError, path: list[str], properties: dict[str, Any]) -> str:
    if not path:
        return f"{_missing(error)}: missing, send it" if error.kind.name == "required" else error.message
    name = path[0]
    is_secret = _is_secret(properties.get(name, {}))
    shown = "" if is_secret else f" = {_shortened(error.instance)}"
    remedy = error.message if len(error.message) <= 300 else f"{error.message[:299]}…"
    return f"{'.'.join(path)}{shown}: {remedy}"


def _missing(error: ValidationError) -> str:
    return str(getattr(error.kind, "property", ""))


def _is_secret(rules: object) -> bool:
    return isinstance(rules, dict) and (rules.get("format") == "password" or rules.get("writeOnly") is True)


def _shortened(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"


def _names(properties: dict[str, Any]) -> str:
    return _shortened(", ".join(properties))[1:-1] or "none"


def _listed(problems: list[str]) -> str:
    more = len(problems) - _MAX_ERRORS
    listed = "; ".join(problems[:_MAX_ERRORS])
    return f"{listed}; and {more} more." if more > 0 else f"{listed}."
