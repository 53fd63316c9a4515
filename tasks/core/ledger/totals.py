"""Counts that outlive the rows they are of: what ``/metrics`` tells of work that no web process does."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.ledger.database import Ledger, insert_if_new
from tasks.core.ledger.schema import totals

UPLOADS_EXPIRED = "uploads_expired"


def add(connection: Connection, name: str, count: int) -> None:
    """Add to a count, within the transaction that does what is counted."""
    if count and not insert_if_new(connection, totals, name=name, value=count):
        mine = totals.update().where(totals.c.name == name)
        connection.execute(mine.values(value=totals.c.value + count))


def read(ledger: Ledger, name: str) -> int:
    """Return a count; 0 before anything was counted."""
    with ledger.read() as connection:
        value = connection.execute(sa.select(totals.c.value).where(totals.c.name == name)).scalar_one_or_none()
    return int(value or 0)
