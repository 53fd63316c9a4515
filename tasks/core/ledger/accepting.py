"""A request becomes a row: the moment from which nothing may lose it."""

from dataclasses import asdict, dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.clock import now
from tasks.core.errors import IdempotencyKeyReused
from tasks.core.ledger.carrying import is_waiting, published_count
from tasks.core.ledger.database import Ledger, ledger_now
from tasks.core.ledger.fleet import window
from tasks.core.ledger.rows import job_from_row
from tasks.core.ledger.schema import idempotency_keys, job_labels, jobs
from tasks.core.ledger.state_events import write_event
from tasks.core.records import Job


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A caller's key, and the digest of the request it stands for."""

    key: str
    body_sha256: str
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job that answers a request. ``replayed``: it was there before; ``published``: its carry is this process's."""

    job: Job
    replayed: bool = False

    @property
    def published(self) -> bool:
        """Whether accepting also took the first carry, so that the caller must publish it."""
        return not self.replayed and self.job.published_at is not None


def accept(ledger: Ledger, job: Job, *, idempotency: Idempotency | None = None, may_publish: bool = False) -> Accepted:
    """Write the job and its idempotency key in one transaction.

    With ``may_publish``, and when nothing else waits in the queue and the broker's window has room, the first carry is
    taken in the same transaction: the caller then owns publishing it.

    Raises:
        IdempotencyKeyReused: the key stands for another request.
    """
    with ledger.write() as connection:
        if idempotency is not None:
            first = _first_with_key(connection, job.tenant_id, idempotency)
            if first is not None:
                return Accepted(first, replayed=True)
        values = asdict(job)
        if may_publish and nothing_waits(connection, job.queue):
            values |= {"carry": 1, "published_at": job.created_at}
        row = connection.execute(jobs.insert().values(values).returning(*jobs.c)).one()
        if job.labels:
            connection.execute(
                job_labels.insert(),
                [{"job_id": job.id, "key": key, "value": value} for key, value in job.labels.items()],
            )
        if idempotency is not None:
            connection.execute(
                idempotency_keys.insert().values(
                    tenant_id=job.tenant_id,
                    key=idempotency.key,
                    body_sha256=idempotency.body_sha256,
                    job_id=job.id,
                    created_at=job.created_at,
                )
            )
        accepted = job_from_row(row)
        write_event(connection, accepted)
        return Accepted(accepted)


def _first_with_key(connection: Connection, tenant_id: str, idempotency: Idempotency) -> Job | None:
    mine = (idempotency_keys.c.tenant_id == tenant_id) & (idempotency_keys.c.key == idempotency.key)
    if connection.dialect.name == "postgresql":
        # Two requests with one new key must not both see "no such key": the second waits here for the first.
        lock = sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"{tenant_id}:{idempotency.key}", 0))
        connection.execute(sa.select(lock))
    row = connection.execute(idempotency_keys.select().where(mine)).one_or_none()
    if row is None:
        return None
    if row.created_at < now() - timedelta(seconds=idempotency.ttl_s):
        connection.execute(idempotency_keys.delete().where(mine))
        return None
    if row.body_sha256 != idempotency.body_sha256:
        raise IdempotencyKeyReused(
            f"Idempotency-Key {idempotency.key!r} was used for another request; use a new key.", field="Idempotency-Key"
        )
    return job_from_row(connection.execute(jobs.select().where(jobs.c.id == row.job_id)).one())


def nothing_waits(connection: Connection, queue: str) -> bool:
    """Tell whether a job of ``queue`` may go into the broker at once, because no other one has to go first."""
    waits = sa.select(jobs.c.id).where(is_waiting(queue, ledger_now(connection)))
    if connection.execute(waits.limit(1)).first() is not None:
        return False
    return published_count(connection, queue) < window(connection, queue)
