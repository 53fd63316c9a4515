"""Batches: jobs that were accepted together, how they stand, and when all of them have ended."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from tasks.core.clock import now
from tasks.core.domain_events import BATCH_ENDED, BATCH_PROGRESSED, Emission
from tasks.core.ledger.callbacks import tell_of_batch
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.flow_tables import job_batches
from tasks.core.ledger.outbox import write_event
from tasks.core.ledger.prepared import Prepared
from tasks.core.ledger.schema import jobs
from tasks.core.records import BatchState

# How often a batch's progress is told; its end is told at once.
_TELL_EVERY = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class JobBatch:
    """One row of ``job_batches``. ``stopped_at``: no further job of it begins."""

    id: str
    tenant_id: str
    name: str | None
    size: int
    parallel_limit: int | None
    fail_fast: bool
    created_at: datetime
    stopped_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of a batch's jobs are in each state; jobs that were erased are in none."""

    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def active(self) -> int:
        """How many have not ended."""
        return self.queued + self.running

    @property
    def state(self) -> BatchState:
        """What these numbers amount to."""
        ended = self.succeeded + self.failed + self.cancelled
        if self.active:
            return BatchState.RUNNING if self.running or ended else BatchState.QUEUED
        if self.succeeded == ended:
            return BatchState.SUCCEEDED
        if self.succeeded:
            return BatchState.PARTIAL
        return BatchState.FAILED if self.failed else BatchState.CANCELLED

    def as_data(self) -> dict[str, int]:
        """Return them by the name of their state."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


_COLUMNS = [job_batches.c[field.name] for field in fields(JobBatch)]
_IS_OPEN = job_batches.c.finished_at.is_(None)
_ANY_OPEN = Prepared(sa.select(sa.literal(1)).where(sa.exists().where(_IS_OPEN)))


def batch(ledger: Ledger, batch_id: str, *, tenant_id: str) -> JobBatch | None:
    """Return the tenant's batch, or None when there is none."""
    mine = (job_batches.c.id == batch_id) & (job_batches.c.tenant_id == tenant_id)
    with ledger.read() as connection:
        row = connection.execute(sa.select(*_COLUMNS).where(mine)).one_or_none()
    return None if row is None else JobBatch(*row)


def counts(ledger: Ledger, batch_id: str) -> Counts:
    """Count the batch's jobs by state."""
    with ledger.read() as connection:
        rows = connection.execute(_counted().where(jobs.c.batch_id == batch_id)).all()
    return Counts(**{state: count for _, state, count in rows})


def job_ids(ledger: Ledger, batch_id: str) -> list[str]:
    """List the ids of the batch's jobs, in the order in which they were sent."""
    with ledger.read() as connection:
        mine = sa.select(jobs.c.id).where(jobs.c.batch_id == batch_id)
        return list(connection.execute(mine.order_by(jobs.c.id)).scalars())


def _counted() -> sa.Select[Any]:
    return sa.select(jobs.c.batch_id, jobs.c.state, sa.func.count()).group_by(jobs.c.batch_id, jobs.c.state)


def stop(ledger: Ledger, batch_id: str) -> None:
    """Note that no further job of the batch is to begin. Whoever does must cancel its jobs, as the dispatcher does."""
    unstopped = (job_batches.c.id == batch_id) & job_batches.c.stopped_at.is_(None) & _IS_OPEN
    with ledger.write() as connection:
        connection.execute(job_batches.update().where(unstopped).values(stopped_at=now()))


@dataclass(frozen=True, slots=True)
class Tended:
    """What there is to do. ``stopped``: those whose jobs are to be cancelled."""

    open: int
    stopped: list[JobBatch]


def tend(ledger: Ledger, *, keep_trying_s: float) -> Tended:
    """Look after the batches that have not ended: tell how they stand, stop those that fail fast, end those that may.

    For the dispatcher; each change is compare-and-set, so a second one does no harm.

    Args:
        keep_trying_s: for how long a batch's own callback is tried.
    """
    with ledger.read_prepared() as driver:
        if _ANY_OPEN.first(driver, {}) is None:
            return Tended(0, [])
    with ledger.read() as connection:
        columns = (*_COLUMNS, job_batches.c.told, job_batches.c.told_at)
        rows = connection.execute(sa.select(*columns).where(_IS_OPEN).order_by(job_batches.c.id)).all()
        found: dict[str, dict[str, int]] = {}
        its_jobs = _counted().where(jobs.c.batch_id.in_(sa.select(job_batches.c.id).where(_IS_OPEN)))
        for batch_id, state, count in connection.execute(its_jobs):
            found.setdefault(batch_id, {})[state] = count
    stopped = []
    for *values, told, told_at in rows:
        one, count = JobBatch(*values), Counts(**found.get(values[0], {}))
        fails = one.fail_fast and count.failed > 0 and one.stopped_at is None
        _note(ledger, one, count, told=told, told_at=told_at, stops=fails, keep_trying_s=keep_trying_s)
        if count.active and (fails or one.stopped_at is not None):
            stopped.append(one)
    return Tended(len(rows), stopped)


def _note(
    ledger: Ledger,
    one: JobBatch,
    count: Counts,
    *,
    told: Mapping[str, int] | None,
    told_at: datetime | None,
    stops: bool,
    keep_trying_s: float,
) -> None:
    at, data = now(), count.as_data()
    ended = count.active == 0
    tells = ended or (data != told and (told_at is None or abs(at - told_at) >= _TELL_EVERY))
    changes: dict[str, Any] = {}
    if tells:
        changes |= {"told": data, "told_at": at}
    if ended:
        changes["finished_at"] = at
    if stops:
        changes["stopped_at"] = at
    if not changes:
        return
    as_seen = job_batches.c.told_at.is_not_distinct_from(sa.literal(told_at, job_batches.c.told_at.type))
    with ledger.write() as connection:
        mine = (job_batches.c.id == one.id) & _IS_OPEN & as_seen
        if connection.execute(job_batches.update().where(mine).values(changes)).rowcount and tells:
            type_ = BATCH_ENDED if ended else BATCH_PROGRESSED
            told_now = {"batch_id": one.id, "name": one.name, "state": count.state, "counts": data}
            write_event(connection, one.tenant_id, Emission(type_, told_now), job_id=one.id)
            tell_of_batch(connection, one.id, type_, told_now, keep_trying_s=keep_trying_s)
