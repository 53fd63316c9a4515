"""Unique keys: of a tenant's jobs with the same one, a single one has not ended."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.ledger.schema import jobs


def is_held() -> sa.ColumnElement[bool]:
    """Return whether the key of a job that has ended is another one's by now."""
    other = jobs.alias("other")
    same = (other.c.tenant_id == jobs.c.tenant_id) & (other.c.unique_key == jobs.c.unique_key)
    return sa.exists().where(same, other.c.unique_key.is_not(None), other.c.finished_at.is_(None))


def holder(connection: Connection, tenant_id: str, unique_key: str) -> str | None:
    """Return the id of the job that has the key and has not ended; nobody takes the key until the transaction ends."""
    if connection.dialect.name == "postgresql":
        # Two that take one key must not both see that nobody has it: the second waits here for the first.
        lock = sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"unique:{tenant_id}:{unique_key}", 0))
        connection.execute(sa.select(lock))
    mine = (jobs.c.tenant_id == tenant_id) & (jobs.c.unique_key == unique_key)
    not_ended = sa.select(jobs.c.id).where(mine, jobs.c.unique_key.is_not(None), jobs.c.finished_at.is_(None))
    return connection.execute(not_ended).scalar_one_or_none()
