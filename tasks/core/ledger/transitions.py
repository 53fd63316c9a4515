"""Every change of a job's state: compare-and-set, with its ``state`` event in the same transaction.

A function that returns ``None`` changed nothing, because the job was not in the state, under the fence or at the carry
that the caller believed. That is an answer, not an error: somebody else was faster.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.core.clock import now
from tasks.core.errors import Conflict, IdempotencyKeyReused, NotFound
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.fleet import window
from tasks.core.ledger.schema import attempts, idempotency_keys, job_labels, jobs, state_events
from tasks.core.records import TERMINAL, Cause, Job, JobState, StateEvent


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A caller's key, and the digest of the request it stands for."""

    key: str
    body_sha256: str
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job that answers a request. ``replayed``: it was there before; ``published``: its carry is this process's."""

    job: Job
    replayed: bool = False

    @property
    def published(self) -> bool:
        """Whether accepting also took the first carry, so that the caller must publish it."""
        return not self.replayed and self.job.published_at is not None


def job_from_row(row: Row[Any]) -> Job:
    """Make a ``Job`` of a full row of ``jobs``."""
    values = dict(row._mapping)
    values["state"] = JobState(values["state"])
    return Job(**values)


def accept(ledger: Ledger, job: Job, *, idempotency: Idempotency | None = None, may_publish: bool = False) -> Accepted:
    """Write the job and its idempotency key in one transaction.

    With ``may_publish``, and when nothing else waits in the queue and the broker's window has room, the first carry is
    taken in the same transaction: the caller then owns publishing it.

    Raises:
        IdempotencyKeyReused: the key stands for another request.
    """
    with ledger.write() as connection:
        if idempotency is not None:
            first = _first_with_key(connection, job.tenant_id, idempotency)
            if first is not None:
                return Accepted(first, replayed=True)
        values = asdict(job)
        if may_publish and _nothing_waits(connection, job.queue):
            values |= {"carry": 1, "published_at": job.created_at}
        row = connection.execute(jobs.insert().values(values).returning(*jobs.c)).one()
        if job.labels:
            connection.execute(
                job_labels.insert(),
                [{"job_id": job.id, "key": key, "value": value} for key, value in job.labels.items()],
            )
        if idempotency is not None:
            connection.execute(
                idempotency_keys.insert().values(
                    tenant_id=job.tenant_id,
                    key=idempotency.key,
                    body_sha256=idempotency.body_sha256,
                    job_id=job.id,
                    created_at=job.created_at,
                )
            )
        accepted = job_from_row(row)
        _write_event(connection, accepted)
        return Accepted(accepted)


def _first_with_key(connection: Connection, tenant_id: str, idempotency: Idempotency) -> Job | None:
    mine = (idempotency_keys.c.tenant_id == tenant_id) & (idempotency_keys.c.key == idempotency.key)
    if connection.dialect.name == "postgresql":
        # Two requests with one new key must not both see "no such key": the second waits here for the first.
        lock = sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"{tenant_id}:{idempotency.key}", 0))
        connection.execute(sa.select(lock))
    row = connection.execute(idempotency_keys.select().where(mine)).one_or_none()
    if row is None:
        return None
    if row.created_at < now() - timedelta(seconds=idempotency.ttl_s):
        connection.execute(idempotency_keys.delete().where(mine))
        return None
    if row.body_sha256 != idempotency.body_sha256:
        raise IdempotencyKeyReused(
            f"Idempotency-Key {idempotency.key!r} was used for another request; use a new key.", field="Idempotency-Key"
        )
    return job_from_row(connection.execute(jobs.select().where(jobs.c.id == row.job_id)).one())


def _nothing_waits(connection: Connection, queue: str) -> bool:
    waits = sa.select(jobs.c.id).where(
        jobs.c.queue == queue, jobs.c.state == JobState.QUEUED, jobs.c.published_at.is_(None), _is_due(now())
    )
    if connection.execute(waits.limit(1)).first() is not None:
        return False
    return published_count(connection, queue) < window(connection, queue)


def _is_due(at: datetime) -> sa.ColumnElement[bool]:
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
            .where(jobs.c.queue == queue, jobs.c.state == JobState.QUEUED, jobs.c.published_at.is_(None), _is_due(at))
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


def claim(ledger: Ledger, job_id: str, *, carry: int, worker: str, child_pid: int) -> Job | None:
    """Begin an attempt: ``queued -> running`` with a new fence. None: a duplicate, or cancelled meanwhile."""
    at = now()
    with ledger.write() as connection:
        job = _move(
            connection,
            (jobs.c.id == job_id) & (jobs.c.state == JobState.QUEUED) & (jobs.c.carry == carry),
            state=JobState.RUNNING,
            cause=Cause.CLAIMED,
            attempt=jobs.c.attempt + 1,
            fence=jobs.c.fence + 1,
            worker=worker,
            child_pid=child_pid,
            published_at=None,
            not_before=None,
            claimed_at=at,
            started_at=sa.func.coalesce(jobs.c.started_at, sa.literal(at, type_=jobs.c.started_at.type)),
            error=None,
            progress=None,
        )
        if job is not None:
            connection.execute(
                attempts.insert().values(
                    job_id=job_id,
                    fence=job.fence,
                    attempt=job.attempt,
                    worker=worker,
                    child_pid=child_pid,
                    started_at=at,
                )
            )
        return job


def finish(
    ledger: Ledger,
    job_id: str,
    *,
    fence: int,
    state: JobState,
    cause: str,
    result: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
    dead: bool = False,
    progress: dict[str, Any] | None = None,
) -> Job | None:
    """End the job: ``running -> succeeded | failed | cancelled``. None: this fence no longer owns it."""
    values: dict[str, Any] = {"progress": progress} if progress is not None else {}
    owned = (jobs.c.id == job_id) & (jobs.c.state == JobState.RUNNING) & (jobs.c.fence == fence)
    with ledger.write() as connection:
        return _end(connection, owned, state=state, cause=cause, error=error, result=result, dead=dead, **values)


def _end(
    connection: Connection,
    owned: sa.ColumnElement[bool],
    *,
    state: JobState,
    cause: str,
    error: dict[str, Any] | None = None,
    **values: Any,
) -> Job | None:
    job = _move(connection, owned, state=state, cause=cause, error=error, finished_at=now(), resume=None, **values)
    if job is not None:
        _end_attempt(connection, job, outcome=state, cause=cause, error=error)
    return job


def requeue(
    ledger: Ledger,
    job_id: str,
    *,
    fence: int,
    cause: str,
    error: dict[str, Any] | None = None,
    delay_s: float = 0.0,
    counted: bool = True,
) -> Job | None:
    """Send a running job back: ``running -> queued``, due after ``delay_s``.

    ``counted=False`` (a drain) gives the attempt back. A job that was told to stop ends here as cancelled instead.
    """
    owned = (jobs.c.id == job_id) & (jobs.c.state == JobState.RUNNING) & (jobs.c.fence == fence)
    with ledger.write() as connection:
        row = connection.execute(sa.select(jobs.c.cancel_requested_at).where(owned).with_for_update()).one_or_none()
        if row is not None and row.cancel_requested_at is not None:
            return _end(connection, owned, state=JobState.CANCELLED, cause=Cause.CANCEL_REQUESTED)
        job = _move(
            connection,
            owned,
            state=JobState.QUEUED,
            cause=cause,
            error=error,
            worker=None,
            child_pid=None,
            claimed_at=None,
            not_before=now() + timedelta(seconds=delay_s) if delay_s else None,
            attempt=jobs.c.attempt if counted else jobs.c.attempt - 1,
        )
        if job is not None:
            _end_attempt(connection, job, outcome="retried" if counted else "drained", cause=cause, error=error)
        return job


def request_cancel(ledger: Ledger, job_id: str, *, tenant_id: str) -> Job:
    """Cancel a queued job now, or flag a running one for its worker; asking again changes nothing.

    Raises:
        NotFound: no such job for this tenant.
        Conflict: the job has ended otherwise.
    """
    mine = (jobs.c.id == job_id) & (jobs.c.tenant_id == tenant_id)
    with ledger.write() as connection:
        # Locked first, so that a claim or a retry at the same moment cannot slip between two looks at the state.
        row = connection.execute(jobs.select().where(mine).with_for_update()).one_or_none()
        if row is None:
            raise NotFound(f"No job {job_id}.")
        if row.state == JobState.QUEUED:
            return _cancel_queued(connection, job_id)
        if row.state == JobState.RUNNING and row.cancel_requested_at is None:
            flag = jobs.update().where(jobs.c.id == job_id).values(cancel_requested_at=now())
            return job_from_row(connection.execute(flag.returning(*jobs.c)).one())
    if row.state not in {JobState.RUNNING, JobState.CANCELLED}:
        raise Conflict(f"Job {job_id} has already {row.state}; only a queued or running job can be cancelled.")
    return job_from_row(row)


def erase(ledger: Ledger, job_id: str, *, tenant_id: str) -> None:
    """Delete a finished job with its labels, attempts, state events, idempotency key and artifact rows.

    Raises:
        NotFound: no such job for this tenant.
        Conflict: the job is queued or running.
    """
    mine = (jobs.c.id == job_id) & (jobs.c.tenant_id == tenant_id)
    with ledger.write() as connection:
        if connection.execute(jobs.delete().where(mine, jobs.c.state.in_(TERMINAL))).rowcount == 1:
            return
        state = connection.execute(sa.select(jobs.c.state).where(mine)).scalar_one_or_none()
    if state is None:
        raise NotFound(f"No job {job_id}.")
    raise Conflict(f"Job {job_id} is {state}; cancel it first.")


def _cancel_queued(connection: Connection, job_id: str) -> Job:
    at = now()
    job = _move(
        connection,
        jobs.c.id == job_id,
        state=JobState.CANCELLED,
        cause=Cause.CANCEL_REQUESTED,
        cancel_requested_at=at,
        finished_at=at,
        resume=None,
    )
    assert job is not None  # noqa: S101  # the row is locked
    return job


def note_progress(ledger: Ledger, job_id: str, *, fence: int, progress: dict[str, Any]) -> bool:
    """Keep the newest report where a wiped Redis cannot take it. False: this fence no longer owns the job."""
    return _set_while_running(ledger, job_id, fence=fence, progress=progress)


def keep_resume_state(ledger: Ledger, job_id: str, *, fence: int, resume: dict[str, Any]) -> bool:
    """Keep an engine's state for the next attempt. False: this fence no longer owns the job."""
    return _set_while_running(ledger, job_id, fence=fence, resume=resume)


def _set_while_running(ledger: Ledger, job_id: str, *, fence: int, **values: Any) -> bool:
    with ledger.write() as connection:
        owned = (jobs.c.id == job_id) & (jobs.c.state == JobState.RUNNING) & (jobs.c.fence == fence)
        return connection.execute(jobs.update().where(owned).values(**values)).rowcount == 1


def unsent_events(ledger: Ledger, *, before: datetime, limit: int = 500) -> list[StateEvent]:
    """List state events that Redis is not known to have, oldest first."""
    statement = (
        state_events.select()
        .where(state_events.c.in_stream.is_(False), state_events.c.at < before)
        .order_by(state_events.c.at, state_events.c.n)
        .limit(limit)
    )
    with ledger.read() as connection:
        return [_event_from_row(row) for row in connection.execute(statement)]


def events_of(ledger: Ledger, job_id: str, *, after: int = 0) -> list[StateEvent]:
    """List a job's state events with ``n > after``, in order."""
    statement = state_events.select().where(state_events.c.job_id == job_id, state_events.c.n > after)
    with ledger.read() as connection:
        return [_event_from_row(row) for row in connection.execute(statement.order_by(state_events.c.n))]


def mark_sent(ledger: Ledger, events: Sequence[StateEvent]) -> None:
    """Note that Redis has these state events."""
    if not events:
        return
    mark = (
        state_events.update()
        .where(state_events.c.job_id == sa.bindparam("id"), state_events.c.n == sa.bindparam("number"))
        .values(in_stream=True)
    )
    with ledger.write() as connection:
        connection.execute(mark, [{"id": event.job_id, "number": event.n} for event in events])


def _move(
    connection: Connection, where: sa.ColumnElement[bool], *, state: JobState, cause: str, **values: Any
) -> Job | None:
    statement = (
        jobs.update()
        .where(where)
        .values(state=state, cause=cause, version=jobs.c.version + 1, **values)
        .returning(*jobs.c)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    job = job_from_row(row)
    _write_event(connection, job)
    return job


def state_event_of(job: Job) -> StateEvent:
    """Describe the transition that brought ``job`` to its present state."""
    data: dict[str, Any] = {"state": job.state, "cause": job.cause}
    if job.error is not None:
        data["error"] = job.error
    if job.state is JobState.QUEUED and job.not_before is not None:
        data["not_before"] = job.not_before.isoformat()
    if job.state in TERMINAL:
        data["dead"] = job.dead
        data["result_ref"] = f"/api/jobs/{job.id}"
    at = job.finished_at or job.claimed_at or (job.created_at if job.version == 1 else now())
    return StateEvent(job_id=job.id, n=job.version, at=at, fence=job.fence, attempt=job.attempt, data=data)


def _write_event(connection: Connection, job: Job) -> None:
    connection.execute(state_events.insert().values(**asdict(state_event_of(job)), in_stream=False))


def _event_from_row(row: Row[Any]) -> StateEvent:
    values = dict(row._mapping)
    del values["in_stream"]
    return StateEvent(**values)


def _end_attempt(connection: Connection, job: Job, *, outcome: str, cause: str, error: dict[str, Any] | None) -> None:
    connection.execute(
        attempts.update()
        .where(attempts.c.job_id == job.id, attempts.c.fence == job.fence)
        .values(ended_at=now(), outcome=outcome, cause=cause, error=error)
    )
