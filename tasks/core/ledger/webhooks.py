"""Webhooks in the ledger: the endpoints of tenants, and those of single jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.core.callbacks.records import SWITCHED_OFF, DeliveryState, OffReason, OwnCallback, Webhook
from tasks.core.clock import now
from tasks.core.domain_events import Emission
from tasks.core.errors import Conflict, NotFound
from tasks.core.ledger.audit import AT_THE_MACHINE, Actor
from tasks.core.ledger.callback_tables import IS_ENDPOINT, callback_deliveries, webhooks
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.outbox import write_event
from tasks.core.ledger.rows import values_of
from tasks.core.ledger.schema import outbox

MOST_OF_TENANT = 50
"""Endpoints that a tenant may have."""


@dataclass(frozen=True, slots=True)
class WebhookStats:
    """What became of the deliveries of an endpoint that are kept."""

    pending: int
    delivered: int
    dead: int
    oldest_pending_at: datetime | None
    last_delivered_at: datetime | None


def own_webhook(
    asked: OwnCallback,
    tenant_id: str,
    *,
    webhook_id: str,
    sealed: bytes | None,
    at: datetime,
    job_id: str | None = None,
    batch_id: str | None = None,
) -> Webhook:
    """Make the row of a job's or a batch's own callback; ``accepting`` writes it with its owner."""
    return Webhook(
        id=webhook_id,
        tenant_id=tenant_id,
        job_id=job_id,
        batch_id=batch_id,
        url=asked.url,
        events=list(asked.events),
        description="",
        sealed=sealed,
        enabled=True,
        off_reason=None,
        off_at=None,
        failing_since=None,
        after_seq=0,
        created_at=at,
        updated_at=at,
    )


def write_own(connection: Connection, callbacks: Sequence[Webhook]) -> None:
    """Write the callbacks of jobs, in the transaction that accepts those."""
    if callbacks:
        connection.execute(webhooks.insert(), [values_of(one) for one in callbacks])


def create(
    ledger: Ledger,
    tenant_id: str,
    *,
    webhook_id: str,
    url: str,
    events: Sequence[str],
    description: str,
    sealed: bytes,
    enabled: bool,
    by: Actor = AT_THE_MACHINE,
) -> Webhook:
    """Keep an endpoint. It is told of what happens from now on, of jobs that are under way as well.

    Raises:
        Conflict: the tenant has as many as it may.
    """
    at = now()
    values: dict[str, Any] = {
        "id": webhook_id,
        "tenant_id": tenant_id,
        "url": url,
        "events": list(events),
        "description": description,
    }
    values |= {"sealed": sealed, "enabled": enabled, "created_at": at, "updated_at": at}
    values |= {} if enabled else {"off_reason": OffReason.REQUESTED, "off_at": at}
    with ledger.write() as connection:
        count = sa.select(sa.func.count()).select_from(webhooks).where(_of(tenant_id))
        if int(connection.execute(count).scalar_one()) >= MOST_OF_TENANT:
            raise Conflict(f"There are {MOST_OF_TENANT} webhooks, the most there may be: delete one.")
        statement = webhooks.insert().values(values | {"after_seq": _newest(connection)}).returning(*webhooks.c)
        made = webhook_of(connection.execute(statement).one())
        by.did(connection, "webhook.made", webhook_id, tenant_id=tenant_id, after=_told(made))
        return made


def listed(ledger: Ledger, tenant_id: str) -> list[Webhook]:
    """List a tenant's endpoints, oldest first."""
    with ledger.read() as connection:
        statement = webhooks.select().where(_of(tenant_id)).order_by(webhooks.c.id)
        return [webhook_of(row) for row in connection.execute(statement)]


def find(ledger: Ledger, tenant_id: str, webhook_id: str) -> Webhook:
    """Return a tenant's endpoint.

    Raises:
        NotFound: it has none with this id.
    """
    with ledger.read() as connection:
        return _found(connection, tenant_id, webhook_id)


def change(
    ledger: Ledger, tenant_id: str, webhook_id: str, changes: dict[str, Any], *, by: Actor = AT_THE_MACHINE
) -> Webhook:
    """Change ``url``, ``events``, ``description``, ``sealed`` or ``enabled`` of an endpoint.

    Switched on again, it is told of what happens from then on; switched off, its pending deliveries are given up.

    Raises:
        NotFound: the tenant has none with this id.
    """
    with ledger.write() as connection:
        before = _found(connection, tenant_id, webhook_id, locked=True)
        if changes.get("enabled") is False and before.enabled:
            _switch_off(connection, before, OffReason.REQUESTED)
        if changes.get("enabled") is True and not before.enabled:
            fresh = {"off_reason": None, "off_at": None, "failing_since": None, "after_seq": _newest(connection)}
            changes = changes | fresh
        statement = webhooks.update().where(webhooks.c.id == webhook_id).values(changes | {"updated_at": now()})
        after = webhook_of(connection.execute(statement.returning(*webhooks.c)).one())
        told = {"before": _told(before), "after": _told(after), "new_secret": "sealed" in changes}
        by.did(connection, "webhook.changed", webhook_id, tenant_id=tenant_id, **told)
        return after


def delete(ledger: Ledger, tenant_id: str, webhook_id: str, *, by: Actor = AT_THE_MACHINE) -> None:
    """Delete an endpoint with its deliveries.

    Raises:
        NotFound: the tenant has none with this id.
    """
    with ledger.write() as connection:
        before = _found(connection, tenant_id, webhook_id, locked=True)
        connection.execute(webhooks.delete().where(webhooks.c.id == webhook_id))
        by.did(connection, "webhook.deleted", webhook_id, tenant_id=tenant_id, before=_told(before))


def stats(ledger: Ledger, webhook_id: str) -> WebhookStats:
    """Count the deliveries of an endpoint."""
    deliveries = callback_deliveries
    of_it = deliveries.c.webhook_id == webhook_id
    with ledger.read() as connection:
        by_state = sa.select(deliveries.c.state, sa.func.count()).where(of_it).group_by(deliveries.c.state)
        counts = {row[0]: int(row[1]) for row in connection.execute(by_state)}
        oldest = sa.select(sa.func.min(deliveries.c.created_at)).where(
            of_it, deliveries.c.state == DeliveryState.PENDING
        )
        last = sa.select(sa.func.max(deliveries.c.ended_at)).where(of_it, deliveries.c.state == DeliveryState.DELIVERED)
        return WebhookStats(
            pending=counts.get(DeliveryState.PENDING, 0),
            delivered=counts.get(DeliveryState.DELIVERED, 0),
            dead=counts.get(DeliveryState.DEAD, 0),
            oldest_pending_at=connection.execute(oldest).scalar_one(),
            last_delivered_at=connection.execute(last).scalar_one(),
        )


def are_there_any(ledger: Ledger) -> bool:
    """Tell whether anybody at all wants to be called back."""
    with ledger.read() as connection:
        return connection.execute(sa.select(webhooks.c.id).limit(1)).first() is not None


def note_health(
    connection: Connection, webhook_id: str, *, is_well: bool, is_gone: bool, off_after_s: float
) -> OffReason | None:
    """Note how a try went, in its transaction; return why the endpoint was switched off by that, if it was.

    A job's or a batch's own callback is not an endpoint: it ends with its deliveries.
    """
    row = connection.execute(webhooks.select().where(webhooks.c.id == webhook_id)).one_or_none()
    if row is None or row.job_id is not None or row.batch_id is not None:
        return None
    webhook, at = webhook_of(row), now()
    this = webhooks.c.id == webhook_id
    if is_well:
        if webhook.failing_since is not None:
            connection.execute(webhooks.update().where(this).values(failing_since=None))
        return None
    since = webhook.failing_since or at
    if webhook.failing_since is None:
        connection.execute(webhooks.update().where(this).values(failing_since=at))
    reason = OffReason.GONE if is_gone else OffReason.FAILING
    if not webhook.enabled or (not is_gone and (at - since).total_seconds() < off_after_s):
        return None
    _switch_off(connection, webhook, reason)
    told = {"webhook_id": webhook.id, "url": webhook.url, "reason": reason}
    write_event(connection, webhook.tenant_id, Emission(SWITCHED_OFF, told))
    return reason


def _switch_off(connection: Connection, webhook: Webhook, reason: OffReason) -> None:
    at = now()
    off = {"enabled": False, "off_reason": reason, "off_at": at, "updated_at": at}
    connection.execute(webhooks.update().where(webhooks.c.id == webhook.id).values(off))
    deliveries = callback_deliveries
    pending = (deliveries.c.webhook_id == webhook.id) & (deliveries.c.state == DeliveryState.PENDING)
    given_up = {"state": DeliveryState.DEAD, "ended_at": at, "next_try_at": None}
    connection.execute(deliveries.update().where(pending).values(given_up))


def _found(connection: Connection, tenant_id: str, webhook_id: str, *, locked: bool = False) -> Webhook:
    statement = webhooks.select().where(_of(tenant_id), webhooks.c.id == webhook_id)
    row = connection.execute(statement.with_for_update() if locked else statement).one_or_none()
    if row is None:
        raise _unknown(webhook_id)
    return webhook_of(row)


def _told(webhook: Webhook) -> dict[str, Any]:
    """Say what the book of changes has of an endpoint: all but its secrets."""
    shown = ("url", "events", "description", "enabled", "off_reason")
    return {name: getattr(webhook, name) for name in shown}


def _unknown(webhook_id: str) -> NotFound:
    return NotFound(f"No webhook {webhook_id}.")


def _of(tenant_id: str) -> sa.ColumnElement[bool]:
    return (webhooks.c.tenant_id == tenant_id) & IS_ENDPOINT


def _newest(connection: Connection) -> int:
    return int(connection.execute(sa.select(sa.func.max(outbox.c.seq))).scalar_one() or 0)


def webhook_of(row: Row[Any]) -> Webhook:
    """Make a ``Webhook`` of a full row."""
    return Webhook(**row._mapping)
