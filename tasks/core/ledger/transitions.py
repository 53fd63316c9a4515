"""Every change of a job's state: compare-and-set, with its ``state`` event in the same transaction.

A function that returns ``None`` changed nothing, because the job was not in the state, under the fence or at the carry
that the caller believed. That is an answer, not an error: somebody else was faster.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.clock import now
from tasks.core.domain_events import Emission
from tasks.core.errors import Conflict, NotFound
from tasks.core.ledger.database import Ledger, ledger_now
from tasks.core.ledger.moves import CLAIM, FINISH, FINISH_AND_CLAIM
from tasks.core.ledger.outbox import write_dead, write_emitted
from tasks.core.ledger.pauses import held_values
from tasks.core.ledger.rows import job_from_row
from tasks.core.ledger.schema import IS_QUEUED, attempts, jobs
from tasks.core.ledger.state_events import end_data, write_event
from tasks.core.records import TERMINAL, Cause, Delivery, Job, JobState


def make_ready(ledger: Ledger) -> None:
    """Open a connection, and compile the transitions that every job makes.

    Raises:
        LedgerUnavailable: it cannot be reached.
    """
    with ledger.read_prepared() as driver:
        for move in (CLAIM, FINISH, FINISH_AND_CLAIM):
            move.compile(driver)


def claim(ledger: Ledger, job_id: str, *, carry: int, worker: str, child_pid: int) -> Job | None:
    """Begin an attempt: ``queued -> running`` with a new fence. None: the delivery is void.

    It was a duplicate, or the job was cancelled meanwhile, has expired, or is paused: then ``pauses.hold_job`` is to be
    told.
    """
    # On SQLite a loss of power takes the worker with it: the job is queued then, as if it had never been claimed.
    return CLAIM.run(ledger, _claim_values(job_id, carry, worker, child_pid), may_vanish=True)


def _claim_values(job_id: str, carry: int, worker: str, child_pid: int) -> dict[str, Any]:
    values = {"job_id": job_id, "carry_taken": carry, "by": worker, "pid": child_pid, "at": now()}
    return values | {"event": {"state": JobState.RUNNING, "cause": Cause.CLAIMED}}


def succeed_and_claim(
    ledger: Ledger,
    job: Job,
    *,
    result: dict[str, Any],
    progress: dict[str, Any] | None,
    following: Delivery,
    may_vanish: bool,
) -> tuple[Job | None, Job | None]:
    """End a running job as a success, and begin another one in the same child; in one transaction.

    Returns: what ``finish`` and what ``claim`` would. Each may be None without the other.
    """
    assert job.worker is not None  # noqa: S101  # it runs
    assert job.child_pid is not None  # noqa: S101  # as above
    end = _end_values(job.id, job.fence, JobState.SUCCEEDED, Cause.COMPLETED, result=result, progress=progress)
    begin = _claim_values(following.job_id, following.carry, job.worker, job.child_pid)
    return FINISH_AND_CLAIM.run(ledger, end, begin, may_vanish=may_vanish)


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
    emitted: Sequence[Emission] = (),
    may_vanish: bool = False,
) -> Job | None:
    """End the job: ``running -> succeeded | failed | cancelled``. None: this fence no longer owns it.

    Args:
        emitted: the domain events that the job has brought about.
        may_vanish: a loss of power may undo it until ``Ledger.sync`` has been called, so nobody is to be told before.
    """
    values = _end_values(job_id, fence, state, cause, result=result, error=error, dead=dead, progress=progress)
    if not emitted and not dead:
        return FINISH.run(ledger, values, may_vanish=may_vanish)

    def tell(connection: Connection, job: Job) -> None:
        if emitted:
            write_emitted(connection, job, emitted)
        if job.dead and job.state is JobState.FAILED:
            write_dead(connection, job)

    return FINISH.run(ledger, values, tell)


def _end_values(
    job_id: str,
    fence: int,
    state: JobState,
    cause: str,
    *,
    result: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
    dead: bool = False,
    progress: dict[str, Any] | None = None,
) -> dict[str, Any]:
    values = {"job_id": job_id, "under": fence, "state": state, "cause": cause, "at": now()}
    values |= {"result": result, "error": error, "dead": dead, "progress": progress}
    return values | {"event": end_data(job_id, state=state, cause=cause, error=error, dead=dead)}


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
    The carry grows, so that neither a second delivery nor a late report of the ended attempt can touch the next one.
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
            carry=jobs.c.carry + 1,
            not_before=ledger_now(connection, plus_s=delay_s) if delay_s else None,
            attempt=jobs.c.attempt if counted else jobs.c.attempt - 1,
            **held_values(jobs.c.parked),
        )
        if job is not None:
            _end_attempt(connection, job, outcome="retried" if counted else "drained", cause=cause, error=error)
        return job


def expire(ledger: Ledger, *, limit: int = 200) -> list[Job]:
    """End jobs that nobody started in time: ``queued -> failed``, at most ``limit`` of them, the oldest first."""
    with ledger.read() as connection:
        late = (
            sa.select(jobs.c.id)
            .where(IS_QUEUED, jobs.c.expires_at <= ledger_now(connection))
            .order_by(jobs.c.expires_at)
            .limit(limit)
        )
        ids = connection.execute(late).scalars().all()
    if not ids:
        return []
    with ledger.write() as connection:
        ended = [_expire(connection, job_id) for job_id in ids]
    return [job for job in ended if job is not None]


def _expire(connection: Connection, job_id: str) -> Job | None:
    late = (jobs.c.id == job_id) & (jobs.c.state == JobState.QUEUED) & (jobs.c.expires_at <= ledger_now(connection))
    return _move(
        connection,
        late,
        state=JobState.FAILED,
        cause=Cause.EXPIRED,
        error={"code": Cause.EXPIRED, "message": "The job was still queued when its time was over."},
        finished_at=now(),
        resume=None,
    )


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
    return _set_while_running(ledger, job_id, fence=fence, progress=progress, signs=jobs.c.signs + 1)


def note_sign(ledger: Ledger, job_id: str, *, fence: int) -> bool:
    """Note that the attempt shows a sign of life. False: this fence no longer owns the job."""
    return _set_while_running(ledger, job_id, fence=fence, signs=jobs.c.signs + 1)


def keep_resume_state(ledger: Ledger, job_id: str, *, fence: int, resume: dict[str, Any]) -> bool:
    """Keep an engine's state for the next attempt. False: this fence no longer owns the job."""
    return _set_while_running(ledger, job_id, fence=fence, resume=resume)


def _set_while_running(ledger: Ledger, job_id: str, *, fence: int, **values: Any) -> bool:
    with ledger.write() as connection:
        owned = (jobs.c.id == job_id) & (jobs.c.state == JobState.RUNNING) & (jobs.c.fence == fence)
        return connection.execute(jobs.update().where(owned).values(**values)).rowcount == 1


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
    write_event(connection, job)
    if job.dead and job.state is JobState.FAILED:
        write_dead(connection, job)
    return job


def _end_attempt(connection: Connection, job: Job, *, outcome: str, cause: str, error: dict[str, Any] | None) -> None:
    connection.execute(
        attempts.update()
        .where(attempts.c.job_id == job.id, attempts.c.fence == job.fence)
        .values(ended_at=now(), outcome=outcome, cause=cause, error=error)
    )
