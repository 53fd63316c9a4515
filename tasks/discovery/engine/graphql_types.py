"""From GraphQL's types to JSON Schema (2020-12): arguments as a caller sends them, answers as they come.

Source: GraphQL specification, October 2021, 3 (type system), 6 (execution); custom scalars by the names that are
usual for them.
"""

from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    Node,
    Undefined,
    ValueNode,
    is_required_argument,
    is_required_input_field,
    print_ast,
    value_from_ast_untyped,
)

Schema = dict[str, Any]

MAX_DESCRIPTION_CHARS = 500
_MAX_ENUM = 300

_SCALARS: dict[str, Schema] = {
    "int": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "float": {"type": "number"},
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "id": {"type": "string"},
    "datetime": {"type": "string", "format": "date-time"},
    "timestamp": {"type": ["string", "number"]},
    "date": {"type": "string", "format": "date"},
    "uuid": {"type": "string", "format": "uuid"},
    "guid": {"type": "string", "format": "uuid"},
    "uri": {"type": "string", "format": "uri"},
    "url": {"type": "string", "format": "uri"},
    "email": {"type": "string", "format": "email"},
    "emailaddress": {"type": "string", "format": "email"},
    "bigint": {"type": ["integer", "string"]},
    "long": {"type": ["integer", "string"]},
    "decimal": {"type": ["number", "string"]},
    "bigdecimal": {"type": ["number", "string"]},
}


def scalar_schema(name: str) -> Schema:
    """Return what a scalar of this name holds; an empty schema, which is anything, where the name does not tell."""
    return dict(_SCALARS.get(name.lower(), {}))


def arguments_schema(arguments: dict[str, GraphQLArgument]) -> Schema:
    """Return the schema of an object with one property per argument; input objects stand under ``$defs``."""
    definitions: dict[str, Schema] = {}
    properties = {name: _given(argument, definitions) for name, argument in arguments.items()}
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required := [name for name, argument in arguments.items() if is_required_argument(argument)]:
        schema["required"] = required
    return schema | ({"$defs": definitions} if definitions else {})


def default_literal(argument: GraphQLArgument) -> str:
    """Return the default of an argument as GraphQL writes it; empty for none, or for null."""
    literal = argument.default.literal if argument.default is not None else None
    return print_ast(literal) if isinstance(literal, Node) else ""


def output_scalar(type_: GraphQLScalarType | GraphQLEnumType) -> Schema:
    """Return what a leaf of an answer holds. A server writes its own scalars, and numbers and ids, as it likes."""
    if isinstance(type_, GraphQLEnumType):
        return {"type": "string"}
    return {"type": _SCALARS[type_.name.lower()]["type"]} if type_.name in ("Float", "String", "Boolean") else {}


def _given(value: GraphQLArgument | GraphQLInputField, definitions: dict[str, Schema]) -> Schema:
    schema = _input(value.type, definitions)
    if value.description:
        schema["description"] = value.description.strip()[:MAX_DESCRIPTION_CHARS]
    default = _default(value)
    return schema if default is Undefined else schema | {"default": default}


def _default(value: GraphQLArgument | GraphQLInputField) -> Any:
    if value.default is None:
        return value.default_value
    literal = value.default.literal
    return value_from_ast_untyped(literal) if isinstance(literal, ValueNode) else value.default.value


def _input(type_: Any, definitions: dict[str, Schema]) -> Schema:
    match type_:
        case GraphQLNonNull():
            return _input(type_.of_type, definitions)
        case GraphQLList():
            return {"type": "array", "items": _input(type_.of_type, definitions)}
        case GraphQLEnumType():
            return _enumeration(type_)
        case GraphQLInputObjectType():
            _define(type_, definitions)
            return {"$ref": f"#/$defs/{type_.name}"}
        case _:
            return scalar_schema(type_.name)


def _define(type_: GraphQLInputObjectType, definitions: dict[str, Schema]) -> None:
    if type_.name in definitions:
        return
    schema: Schema = {"type": "object"}
    definitions[type_.name] = schema  # before its fields, which may hold it again
    schema["properties"] = {name: _given(field, definitions) for name, field in type_.fields.items()}
    schema["additionalProperties"] = False
    if type_.is_one_of:
        schema |= {"minProperties": 1, "maxProperties": 1}
    if required := [name for name, field in type_.fields.items() if is_required_input_field(field)]:
        schema["required"] = required


def _enumeration(type_: GraphQLEnumType) -> Schema:
    values = dict(list(type_.values.items())[:_MAX_ENUM])
    schema: Schema = {"type": "string"}
    if len(type_.values) > _MAX_ENUM:
        return schema | {"examples": list(values)[:20]}
    schema["enum"] = list(values)
    if any(value.description for value in values.values()):
        schema["oneOf"] = [
            {"const": name, "description": value.description.strip()[:MAX_DESCRIPTION_CHARS]}
            if value.description
            else {"const": name}
            for name, value in values.items()
        ]
    return schema
