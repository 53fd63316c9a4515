"""A request becomes a row: the moment from which nothing may lose it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.callbacks.records import Webhook
from tasks.core.clock import now
from tasks.core.errors import IdempotencyKeyReused
from tasks.core.follow_ups.plans import Branch, Plan
from tasks.core.ledger import unique
from tasks.core.ledger.carrying import counts_published, is_waiting
from tasks.core.ledger.database import Ledger, LedgerNow
from tasks.core.ledger.fleet import WorkerState, window_at_server, window_of
from tasks.core.ledger.flow_tables import job_batches
from tasks.core.ledger.follow_ups import Due, first_link, hold, next_link, note_started, write_links
from tasks.core.ledger.job_batches import JobBatch
from tasks.core.ledger.prepared import JOB_COLUMNS, Prepared, PreparedInsert, Runner
from tasks.core.ledger.rows import job_from_row, values_of
from tasks.core.ledger.schema import idempotency_keys, job_labels, jobs, state_events, workers
from tasks.core.ledger.state_events import state_event_of, write_events
from tasks.core.ledger.uploads import keep_for
from tasks.core.ledger.webhooks import write_own
from tasks.core.records import Job


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A caller's key, and the digest of the request it stands for."""

    key: str
    body_sha256: str
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job that answers a request. ``published``: its carry is this process's.

    Args:
        replayed: the request was made before, with the same idempotency key.
        duplicate: another request made it, with the same unique key, and it has not ended.
    """

    job: Job
    replayed: bool = False
    duplicate: bool = False

    @property
    def is_new(self) -> bool:
        """Whether this request made the job."""
        return not self.replayed and not self.duplicate

    @property
    def published(self) -> bool:
        """Whether accepting also took the first carry, so that the caller must publish it."""
        return self.is_new and self.job.published_at is not None


def accept(
    ledger: Ledger,
    job: Job,
    *,
    idempotency: Idempotency | None = None,
    may_publish: bool = False,
    uploads: Sequence[str] = (),
    callback: Webhook | None = None,
    plan: Plan | None = None,
) -> Accepted:
    """Write the job, its idempotency key, its claim on ``uploads``, its own ``callback`` and the ``plan`` of what
    follows it in one transaction.

    With ``may_publish``, and when nothing else waits in the queue and the broker's window has room, the first carry is
    taken in the same transaction: the caller then owns publishing it.

    Raises:
        IdempotencyKeyReused: the key stands for another request.
        InputRejected: one of the uploads was removed since the request was checked.
    """
    is_plain = idempotency is None and not uploads and callback is None and plan is None
    if is_plain and job.unique_key is None:
        with ledger.write_prepared(of_one=not job.labels) as driver:
            return _accept_new(driver, job, None, may_publish=may_publish)
    with ledger.write() as connection:
        return accept_within(
            connection,
            job,
            idempotency=idempotency,
            may_publish=may_publish,
            uploads=uploads,
            callback=callback,
            plan=plan,
        )


def accept_within(
    connection: Connection,
    job: Job,
    *,
    idempotency: Idempotency | None = None,
    may_publish: bool = False,
    uploads: Sequence[str] = (),
    callback: Webhook | None = None,
    plan: Plan | None = None,
) -> Accepted:
    """Do what ``accept`` does as part of a transaction of the caller's.

    Raises:
        IdempotencyKeyReused: the key stands for another request.
        InputRejected: one of the uploads was removed since the request was checked.
    """
    first = None if idempotency is None else _first_with_key(connection, job.tenant_id, idempotency)
    if first is not None:
        return Accepted(first, replayed=True)
    holder_id = None if job.unique_key is None else unique.holder(connection, job.tenant_id, job.unique_key)
    same = None if holder_id is None else _job_there(connection, holder_id)
    if same is not None:
        if idempotency is not None:
            _INSERT_KEY.run(connection, _key_row(job, idempotency) | {"job_id": same.id})
        return Accepted(same, duplicate=True)
    accepted = _accept_new(connection, job, idempotency, may_publish=may_publish)
    keep_for(connection, job.id, tenant_id=job.tenant_id, upload_ids=uploads)
    write_own(connection, [] if callback is None else [callback])
    write_links(connection, [] if plan is None else [first_link(job, plan)])
    return accepted


def _accept_new(runner: Runner, job: Job, idempotency: Idempotency | None, *, may_publish: bool) -> Accepted:
    may_publish = may_publish and not job.parked and job.not_before is None and job.requires is None
    if runner.dialect.name != "sqlite" and idempotency is None and not job.labels:
        return Accepted(_insert_alone(runner, job, may_publish=may_publish))
    if may_publish and nothing_waits(runner, job.queue):
        job = _first_carried(job)
    _write(runner, [(job, idempotency)])
    return Accepted(job)


def _first_carried(job: Job) -> Job:
    return replace(job, carry=1, published_at=job.created_at)


def accept_many(
    ledger: Ledger,
    items: Sequence[tuple[Job, Idempotency | None]],
    *,
    uploads: Mapping[str, Sequence[str]] = MappingProxyType({}),
    callbacks: Sequence[Webhook] = (),
    plans: Mapping[str, Plan] = MappingProxyType({}),
) -> list[Accepted]:
    """Write all the jobs and their idempotency keys in one transaction, or none of them; answer in the same order.

    An item whose key is known answers with the first job, as in ``accept``, also where that is an earlier item. No
    carry is taken: the dispatcher carries them, in order. ``uploads`` are those that a job needs, by the job's id;
    ``callbacks`` are jobs' own; ``plans`` say what follows them, by their ids.

    Raises:
        IdempotencyKeyReused: the key of one item stands for another request; nothing was accepted.
        InputRejected: one of the uploads was removed since the requests were checked; nothing was accepted.
    """
    with ledger.write() as connection:
        answers: list[Accepted] = []
        new: list[tuple[Job, Idempotency | None]] = []
        by_key: dict[tuple[str, str], tuple[Job, Idempotency]] = {}
        # In one order for all, so that two batches with the same keys never wait for each other.
        firsts = {
            (tenant_id, key.key): _first_with_key(connection, tenant_id, key)
            for tenant_id, key in sorted(
                {(job.tenant_id, key) for job, key in items if key is not None}, key=lambda one: (one[0], one[1].key)
            )
        }
        for job, key in items:
            first = _known(job, key, firsts, by_key)
            if first is None:
                new.append((job, key))
            answers.append(Accepted(job) if first is None else Accepted(first, replayed=True))
        _write(connection, new)
        for job, _ in new:
            keep_for(connection, job.id, tenant_id=job.tenant_id, upload_ids=uploads.get(job.id, ()))
        fresh = {job.id for job, _ in new}
        write_own(connection, [one for one in callbacks if one.job_id in fresh])
        write_links(connection, [first_link(job, plans[job.id]) for job, _ in new if job.id in plans])
        return answers


def accept_batch(
    ledger: Ledger,
    batch: JobBatch,
    members: Sequence[Job],
    *,
    idempotency: Idempotency | None = None,
    uploads: Mapping[str, Sequence[str]] = MappingProxyType({}),
    callbacks: Sequence[Webhook] = (),
    plans: Mapping[str, Plan] = MappingProxyType({}),
) -> str | None:
    """Write the batch and all its jobs in one transaction, or none of them. No carry is taken, as in ``accept_many``.

    Returns:
        None, or the id of the batch that an earlier request with the same key has made: then nothing is written.

    Raises:
        IdempotencyKeyReused: the key stands for another request.
        InputRejected: one of the uploads was removed since the requests were checked.
    """
    with ledger.write() as connection:
        # The key stands for the first job, and that for the batch.
        first = None if idempotency is None else _first_with_key(connection, batch.tenant_id, idempotency)
        if first is not None:
            assert first.batch_id is not None  # noqa: S101  # the digest is that of a batch
            return first.batch_id
        connection.execute(job_batches.insert().values(values_of(batch)))
        keys = [idempotency, *[None] * (len(members) - 1)]
        _write(connection, list(zip(members, keys, strict=True)))
        for job in members:
            keep_for(connection, job.id, tenant_id=job.tenant_id, upload_ids=uploads.get(job.id, ()))
        write_own(connection, callbacks)
        write_links(connection, [first_link(job, plans[job.id]) for job in members if job.id in plans])
        return None


def accept_follow_up(
    ledger: Ledger,
    found: Due,
    branch: Branch,
    job: Job,
    *,
    plan: Plan,
    uploads: Sequence[str] = (),
    callback: Webhook | None = None,
) -> bool:
    """Accept ``job`` as what follows the end that was found, with its place in line, in one transaction.

    No carry is taken, and no quota is asked: it was accepted with the job that it follows.

    Returns:
        False: somebody else has settled that end, or the job that ended runs again; then nothing is written.

    Raises:
        InputRejected: one of the uploads was removed since the request was checked.
    """
    with ledger.write() as connection:
        place = hold(connection, found)
        if place is None:
            return False
        _write(connection, [(replace(job, place=place), None)])
        keep_for(connection, job.id, tenant_id=job.tenant_id, upload_ids=uploads)
        write_own(connection, [] if callback is None else [callback])
        write_links(connection, [next_link(job, plan, after=found.link)])
        note_started(connection, found, branch, job.id)
        return True


def _known(
    job: Job,
    key: Idempotency | None,
    firsts: Mapping[tuple[str, str], Job | None],
    by_key: dict[tuple[str, str], tuple[Job, Idempotency]],
) -> Job | None:
    if key is None:
        return None
    name = (job.tenant_id, key.key)
    if (first := firsts[name]) is not None:
        return first
    earlier, same = by_key.setdefault(name, (job, key))
    if same.body_sha256 != key.body_sha256:
        raise _reused(key)
    return None if earlier is job else earlier


_INSERT_JOB = PreparedInsert(jobs, without=["routed_to"])
_INSERT_LABEL = PreparedInsert(job_labels)
_INSERT_KEY = PreparedInsert(idempotency_keys)


def _inserting_alone() -> sa.Select[bool]:
    """Return the insert of a job and its event as one statement, which PostgreSQL needs but one round trip for.

    It takes the first carry, too, if it ``may_publish`` and nothing waits, and says whether it did.
    """
    queue = _bound("job", jobs.c.queue)
    has_room = counts_published(queue).scalar_subquery() < window_at_server(queue)
    waits = sa.exists().where(is_waiting(queue, LedgerNow()))
    outlook = sa.select((sa.bindparam("may_publish", type_=sa.Boolean) & ~waits & has_room).label("is_first")).cte(
        "outlook"
    )
    is_first = sa.select(outlook.c.is_first).scalar_subquery()
    carried = {
        "carry": sa.case((is_first, 1), else_=0),
        "published_at": sa.case((is_first, _bound("job", jobs.c.created_at))),
    }
    plain = {column.name: _bound("job", column) for column in JOB_COLUMNS}
    new = jobs.insert().values(plain | carried).returning(jobs.c.id, jobs.c.carry).cte("new")
    told = [column for column in state_events.c if column.name not in {"job_id", "in_stream", "calls_back"}]
    event = state_events.insert().from_select(
        ["job_id", *(column.name for column in told), "in_stream"],
        sa.select(new.c.id, *(_bound("event", column) for column in told), sa.false()),
    )
    return sa.select(new.c.carry == 1).add_cte(event.cte("event"))


def _bound(prefix: str, column: sa.Column[Any]) -> sa.BindParameter[Any]:
    return sa.bindparam(f"{prefix}_{column.name}", type_=column.type)


_INSERT_ALONE = Prepared(_inserting_alone())


def _insert_alone(runner: Runner, job: Job, *, may_publish: bool) -> Job:
    event = {f"event_{name}": value for name, value in values_of(state_event_of(job)).items()}
    row = {f"job_{name}": value for name, value in values_of(job).items()}
    inserted = _INSERT_ALONE.first(runner, event | row | {"may_publish": may_publish})
    assert inserted is not None  # noqa: S101  # what is inserted is returned
    return _first_carried(job) if inserted[0] else job


def _write(connection: Runner, items: Sequence[tuple[Job, Idempotency | None]]) -> None:
    _INSERT_JOB.run_many(connection, [values_of(job) for job, _ in items])
    labels = [{"job_id": job.id, "key": key, "value": value} for job, _ in items for key, value in job.labels.items()]
    _INSERT_LABEL.run_many(connection, labels)
    _INSERT_KEY.run_many(connection, [_key_row(job, key) for job, key in items if key is not None])
    write_events(connection, [job for job, _ in items])


def _key_row(job: Job, key: Idempotency) -> dict[str, Any]:
    return {
        "tenant_id": job.tenant_id,
        "key": key.key,
        "body_sha256": key.body_sha256,
        "job_id": job.id,
        "created_at": job.created_at,
    }


def is_key_used(ledger: Ledger, tenant_id: str, key: str) -> bool:
    """Tell whether a request of this tenant came with this ``Idempotency-Key`` before."""
    mine = (idempotency_keys.c.tenant_id == tenant_id) & (idempotency_keys.c.key == key)
    with ledger.read() as connection:
        return connection.execute(sa.select(idempotency_keys.c.key).where(mine)).one_or_none() is not None


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
        raise _reused(idempotency)
    return _job_there(connection, row.job_id)


def _job_there(connection: Connection, job_id: str) -> Job | None:
    """Return the job, unless it was erased in this moment: then it stands for no request any more."""
    row = connection.execute(jobs.select().where(jobs.c.id == job_id)).one_or_none()
    return None if row is None else job_from_row(row)


def _reused(idempotency: Idempotency) -> IdempotencyKeyReused:
    return IdempotencyKeyReused(
        f"Idempotency-Key {idempotency.key!r} was used for another request; use a new key.", field="Idempotency-Key"
    )


_ahead = sa.select(
    sa.exists().where(is_waiting(sa.bindparam("asked"), LedgerNow())).label("anything_waits"),
    counts_published(sa.bindparam("asked")).scalar_subquery().label("published"),
).subquery()
# A row for each live worker, or a single one with nulls.
_OUTLOOK = Prepared(
    sa.select(_ahead.c.anything_waits, _ahead.c.published, workers.c.slots, workers.c.queues).select_from(
        _ahead.outerjoin(workers, workers.c.state == WorkerState.UP)
    )
)


def nothing_waits(connection: Runner, queue: str) -> bool:
    """Tell whether a job of ``queue`` may go into the broker at once, because no other one has to go first."""
    rows = _OUTLOOK.all(connection, {"asked": queue})
    anything_waits, published = rows[0][:2]
    up = [row[2:] for row in rows if row[2] is not None]
    return not anything_waits and published < window_of(queue, up)
