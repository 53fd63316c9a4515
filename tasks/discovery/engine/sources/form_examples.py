"""Inputs that the page itself suggests for a form, to run it with."""

from typing import Any

from tasks.discovery.engine.page import Form, Method
from tasks.discovery.tool import JSONSchema

MAX_EXAMPLES = 3


def examples_of(
    form: Form, *, schema: JSONSchema, words: list[str], query: str, inputs: dict[int, str]
) -> tuple[dict[str, Any], ...]:
    """Return examples that the schema accepts, the likeliest first; none where an input can only be made up.

    Args:
        words: that stand on the site, for what is typed into the field ``query`` (empty for none).
    """
    base: dict[str, Any] = {}
    for name in schema.get("required", ()):
        value = None if name == query else _suggested(schema["properties"][name])
        if value is None and name != query:
            return ()
        if value is not None:
            base[name] = value
    if query:
        fitting = [word for word in words if _fits(schema["properties"].get(query, {}), word)]
        if fitting or query in schema.get("required", ()):
            return tuple({**base, query: word} for word in fitting[:MAX_EXAMPLES])
    if form.method is not Method.GET:
        return (base,) if base or not inputs else ()
    return (base, *({**base, name: other} for name, other in _other_choices(schema)))[:MAX_EXAMPLES]


def _suggested(schema: JSONSchema) -> Any:
    for value in (schema.get("const"), schema.get("default"), *schema.get("enum", ()), *schema.get("examples", ())):
        if value not in (None, "", []):
            return value
    return None


def _other_choices(schema: JSONSchema) -> list[tuple[str, Any]]:
    """Return an input of a choice that is not the one that the page begins with."""
    found = []
    for name, one in schema["properties"].items():
        others = [value for value in one.get("enum", ()) if value not in ("", one.get("default"))]
        if others:
            found.append((name, others[0]))
    return found


def _fits(schema: JSONSchema, word: str) -> bool:
    is_long_enough = schema.get("minLength", 0) <= len(word) <= schema.get("maxLength", len(word))
    return is_long_enough and "pattern" not in schema and schema.get("type", "string") == "string"
