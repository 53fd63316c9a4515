"""Many jobs at once, chosen by a filter: cancelled, purged, replayed or erased, a bounded batch per transaction.

A job that claims, ends or is cancelled meanwhile is looked at as it is when its batch is locked.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.clock import now
from tasks.core.ledger import audit, unique
from tasks.core.ledger.audit import Actor
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
PURGEABLE = jobs.c.state == JobState.QUEUED
# Whose key is taken is left out of the search already: however many they are, it is one statement.
RETRYABLE = jobs.c.state.in_(REPLAYABLE) & ~unique.is_held()
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


def sample(ledger: Ledger, wanted: Filter, eligible: Eligible, *, limit: int) -> list[Job]:
    """List what an act on ``wanted`` would touch first, ``limit`` of them at the most."""
    statement = jobs.select().where(*matching(wanted), eligible).order_by(jobs.c.id).limit(limit)
    with ledger.read() as connection:
        return [job_from_row(row) for row in connection.execute(statement)]


def cancel(ledger: Ledger, wanted: Filter, *, limit: int, by: Actor | None = None) -> Iterator[list[Job]]:
    """Cancel the queued jobs and flag the running ones, oldest first; yield each committed batch as it is now.

    Args:
        by: whose act it is, to be written down; None: nobody's, it follows from another.
    """
    return _in_batches(ledger, wanted, CANCELLABLE, limit=limit, act=_cancel, written=_Written(by, "jobs.cancelled"))


def purge(ledger: Ledger, wanted: Filter, *, limit: int, by: Actor) -> Iterator[list[Job]]:
    """Cancel the queued jobs, oldest first, with the cause ``purged``; yield each committed batch as it is now."""
    return _in_batches(ledger, wanted, PURGEABLE, limit=limit, act=_purge, written=_Written(by, "jobs.purged"))


def replay(ledger: Ledger, wanted: Filter, *, limit: int, by: Actor | None = None) -> Iterator[list[Job]]:
    """Queue the failed and cancelled jobs again, oldest first; yield each committed batch as it is now.

    Of those with the same unique key one goes, unless another one has not ended.
    """
    return _in_batches(ledger, wanted, RETRYABLE, limit=limit, act=_replay, written=_Written(by, "jobs.retried"))


def erase(ledger: Ledger, wanted: Filter, *, limit: int, by: Actor | None = None) -> Iterator[list[Job]]:
    """Delete the rows of finished jobs, oldest first; yield each committed batch as it was."""
    return _in_batches(ledger, wanted, ERASABLE, limit=limit, act=_erase, written=_Written(by, "jobs.erased"))


@dataclass(slots=True)
class _Written:
    """The entry of an act in the book of changes: made with the first batch, and true after each."""

    by: Actor | None
    what: str
    changed: int = 0
    entry_id: str | None = None

    def add(self, connection: Connection, wanted: Filter, count: int) -> None:
        """Write down that so many more jobs were changed, in the transaction that changes them."""
        if self.by is None:
            return
        self.changed += count
        filters = {name: value for name, value in asdict(wanted).items() if value not in (None, (), [])}
        told = {
            "filter": {
                name: value.isoformat() if isinstance(value, datetime) else value for name, value in filters.items()
            },
            "changed": self.changed,
        }
        if self.entry_id is None:
            tenant_id = wanted.tenant_id
            self.entry_id = self.by.did(connection, self.what, "by filter", tenant_id=tenant_id, **told)
        else:
            audit.correct(connection, self.entry_id, told)


def _in_batches(
    ledger: Ledger,
    wanted: Filter,
    eligible: Eligible,
    *,
    limit: int,
    act: Callable[[Connection, sa.ColumnElement[bool]], list[Job]],
    written: _Written,
) -> Iterator[list[Job]]:
    last = ""
    while limit > 0:
        best = sa.select(jobs.c.id).where(*matching(wanted), eligible, jobs.c.id > last).order_by(jobs.c.id)
        with ledger.write() as connection:
            # Locked in the order of ids, so that two of these cannot wait for each other.
            ids = connection.execute(best.limit(min(limit, BATCH)).with_for_update()).scalars().all()
            touched = act(connection, jobs.c.id.in_(ids)) if ids else []
            if ids:
                written.add(connection, wanted, len(touched))
        if not ids:
            return
        # Those that were left out do not count: however many they are, the ones behind them get their turn.
        last, limit = max(ids), limit - len(touched)
        yield touched


def _cancel(connection: Connection, where: sa.ColumnElement[bool]) -> list[Job]:
    cancelled = _end_queued(connection, where, Cause.CANCEL_REQUESTED)
    flag = jobs.update().where(where, jobs.c.state == JobState.RUNNING).values(cancel_requested_at=now())
    return cancelled + [job_from_row(row) for row in connection.execute(flag.returning(*jobs.c))]


def _purge(connection: Connection, where: sa.ColumnElement[bool]) -> list[Job]:
    return _end_queued(connection, where, Cause.PURGED)


def _end_queued(connection: Connection, where: sa.ColumnElement[bool], cause: Cause) -> list[Job]:
    at = now()
    end = (
        jobs.update()
        .where(where, jobs.c.state == JobState.QUEUED)
        .values(
            state=JobState.CANCELLED,
            cause=cause,
            version=jobs.c.version + 1,
            cancel_requested_at=at,
            finished_at=at,
            resume=None,
        )
    )
    cancelled = [job_from_row(row) for row in connection.execute(end.returning(*jobs.c))]
    write_events(connection, cancelled)
    return cancelled


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
