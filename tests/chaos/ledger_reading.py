"""What scenarios ask of the ledger."""

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from tasks.core.ledger import Ledger
from tasks.core.ledger.schema import attempts, jobs
from tasks.core.records import Cause, JobState


@dataclass(frozen=True, slots=True)
class Running:
    """A job that runs: under which fence, in which child of which worker."""

    job: str
    fence: int
    attempt: int
    child_pid: int
    worker: str


def running_jobs(ledger: Ledger) -> list[Running]:
    """List the jobs that run, oldest first."""
    columns = (jobs.c.id, jobs.c.fence, jobs.c.attempt, jobs.c.child_pid, jobs.c.worker)
    statement = sa.select(*columns).where(jobs.c.state == JobState.RUNNING).order_by(jobs.c.id)
    with ledger.read() as connection:
        return [Running(*row) for row in connection.execute(statement)]


def unfinished(ledger: Ledger, job_ids: Collection[str]) -> bool:
    """Tell whether any of these jobs is queued or runs."""
    waiting = jobs.c.id.in_(job_ids) & jobs.c.state.in_((JobState.QUEUED, JobState.RUNNING))
    with ledger.read() as connection:
        return connection.execute(sa.select(jobs.c.id).where(waiting).limit(1)).one_or_none() is not None


def queued_jobs(ledger: Ledger, *, published: bool) -> list[str]:
    """List the queued jobs that the ledger takes to be in the broker, or those that wait in the ledger alone."""
    in_broker = jobs.c.published_at.is_not(None) if published else jobs.c.published_at.is_(None)
    statement = sa.select(jobs.c.id).where(jobs.c.state == JobState.QUEUED, in_broker).order_by(jobs.c.id)
    with ledger.read() as connection:
        return list(connection.execute(statement).scalars())


def lost_attempts(ledger: Ledger) -> list[tuple[str, int]]:
    """List ``(job, fence)`` of every attempt that ended because its worker or child was lost."""
    statement = sa.select(attempts.c.job_id, attempts.c.fence).where(attempts.c.cause == Cause.WORKER_LOST)
    with ledger.read() as connection:
        return [(row.job_id, row.fence) for row in connection.execute(statement)]


def attempts_by_job(ledger: Ledger) -> dict[str, list[str | None]]:
    """Return the outcomes of each job's attempts, oldest first; None: it has not ended."""
    statement = sa.select(attempts.c.job_id, attempts.c.outcome).order_by(attempts.c.job_id, attempts.c.fence)
    found: dict[str, list[str | None]] = {}
    with ledger.read() as connection:
        for row in connection.execute(statement):
            found.setdefault(row.job_id, []).append(row.outcome)
    return found
