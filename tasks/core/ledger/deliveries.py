"""Deliveries: taken for a try, ended by it or tried again later, listed, replayed.

Who takes a delivery counts the try and puts its next one off until this one must be over. That is the whole of its
claim: a sender that is killed leaves a delivery that becomes due again, under the same id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.core.callbacks.records import TEST, Delivery, DeliveryState, OffReason, Tried, Webhook
from tasks.core.callbacks.turns import Lane
from tasks.core.clock import now
from tasks.core.errors import Conflict, NotFound
from tasks.core.ledger.callback_tables import callback_deliveries, webhooks
from tasks.core.ledger.database import Ledger, ledger_now
from tasks.core.ledger.webhooks import note_health, webhook_of

# A day of tries has about as many; older ones only repeat themselves.
_ATTEMPTS_KEPT = 30
# Of one tenant, at a time: it may not have more under way anyway.
_LANES_OF_TENANT = 8
_table = callback_deliveries
# Spelled as the partial index spells it, else SQLite does not use it.
_PENDING = _table.c.state == sa.literal_column("'pending'")


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that is to be tried now, and where it goes."""

    delivery: Delivery
    webhook: Webhook
    now: datetime
    """By the ledger's clock."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of a tenant's deliveries; all that is given must hold."""

    tenant_id: str
    webhook_id: str | None = None
    job_id: str | None = None
    state: str | None = None

    def condition(self) -> sa.ColumnElement[bool]:
        """Match their rows."""
        wanted = _table.c.tenant_id == self.tenant_id
        for name in ("webhook_id", "job_id", "state"):
            value = getattr(self, name)
            if value is not None:
                wanted &= _table.c[name] == value
        return wanted


def due_lanes(ledger: Ledger, *, limit: int = 200) -> list[Lane]:
    """List lanes with deliveries that are due: the first of each tenant, then their second, and so on."""
    with ledger.read() as connection:
        since = sa.func.min(_table.c.next_try_at)
        place = sa.func.row_number().over(partition_by=_table.c.tenant_id, order_by=since)
        waiting = (
            sa.select(_table.c.lane, _table.c.tenant_id, sa.func.count().label("due"), since.label("since"))
            .add_columns(place.label("place"))
            .where(_PENDING, _table.c.next_try_at <= ledger_now(connection))
            .group_by(_table.c.lane, _table.c.tenant_id)
            .subquery()
        )
        first = sa.select(waiting.c.lane, waiting.c.tenant_id, waiting.c.due).where(waiting.c.place <= _LANES_OF_TENANT)
        rows = connection.execute(first.order_by(waiting.c.place, waiting.c.since).limit(limit)).all()
    return [Lane(*row) for row in rows]


def take(ledger: Ledger, lane: str, *, limit: int, hold_s: float) -> list[Taken]:
    """Take due deliveries of a lane, the longest due first. If nobody records the try, each is due after ``hold_s``."""
    with ledger.write() as connection:
        at = ledger_now(connection)
        best = (
            sa.select(_table.c.id)
            .where(_PENDING, _table.c.lane == lane, _table.c.next_try_at <= at)
            .order_by(_table.c.next_try_at, _table.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        ids = connection.execute(best).scalars().all()
        if not ids:
            return []
        counted = {"tries": _table.c.tries + 1, "next_try_at": ledger_now(connection, plus_s=hold_s)}
        statement = _table.update().where(_table.c.id.in_(ids)).values(counted).returning(*_table.c)
        found = [Delivery(**row._mapping) for row in connection.execute(statement)]
        receivers = webhooks.select().where(webhooks.c.id.in_({one.webhook_id for one in found}))
        by_id = {row.id: webhook_of(row) for row in connection.execute(receivers)}
        present = connection.execute(sa.select(at)).scalar_one()
    return [Taken(one, by_id[one.webhook_id], present) for one in sorted(found, key=lambda one: one.id)]


def record(
    ledger: Ledger, taken: Taken, tried: Tried, *, again_in_s: float | None, off_after_s: float
) -> OffReason | None:
    """Write what came of a try; return why its endpoint was switched off by that, if it was.

    With ``again_in_s`` None the delivery has ended. Nothing is written when somebody else took it meanwhile.
    """
    delivery = taken.delivery
    values: dict[str, Any] = {"attempts": [*delivery.attempts, tried.to_json()][-_ATTEMPTS_KEPT:]}
    with ledger.write() as connection:
        # The endpoint first, as whoever switches it off locks it first.
        connection.execute(sa.select(webhooks.c.id).where(webhooks.c.id == delivery.webhook_id).with_for_update())
        if tried.is_delivered or again_in_s is None:
            state = DeliveryState.DELIVERED if tried.is_delivered else DeliveryState.DEAD
            values |= {"state": state, "ended_at": now(), "next_try_at": None}
        else:
            values["next_try_at"] = ledger_now(connection, plus_s=again_in_s)
        ours = (_table.c.id == delivery.id) & (_table.c.tries == delivery.tries) & _PENDING
        if connection.execute(_table.update().where(ours).values(values)).rowcount == 0 or delivery.type == TEST:
            return None
        return note_health(
            connection,
            delivery.webhook_id,
            is_well=tried.is_delivered,
            is_gone=tried.is_gone,
            off_after_s=off_after_s,
        )


def give_up(ledger: Ledger, taken: Taken) -> None:
    """End a delivery without a try: its endpoint was switched off after it was written."""
    ours = (_table.c.id == taken.delivery.id) & (_table.c.tries == taken.delivery.tries) & _PENDING
    with ledger.write() as connection:
        ended = {"state": DeliveryState.DEAD, "ended_at": now(), "next_try_at": None}
        connection.execute(_table.update().where(ours).values(ended))


def find(ledger: Ledger, tenant_id: str, delivery_id: str) -> Delivery:
    """Return a tenant's delivery.

    Raises:
        NotFound: it has none with this id.
    """
    with ledger.read() as connection:
        return _found(connection, tenant_id, delivery_id)


def page(ledger: Ledger, wanted: Wanted, *, limit: int, before: str | None = None) -> list[Delivery]:
    """List deliveries, newest first, from before the one with the id ``before``."""
    statement = _table.select().where(wanted.condition()).order_by(_table.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(_table.c.id < before)
    with ledger.read() as connection:
        return [Delivery(**row._mapping) for row in connection.execute(statement)]


def replay(ledger: Ledger, tenant_id: str, delivery_id: str, *, keep_trying_s: float) -> Delivery:
    """Send a delivery that has ended once more, under its id: a receiver that has it already can tell.

    Raises:
        NotFound: the tenant has none with this id.
        Conflict: it is pending, or its endpoint is switched off.
    """
    with ledger.write() as connection:
        found = _found(connection, tenant_id, delivery_id, locked=True)
        if found.state == DeliveryState.PENDING:
            raise Conflict(f"Delivery {delivery_id} is pending: it is tried without being asked again.")
        receiver = webhooks.select().where(webhooks.c.id == found.webhook_id)
        if not connection.execute(receiver).one().enabled and found.type != TEST:
            raise Conflict(f"The webhook of delivery {delivery_id} is switched off: switch it on first.")
        (again,) = _replayed(connection, [delivery_id], keep_trying_s)
        return again


def replay_dead(ledger: Ledger, webhook_id: str, *, keep_trying_s: float, limit: int) -> int:
    """Send the dead deliveries of an endpoint once more, oldest first; return how many."""
    dead = (_table.c.webhook_id == webhook_id) & (_table.c.state == DeliveryState.DEAD) & (_table.c.type != TEST)
    with ledger.write() as connection:
        chosen = sa.select(_table.c.id).where(dead).order_by(_table.c.id).limit(limit).with_for_update()
        ids = connection.execute(chosen).scalars().all()
        return len(_replayed(connection, ids, keep_trying_s)) if ids else 0


def standing(ledger: Ledger) -> tuple[int, datetime | None]:
    """Return how many deliveries are pending, and since when the oldest is; for the metrics."""
    with ledger.read() as connection:
        waiting = sa.select(sa.func.count(), sa.func.min(_table.c.created_at)).where(_PENDING)
        count, oldest_at = connection.execute(waiting).one()
    return int(count), oldest_at


def _replayed(connection: Connection, ids: Sequence[str], keep_trying_s: float) -> list[Delivery]:
    fresh = {
        "state": DeliveryState.PENDING,
        # A try of before that is still under way may end it, which is right: it is about the same event.
        "tries": 0,
        "ended_at": None,
        "next_try_at": ledger_now(connection),
        "give_up_at": ledger_now(connection, plus_s=keep_trying_s),
    }
    statement = _table.update().where(_table.c.id.in_(ids)).values(fresh).returning(*_table.c)
    return [Delivery(**row._mapping) for row in connection.execute(statement)]


def _found(connection: Connection, tenant_id: str, delivery_id: str, *, locked: bool = False) -> Delivery:
    statement = _table.select().where(_table.c.tenant_id == tenant_id, _table.c.id == delivery_id)
    row: Row[Any] | None = connection.execute(statement.with_for_update() if locked else statement).one_or_none()
    if row is None:
        raise NotFound(f"No delivery {delivery_id}.")
    return Delivery(**row._mapping)
