"""Members of an API's form body as the entries of a form.

Source: OpenAPI 3.1.1, 4.8.15 (Encoding Object): ``style``, ``explode`` and ``contentType`` of a member, and what holds
where they are not said. For lists in ``deepObject``, which OpenAPI leaves open: ``name[]``, as PHP, Rails and Stripe
read it; lists of objects with numbers.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from tasks.discovery.engine.running.encoding import MULTIPART, Entry, TypedText
from tasks.discovery.engine.running.filling import as_text, file_parts
from tasks.discovery.tool import JSONSchema, Slot

_JSON = "application/json"
_DELIMITERS = {"spaceDelimited": " ", "pipeDelimited": "|"}
_MAX_DEPTH = 8


def member_entries(given: Iterable[tuple[Slot, Any]], *, schema: JSONSchema, enctype: str) -> Iterator[Entry]:
    """Give the entries of each member that has a value.

    Raises:
        InputRejected: a file is not base64.
    """
    for slot, value in given:
        name, rules = slot.name or slot.input, schema.get("properties", {}).get(slot.input, {})
        inner = rules.get("items", rules)
        if inner.get("format") == "binary" or inner.get("contentEncoding") == "base64":
            yield from ((name, part) for part in file_parts(value, schema=rules, input_name=slot.input))
        elif slot.style:
            yield from _styled(name, value, slot=slot)
        elif "json" in slot.media_type:
            yield name, _typed(value, slot.media_type, enctype=enctype)
        else:
            for each in value if isinstance(value, list) else [value]:
                media_type = slot.media_type or (_JSON if isinstance(each, dict | list) else "")
                yield name, _typed(each, media_type, enctype=enctype)


def _typed(value: Any, media_type: str, *, enctype: str) -> str | TypedText:
    # Only the parts of multipart say what they are.
    return TypedText(as_text(value), media_type) if media_type and enctype == MULTIPART else as_text(value)


def _styled(name: str, value: Any, *, slot: Slot) -> Iterator[Entry]:
    if slot.style == "deepObject":
        yield from _deep(name, value)
    elif not isinstance(value, list | dict):
        yield name, as_text(value)
    elif slot.explode and slot.style not in _DELIMITERS:
        pairs = value.items() if isinstance(value, dict) else ((name, each) for each in value)
        yield from ((key, as_text(each)) for key, each in pairs)
    else:
        parts = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
        yield name, _DELIMITERS.get(slot.style, ",").join(map(as_text, parts))


def _deep(name: str, value: Any, *, depth: int = 0) -> Iterator[Entry]:
    if depth >= _MAX_DEPTH or not isinstance(value, list | dict):
        yield name, as_text(value)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _deep(f"{name}[{key}]", each, depth=depth + 1)
    else:
        is_plain = not any(isinstance(each, list | dict) for each in value)
        for at, each in enumerate(value):
            yield from _deep(f"{name}[{'' if is_plain else at}]", each, depth=depth + 1)
