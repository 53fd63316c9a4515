"""Jobs that a limit keeps back: accepted parked, and released as their limits have room.

A parked job is queued, and nobody is shown it: neither the dispatcher's window nor a local runner. Whoever releases one
counts, in the same transaction and alone, what is under way beside it; all else (a claim, an end, a retry) only keeps
that number or makes it less. A released job counts until it has ended, also while it waits for its next attempt.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.ledger.carrying import is_due
from tasks.core.ledger.database import Ledger, ledger_now
from tasks.core.ledger.prepared import Prepared
from tasks.core.ledger.schema import IS_QUEUED, job_batches, jobs
from tasks.core.records import JobState

# Of PostgreSQL's advisory locks: whoever releases holds it, so that no two count the same room.
_RELEASING_LOCK = 0x5357_0002
# Jobs per transaction.
_MOST_RELEASED = 500

# Spelled as the partial index spells it.
_IS_PARKED = (jobs.c.parked == sa.true()) & IS_QUEUED
_UNDER_WAY = jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING]) & (jobs.c.parked == sa.false())

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Line:
    """Parked jobs with the same limits."""

    batch_id: str | None
    tenant_id: str
    concurrency_key: str | None

    @property
    def key(self) -> _Key | None:
        return None if self.concurrency_key is None else (self.tenant_id, self.concurrency_key)


def has_limit() -> sa.ColumnElement[bool]:
    """Match jobs that a limit may keep back."""
    limited = sa.exists().where(job_batches.c.id == jobs.c.batch_id, job_batches.c.parallel_limit.is_not(None))
    return sa.or_(jobs.c.concurrency_key.is_not(None), limited.correlate(jobs))


_ANY_PARKED = Prepared(sa.select(sa.literal(1)).where(sa.exists().where(_IS_PARKED)))


def anything_parked(ledger: Ledger) -> bool:
    """Tell whether a limit keeps any job back: where none does, this is all that limits cost."""
    with ledger.read_prepared() as driver:
        return _ANY_PARKED.first(driver, {}) is not None


def release(ledger: Ledger) -> int:
    """Release the parked jobs whose limits have room, by their place in line; return how many."""
    with ledger.write() as connection:
        if not ledger.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_RELEASING_LOCK)))
        chosen = _choose(connection, _lines(connection))
        if not chosen:
            return 0
        still = jobs.c.id.in_(chosen) & _IS_PARKED
        return connection.execute(jobs.update().where(still).values(parked=False)).rowcount


def _lines(connection: Connection) -> list[_Line]:
    columns = (jobs.c.batch_id, jobs.c.tenant_id, jobs.c.concurrency_key)
    statement = sa.select(*columns).where(_IS_PARKED).group_by(*columns)
    best_first = statement.order_by(sa.func.min(jobs.c.place), jobs.c.batch_id)
    return [_Line(*row) for row in connection.execute(best_first)]


def _choose(connection: Connection, lines: Sequence[_Line]) -> list[str]:
    room = _batch_room(connection, {line.batch_id for line in lines if line.batch_id is not None})
    busy = _busy_keys(connection) if any(line.key for line in lines) else set()
    chosen: list[str] = []
    for line in lines:
        most = min(room.get(line.batch_id or "", _MOST_RELEASED), _MOST_RELEASED - len(chosen))
        if line.key is not None:
            most = min(most, 0 if line.key in busy else 1)
        if most <= 0:
            continue
        ids = _best_of(connection, line, most)
        chosen += ids
        if line.batch_id in room:
            room[line.batch_id] -= len(ids)
        if line.key is not None and ids:
            busy.add(line.key)
    return chosen


def _batch_room(connection: Connection, batch_ids: Collection[str]) -> dict[str, int]:
    limits: Mapping[str, int] = {
        row.id: row.parallel_limit
        for row in connection.execute(
            sa.select(job_batches.c.id, job_batches.c.parallel_limit).where(
                job_batches.c.id.in_(batch_ids), job_batches.c.parallel_limit.is_not(None)
            )
        )
    }
    if not limits:
        return {}
    counted = sa.select(jobs.c.batch_id, sa.func.count()).where(jobs.c.batch_id.in_(list(limits)), _UNDER_WAY)
    under_way = Counter({row[0]: row[1] for row in connection.execute(counted.group_by(jobs.c.batch_id))})
    return {batch_id: limit - under_way[batch_id] for batch_id, limit in limits.items()}


def _busy_keys(connection: Connection) -> set[_Key]:
    statement = sa.select(jobs.c.tenant_id, jobs.c.concurrency_key).where(
        jobs.c.concurrency_key.is_not(None), jobs.c.finished_at.is_(None), jobs.c.parked == sa.false()
    )
    return {(row[0], row[1]) for row in connection.execute(statement)}


def _best_of(connection: Connection, line: _Line, most: int) -> list[str]:
    mine = (
        jobs.c.batch_id.is_not_distinct_from(line.batch_id),
        jobs.c.tenant_id == line.tenant_id,
        jobs.c.concurrency_key.is_not_distinct_from(line.concurrency_key),
    )
    statement = (
        sa.select(jobs.c.id)
        .where(_IS_PARKED, *mine, is_due(ledger_now(connection)))
        .order_by(jobs.c.place, jobs.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return list(connection.execute(statement).scalars())
