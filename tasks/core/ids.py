"""Identifiers: UUID version 7 (RFC 9562), so that they sort by the time they were made."""

from uuid import UUID

import uuid_utils


def new_id() -> str:
    """Return a fresh UUIDv7 in its 36-character form."""
    return str(uuid_utils.uuid7())


def is_id(text: str) -> bool:
    """Tell whether ``text`` is a UUID in canonical form."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
