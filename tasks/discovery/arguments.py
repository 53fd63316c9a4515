"""Arguments of a run, checked against the tool's input schema before anything is accepted or sent. Loads anywhere.

Patterns and schemas come from strangers' pages, so the checker is one that bounds them: jsonschema-rs counts the steps
of patterns that backtrack, limits their compiled size, and fetches no references.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jsonschema_rs import Draft202012Validator, FancyRegexOptions, ReferencingError, ValidationError

from tasks.core.errors import Permanent
from tasks.discovery.tool import JSONSchema

# Steps of one match; a pattern that people write for a field needs some hundreds.
_BACKTRACK_LIMIT = 10_000
# Compiled, of one pattern, and of its cache of states.
_PATTERN_BYTES = 1 << 20
_MOST_FAULTS = 50
_MOST_CHARS = 300


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one argument: ``path`` leads to it (``filters.0.name``), ``message`` names the remedy."""

    path: str
    message: str


def faults_of(schema: JSONSchema, arguments: dict[str, Any]) -> list[Fault]:
    """Return what of ``arguments`` does not fit ``schema``, at most 50; values are not repeated.

    Raises:
        Permanent: the schema itself is unusable.
    """
    properties = schema.get("properties", {})
    unknown = [name for name in arguments if name not in properties]
    there_are = ", ".join(properties)[:_MOST_CHARS] or "none"
    faults = [Fault(name, f"Unknown: remove it; the tool takes {there_are}.") for name in unknown]
    known = {name: value for name, value in arguments.items() if name in properties}
    for error in validator_of(schema).iter_errors(known):
        if len(faults) >= _MOST_FAULTS:
            break
        faults.append(_fault(error))
    return faults


def secret_inputs(schema: JSONSchema) -> frozenset[str]:
    """Return the names of the inputs whose values may be shown nowhere."""
    properties = schema.get("properties", {})
    return frozenset(
        name
        for name, rules in properties.items()
        if isinstance(rules, dict) and (rules.get("format") == "password" or rules.get("writeOnly") is True)
    )


def validator_of(schema: JSONSchema) -> Draft202012Validator:
    """Return the checker of a schema; the same schema is compiled once. Its messages say "it" for the value.

    Raises:
        Permanent: the schema is unusable.
    """
    return _compiled(json.dumps(schema, sort_keys=True))


def _fault(error: ValidationError) -> Fault:
    path = [str(part) for part in error.instance_path]
    if error.kind.name == "required":
        return Fault(".".join([*path, str(getattr(error.kind, "property", ""))]), "Required: add it.")
    return Fault(".".join(path), error.message[:_MOST_CHARS])


@lru_cache(256)
def _compiled(schema: str) -> Draft202012Validator:
    options = FancyRegexOptions(
        backtrack_limit=_BACKTRACK_LIMIT, size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES
    )
    try:
        return Draft202012Validator(
            json.loads(schema), validate_formats=True, pattern_options=options, mask="it", offline=True
        )
    except (ValidationError, ReferencingError) as exc:
        raise Permanent(f"The tool's input schema cannot be used: {str(exc)[:_MOST_CHARS]}") from exc
