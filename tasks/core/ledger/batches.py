"""Many jobs at once, chosen by a filter: cancelled, replayed or erased, a bounded batch per transaction.

A job that claims, ends or is cancelled meanwhile is looked at as it is when its batch is locked.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.clock import now
from tasks.core.ledger import unique
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.queries import Filter, matching
from tasks.core.ledger.replaying import replay_where
from tasks.core.ledger.rows import job_from_row
from tasks.core.ledger.schema import jobs
from tasks.core.ledger.state_events import write_events
from tasks.core.records import REPLAYABLE, TERMINAL, Cause, Job, JobState

# Jobs per transaction: few enough that nobody waits long for the write lock.
BATCH = 200

# Which jobs an act applies to.
Eligible: TypeAlias = sa.ColumnElement[bool]
CANCELLABLE = jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING]) & jobs.c.cancel_requested_at.is_(None)
RETRYABLE = jobs.c.state.in_(REPLAYABLE)
ERASABLE = jobs.c.state.in_(TERMINAL)


@dataclass(frozen=True, slots=True)
class Reach:
    """How many jobs a filter matches, and how many of them the act applies to."""

    matched: int
    eligible: int


def reach(ledger: Ledger, wanted: Filter, eligible: Eligible) -> Reach:
    """Count what an act on ``wanted`` would touch."""
    applies = sa.func.coalesce(sa.func.sum(sa.case((eligible, 1), else_=0)), 0)
    statement = sa.select(sa.func.count(), applies).select_from(jobs).where(*matching(wanted))
    with ledger.read() as connection:
        matched, count = connection.execute(statement).one()
    return Reach(int(matched), int(count))


def cancel(ledger: Ledger, wanted: Filter, *, limit: int) -> Iterator[list[Job]]:
    """Cancel the queued jobs and flag the running ones, oldest first; yield each committed batch as it is now."""
    return _in_batches(ledger, wanted, CANCELLABLE, limit=limit, act=_cancel)


def replay(ledger: Ledger, wanted: Filter, *, limit: int) -> Iterator[list[Job]]:
    """Queue the failed and cancelled jobs again, oldest first; yield each committed batch as it is now.

    Of those with the same unique key one goes, unless another one has not ended.
    """
    return _in_batches(ledger, wanted, RETRYABLE, limit=limit, act=_replay)


def erase(ledger: Ledger, wanted: Filter, *, limit: int) -> Iterator[list[Job]]:
    """Delete the rows of finished jobs, oldest first; yield each committed batch as it was."""
    return _in_batches(ledger, wanted, ERASABLE, limit=limit, act=_erase)


def _in_batches(
    ledger: Ledger,
    wanted: Filter,
    eligible: Eligible,
    *,
    limit: int,
    act: Callable[[Connection, sa.ColumnElement[bool]], list[Job]],
) -> Iterator[list[Job]]:
    last = ""
    while limit > 0:
        best = sa.select(jobs.c.id).where(*matching(wanted), eligible, jobs.c.id > last).order_by(jobs.c.id)
        with ledger.write() as connection:
            # Locked in the order of ids, so that two of these cannot wait for each other.
            ids = connection.execute(best.limit(min(limit, BATCH)).with_for_update()).scalars().all()
            touched = act(connection, jobs.c.id.in_(ids)) if ids else []
        if not ids:
            return
        last, limit = max(ids), limit - len(ids)
        yield touched


def _cancel(connection: Connection, where: sa.ColumnElement[bool]) -> list[Job]:
    at = now()
    end = (
        jobs.update()
        .where(where, jobs.c.state == JobState.QUEUED)
        .values(
            state=JobState.CANCELLED,
            cause=Cause.CANCEL_REQUESTED,
            version=jobs.c.version + 1,
            cancel_requested_at=at,
            finished_at=at,
            resume=None,
        )
    )
    cancelled = [job_from_row(row) for row in connection.execute(end.returning(*jobs.c))]
    write_events(connection, cancelled)
    flag = jobs.update().where(where, jobs.c.state == JobState.RUNNING).values(cancel_requested_at=at)
    return cancelled + [job_from_row(row) for row in connection.execute(flag.returning(*jobs.c))]


def _replay(connection: Connection, where: sa.ColumnElement[bool]) -> list[Job]:
    keyed = sa.select(jobs.c.id, jobs.c.tenant_id, jobs.c.unique_key).where(where, jobs.c.unique_key.is_not(None))
    left_out = []
    seen = set()
    # In one order for all, so that two of these never wait for each other.
    for job_id, *key in connection.execute(keyed.order_by(jobs.c.tenant_id, jobs.c.unique_key, jobs.c.id.desc())):
        if tuple(key) in seen or unique.holder(connection, *key) is not None:
            left_out.append(job_id)
        seen.add(tuple(key))
    return replay_where(connection, where & jobs.c.id.not_in(left_out) if left_out else where)


def _erase(connection: Connection, where: sa.ColumnElement[bool]) -> list[Job]:
    rows = connection.execute(jobs.delete().where(where, ERASABLE).returning(*jobs.c))
    return [job_from_row(row) for row in rows]
