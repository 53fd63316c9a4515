"""From events to deliveries: who is to be told, written down once for each event and receiver.

The ledger already holds what happened: state events are written with each transition, domain events are numbered in the
order of commits. Here they become deliveries, by whoever comes first: the unique pair of receiver and event makes a
second look, or a second sender, add nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from tasks.core.callbacks.payloads import body_of
from tasks.core.callbacks.records import TYPE_OF_STATE, DeliveryState, Webhook, lane_of
from tasks.core.clock import now, rfc3339
from tasks.core.ids import new_id
from tasks.core.ledger.callback_tables import IS_ENDPOINT, callback_deliveries, webhooks
from tasks.core.ledger.database import Ledger, ledger_now
from tasks.core.ledger.schema import jobs, outbox, state_events
from tasks.core.ledger.webhooks import webhook_of
from tasks.core.records import JobState

_OF_JOB = ("tenant_id", "kind", "reference", "labels", "site", "correlation_id", "created_at", "finished_at", "dead")


def tell_transitions(ledger: Ledger, *, keep_trying_s: float, limit: int = 200) -> int:
    """Write the deliveries of at most ``limit`` transitions, oldest first; return how many were looked at."""
    events = state_events
    waiting = events.c.calls_back == sa.true()
    with ledger.read() as connection:
        if connection.execute(sa.select(events.c.job_id).where(waiting).limit(1)).first() is None:
            return 0
    columns = (events.c.job_id, events.c.n, events.c.at, events.c.attempt, events.c.data)
    chosen = (
        sa.select(*columns, *(jobs.c[name] for name in _OF_JOB))
        .join_from(events, jobs, jobs.c.id == events.c.job_id)
        .where(waiting)
        .order_by(events.c.at, events.c.job_id, events.c.n)
        .limit(limit)
        .with_for_update(of=events, skip_locked=True)
    )
    with ledger.write() as connection:
        rows = connection.execute(chosen).all()
        hearers = _hearers_of_jobs(connection, rows)
        told = [row for row in rows if _type_of(row) is not None]
        pairs = ((row, one) for row in told for one in hearers if one.job_id in {None, row.job_id})
        _write(
            connection,
            (
                _delivery(
                    one,
                    event=f"job:{row.job_id}:{row.n}",
                    type_=str(_type_of(row)),
                    job_id=row.job_id,
                    at=row.at,
                    data=_of_job(row),
                )
                for row, one in pairs
                if one.tenant_id == row.tenant_id and one.hears(str(_type_of(row)))
            ),
            keep_trying_s,
        )
        done = events.update().where(events.c.job_id == sa.bindparam("job"), events.c.n == sa.bindparam("number"))
        if rows:
            connection.execute(done.values(calls_back=False), [{"job": row.job_id, "number": row.n} for row in rows])
    return len(rows)


def tell_domain_events(ledger: Ledger, *, keep_trying_s: float, limit: int = 200) -> int:
    """Write the deliveries of domain events that endpoints were not looked at for; return how many pairs there were.

    Events of jobs are left out: their transitions are told.
    """
    pairs = (
        sa.select(webhooks.c.id.label("webhook_id"), outbox.c.seq, outbox.c.id, outbox.c.type)
        .add_columns(outbox.c.job_id, outbox.c.at, outbox.c.data)
        .where(
            IS_ENDPOINT,
            webhooks.c.enabled == sa.true(),
            outbox.c.tenant_id == webhooks.c.tenant_id,
            outbox.c.seq > webhooks.c.after_seq,
        )
        .order_by(outbox.c.seq, webhooks.c.id)
        .limit(limit)
    )
    with ledger.read() as connection:
        rows = connection.execute(pairs).all()
    if not rows:
        return 0
    newest = {row.webhook_id: row.seq for row in rows}
    with ledger.write() as connection:
        known = {one.id: one for one in _listed(connection, webhooks.c.id.in_(newest))}
        _write(
            connection,
            (
                _delivery(
                    one,
                    event=f"event:{row.id}",
                    type_=row.type,
                    job_id=row.job_id,
                    at=row.at,
                    data={"id": str(row.seq), "job_id": row.job_id, **row.data},
                )
                for row in rows
                if (one := known.get(row.webhook_id)) is not None
                and one.enabled
                and not row.type.startswith("job.")
                and one.hears(row.type)
            ),
            keep_trying_s,
        )
        for webhook_id, seq in sorted(newest.items()):
            behind = (webhooks.c.id == webhook_id) & (webhooks.c.after_seq < seq)
            connection.execute(webhooks.update().where(behind).values(after_seq=seq))
    return len(rows)


def tell_of_batch(
    connection: Connection, batch_id: str, type_: str, data: dict[str, Any], *, keep_trying_s: float
) -> None:
    """Write what a batch's own callback is told, in the transaction that notes it."""
    hearers = _listed(connection, webhooks.c.batch_id == batch_id)
    at = now()
    event = f"batch:{batch_id}:{rfc3339(at)}"
    data = data | {"href": f"/api/jobs/batch/{batch_id}"}
    rows = [
        _delivery(one, event=event, type_=type_, job_id=None, at=at, data=data) for one in hearers if one.hears(type_)
    ]
    _write(connection, rows, keep_trying_s)


def tell_test(ledger: Ledger, webhook: Webhook, type_: str) -> str:
    """Write a delivery that only tests an endpoint, and is tried once; return its id."""
    row = _delivery(webhook, event=f"test:{new_id()}", type_=type_, job_id=None, at=now(), data={"webhook": webhook.id})
    with ledger.write() as connection:
        _write(connection, [row], 0.0)
    return str(row["id"])


def _type_of(row: Row[Any]) -> str | None:
    return TYPE_OF_STATE.get(JobState(row.data["state"]))


def _hearers_of_jobs(connection: Connection, rows: Sequence[Row[Any]]) -> list[Webhook]:
    if not rows:
        return []
    of_tenants = IS_ENDPOINT & webhooks.c.tenant_id.in_({row.tenant_id for row in rows})
    of_jobs = webhooks.c.job_id.in_({row.job_id for row in rows})
    return _listed(connection, webhooks.c.enabled == sa.true(), sa.or_(of_tenants, of_jobs))


def _listed(connection: Connection, *where: sa.ColumnElement[bool]) -> list[Webhook]:
    return [webhook_of(row) for row in connection.execute(webhooks.select().where(*where).order_by(webhooks.c.id))]


def _of_job(row: Row[Any]) -> dict[str, Any]:
    """Say what a receiver needs to know whose job this was, and where to ask for more."""
    state = row.data["state"]
    told = {"job_id": row.job_id, "state": state, "cause": row.data["cause"], "n": row.n, "attempt": row.attempt}
    told |= {name: getattr(row, name) for name in ("kind", "reference", "labels", "site", "correlation_id")}
    told["created_at"] = rfc3339(row.created_at)
    told["href"] = f"/api/jobs/{row.job_id}"
    if state != JobState.RUNNING:
        told |= {"finished_at": rfc3339(row.at), "dead": bool(row.data.get("dead")), "error": row.data.get("error")}
    return told


def _delivery(
    to: Webhook, *, event: str, type_: str, job_id: str | None, at: datetime, data: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "webhook_id": to.id,
        "tenant_id": to.tenant_id,
        "job_id": job_id,
        "event": event,
        "type": type_,
        "body": body_of(type_, at, data),
        "lane": lane_of(to.tenant_id, to.url),
        "state": DeliveryState.PENDING,
        "tries": 0,
        "attempts": [],
        "created_at": now(),
    }


def _write(connection: Connection, deliveries: Iterable[dict[str, Any]], keep_trying_s: float) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    times = {
        "next_try_at": ledger_now(connection),
        "give_up_at": ledger_now(connection, plus_s=keep_trying_s),
    }
    for row in deliveries:
        statement = insert(callback_deliveries).values(row | times)
        connection.execute(statement.on_conflict_do_nothing(index_elements=["webhook_id", "event"]))
