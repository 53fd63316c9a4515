"""GraphQL on the wire: what a JSON body asks for. A body of several questions (batching) counts as all of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
)

from tasks.discovery.engine.inference import read_json

# Longer or larger ones are not read: parsing is paid for by whoever asks, not by whoever wrote it.
MAX_BODY_CHARS = 100_000
_MAX_TOKENS = 4000
_MAX_OPERATIONS = 20
_MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as it was asked. ``fields`` are the names at the root, through inline fragments."""

    text: str
    document: DocumentNode
    node: OperationDefinitionNode
    variables: dict[str, Any]

    @property
    def name(self) -> str:
        """Its own name, or empty."""
        return self.node.name.value if self.node.name else ""

    @property
    def is_query(self) -> bool:
        """Whether it promises to change nothing."""
        return self.node.operation is OperationType.QUERY

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of its fields at the root."""
        fragments = {n.name.value: n for n in self.document.definitions if isinstance(n, FragmentDefinitionNode)}
        return tuple(_root_fields(self.node.selection_set, fragments=fragments))


def operations_in(body: str) -> tuple[Operation, ...]:
    """Return the operations of a JSON body; empty where it is no GraphQL, or not all of it can be read."""
    if '"query"' not in body or len(body) > MAX_BODY_CHARS:
        return ()
    content = read_json(body)
    asked = content if isinstance(content, list) else [content]
    if not asked or len(asked) > _MAX_OPERATIONS:
        return ()
    found = [operation_in(one) for one in asked]
    return tuple(one for one in found if one is not None) if None not in found else ()


def operation_in(content: Any) -> Operation | None:
    """Return the operation that a request's JSON object has run, or None where it is no GraphQL."""
    text = content.get("query") if isinstance(content, dict) else None
    if not isinstance(text, str) or "{" not in text:
        return None
    try:
        document = parse(text, no_location=True, max_tokens=_MAX_TOKENS)
    except (GraphQLError, RecursionError):
        return None
    nodes = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    wanted = content.get("operationName")
    named = [node for node in nodes if node.name and node.name.value == wanted] if wanted else nodes
    if len(named) != 1:
        return None
    variables = content.get("variables")
    return Operation(text, document, named[0], variables if isinstance(variables, dict) else {})


def _root_fields(
    selections: SelectionSetNode, *, fragments: dict[str, FragmentDefinitionNode], depth: int = 0
) -> Iterator[str]:
    for node in selections.selections if depth < _MAX_DEPTH else ():
        if isinstance(node, FieldNode):
            yield node.name.value
        elif isinstance(node, InlineFragmentNode):
            yield from _root_fields(node.selection_set, fragments=fragments, depth=depth + 1)
        elif (name := getattr(node, "name", None)) and name.value in fragments:
            yield from _root_fields(fragments[name.value].selection_set, fragments=fragments, depth=depth + 1)
