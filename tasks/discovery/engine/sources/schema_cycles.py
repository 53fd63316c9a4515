"""References that lead back to themselves without going deeper into the value: a validator would follow them forever.

JSON Schema Core 2020-12, section 9.4.1 (guarding against infinite recursion): schemas that are applied to the same
value must not lead back to themselves. Documents of strangers do it all the same.
"""

from collections.abc import Iterator
from typing import Any

# What is applied to the same value as the schema that it stands in; all else goes down into the value.
_ONE = ("not", "if", "then", "else")
_SEVERAL = ("allOf", "anyOf", "oneOf")
_NAMED = ("dependentSchemas",)
_PREFIX = "#/$defs/"
MAX_CHAIN = 40


def opened(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Take out of both, in place, each reference that closes a circle upon the same value; what is left allows more.

    The same for one that ends a chain of more than ``MAX_CHAIN``: validators follow it call within call.
    """
    heights: dict[str, int] = {}

    def follow(node: Any, above: tuple[str, ...]) -> int:
        """Return the number of references in the longest chain from here."""
        height = 0
        for part in _upon_the_same_value(node):
            name = str(part.get("$ref", "")).removeprefix(_PREFIX)
            if name not in definitions:
                continue
            if name in above or len(above) + heights.get(name, 0) >= MAX_CHAIN:
                del part["$ref"]
                continue
            if name not in heights:
                heights[name] = follow(definitions[name], (*above, name))
            height = max(height, 1 + heights[name])
        return height

    follow(schema, ())
    for name, definition in definitions.items():
        if name not in heights:
            heights[name] = follow(definition, (name,))


def _upon_the_same_value(node: Any) -> Iterator[dict[str, Any]]:
    """The schema and the schemas in it that see the same value."""
    if not isinstance(node, dict):
        return
    yield node
    for inner in (
        *(node[key] for key in _ONE if key in node),
        *(item for key in _SEVERAL for item in node.get(key, ())),
        *(item for key in _NAMED for item in node.get(key, {}).values()),
    ):
        yield from _upon_the_same_value(inner)
