"""What is read from the ledger. Nothing here changes a row."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tasks.core.errors import InputRejected
from tasks.core.ids import is_id
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.follow_up_tables import follow_ups
from tasks.core.ledger.matching_tables import IS_MATCHED
from tasks.core.ledger.prepared import JOB_COLUMNS, Prepared, job_of
from tasks.core.ledger.rows import job_from_row
from tasks.core.ledger.schema import IS_PLAIN, IS_READY, IS_RUNNING, attempts, job_labels, jobs
from tasks.core.records import AttemptRecord, Job, JobError, JobState, ran_in


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a running attempt must know of its job, now and then."""

    state: JobState
    fence: int
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of jobs, newest first, and how many match in all."""

    jobs: list[Job]
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Filter:
    """What ``GET /api/jobs`` can ask for; ``None`` does not filter: as the tenant, for operators only."""

    tenant_id: str | None
    states: Sequence[str] = ()
    kind: str | None = None
    queue: str | None = None
    site: str | None = None
    reference: str | None = None
    batch_id: str | None = None
    parent_id: str | None = None
    chain_id: str | None = None
    labels: Sequence[tuple[str, str]] = ()
    created_from: datetime | None = None
    created_to: datetime | None = None
    dead: bool | None = None
    text: str | None = None
    cause: str | None = None
    not_cause: str | None = None


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How a queue stands. Of what waits, ``parked`` is kept back by a limit: more workers would not help it.

    ``oldest_ready_at`` is since when the oldest of the others could have run.
    """

    queue: str
    waiting: int
    delayed: int
    published: int
    running: int
    oldest_waiting_at: datetime | None
    parked: int = 0
    oldest_ready_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one job stands; ``seconds``: from its first start to its end."""

    state: JobState
    cause: str
    seconds: float | None


_MOST_OUTCOMES = 10_000


# Whoever waits for a job, and every attempt that looks after its own, asks these.
_JOB = Prepared(sa.select(*JOB_COLUMNS).where(jobs.c.id == sa.bindparam("asked")))
_PULSE = Prepared(
    sa.select(jobs.c.state, jobs.c.fence, jobs.c.cancel_requested_at).where(jobs.c.id == sa.bindparam("asked"))
)
_ATTEMPTS = Prepared(
    sa.select(
        attempts.c.attempt,
        attempts.c.fence,
        attempts.c.worker,
        attempts.c.started_at,
        attempts.c.ended_at,
        attempts.c.outcome,
        attempts.c.cause,
        attempts.c.error,
    )
    .where(attempts.c.job_id == sa.bindparam("asked"))
    .order_by(attempts.c.fence)
)
_AHEAD = Prepared(
    sa.select(jobs.c.tenant_id, sa.func.count())
    .where(
        jobs.c.queue == sa.bindparam("its_queue"),
        IS_READY,
        sa.or_(
            jobs.c.tenant_id != sa.bindparam("its_tenant"),
            jobs.c.place < sa.bindparam("its_place"),
            (jobs.c.place == sa.bindparam("its_place")) & (jobs.c.id < sa.bindparam("its_id")),
        ),
    )
    .group_by(jobs.c.tenant_id)
)


def job(ledger: Ledger, job_id: str, *, tenant_id: str | None = None) -> Job | None:
    """Return the job, or None when there is none (for this tenant, if one is given)."""
    with ledger.read_prepared() as driver:
        row = _JOB.first(driver, {"asked": job_id})
    found = None if row is None else job_of(row)
    if found is None or tenant_id not in {None, found.tenant_id}:
        return None
    if found.finished_at is not None:
        ledger.sync_seen({(found.id, found.version): found.finished_at})
    return found


def pulse(ledger: Ledger, job_id: str) -> Pulse | None:
    """Return the job's pulse, or None when it was erased."""
    with ledger.read_prepared() as driver:
        row = _PULSE.first(driver, {"asked": job_id})
    if row is None:
        return None
    state, fence, cancel_requested_at = row
    return Pulse(JobState(state), fence, cancel_requested_at is not None)


def versions(ledger: Ledger, job_ids: Sequence[str]) -> dict[str, int]:
    """Return the version of each job that exists."""
    statement = sa.select(jobs.c.id, jobs.c.version).where(jobs.c.id.in_(job_ids))
    with ledger.read() as connection:
        return {row.id: row.version for row in connection.execute(statement)}


def attempts_of(ledger: Ledger, job_id: str) -> list[AttemptRecord]:
    """List the job's attempts, oldest first."""
    with ledger.read_prepared() as driver:
        rows = _ATTEMPTS.all(driver, {"asked": job_id})
    return [
        AttemptRecord(
            attempt=attempt,
            fence=fence,
            worker=worker,
            backend=ran_in(worker),
            started_at=started_at,
            ended_at=ended_at,
            outcome=outcome,
            cause=cause,
            error=None if error is None else JobError(**error),
            seconds=None if ended_at is None else round((ended_at - started_at).total_seconds(), 3),
        )
        for attempt, fence, worker, started_at, ended_at, outcome, cause, error in rows
    ]


def queue_position(ledger: Ledger, waiting: Job) -> int:
    """Return the job's place among what is queued in its queue: 1 is carried, or claimed, next.

    Of each other tenant as many count as go meanwhile if all have the same share.
    """
    mine = {"its_queue": waiting.queue, "its_tenant": waiting.tenant_id}
    with ledger.read_prepared() as driver:
        rows = _AHEAD.all(driver, mine | {"its_place": waiting.place, "its_id": waiting.id})
    ahead: dict[str, int] = {tenant_id: count for tenant_id, count in rows}  # noqa: C416  # lists are no pairs
    own = ahead.pop(waiting.tenant_id, 0)
    return 1 + own + sum(min(own, count) for count in ahead.values())


def listing(ledger: Ledger, wanted: Filter, *, limit: int, cursor: str | None = None, offset: int = 0) -> Listing:
    """Return a page of the tenant's jobs, newest first; ``offset`` of them are left out.

    Raises:
        InputRejected: the cursor is not one of ours.
    """
    where = matching(wanted)
    page = jobs.select().where(*where)
    if cursor is not None:
        page = page.where(jobs.c.id < _decode_cursor(cursor))
    with ledger.read() as connection:
        total = int(connection.execute(sa.select(sa.func.count()).select_from(jobs).where(*where)).scalar_one())
        rows = connection.execute(page.order_by(jobs.c.id.desc()).limit(limit + 1).offset(offset)).all()
    found = [job_from_row(row) for row in rows[:limit]]
    ledger.sync_seen({(one.id, one.version): one.finished_at for one in found if one.finished_at is not None})
    return Listing(found, total, _encode_cursor(found[-1].id) if len(rows) > limit else None)


def matching(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    """Return the conditions that a row of ``jobs`` meets when it is wanted."""
    where: list[sa.ColumnElement[bool]] = []
    if wanted.tenant_id is not None:
        where.append(jobs.c.tenant_id == wanted.tenant_id)
    if wanted.states:
        where.append(jobs.c.state.in_(wanted.states))
    exact = {jobs.c.kind: wanted.kind, jobs.c.queue: wanted.queue, jobs.c.site: wanted.site}
    exact |= {jobs.c.reference: wanted.reference, jobs.c.cause: wanted.cause, jobs.c.batch_id: wanted.batch_id}
    where += [column == value for column, value in exact.items() if value is not None]
    for column, value in ((follow_ups.c.parent_id, wanted.parent_id), (follow_ups.c.chain_id, wanted.chain_id)):
        if value is not None:
            where.append(jobs.c.id.in_(sa.select(follow_ups.c.job_id).where(column == value)))
    for key, value in wanted.labels:
        pair = (job_labels.c.job_id == jobs.c.id) & (job_labels.c.key == key) & (job_labels.c.value == value)
        where.append(sa.exists().where(pair))
    if wanted.created_from is not None:
        where.append(jobs.c.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        where.append(jobs.c.created_at < wanted.created_to)
    if wanted.not_cause is not None:
        where.append(jobs.c.cause != wanted.not_cause)
    if wanted.dead is not None:
        where.append(jobs.c.dead.is_(wanted.dead))
    if wanted.text is not None:
        columns = (jobs.c.id, jobs.c.kind, jobs.c.reference, jobs.c.site, jobs.c.cause)
        where.append(sa.or_(*(column.icontains(wanted.text, autoescape=True) for column in columns)))
    return where


def _encode_cursor(job_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps({"before": job_id}).encode()).decode().rstrip("=")


def _decode_cursor(cursor: str) -> str:
    try:
        decoded: Any = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        before = str(decoded["before"])
    except (ValueError, KeyError, TypeError, RecursionError):
        before = ""
    if not is_id(before):
        raise InputRejected(
            f"cursor {cursor!r} is not one that this API gave out: start again without it.", field="cursor"
        )
    return before


def queue_depths(ledger: Ledger, *, at: datetime) -> dict[str, QueueDepth]:
    """Return how each queue with active jobs stands."""
    columns = (jobs.c.queue, jobs.c.state, jobs.c.not_before, jobs.c.published_at, jobs.c.created_at, jobs.c.parked)
    asks = jobs.c.requires.is_not(sa.null()).label("asks")
    # Each question has its own index; SQLite would answer one that asks for all of it by reading every job.
    each = (sa.select(*columns, asks).where(one) for one in (IS_PLAIN, IS_MATCHED, IS_RUNNING))
    active = sa.union_all(*each).subquery()
    is_queued = active.c.state == JobState.QUEUED
    waiting = is_queued & sa.or_(active.c.not_before.is_(None), active.c.not_before <= at)
    # What asks for a certain worker is ready for it once it has been sent to one.
    is_ready = waiting & (active.c.parked == sa.false()) & (~active.c.asks | active.c.published_at.is_not(None))
    due_at = sa.case((active.c.not_before > active.c.created_at, active.c.not_before), else_=active.c.created_at)
    statement = sa.select(
        active.c.queue,
        _count(waiting).label("waiting"),
        _count(is_queued & (active.c.not_before > at)).label("delayed"),
        _count(is_queued & active.c.published_at.is_not(None)).label("published"),
        _count(active.c.state == JobState.RUNNING).label("running"),
        sa.func.min(sa.case((waiting, active.c.created_at))).label("oldest_waiting_at"),
        _count(waiting & active.c.parked).label("parked"),
        sa.func.min(sa.case((is_ready, due_at))).label("oldest_ready_at"),
    ).group_by(active.c.queue)
    with ledger.read() as connection:
        return {row.queue: QueueDepth(**row._mapping) for row in connection.execute(statement)}


def outcomes(ledger: Ledger, *, tenant_id: str, kind: str, since: datetime) -> list[Outcome]:
    """List how the tenant's newest jobs of the kind that were created since have ended, 10,000 of them at most."""
    statement = (
        sa.select(jobs.c.state, jobs.c.cause, jobs.c.started_at, jobs.c.finished_at)
        .where(jobs.c.tenant_id == tenant_id, jobs.c.kind == kind, jobs.c.created_at >= since)
        .order_by(jobs.c.id.desc())
        .limit(_MOST_OUTCOMES)
    )
    with ledger.read() as connection:
        return [
            Outcome(
                JobState(row.state),
                row.cause,
                None
                if row.started_at is None or row.finished_at is None
                else (row.finished_at - row.started_at).total_seconds(),
            )
            for row in connection.execute(statement)
        ]


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def counts_of_kinds(ledger: Ledger, *, tenant_id: str, kinds: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count a tenant's jobs of these kinds, by kind and state."""
    statement = (
        sa.select(jobs.c.kind, jobs.c.state, sa.func.count().label("n"))
        .where(jobs.c.tenant_id == tenant_id, jobs.c.kind.in_(kinds))
        .group_by(jobs.c.kind, jobs.c.state)
    )
    counted: dict[str, dict[str, int]] = {kind: {} for kind in kinds}
    with ledger.read() as connection:
        for row in connection.execute(statement):
            counted[row.kind][str(row.state)] = int(row.n)
    return counted
