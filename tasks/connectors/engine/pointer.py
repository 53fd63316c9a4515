"""JSON pointers (RFC 6901)."""

from typing import Any

MISSING = object()
"""What ``found_at`` returns where there is nothing: ``None`` may be there."""


def found_at(pointer: str, document: Any) -> Any:
    """Return what ``pointer`` points at in ``document``, or ``MISSING``."""
    value = document
    for token in pointer.split("/")[1:]:
        step = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and step.isascii() and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value
