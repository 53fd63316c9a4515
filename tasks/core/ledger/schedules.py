"""Schedules in the ledger: kept, changed, listed, and moved from tick to tick."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.core.clock import now
from tasks.core.errors import Conflict, NotFound
from tasks.core.ledger.audit import AT_THE_MACHINE, Actor
from tasks.core.ledger.database import Ledger, ledger_now
from tasks.core.ledger.rows import values_of
from tasks.core.ledger.schedule_tables import schedules
from tasks.core.schedules.records import CatchUp, Outcome, Schedule

MOST_OF_TENANT = 1000
"""Schedules that a tenant may have."""

_TIMING = frozenset({"cron", "every_s", "time_zone", "enabled"})


@dataclass(frozen=True, slots=True)
class Due:
    """Schedules with a tick that has come, the longest due first, and the present by the ledger's clock."""

    schedules: list[Schedule]
    at: datetime


def create(ledger: Ledger, schedule: Schedule, *, by: Actor = AT_THE_MACHINE) -> Schedule:
    """Keep a new schedule; its ticks begin after the present.

    Raises:
        Conflict: the tenant has as many as it may.
    """
    with ledger.write() as connection:
        count = sa.select(sa.func.count()).select_from(schedules).where(schedules.c.tenant_id == schedule.tenant_id)
        if int(connection.execute(count).scalar_one()) >= MOST_OF_TENANT:
            raise Conflict(f"There are {MOST_OF_TENANT} schedules, the most there may be: delete one.")
        kept = _from_now(connection, replace(schedule, anchor=_now(connection)))
        connection.execute(schedules.insert().values(values_of(kept)))
        by.did(connection, "schedule.made", kept.id, tenant_id=kept.tenant_id, after=_told(kept))
        return kept


def find(ledger: Ledger, tenant_id: str, schedule_id: str) -> Schedule:
    """Return a tenant's schedule.

    Raises:
        NotFound: it has none with this id.
    """
    with ledger.read() as connection:
        return _found(connection, tenant_id, schedule_id)


def page(
    ledger: Ledger, tenant_id: str, *, enabled: bool | None = None, limit: int, before: str | None = None
) -> list[Schedule]:
    """List a tenant's schedules, newest first, from the one after ``before``, the last of the page before this."""
    statement = schedules.select().where(schedules.c.tenant_id == tenant_id)
    if enabled is not None:
        statement = statement.where(schedules.c.enabled == enabled)
    if before is not None:
        statement = statement.where(schedules.c.id < before)
    with ledger.read() as connection:
        rows = connection.execute(statement.order_by(schedules.c.id.desc()).limit(limit))
        return [schedule_of(row) for row in rows]


def change(
    ledger: Ledger, tenant_id: str, schedule_id: str, changes: Mapping[str, Any], *, by: Actor = AT_THE_MACHINE
) -> Schedule:
    """Change columns of a schedule. With another timing, or enabled again, its ticks begin after the present.

    Raises:
        NotFound: the tenant has none with this id.
    """
    with ledger.write() as connection:
        before = _found(connection, tenant_id, schedule_id, locked=True)
        after = replace(before, **changes, version=before.version + 1, updated_at=now())
        if any(getattr(before, name) != getattr(after, name) for name in _TIMING):
            if after.every_s != before.every_s:
                after = replace(after, anchor=_now(connection))
            after = _from_now(connection, after)
        connection.execute(schedules.update().where(schedules.c.id == schedule_id).values(values_of(after)))
        told = {"before": _told(before), "after": _told(after), "new_request": before.job != after.job}
        by.did(connection, "schedule.changed", schedule_id, tenant_id=tenant_id, **told)
        return after


def delete(ledger: Ledger, tenant_id: str, schedule_id: str, *, by: Actor = AT_THE_MACHINE) -> None:
    """Delete a schedule; its jobs stay.

    Raises:
        NotFound: the tenant has none with this id.
    """
    with ledger.write() as connection:
        before = _found(connection, tenant_id, schedule_id, locked=True)
        connection.execute(schedules.delete().where(schedules.c.id == schedule_id))
        by.did(connection, "schedule.deleted", schedule_id, tenant_id=tenant_id, before=_told(before))


def _told(schedule: Schedule) -> dict[str, Any]:
    """Return what is written down of a schedule; what its requests say may be secret."""
    names = ("name", "cron", "time_zone", "every_s", "catch_up", "enabled")
    return {name: getattr(schedule, name) for name in names} | {"kind": schedule.job.get("kind")}


def due(ledger: Ledger, *, limit: int) -> Due:
    """List schedules with a tick that has come."""
    with ledger.read() as connection:
        at = _now(connection)
        statement = schedules.select().where(schedules.c.next_at.is_not(None), schedules.c.next_at <= at)
        rows = connection.execute(statement.order_by(schedules.c.next_at, schedules.c.id).limit(limit))
        return Due([schedule_of(row) for row in rows], at)


def move(connection: Connection, schedule: Schedule, values: Mapping[str, Any]) -> bool:
    """Write a step of a schedule, unless somebody has changed it since it was read; tell whether it was written.

    Until the transaction ends, nobody else moves it.
    """
    seen = (schedules.c.id == schedule.id) & (schedules.c.version == schedule.version)
    statement = schedules.update().where(seen).values(dict(values) | {"version": schedule.version + 1})
    return connection.execute(statement).rowcount == 1


def tell(connection: Connection, schedule_id: str, *, job_id: str, outcome: Outcome, jobs_made: int) -> None:
    """Write which job a tick has, in the transaction that moved the schedule."""
    told = {"last_job_id": job_id, "last_outcome": outcome, "jobs_made": jobs_made}
    connection.execute(schedules.update().where(schedules.c.id == schedule_id).values(told))


def note_run(ledger: Ledger, schedule_id: str, *, job_id: str, outcome: Outcome, made: int) -> None:
    """Note a job that somebody asked for, beside the ticks; nothing happens if the schedule is gone."""
    noted = {"last_at": now(), "last_outcome": outcome, "last_job_id": job_id, "last_error": None}
    counted = {"jobs_made": schedules.c.jobs_made + made, "version": schedules.c.version + 1}
    with ledger.write() as connection:
        connection.execute(schedules.update().where(schedules.c.id == schedule_id).values(noted | counted))


def schedule_of(row: Row[Any]) -> Schedule:
    """Make a ``Schedule`` of a full row."""
    values = dict(row._mapping)
    values["catch_up"] = CatchUp(values["catch_up"])
    outcome = values["last_outcome"]
    values["last_outcome"] = None if outcome is None else Outcome(outcome)
    return Schedule(**values)


def _from_now(connection: Connection, schedule: Schedule) -> Schedule:
    return replace(schedule, next_at=schedule.timing.after(_now(connection)) if schedule.enabled else None)


def _now(connection: Connection) -> datetime:
    at: datetime = connection.execute(sa.select(ledger_now(connection))).scalar_one()
    return at


def _found(connection: Connection, tenant_id: str, schedule_id: str, *, locked: bool = False) -> Schedule:
    statement = schedules.select().where(schedules.c.tenant_id == tenant_id, schedules.c.id == schedule_id)
    row = connection.execute(statement.with_for_update() if locked else statement).one_or_none()
    if row is None:
        raise _unknown(schedule_id)
    return schedule_of(row)


def _unknown(schedule_id: str) -> NotFound:
    return NotFound(f"No schedule {schedule_id}.")
