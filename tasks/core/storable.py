"""Texts that UTF-8, PostgreSQL and every reader can hold.

What an engine says is what the world gave it: JSON that another program cut in the middle of an emoji has half of a
surrogate pair, which UTF-8 has no bytes for, and PostgreSQL reads nothing out of JSON with a NUL in it.
"""

from typing import Any


def storable(text: str, *, nul: str = "\ufffd") -> str:
    """Return ``text`` with something else in the place of what cannot be held; nearly always it is itself.

    Args:
        nul: what stands for a NUL.
    """
    text = text.replace("\0", nul)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def storable_data(value: Any) -> Any:
    """Return JSON data of which each text, keys included, is ``storable``."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(key) if isinstance(key, str) else key: storable_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable_data(item) for item in value]
    return value
