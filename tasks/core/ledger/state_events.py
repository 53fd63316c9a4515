"""The ``state`` events: written with each transition, read by whoever brings them into the live streams."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.core.clock import now
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.schema import state_events
from tasks.core.records import TERMINAL, Job, JobState, StateEvent

# Machines whose clocks are this far apart are taken to agree.
_CLOCKS_DIFFER = timedelta(seconds=2)


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


def write_event(connection: Connection, job: Job) -> None:
    """Write the event of the transition that ``job`` has just made, in the transaction that made it."""
    write_events(connection, [job])


def write_events(connection: Connection, moved: Sequence[Job]) -> None:
    """Write the events of the transitions that these jobs have just made, in the transaction that made them."""
    rows = [asdict(state_event_of(job)) | {"in_stream": False} for job in moved]
    if rows:
        connection.execute(state_events.insert(), rows)


def _event_from_row(row: Row[Any]) -> StateEvent:
    values = dict(row._mapping)
    del values["in_stream"]
    return StateEvent(**values)


def unsent_events(ledger: Ledger, *, before: datetime, limit: int = 500) -> list[StateEvent]:
    """List state events that Redis is not known to have, oldest first: those of ``before`` and those of the future.

    The latter were dated by a machine whose clock is ahead, and would otherwise wait until it is right.
    """
    older = sa.or_(state_events.c.at < before, state_events.c.at > now() + _CLOCKS_DIFFER)
    statement = (
        state_events.select()
        .where(state_events.c.in_stream.is_(False), older)
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
