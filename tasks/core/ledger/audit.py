"""The book of changes: who changed what, when, and what it was before. Written in the transaction of the change."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.clock import now
from tasks.core.ids import new_id
from tasks.core.ledger.control_tables import audit
from tasks.core.ledger.database import Ledger

COMMAND_LINE = "command line"
"""Who it was that had a shell on the machine of the ledger."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something: the id of a key, or ``COMMAND_LINE``."""

    who: str

    def did(
        self, connection: Connection, what: str, subject: str, *, tenant_id: str | None = None, **details: object
    ) -> str:
        """Write down what the actor did, in the transaction that does it; return the entry's id."""
        return write_down(connection, tenant_id=tenant_id, who=self.who, what=what, subject=subject, details=details)


AT_THE_MACHINE = Actor(COMMAND_LINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One change. ``tenant_id``: whom it concerned; None: everybody."""

    id: str
    at: datetime
    tenant_id: str | None
    who: str
    what: str
    subject: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries; None does not filter."""

    tenant_id: str | None = None
    who: str | None = None
    what: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def write_down(
    connection: Connection, *, tenant_id: str | None, who: str, what: str, subject: str, details: Mapping[str, object]
) -> str:
    """Write down a change, in the transaction that makes it; return the entry's id.

    Args:
        tenant_id: whom it concerns; None: everybody.
        who: the id of the key that asked, ``COMMAND_LINE``, or ``job`` and its id.
        what: ``noun.verb``, in the past: ``limit.set``.
        subject: which one it was.
        details: what is to be known of it, as JSON: ``before`` and ``after`` where something was changed.
    """
    row = {"id": new_id(), "at": now(), "tenant_id": tenant_id, "who": who[:100], "what": what}
    connection.execute(audit.insert().values(**row, subject=subject[:300], details=dict(details)))
    return row["id"]  # type: ignore[return-value]  # new_id's


def correct(connection: Connection, entry_id: str, details: Mapping[str, object]) -> None:
    """Say anew what is to be known of a change that was made in several transactions."""
    connection.execute(audit.update().where(audit.c.id == entry_id).values(details=dict(details)))


def entries(ledger: Ledger, wanted: Wanted, *, limit: int, before: str | None = None) -> list[Entry]:
    """List changes, newest first: those before the entry ``before``, ``limit`` of them at the most."""
    exact = {audit.c.tenant_id: wanted.tenant_id, audit.c.who: wanted.who}
    exact |= {audit.c.what: wanted.what, audit.c.subject: wanted.subject}
    where = [column == value for column, value in exact.items() if value is not None]
    if wanted.since is not None:
        where.append(audit.c.at >= wanted.since)
    if wanted.until is not None:
        where.append(audit.c.at < wanted.until)
    if before is not None:
        where.append(audit.c.id < before)
    columns = [audit.c[field.name] for field in fields(Entry)]
    with ledger.read() as connection:
        rows = connection.execute(sa.select(*columns).where(*where).order_by(audit.c.id.desc()).limit(limit))
        return [Entry(*row) for row in rows]
