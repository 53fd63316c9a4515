"""Which jobs go into the broker, and which of them again: every carry is taken here."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.clock import now
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.fleet import window
from tasks.core.ledger.rows import job_from_row
from tasks.core.ledger.schema import jobs
from tasks.core.records import Job, JobState


def is_due(at: datetime) -> sa.ColumnElement[bool]:
    """Match jobs whose ``not_before`` has passed at ``at``."""
    return sa.or_(jobs.c.not_before.is_(None), jobs.c.not_before <= at)


def published_count(connection: Connection, queue: str) -> int:
    """Count the queue's jobs that are in the broker, as far as the ledger knows, and not yet claimed."""
    statement = sa.select(sa.func.count()).where(
        jobs.c.queue == queue, jobs.c.state == JobState.QUEUED, jobs.c.published_at.is_not(None)
    )
    return int(connection.execute(statement).scalar_one())


def take_due(ledger: Ledger, queue: str) -> list[Job]:
    """Take the next carry of as many due jobs as the queue's window has room for: priority first, then age."""
    at = now()
    with ledger.write() as connection:
        room = window(connection, queue) - published_count(connection, queue)
        if room <= 0:
            return []
        best = (
            sa.select(jobs.c.id)
            .where(jobs.c.queue == queue, jobs.c.state == JobState.QUEUED, jobs.c.published_at.is_(None), is_due(at))
            .order_by(jobs.c.priority.desc(), jobs.c.id)
            .limit(room)
            .with_for_update(skip_locked=True)
        )
        ids = connection.execute(best).scalars().all()
        return _take_carry(connection, ids, at)


def take_stale(ledger: Ledger, queue: str, *, published_before: datetime) -> list[Job]:
    """Take another carry of queued jobs whose message must be taken for lost; the old message is void from then on."""
    with ledger.write() as connection:
        stale = sa.select(jobs.c.id).where(
            jobs.c.queue == queue, jobs.c.state == JobState.QUEUED, jobs.c.published_at < published_before
        )
        ids = connection.execute(stale.with_for_update(skip_locked=True)).scalars().all()
        return _take_carry(connection, ids, now())


def _take_carry(connection: Connection, ids: Sequence[str], at: datetime) -> list[Job]:
    if not ids:
        return []
    statement = (
        jobs.update()
        .where(jobs.c.id.in_(ids), jobs.c.state == JobState.QUEUED)
        .values(carry=jobs.c.carry + 1, published_at=at)
        .returning(*jobs.c)
    )
    taken = [job_from_row(row) for row in connection.execute(statement)]
    return sorted(taken, key=lambda job: (-job.priority, job.id))


def put_back(ledger: Ledger, carried: Sequence[tuple[str, int]]) -> None:
    """Note that these ``(job id, carry)`` did not reach the broker, so that the dispatcher carries them."""
    with ledger.write() as connection:
        for job_id, carry in carried:
            connection.execute(
                jobs.update()
                .where(jobs.c.id == job_id, jobs.c.carry == carry, jobs.c.state == JobState.QUEUED)
                .values(published_at=None)
            )
