"""Writes the document that asks for one field: its arguments as variables, and a selection that is worth having.

A selection holds the scalars of what the field answers with, and those of what hangs on it to a bounded depth; what
needs arguments or is deprecated stays out. Each document is validated against the schema before it is given away.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_non_null_type,
    is_required_argument,
    parse,
    print_ast,
    validate,
)

from tasks.discovery.engine.graphql_types import default_literal, output_scalar

Schema = dict[str, Any]

_MAX_DEPTH = 2
_MAX_LEAVES = 25
_MAX_BRANCHES = 5
_MAX_UNION = 5
# Fields that only wrap: a connection's edges say nothing by themselves.
_WRAPPERS = frozenset({"edges", "node", "nodes", "items", "results", "data", "records", "pageInfo"})
_MAX_WRAPPERS = 6


@dataclass(frozen=True, slots=True)
class Document:
    """A valid document, the name of its operation, and the schema of the answer's ``data``."""

    text: str
    name: str
    answer: Schema


def document_for(schema: GraphQLSchema, *, kind: str, name: str, field: GraphQLField) -> Document | None:
    """Return the document for a root field; None where no valid one was found.

    Args:
        kind: ``query`` or ``mutation``.
    """
    operation = f"{name[:1].upper()}{name[1:]}"
    variables = ", ".join(f"${argument}: {_variable_type(value)}" for argument, value in field.args.items())
    given = ", ".join(f"{argument}: ${argument}" for argument in field.args)
    for depth in range(_MAX_DEPTH, -1, -1):
        selected = _select(field.type, schema, depth=depth, above=())
        if selected is None:
            continue
        selection, answer = selected
        text = f"{kind} {operation}{_enclosed(variables)} {{ {name}{_enclosed(given)} {selection} }}"
        document = parse(text, no_location=True)
        if not validate(schema, document, max_errors=1):
            data = {"type": ["object", "null"], "properties": {name: answer}}
            return Document(print_ast(document), operation, data)
    return None


def _variable_type(argument: GraphQLArgument) -> str:
    # One that may not be null may still be left out, where it has a default: then the variable needs it too.
    default = default_literal(argument) if is_non_null_type(argument.type) else ""
    return f"{argument.type} = {default}" if default else str(argument.type)


def _enclosed(text: str) -> str:
    return f"({text})" if text else ""


def _select(type_: Any, schema: GraphQLSchema, *, depth: int, above: tuple[str, ...]) -> tuple[str, Schema] | None:
    """Return the selection of a type, empty for a leaf, and the schema of its value; None where nothing is left."""
    match type_:
        case GraphQLNonNull():
            return _select(type_.of_type, schema, depth=depth, above=above)
        case GraphQLList():
            inner = _select(type_.of_type, schema, depth=depth, above=above)
            return inner and (inner[0], {"type": ["array", "null"], "items": inner[1]})
        case GraphQLScalarType() | GraphQLEnumType():
            return "", _nullable(output_scalar(type_))
        case GraphQLUnionType():
            return _select_union(type_, schema, depth=depth, above=above)
        case GraphQLObjectType() | GraphQLInterfaceType():
            return _select_fields(type_, schema, depth=depth, above=above)
        case _:
            return None


def _select_fields(
    type_: GraphQLObjectType | GraphQLInterfaceType, schema: GraphQLSchema, *, depth: int, above: tuple[str, ...]
) -> tuple[str, Schema] | None:
    above = (*above, type_.name)
    parts: list[str] = []
    properties: dict[str, Schema] = {}
    leaves = branches = 0
    for name, field in _askable(type_):
        is_leaf = isinstance(get_named_type(field.type), GraphQLScalarType | GraphQLEnumType)
        is_wrapper = name in _WRAPPERS and len(above) <= _MAX_WRAPPERS
        if is_leaf and leaves >= _MAX_LEAVES:
            continue
        if not is_leaf and not is_wrapper and (depth <= 0 or branches >= _MAX_BRANCHES):
            continue
        if not is_leaf and get_named_type(field.type).name in above:
            continue
        selected = _select(field.type, schema, depth=depth if is_leaf or is_wrapper else depth - 1, above=above)
        if selected is not None:
            leaves, branches = leaves + is_leaf, branches + (not is_leaf)
            parts.append(f"{name} {selected[0]}".strip())
            properties[name] = selected[1]
    if not parts:
        parts, properties = ["__typename"], {"__typename": {"type": "string"}}
    return f"{{ {' '.join(parts)} }}", {"type": ["object", "null"], "properties": properties}


def _select_union(
    type_: GraphQLUnionType, schema: GraphQLSchema, *, depth: int, above: tuple[str, ...]
) -> tuple[str, Schema] | None:
    parts = ["__typename"]
    for member in type_.types[:_MAX_UNION] if depth > 0 else ():
        if member.name not in above and (selected := _select_fields(member, schema, depth=depth - 1, above=above)):
            parts.append(f"... on {member.name} {selected[0]}")
    return f"{{ {' '.join(parts)} }}", {"type": ["object", "null"], "properties": {"__typename": {"type": "string"}}}


def _askable(type_: GraphQLObjectType | GraphQLInterfaceType) -> Iterable[tuple[str, GraphQLField]]:
    for name, field in type_.fields.items():
        if field.deprecation_reason is None and not any(map(is_required_argument, field.args.values())):
            yield name, field


def _nullable(schema: Schema) -> Schema:
    return schema | {"type": [schema["type"], "null"]} if "type" in schema else schema
