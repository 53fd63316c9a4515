"""Jobs that a limit keeps back: accepted parked, and released as their limits have room.

A parked job is queued, and nobody is shown it: neither the dispatcher's window nor a local runner. Those that a pause
holds are parked as well, and no concern of this module: see ``pauses``. Whoever releases one
counts, in the same transaction and alone, what is under way beside it; all else (a claim, an end, a retry) only keeps
that number or makes it less. A released job counts until it has ended, also while it waits for its next attempt.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.ledger.carrying import is_due
from tasks.core.ledger.database import Ledger, LedgerNow, ledger_now
from tasks.core.ledger.flow_tables import job_batches, limits
from tasks.core.ledger.limits import ALL, Limit
from tasks.core.ledger.prepared import Prepared
from tasks.core.ledger.schema import IS_QUEUED, jobs
from tasks.core.records import JobState

# Of PostgreSQL's advisory locks: whoever releases holds it, so that no two count the same room.
_RELEASING_LOCK = 0x5357_0002
# Jobs per transaction.
_MOST_RELEASED = 500

# Spelled as the partial indexes spell it.
_IS_PARKED = (jobs.c.parked == sa.true()) & IS_QUEUED & jobs.c.paused_by.is_(None)
_IS_LIMITED = (jobs.c.limited == sa.true()) & jobs.c.finished_at.is_(None)
_UNDER_WAY = jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING]) & (jobs.c.parked == sa.false())

_KEEPS_BACK = limits.c.most_at_once.is_not(None) | limits.c.rate_per_s.is_not(None)

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Line:
    """Parked jobs with the same limits."""

    batch_id: str | None
    tenant_id: str
    concurrency_key: str | None
    kind: str

    @property
    def key(self) -> _Key | None:
        return None if self.concurrency_key is None else (self.tenant_id, self.concurrency_key)


@dataclass(slots=True)
class _Bucket:
    """A limit's row: its room under ``most_at_once``, and its tokens."""

    limit: Limit
    room: int
    tokens: float | None
    at: datetime
    is_ahead: bool = False
    """Whether it was filled last at a time that has not come: the clock was set back since."""
    spent: int = 0

    @property
    def most(self) -> int:
        return (self.room if self.tokens is None else min(self.room, int(self.tokens))) - self.spent


@dataclass(slots=True)
class _Room:
    """What may still be released: by batch, by key, and by each limit."""

    of_batches: dict[str, int]
    busy: set[_Key]
    buckets: list[_Bucket]
    under_way: Counter[str] = field(default_factory=Counter)
    """By tenant, of what has a limit by tenant or kind."""

    def most(self, line: _Line) -> int:
        """Return how many of the line may go now."""
        if line.key is not None and line.key in self.busy:
            return 0
        of_key = _MOST_RELEASED if line.key is None else 1
        of_batch = self.of_batches.get(line.batch_id or "", _MOST_RELEASED)
        return min([of_key, of_batch, *(bucket.most for bucket in self._of(line))])

    def take(self, line: _Line) -> None:
        """Note that one of the line goes."""
        if line.batch_id in self.of_batches:
            self.of_batches[line.batch_id] -= 1
        if line.key is not None:
            self.busy.add(line.key)
        for bucket in self._of(line):
            bucket.spent += 1
        self.under_way[line.tenant_id] += 1

    def _of(self, line: _Line) -> list[_Bucket]:
        return [bucket for bucket in self.buckets if bucket.limit.concerns(line.tenant_id, line.kind)]


def has_limit() -> sa.ColumnElement[bool]:
    """Match jobs that a limit may keep back."""
    batch = sa.exists().where(job_batches.c.id == jobs.c.batch_id, job_batches.c.parallel_limit.is_not(None))
    return sa.or_(jobs.c.concurrency_key.is_not(None), batch.correlate(jobs), is_limited())


def is_limited() -> sa.ColumnElement[bool]:
    """Match jobs that a limit by tenant or kind may keep back."""
    concerned = (
        limits.c.tenant_id.in_([ALL, jobs.c.tenant_id]),
        limits.c.kind.in_([ALL, jobs.c.kind]),
        _KEEPS_BACK,
    )
    return sa.exists().where(*concerned).correlate(jobs)


# Grouped as the index of what is parked is: SQLite would otherwise as well walk through all that waits.
_LIMITED_BY = (jobs.c.batch_id, jobs.c.tenant_id, jobs.c.concurrency_key, jobs.c.kind)
_LINES = sa.select(sa.literal(1)).where(_IS_PARKED, is_due(LedgerNow())).group_by(*_LIMITED_BY)
_ANY_PARKED = Prepared(sa.select(sa.literal(1)).where(_LINES.exists()))


def anything_parked(ledger: Ledger) -> bool:
    """Tell whether a limit keeps any due job back: where none does, this is all that limits cost."""
    with ledger.read_prepared() as driver:
        return _ANY_PARKED.first(driver, {}) is not None


def release(ledger: Ledger) -> int:
    """Release the parked jobs whose limits have room; return how many.

    The tenant with the least under way comes first; a tenant's own go by their place in line.
    """
    with ledger.write() as connection:
        if not ledger.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_RELEASING_LOCK)))
        lines = _lines(connection)
        room = _room(connection, lines)
        chosen = _choose(connection, lines, room)
        _spend(connection, room.buckets)
        if not chosen:
            return 0
        still = jobs.c.id.in_(chosen) & _IS_PARKED
        return connection.execute(jobs.update().where(still).values(parked=False)).rowcount


def _lines(connection: Connection) -> list[_Line]:
    statement = sa.select(*_LIMITED_BY).where(_IS_PARKED, is_due(LedgerNow())).group_by(*_LIMITED_BY)
    # Jobs of one millisecond have one place; their ids are in order.
    best_first = statement.order_by(sa.func.min(jobs.c.place), sa.func.min(jobs.c.id))
    return [_Line(*row) for row in connection.execute(best_first)]


def _choose(connection: Connection, lines: Sequence[_Line], room: _Room) -> list[str]:
    chosen: list[str] = []
    left: dict[int, list[str]] = {}
    for number, line in enumerate(lines):
        if (most := room.most(line)) > 0 and (ids := _best_of(connection, line, most)):
            left[number] = ids[::-1]
    next_ones = [(room.under_way[lines[number].tenant_id], number) for number in left]
    heapq.heapify(next_ones)
    while next_ones and len(chosen) < _MOST_RELEASED:
        under_way, number = heapq.heappop(next_ones)
        line = lines[number]
        if room.most(line) <= 0 or not left[number]:
            continue
        if under_way == room.under_way[line.tenant_id]:  # else another line of the tenant has had the turn
            chosen.append(left[number].pop())
            room.take(line)
        heapq.heappush(next_ones, (room.under_way[line.tenant_id], number))
    return chosen


def _room(connection: Connection, lines: Sequence[_Line]) -> _Room:
    of_batches = _batch_room(connection, {line.batch_id for line in lines if line.batch_id is not None})
    busy = _busy_keys(connection) if any(line.key for line in lines) else set()
    columns = (*(limits.c[one.name] for one in fields(Limit)), limits.c.tokens, limits.c.refilled_at)
    rows = connection.execute(sa.select(*columns).where(_KEEPS_BACK)).all()
    if not rows:
        return _Room(of_batches, busy, [])
    counted = sa.select(jobs.c.tenant_id, jobs.c.kind, sa.func.count()).where(_IS_LIMITED, jobs.c.parked == sa.false())
    under_way = [tuple(row) for row in connection.execute(counted.group_by(jobs.c.tenant_id, jobs.c.kind))]
    at = connection.execute(sa.select(ledger_now(connection))).scalar_one()
    buckets = [
        _bucket(Limit(*values), under_way, tokens=tokens, refilled_at=refilled_at, at=at)
        for *values, tokens, refilled_at in rows
    ]
    room = _Room(of_batches, busy, buckets)
    for tenant_id, _, count in under_way:
        room.under_way[tenant_id] += count
    return room


def _bucket(
    limit: Limit,
    under_way: Sequence[tuple[str, str, int]],
    *,
    tokens: float | None,
    refilled_at: datetime | None,
    at: datetime,
) -> _Bucket:
    room, left = _MOST_RELEASED, None
    if limit.most_at_once is not None:
        room = limit.most_at_once - sum(count for tenant, kind, count in under_way if limit.concerns(tenant, kind))
    if limit.rate_per_s is not None:
        full = float(limit.burst or 1)
        since_s = 0.0 if refilled_at is None else max(0.0, (at - refilled_at).total_seconds())
        left = full if tokens is None else min(full, tokens + since_s * limit.rate_per_s)
    return _Bucket(limit, room, left, at, is_ahead=refilled_at is not None and refilled_at > at)


def _spend(connection: Connection, buckets: Sequence[_Bucket]) -> None:
    for bucket in buckets:
        if (bucket.spent or bucket.is_ahead) and bucket.tokens is not None:
            mine = (limits.c.tenant_id == bucket.limit.tenant_id) & (limits.c.kind == bucket.limit.kind)
            left = {"tokens": bucket.tokens - bucket.spent, "refilled_at": bucket.at}
            connection.execute(limits.update().where(mine).values(left))


def _batch_room(connection: Connection, batch_ids: Collection[str]) -> dict[str, int]:
    its_limit = sa.select(job_batches.c.id, job_batches.c.parallel_limit).where(
        job_batches.c.id.in_(batch_ids), job_batches.c.parallel_limit.is_not(None)
    )
    most: Mapping[str, int] = {row.id: row.parallel_limit for row in connection.execute(its_limit)}
    if not most:
        return {}
    counted = sa.select(jobs.c.batch_id, sa.func.count()).where(jobs.c.batch_id.in_(list(most)), _UNDER_WAY)
    under_way = Counter({row[0]: row[1] for row in connection.execute(counted.group_by(jobs.c.batch_id))})
    return {batch_id: limit - under_way[batch_id] for batch_id, limit in most.items()}


def _busy_keys(connection: Connection) -> set[_Key]:
    statement = sa.select(jobs.c.tenant_id, jobs.c.concurrency_key).where(
        jobs.c.concurrency_key.is_not(None), jobs.c.finished_at.is_(None), jobs.c.parked == sa.false()
    )
    return {(row[0], row[1]) for row in connection.execute(statement)}


def _best_of(connection: Connection, line: _Line, most: int) -> list[str]:
    mine = (
        jobs.c.batch_id.is_not_distinct_from(line.batch_id),
        jobs.c.tenant_id == line.tenant_id,
        jobs.c.concurrency_key.is_not_distinct_from(line.concurrency_key),
        jobs.c.kind == line.kind,
    )
    statement = (
        sa.select(jobs.c.id)
        .where(_IS_PARKED, *mine, is_due(ledger_now(connection)))
        .order_by(jobs.c.place, jobs.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return list(connection.execute(statement).scalars())
