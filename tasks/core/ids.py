"""Identifiers: UUID version 7 (RFC 9562), so that they sort by the time they were made."""

from datetime import UTC, datetime
from uuid import UUID

import uuid_utils


def new_id() -> str:
    """Return a fresh UUIDv7 in its 36-character form."""
    return str(uuid_utils.uuid7())


def first_id_at(at: datetime) -> str:
    """Return the least id of those that are made at ``at`` or later, as far as their makers' clocks agree."""
    ms = f"{int(at.timestamp() * 1000):012x}"
    return f"{ms[:8]}-{ms[8:]}-7000-8000-000000000000"


def made_at(job_id: str) -> datetime:
    """Return when an id was made, to the millisecond, by its maker's clock."""
    return datetime.fromtimestamp(int(job_id[:8] + job_id[9:13], 16) / 1000, UTC)


def is_id(text: str) -> bool:
    """Tell whether ``text`` is a UUID in canonical form."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
