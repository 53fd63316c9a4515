"""What can be told of a template before anything has run: all that does not depend on what it is filled with."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, to_json

from tasks.core.follow_ups.templates import FROM, LITERAL, items_of, with_nulls


def errors_in(model: type[BaseModel], template: object, context: Mapping[str, object]) -> list[ErrorDetails]:
    """List what a request made of this template gets refused for, whatever its holes are filled with.

    The template is checked as a request with null in each hole. An error counts unless a hole may have caused it: it
    lies in one, around one, or in a union one of whose members a hole may be part of.
    """
    try:
        model.model_validate_json(to_json(with_nulls(template)), strict=True, context=dict(context))
    except ValidationError as exc:
        return [error for error in exc.errors(include_url=False) if _counts(error, template)]
    return []


def _counts(error: ErrorDetails, template: object) -> bool:
    node: Any = template
    parts = list(error["loc"])
    for number, part in enumerate(parts):
        if _is_hole(node):
            return False
        inner = dict(items_of(_bare(node)))
        if part in inner:
            node = inner[part]
        elif number == len(parts) - 1 and error["type"] == "missing":
            return True
        elif _has_hole(node):
            return False  # `part` is the name of a union's member, and another one may fit
    return error["type"] == "extra_forbidden" or not _has_hole(node)


def _bare(node: Any) -> Any:
    return node[LITERAL] if isinstance(node, dict) and node.keys() == {LITERAL} else node


def _is_hole(node: object) -> bool:
    return isinstance(node, dict) and FROM in node


def _has_hole(node: Any) -> bool:
    if _is_hole(node):
        return True
    if isinstance(node, dict) and node.keys() == {LITERAL}:
        return False
    return any(_has_hole(inner) for _, inner in items_of(node))
