"""The two transitions that every job makes, prepared: to be claimed, and to end. ``transitions`` says when."""

import sqlalchemy as sa

from tasks.core.ledger.callback_tables import is_awaited
from tasks.core.ledger.carrying import not_expired
from tasks.core.ledger.control_tables import is_paused
from tasks.core.ledger.database import LedgerNow
from tasks.core.ledger.prepared import Move, Moved, Moves
from tasks.core.ledger.schema import attempts, jobs, state_events
from tasks.core.records import Cause, JobState


def _attempt_of(moved: Moved) -> sa.Insert:
    names = ["job_id", "fence", "attempt", "worker", "child_pid", "started_at"]
    sources = ("id", "fence", "attempt", "worker", "child_pid", "claimed_at")
    return attempts.insert().from_select(names, sa.select(*(moved[name] for name in sources)))


def _attempt_ended(moved: Moved) -> sa.Update:
    return (
        attempts.update()
        .where(attempts.c.job_id == moved["id"], attempts.c.fence == moved["fence"])
        .values(
            ended_at=moved["finished_at"],
            outcome=sa.bindparam("state"),
            cause=sa.bindparam("cause"),
            error=sa.bindparam("error"),
        )
    )


def _event_of(moved: Moved) -> sa.Insert:
    names = ["job_id", "n", "at", "fence", "attempt", "data", "in_stream", "calls_back"]
    at, data = sa.bindparam("at", type_=jobs.c.created_at.type), sa.bindparam("event", type_=state_events.c.data.type)
    row = (
        moved["id"],
        moved["version"],
        at,
        moved["fence"],
        moved["attempt"],
        data,
        sa.false(),
        is_awaited(moved["tenant_id"], moved["id"]),
    )
    return state_events.insert().from_select(names, sa.select(*row))


CLAIM = Move(
    jobs.update()
    .where(
        jobs.c.id == sa.bindparam("job_id"),
        jobs.c.state == JobState.QUEUED,
        jobs.c.carry == sa.bindparam("carry_taken"),
        not_expired(LedgerNow()),
        ~is_paused(),
    )
    .values(
        state=JobState.RUNNING,
        cause=Cause.CLAIMED,
        version=jobs.c.version + 1,
        attempt=jobs.c.attempt + 1,
        fence=jobs.c.fence + 1,
        worker=sa.bindparam("by"),
        child_pid=sa.bindparam("pid"),
        published_at=None,
        not_before=None,
        claimed_at=sa.bindparam("at"),
        started_at=sa.func.coalesce(jobs.c.started_at, sa.bindparam("at", type_=jobs.c.started_at.type)),
        error=sa.null(),
        progress=sa.null(),
    ),
    _attempt_of,
    _event_of,
)

FINISH = Move(
    jobs.update()
    .where(
        jobs.c.id == sa.bindparam("job_id"),
        jobs.c.state == JobState.RUNNING,
        jobs.c.fence == sa.bindparam("under"),
    )
    .values(
        state=sa.bindparam("state"),
        cause=sa.bindparam("cause"),
        version=jobs.c.version + 1,
        finished_at=sa.bindparam("at"),
        resume=sa.null(),
        result=sa.bindparam("result"),
        error=sa.bindparam("error"),
        dead=sa.bindparam("dead"),
        progress=sa.func.coalesce(sa.bindparam("progress", type_=jobs.c.progress.type), jobs.c.progress),
    ),
    _attempt_ended,
    _event_of,
)

# What a child writes between two brief jobs.
FINISH_AND_CLAIM = Moves(FINISH, CLAIM)
