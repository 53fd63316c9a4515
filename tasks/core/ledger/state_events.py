"""The ``state`` events: written with each transition, read by whoever brings them into the live streams."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from tasks.core.clock import now
from tasks.core.ledger.callback_tables import is_awaited
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.prepared import Prepared, PreparedInsert, Runner
from tasks.core.ledger.rows import values_of
from tasks.core.ledger.schema import state_events
from tasks.core.records import TERMINAL, Cause, Job, JobState, StateEvent

# Machines whose clocks are this far apart are taken to agree.
_CLOCKS_DIFFER = timedelta(seconds=2)


def state_event_of(job: Job) -> StateEvent:
    """Describe the transition that brought ``job`` to its present state."""
    if job.state in TERMINAL:
        data = end_data(job.id, state=job.state, cause=job.cause, error=job.error, dead=job.dead)
    else:
        data = _data(job.state, job.cause, job.error)
    if job.state is JobState.QUEUED and job.not_before is not None:
        data["not_before"] = job.not_before.isoformat()
    at = job.finished_at or job.claimed_at or (job.created_at if job.version == 1 else now())
    return StateEvent(job_id=job.id, n=job.version, at=at, fence=job.fence, attempt=job.attempt, data=data)


def end_data(job_id: str, *, state: JobState, cause: str, error: dict[str, Any] | None, dead: bool) -> dict[str, Any]:
    """Describe the end of a job, as its last event does."""
    return _data(state, cause, error) | {"dead": dead, "result_ref": f"/api/jobs/{job_id}"}


def _data(state: JobState, cause: str, error: dict[str, Any] | None) -> dict[str, Any]:
    return {"state": state, "cause": cause} | ({"error": error} if error is not None else {})


def so_far(claimed: Job) -> list[StateEvent]:
    """Describe the transition that ``claimed`` has just made, and its acceptance if that was the one before."""
    event = state_event_of(claimed)
    if claimed.version > 2:
        return [event]
    accepted = _data(JobState.QUEUED, Cause.ACCEPTED, None)
    return [StateEvent(job_id=claimed.id, n=1, at=claimed.created_at, fence=0, attempt=0, data=accepted), event]


_INSERT = PreparedInsert(state_events)
# The two transitions that every job makes say it with their insert: see ``moves``.
_CALL_BACK = Prepared(
    state_events.update()
    .where(state_events.c.job_id == sa.bindparam("id"), state_events.c.n == sa.bindparam("number"))
    .values(calls_back=is_awaited(sa.bindparam("of"), sa.bindparam("id")))
)


def write_event(connection: Runner, job: Job) -> None:
    """Write the event of the transition that ``job`` has just made, in the transaction that made it."""
    write_events(connection, [job])


def write_events(connection: Runner, moved: Sequence[Job]) -> None:
    """Write the events of the transitions that these jobs have just made, in the transaction that made them."""
    fresh = {"in_stream": False, "calls_back": False}
    _INSERT.run_many(connection, [values_of(state_event_of(job)) | fresh for job in moved])
    ended = [job for job in moved if job.state in TERMINAL]
    _CALL_BACK.run_many(connection, [{"id": job.id, "number": job.version, "of": job.tenant_id} for job in ended])


def _event_from_row(row: Row[Any]) -> StateEvent:
    values = dict(row._mapping)
    del values["in_stream"], values["calls_back"]
    return StateEvent(**values)


# In the order of the record.
_EVENT_COLUMNS = [state_events.c[field.name] for field in fields(StateEvent)]


def _unsent(when: sa.ColumnElement[bool]) -> Prepared:
    lacking = sa.select(*_EVENT_COLUMNS).where(state_events.c.in_stream == sa.false(), when)
    # Ordered by that alone, as the index is: what PostgreSQL sorts, it takes from a bitmap, and learns nothing of which
    # of the index's entries are dead.
    return Prepared(lacking.order_by(state_events.c.at).limit(sa.bindparam("most")))


_LATE = _unsent(state_events.c.at < sa.bindparam("before"))
# Dated by a machine whose clock is ahead: they would otherwise wait until it is right.
_OF_THE_FUTURE = _unsent(state_events.c.at > sa.bindparam("ahead"))

# Not what the index of those that lack is made of: PostgreSQL would look through it, which is long when Redis was away.
_IS_NEWS = state_events.c.in_stream.is_distinct_from(True)
# Redis takes a job's events in order, so it has all before its newest.
_MARK = Prepared(
    state_events.update()
    .where(state_events.c.job_id == sa.bindparam("id"), state_events.c.n <= sa.bindparam("number"), _IS_NEWS)
    .values(in_stream=True)
)
_SENT = (
    sa.func.unnest(
        sa.bindparam("ids", type_=sa.ARRAY(state_events.c.job_id.type)),
        sa.bindparam("numbers", type_=sa.ARRAY(sa.Integer)),
    )
    .table_valued("id", "number", name="sent")
    .render_derived()
)
_MARK_ALL = Prepared(
    state_events.update()
    .where(state_events.c.job_id == _SENT.c.id, state_events.c.n <= _SENT.c.number, _IS_NEWS)
    .values(in_stream=True)
)


def unsent_events(ledger: Ledger, *, before: datetime, limit: int = 500) -> list[StateEvent]:
    """List state events that Redis is not known to have, oldest first: those of ``before`` and those of the future."""
    with ledger.read_prepared() as driver:
        rows = _LATE.all(driver, {"before": before, "most": limit})
        if len(rows) < limit:
            rows += _OF_THE_FUTURE.all(driver, {"ahead": now() + _CLOCKS_DIFFER, "most": limit - len(rows)})
    return sorted((StateEvent(*row) for row in rows), key=lambda event: (event.at, event.n))


def events_of(ledger: Ledger, job_id: str, *, after: int = 0) -> list[StateEvent]:
    """List a job's state events with ``n > after``, in order."""
    statement = state_events.select().where(state_events.c.job_id == job_id, state_events.c.n > after)
    with ledger.read() as connection:
        return [_event_from_row(row) for row in connection.execute(statement.order_by(state_events.c.n))]


def mark_sent(ledger: Ledger, events: Sequence[StateEvent]) -> None:
    """Note that Redis has these state events. A loss of power may undo the note, see ``relay.relay_unsent``."""
    if not events:
        return
    newest: dict[str, int] = {}
    for event in events:
        newest[event.job_id] = max(event.n, newest.get(event.job_id, 0))
    with ledger.write_prepared(may_vanish=True) as driver:
        if ledger.is_sqlite:
            _MARK.run_many(driver, [{"id": job_id, "number": number} for job_id, number in newest.items()])
        else:
            _MARK_ALL.run(driver, {"ids": [*newest], "numbers": [*newest.values()]})
