"""What grows old in the ledger goes from it here, a bounded batch per transaction. ``maintenance.sweep`` decides when.

Only what a finished job left is touched, and what no job needs any more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.callbacks.records import DeliveryState
from tasks.core.ledger.callback_tables import callback_deliveries, webhooks
from tasks.core.ledger.control_tables import audit, pauses
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.fleet import LIVE
from tasks.core.ledger.flow_tables import job_batches
from tasks.core.ledger.outbox import aged
from tasks.core.ledger.schema import (
    IS_QUEUED,
    UTCDateTime,
    artifacts,
    idempotency_keys,
    jobs,
    outbox,
    stream_heads,
    workers,
)
from tasks.core.records import TERMINAL
from tasks.core.spec import Aging


@dataclass(frozen=True, slots=True)
class Aged:
    """Finished jobs that ended before a time of their kind's own (``None``: never old), of one tenant or of all."""

    before: Mapping[str, datetime | None]
    before_otherwise: datetime
    """For kinds that no family has any more."""
    tenant_id: str | None = None

    def condition(self) -> sa.ColumnElement[bool]:
        """Match their rows in ``jobs``."""
        kinds_of: dict[datetime | None, list[str]] = {}
        for kind, before in self.before.items():
            kinds_of.setdefault(before, []).append(kind)
        old = [
            jobs.c.kind.in_(kinds) & (jobs.c.finished_at < before)
            for before, kinds in kinds_of.items()
            if before is not None
        ]
        old.append(jobs.c.kind.not_in(list(self.before)) & (jobs.c.finished_at < self.before_otherwise))
        aged = jobs.c.state.in_(TERMINAL) & sa.or_(*old)
        return aged if self.tenant_id is None else aged & (jobs.c.tenant_id == self.tenant_id)


def old_jobs(ledger: Ledger, aged: Aged, *, limit: int, after: str = "") -> list[str]:
    """List jobs that are old enough, by id."""
    statement = sa.select(jobs.c.id).where(aged.condition(), jobs.c.id > after).order_by(jobs.c.id).limit(limit)
    with ledger.read() as connection:
        return list(connection.execute(statement).scalars())


def old_among(ledger: Ledger, aged: Aged, job_ids: Sequence[str]) -> dict[str, int]:
    """Return the newest fence of each of these jobs that is old enough."""
    statement = sa.select(jobs.c.id, jobs.c.fence).where(jobs.c.id.in_(job_ids), aged.condition())
    with ledger.read() as connection:
        return {row.id: row.fence for row in connection.execute(statement)}


def known_among(ledger: Ledger, job_ids: Sequence[str]) -> set[str]:
    """Return those of these ids that are jobs."""
    with ledger.read() as connection:
        return set(connection.execute(sa.select(jobs.c.id).where(jobs.c.id.in_(job_ids))).scalars())


def count_old(ledger: Ledger, aged: Aged, *, with_result: bool = False) -> int:
    """Count the jobs that are old enough, or those of them that have a result."""
    statement = sa.select(sa.func.count()).select_from(jobs).where(aged.condition())
    if with_result:
        statement = statement.where(jobs.c.result.is_not(None))
    with ledger.read() as connection:
        return int(connection.execute(statement).scalar_one())


def erase_old(ledger: Ledger, aged: Aged, *, limit: int) -> list[str]:
    """Delete the rows of old jobs, with all that hangs on them; return whose."""
    with ledger.write() as connection:
        ids = _locked(connection, aged.condition(), limit)
        if ids:
            connection.execute(jobs.delete().where(jobs.c.id.in_(ids)))
        return ids


def clear_old_results(ledger: Ledger, aged: Aged, *, limit: int) -> int:
    """Drop the results of old jobs, which keep their rows; return how many."""
    with ledger.write() as connection:
        ids = _locked(connection, aged.condition() & jobs.c.result.is_not(None), limit)
        if ids:
            connection.execute(jobs.update().where(jobs.c.id.in_(ids)).values(result=None))
        return len(ids)


def forget_artifacts(ledger: Ledger, aged: Aged, fences: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """Drop the artifact rows of these jobs up to each one's fence, if it is still old enough.

    Returns:
        The jobs and fences whose files may go now, and how many rows went.
    """
    with ledger.write() as connection:
        # One of them may have been retried since it was found.
        ids = _locked(connection, aged.condition() & jobs.c.id.in_(list(fences)), len(fences))
        freed = {job_id: fences[job_id] for job_id in ids}
        gone = connection.execute(artifacts.delete().where(artifacts.c.job_id.in_(ids))).rowcount if ids else 0
    return freed, int(gone)


def _locked(connection: Connection, where: sa.ColumnElement[bool], limit: int) -> list[str]:
    statement = sa.select(jobs.c.id).where(where).order_by(jobs.c.id).limit(limit)
    return list(connection.execute(statement.with_for_update(skip_locked=True)).scalars())


@dataclass(frozen=True, slots=True)
class Leftover:
    """Rows of one table that nobody needs any more."""

    table: sa.TableClause
    key: sa.ColumnClause[Any]
    condition: sa.ColumnElement[bool]

    def count(self, ledger: Ledger) -> int:
        """Count them."""
        statement = sa.select(sa.func.count()).select_from(self.table).where(self.condition)
        with ledger.read() as connection:
            return int(connection.execute(statement).scalar_one())

    def delete(self, ledger: Ledger, *, limit: int) -> int:
        """Delete at most ``limit`` of them, by their key; return how many."""
        with ledger.write() as connection:
            oldest = sa.select(self.key).where(self.condition).order_by(self.key).limit(limit)
            keys = connection.execute(oldest).scalars().all()
            if not keys:
                return 0
            return int(connection.execute(self.table.delete().where(self.key.in_(keys), self.condition)).rowcount)


def expired_keys(*, before: datetime) -> Leftover:
    """Idempotency keys from before that time."""
    return Leftover(idempotency_keys, idempotency_keys.c.key, idempotency_keys.c.created_at < before)


def old_events(*, before: datetime) -> Leftover:
    """Domain events from before that time, told or given up."""
    return Leftover(outbox, outbox.c.seq, aged(before))


def old_deliveries(*, before: datetime) -> Leftover:
    """Deliveries of callbacks from before that time that have ended."""
    ended = callback_deliveries.c.state != DeliveryState.PENDING
    return Leftover(callback_deliveries, callback_deliveries.c.id, ended & (callback_deliveries.c.created_at < before))


def ended_workers(*, before: datetime) -> Leftover:
    """Workers that stopped, or were lost, before that time."""
    return Leftover(workers, workers.c.name, workers.c.state.not_in(LIVE) & (workers.c.beat_at < before))


def old_batches(*, before: datetime) -> Leftover:
    """Batches that ended before that time; their jobs stay as long as any."""
    return Leftover(job_batches, job_batches.c.id, job_batches.c.finished_at < before)


def callbacks_of_forgotten_batches() -> Leftover:
    """Own callbacks of batches that are no more; their deliveries go with them."""
    is_known = sa.exists().where(job_batches.c.id == webhooks.c.batch_id)
    return Leftover(webhooks, webhooks.c.id, webhooks.c.batch_id.is_not(None) & ~is_known)


def old_changes(*, before: datetime) -> Leftover:
    """Entries of the book of changes from before that time."""
    return Leftover(audit, audit.c.id, audit.c.at < before)


def ended_pauses(*, before: datetime) -> Leftover:
    """Pauses that ended before that time, and that no job refers to."""
    is_referred_to = sa.exists().where(IS_QUEUED, jobs.c.paused_by == pauses.c.id)
    return Leftover(pauses, pauses.c.id, (pauses.c.ended_at < before) & ~is_referred_to)


def expired_streams(*, at: datetime) -> Leftover:
    """Streams that are kept in the ledger, and that Redis would have expired by now."""
    return Leftover(stream_heads, stream_heads.c.job_id, stream_heads.c.expires_at <= at)


def old_rows(aging: Aging, *, at: datetime) -> Leftover:
    """Rows of a family's table that are too old at that time."""
    key: sa.ColumnClause[Any] = sa.column(aging.key)
    time = sa.column(aging.time, UTCDateTime())
    before = at - timedelta(seconds=aging.keep_s)
    return Leftover(sa.table(aging.table, key, time), key, time < before)
