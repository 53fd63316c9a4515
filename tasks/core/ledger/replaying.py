"""A failed or cancelled job runs again, because somebody asked: the one way out of a terminal state."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.clock import now
from tasks.core.errors import Conflict, NotFound
from tasks.core.ledger import unique
from tasks.core.ledger.accepting import nothing_waits
from tasks.core.ledger.control_tables import is_paused
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.follow_ups import wait_again
from tasks.core.ledger.parking import has_limit, is_limited
from tasks.core.ledger.pauses import held_values
from tasks.core.ledger.rows import job_from_row
from tasks.core.ledger.schema import jobs, state_events
from tasks.core.ledger.state_events import write_events
from tasks.core.records import AGEING_MS, REPLAYABLE, Backend, Cause, Job, JobState

_REMEDIES = {
    JobState.SUCCEEDED: "only a failed or cancelled job runs again: submit a new one.",
    JobState.QUEUED: "it will run without being asked again.",
    JobState.RUNNING: "let it end, or cancel it first.",
}


def replay(
    ledger: Ledger,
    job_id: str,
    *,
    tenant_id: str,
    may_publish: bool = False,
    priority: int | None = None,
    timeout_s: float | None = None,
) -> Job:
    """Queue the job again, with as many attempts as it had at first; ``priority`` and ``timeout_s`` replace its own.

    With ``may_publish``, and when nothing else waits in its queue, its next carry is taken in the same transaction
    (``published_at`` is set then): the caller owns publishing it.

    Raises:
        NotFound: no such job for this tenant.
        Conflict: it is queued or running, or it has succeeded, or another one with its unique key has not ended.
    """
    mine = (jobs.c.id == job_id) & (jobs.c.tenant_id == tenant_id)
    with ledger.write() as connection:
        seen = (
            sa.select(
                jobs.c.state,
                jobs.c.queue,
                jobs.c.backend,
                jobs.c.unique_key,
                sa.or_(has_limit(), is_paused(), jobs.c.requires.is_not(sa.null())).label("waits"),
            )
            .where(mine)
            .with_for_update()
        )
        row = connection.execute(seen).one_or_none()
        if row is None:
            raise NotFound(f"No job {job_id}.")
        if row.state not in REPLAYABLE:
            has = "has" if row.state == JobState.SUCCEEDED else "is"
            raise Conflict(f"Job {job_id} {has} {row.state}; {_REMEDIES[JobState(row.state)]}")
        if row.unique_key is not None and (other := unique.holder(connection, tenant_id, row.unique_key)):
            raise Conflict(f"Job {other} has the same unique_key and has not ended: let it end, or cancel it first.")
        changes = _changes(priority, timeout_s)
        if changes:
            connection.execute(jobs.update().where(mine).values(changes))
        publishes = (
            may_publish and row.backend != Backend.LOCAL and not row.waits and nothing_waits(connection, row.queue)
        )
        return replay_where(connection, jobs.c.id == job_id, publishes=publishes)[0]


def _changes(priority: int | None, timeout_s: float | None) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if priority is not None:
        changes |= {"priority": priority, "place": jobs.c.place + (jobs.c.priority - priority) * AGEING_MS}
    if timeout_s is not None:
        # The time between the soft limit and the hard one is the kind's.
        changes |= {"timeout_s": timeout_s, "hard_limit_s": jobs.c.hard_limit_s - jobs.c.timeout_s + timeout_s}
    return changes


def replay_where(connection: Connection, where: sa.ColumnElement[bool], *, publishes: bool = False) -> list[Job]:
    """Queue every failed or cancelled job among ``where`` again; return them as they are now."""
    # The carry grows, so that a message of an earlier carry that is still in the broker stays void.
    statement = (
        jobs.update()
        .where(where, jobs.c.state.in_(REPLAYABLE))
        .values(
            state=JobState.QUEUED,
            cause=Cause.REPLAYED,
            version=jobs.c.version + 1,
            carry=jobs.c.carry + 1,
            published_at=now() if publishes else None,
            max_attempts=jobs.c.attempt + _budget(),
            dead=False,
            error=None,
            progress=None,
            worker=None,
            child_pid=None,
            claimed_at=None,
            finished_at=None,
            cancel_requested_at=None,
            not_before=None,
            expires_at=None,
            limited=is_limited(),
            **held_values(has_limit()),
        )
        .returning(*jobs.c)
    )
    replayed = [job_from_row(row) for row in connection.execute(statement)]
    write_events(connection, replayed)
    wait_again(connection, [job.id for job in replayed])
    return replayed


def _budget() -> sa.ColumnElement[int]:
    """How many attempts the request was given: those since it was accepted, or replayed for the last time."""
    replays = sa.select(sa.func.max(state_events.c.attempt)).where(
        state_events.c.job_id == jobs.c.id, state_events.c.data["cause"].as_string() == Cause.REPLAYED
    )
    return jobs.c.max_attempts - sa.func.coalesce(replays.correlate(jobs).scalar_subquery(), 0)
