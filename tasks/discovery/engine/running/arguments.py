"""Arguments of a run, checked against the tool's input schema before anything is sent: JSON Schema 2020-12."""

import json
from typing import Any

from jsonschema_rs import ValidationError

from tasks.core.errors import InputRejected
from tasks.discovery.arguments import secret_inputs, validator_of
from tasks.discovery.tool import JSONSchema

_MAX_SHOWN = 80
_MAX_ERRORS = 10


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
    for error in validator_of(schema).iter_errors(known):
        path = [str(part) for part in error.instance_path]
        fields.append(".".join(path) or _missing(error))
        problems.append(_problem(error, path, properties))
    if problems:
        raise InputRejected(_listed(problems), field=fields[0])


def _problem(error: ValidationError, path: list[str], properties: dict[str, Any]) -> str:
    if not path:
        return f"{_missing(error)}: missing, send it" if error.kind.name == "required" else error.message
    name = path[0]
    shown = "" if name in secret_inputs({"properties": properties}) else f" = {_shortened(error.instance)}"
    remedy = error.message if len(error.message) <= 300 else f"{error.message[:299]}…"
    return f"{'.'.join(path)}{shown}: {remedy}"


def _missing(error: ValidationError) -> str:
    return str(getattr(error.kind, "property", ""))


def _shortened(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"


def _names(properties: dict[str, Any]) -> str:
    return _shortened(", ".join(properties))[1:-1] or "none"


def _listed(problems: list[str]) -> str:
    more = len(problems) - _MAX_ERRORS
    listed = "; ".join(problems[:_MAX_ERRORS])
    return f"{listed}; and {more} more." if more > 0 else f"{listed}."
