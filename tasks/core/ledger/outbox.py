"""Domain events: written with the state change that caused them, numbered in the order of commits, read by tenants.

An event is public once it has its ``seq``. The dispatcher gives those out: whoever reads on from a number misses
nothing, because a transaction that commits late is numbered late.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.core.clock import now
from tasks.core.domain_events import JOB_DEAD, DomainEvent, Emission
from tasks.core.ids import new_id
from tasks.core.ledger.audit import AT_THE_MACHINE, Actor
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.schema import outbox
from tasks.core.records import Job

# Of PostgreSQL's advisory locks: whoever gives out numbers holds it, so that no lower one is committed after a higher.
_NUMBERING_LOCK = 0x5357_0001
_MOST_NUMBERED = 1000
_COLUMNS: list[sa.ColumnElement[Any]] = [
    *(outbox.c.seq, outbox.c.id, outbox.c.tenant_id),
    *(outbox.c.type, outbox.c.job_id, outbox.c.at, outbox.c.data),
]
# Spelled as the partial index spells it, else SQLite does not use it.
_PENDING = outbox.c.relayed_at.is_(None) & (outbox.c.dead == sa.false())


@dataclass(frozen=True, slots=True)
class Pending:
    """An event that its tenant's readers were not yet woken for; ``tries`` counts refusals."""

    event: DomainEvent
    tries: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event whose wake-up Redis refused too often; readers have it from the ledger."""

    event: DomainEvent
    tries: int
    error: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of a tenant's events: those of any of ``types`` (``site.*`` for all of a noun), of one job; else all."""

    types: Sequence[str] = ()
    job_id: str | None = None

    def matches(self, type_: str, job_id: str | None) -> bool:
        """Tell whether an event is one of these."""
        return self.job_id in {None, job_id} and (not self.types or any(_is_like(type_, one) for one in self.types))


@dataclass(frozen=True, slots=True)
class Standing:
    """How the outbox stands: events without their wake-up, the age of the oldest, and dead ones."""

    pending: int
    oldest_at: datetime | None
    dead: int


def write_emitted(connection: Connection, job: Job, emitted: Sequence[Emission]) -> None:
    """Write what ``job`` has brought about, in the transaction that ends it."""
    connection.execute(outbox.insert(), [_row(job, one.type, one.data) for one in emitted])


def write_dead(connection: Connection, job: Job) -> None:
    """Write that ``job`` has failed for good, in the transaction that ends it."""
    data = {"kind": job.kind, "cause": job.cause, "attempt": job.attempt, "error": job.error}
    connection.execute(outbox.insert().values(_row(job, JOB_DEAD, data)))


def write_event(connection: Connection, tenant_id: str, told: Emission, *, job_id: str | None = None) -> None:
    """Write what was brought about otherwise than by the end of a job, in the transaction that does it."""
    row = {"id": new_id(), "tenant_id": tenant_id, "type": told.type, "job_id": job_id, "at": now(), "data": told.data}
    connection.execute(outbox.insert().values(row))


def _row(job: Job, type_: str, data: dict[str, Any]) -> dict[str, Any]:
    at = job.finished_at or now()
    return {"id": new_id(), "tenant_id": job.tenant_id, "type": type_, "job_id": job.id, "at": at, "data": data}


def number(ledger: Ledger) -> int:
    """Give each committed event without one its ``seq``; return how many. For the dispatcher."""
    unnumbered = sa.select(outbox.c.id).where(_PENDING, outbox.c.seq.is_(None)).order_by(outbox.c.id)
    with ledger.read() as connection:
        if connection.execute(unnumbered.limit(1)).one_or_none() is None:
            return 0
    with ledger.write() as connection:
        if not ledger.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_NUMBERING_LOCK)))
        ids = connection.execute(unnumbered.limit(_MOST_NUMBERED)).scalars().all()
        newest = int(connection.execute(sa.select(sa.func.max(outbox.c.seq))).scalar_one() or 0)
        if ids:
            numbered = outbox.update().where(outbox.c.id == sa.bindparam("event")).values(seq=sa.bindparam("number"))
            rows = [{"event": id_, "number": newest + place} for place, id_ in enumerate(ids, start=1)]
            connection.execute(numbered, rows)
        return len(ids)


def pending(ledger: Ledger, *, limit: int = 500) -> list[Pending]:
    """List numbered events whose wake-up is due, in order."""
    is_due = sa.or_(outbox.c.next_try_at.is_(None), outbox.c.next_try_at <= now())
    # By id, else SQLite walks the index of `seq`, through everything that is kept.
    statement = sa.select(*_COLUMNS, outbox.c.tries).where(_PENDING, is_due).order_by(outbox.c.id).limit(limit)
    with ledger.read() as connection:
        rows = [row for row in connection.execute(statement) if row.seq is not None]
    return [Pending(_event(row), row.tries) for row in sorted(rows, key=lambda row: row.seq)]


def mark_relayed(ledger: Ledger, seqs: Sequence[int]) -> None:
    """Note that the readers of these events were woken."""
    if not seqs:
        return
    with ledger.write() as connection:
        relayed = outbox.update().where(outbox.c.seq.in_(seqs)).values(relayed_at=now(), next_try_at=None)
        connection.execute(relayed)


def note_refusal(ledger: Ledger, seq: int, *, error: str, next_try_at: datetime | None) -> None:
    """Count one refusal; with no next try the event is dead."""
    changes = {"tries": outbox.c.tries + 1, "error": error[:500], "next_try_at": next_try_at}
    with ledger.write() as connection:
        connection.execute(outbox.update().where(outbox.c.seq == seq).values(**changes, dead=next_try_at is None))


def dead_letters(ledger: Ledger, *, limit: int = 200) -> list[DeadLetter]:
    """List dead events, newest first."""
    statement = sa.select(*_COLUMNS, outbox.c.tries, outbox.c.error).where(outbox.c.dead == sa.true())
    with ledger.read() as connection:
        rows = connection.execute(statement.order_by(outbox.c.seq.desc()).limit(limit)).all()
    return [DeadLetter(_event(row), row.tries, row.error or "") for row in rows]


def revive(ledger: Ledger, seqs: Sequence[int] | None = None, *, by: Actor = AT_THE_MACHINE) -> int:
    """Have dead events relayed again, all of them or those given; return how many."""
    chosen = outbox.c.dead == sa.true()
    if seqs is not None:
        chosen &= outbox.c.seq.in_(seqs)
    with ledger.write() as connection:
        again = outbox.update().where(chosen).values(dead=False, tries=0, next_try_at=None)
        revived = connection.execute(again).rowcount
        if revived:
            numbers = "all" if seqs is None else list(seqs)
            by.did(connection, "events.revived", "dead domain events", numbers=numbers, changed=revived)
        return revived


def events_after(
    ledger: Ledger, tenant_id: str, after: int, *, wanted: Wanted | None = None, limit: int = 200
) -> list[DomainEvent]:
    """List the tenant's events with ``seq > after``, in order."""
    statement = sa.select(*_COLUMNS).where(outbox.c.tenant_id == tenant_id, outbox.c.seq > after)
    if wanted is not None and wanted.types:
        statement = statement.where(sa.or_(*(_type_is_like(one) for one in wanted.types)))
    if wanted is not None and wanted.job_id is not None:
        statement = statement.where(outbox.c.job_id == wanted.job_id)
    with ledger.read() as connection:
        return [_event(row) for row in connection.execute(statement.order_by(outbox.c.seq).limit(limit))]


def kept(ledger: Ledger) -> tuple[int, int]:
    """Return the oldest and the newest number that is kept, of all tenants; ``(1, 0)`` when there is none."""
    with ledger.read() as connection:
        oldest, newest = connection.execute(sa.select(sa.func.min(outbox.c.seq), sa.func.max(outbox.c.seq))).one()
    return (1, 0) if oldest is None else (int(oldest), int(newest))


def aged(before: datetime) -> sa.ColumnElement[bool]:
    """Match events from before that time, up to the first younger one, so that what is kept has no holes.

    The newest of all stays, so that numbers never begin again.
    """
    newest = sa.select(sa.func.max(outbox.c.seq)).scalar_subquery()
    first_kept = sa.select(sa.func.min(outbox.c.seq)).where(outbox.c.at >= before).scalar_subquery()
    return (outbox.c.seq < sa.func.coalesce(first_kept, newest)) & (outbox.c.at < before)


def standing(ledger: Ledger) -> Standing:
    """Return how the outbox stands, for the metrics."""
    waiting = sa.select(sa.func.count(), sa.func.min(outbox.c.at)).where(_PENDING)
    dead = sa.select(sa.func.count()).where(outbox.c.dead == sa.true())
    with ledger.read() as connection:
        count, oldest_at = connection.execute(waiting).one()
        return Standing(int(count), oldest_at, int(connection.execute(dead).scalar_one()))


def _is_like(type_: str, pattern: str) -> bool:
    return type_.startswith(pattern.removesuffix("*")) if pattern.endswith(".*") else type_ == pattern


def _type_is_like(pattern: str) -> sa.ColumnElement[bool]:
    if pattern.endswith(".*"):
        return outbox.c.type.startswith(pattern.removesuffix("*"), autoescape=True)
    return outbox.c.type == pattern


def _event(row: "Row[*tuple[Any, ...]]") -> DomainEvent:
    return DomainEvent(row.seq, row.id, row.tenant_id, row.type, row.job_id, row.at, row.data)
