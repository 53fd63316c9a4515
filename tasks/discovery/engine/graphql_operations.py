"""What operations that were seen tell: the variables of each, and what its root fields were given."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    ListTypeNode,
    NonNullTypeNode,
    TypeNode,
    Undefined,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    value_from_ast_untyped,
)

from tasks.discovery.engine.api_words import is_secret
from tasks.discovery.engine.graphql_types import scalar_schema
from tasks.discovery.engine.graphql_wire import Operation
from tasks.discovery.engine.inference import infer_schema
from tasks.discovery.engine.inputs import is_typed_text
from tasks.discovery.engine.site import Exchange

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """An operation, the exchange that carried it, and the page that it was seen on."""

    exchange: Exchange
    operation: Operation
    found_on: str

    def is_typed(self, value: Any) -> bool:
        """Whether ``value`` is what was being typed."""
        typed = self.exchange.typed.strip().lower()
        return len(typed) > 2 and isinstance(value, str) and is_typed_text(value, typed)


def arguments_given(seen: Seen, field: str) -> dict[str, Any]:
    """Return what ``field`` of the root was given, variables filled in; empty where it was not asked."""
    for node in seen.operation.node.selection_set.selections:
        if isinstance(node, FieldNode) and node.name.value == field:
            values = {a.name.value: _value(a.value, seen.operation.variables) for a in node.arguments or ()}
            return {name: value for name, value in values.items() if value is not Undefined and value is not None}
    return {}


def variables_schema(sightings: list[Seen]) -> tuple[Schema, list[str]]:
    """Return the schema of an operation's variables, and the names of those that were typed.

    Types that are no scalars of GraphQL itself are inferred from the values seen. What belongs to a session is left
    out.
    """
    properties: dict[str, Schema] = {}
    required, typed = [], []
    for definition in sightings[0].operation.node.variable_definitions or ():
        name = definition.variable.name.value
        values = [seen.operation.variables[name] for seen in sightings if name in seen.operation.variables]
        if is_secret(name):
            continue
        properties[name] = _variable(definition, values)
        if isinstance(definition.type, NonNullTypeNode) and definition.default_value is None:
            required.append(name)
        if any(seen.is_typed(seen.operation.variables.get(name)) for seen in sightings):
            typed.append(name)
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    required += [name for name in typed if name not in required]
    return schema | ({"required": required} if required else {}), typed


def _variable(definition: VariableDefinitionNode, values: list[Any]) -> Schema:
    schema = _type(definition.type, [value for value in values if value is not None])
    if definition.default_value is not None:
        schema["default"] = value_from_ast_untyped(definition.default_value)
    return schema


def _type(node: TypeNode, values: list[Any]) -> Schema:
    if isinstance(node, NonNullTypeNode):
        return _type(node.type, values)
    if isinstance(node, ListTypeNode):
        items = list(_items(values))
        return {"type": "array", "items": _type(node.type, items)}
    schema = scalar_schema(getattr(node, "name").value)  # noqa: B009  # a NamedTypeNode is what is left
    return schema or infer_schema(values)


def _items(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        # A single value stands for a list of one.
        yield from value if isinstance(value, list) else [value]


def _value(node: ValueNode, variables: Mapping[str, Any]) -> Any:
    if isinstance(node, VariableNode):
        return variables.get(node.name.value, Undefined)
    return value_from_ast_untyped(node, dict(variables))
