"""Which finished job answers a request that is sent again. Nothing crosses from one tenant to another.

An entry only points: it answers as long as its job has succeeded and still has its result, and goes with its job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.clock import now
from tasks.core.ledger.aging import Leftover
from tasks.core.ledger.database import Ledger, insert_if_new
from tasks.core.ledger.schema import cache_lookups, cached_results, job_labels, jobs
from tasks.core.records import JobState


@dataclass(frozen=True, slots=True)
class Entry:
    """An earlier job that answers.

    Args:
        at: when it ended.
        age_s: since it was remembered.
        left_s: how long it still answers; None: as long as its job is there.
    """

    job_id: str
    fence: int
    attempt: int
    at: datetime
    result: dict[str, Any]
    age_s: float
    left_s: float | None


@dataclass(frozen=True, slots=True)
class Remembered:
    """An answer was remembered; ``evicted``: keys of those that had to make room for it."""

    evicted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """How a tenant's cache of one kind stands; ``hits``, ``misses`` and ``evictions`` since the beginning.

    ``entries`` are those that would answer now, ``oldest`` and ``newest`` when they were remembered.
    """

    entries: int
    hits: int
    misses: int
    oldest: datetime | None
    newest: datetime | None
    evictions: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many answers one tenant and kind may have, and for how long each, from when it was written."""

    ttl_s: float | None = None
    max_entries: int | None = None


_UNBOUNDED = Bounds()


def remember(ledger: Ledger, job_id: str, *, fence: int, key: str, bounds: Bounds = _UNBOUNDED) -> Remembered | None:
    """Let the job answer its tenant's requests with this key, once it has succeeded. None: another claim owns it.

    Those that were used longest ago make room.
    """
    at = now()
    expires_at = None if bounds.ttl_s is None else at + timedelta(seconds=bounds.ttl_s)
    with ledger.write() as connection:
        owned = (jobs.c.id == job_id) & (jobs.c.state == JobState.RUNNING) & (jobs.c.fence == fence)
        job = connection.execute(sa.select(jobs.c.tenant_id, jobs.c.kind).where(owned).with_for_update()).one_or_none()
        if job is None:
            return None
        name = {"tenant_id": job.tenant_id, "kind": job.kind, "key": key}
        value = {"job_id": job_id, "fence": fence, "created_at": at, "used_at": at, "expires_at": expires_at}
        if not insert_if_new(connection, cached_results, **name, **value):
            same = sa.and_(*(cached_results.c[column] == wanted for column, wanted in name.items()))
            connection.execute(cached_results.update().where(same).values(value))
        if bounds.max_entries is None:
            return Remembered()
        return Remembered(_make_room(connection, job.tenant_id, job.kind, bounds.max_entries))


def _make_room(connection: Connection, tenant_id: str, kind: str, max_entries: int) -> tuple[str, ...]:
    mine = (cached_results.c.tenant_id == tenant_id) & (cached_results.c.kind == kind)
    connection.execute(cached_results.delete().where(mine, cached_results.c.expires_at <= now()))
    used = sa.func.coalesce(cached_results.c.used_at, cached_results.c.created_at)
    surplus = sa.select(cached_results.c.key).where(mine).order_by(used.desc()).offset(max_entries).limit(1000)
    keys = tuple(connection.execute(surplus).scalars())
    if keys:
        connection.execute(cached_results.delete().where(mine, cached_results.c.key.in_(keys)))
        _count(connection, tenant_id, kind, evictions=len(keys))
    return keys


def find(
    ledger: Ledger, job_id: str, *, key: str, max_age_s: float | None = None, of: tuple[str, int] | None = None
) -> Entry | None:
    """Return what answers this job's request, of the same tenant and kind; None when nothing does.

    Args:
        max_age_s: an older answer is none.
        of: the job and claim that a copy of the entry names; where the entry is another's by now, there is none.
    """
    at = now()
    wanted = [sa.or_(cached_results.c.expires_at.is_(None), cached_results.c.expires_at > at)]
    if max_age_s is not None:
        wanted.append(cached_results.c.created_at > at - timedelta(seconds=max_age_s))
    if of is not None:
        wanted += [cached_results.c.job_id == of[0], cached_results.c.fence == of[1]]
    asking, times = jobs.alias("asking"), (cached_results.c.created_at, cached_results.c.expires_at)
    statement = (
        sa.select(jobs.c.id, jobs.c.fence, jobs.c.attempt, jobs.c.finished_at, jobs.c.result, *times)
        .join(cached_results, (cached_results.c.job_id == jobs.c.id) & (cached_results.c.fence == jobs.c.fence))
        .join(
            asking,
            (asking.c.tenant_id == cached_results.c.tenant_id) & (asking.c.kind == cached_results.c.kind),
        )
        .where(
            asking.c.id == job_id,
            cached_results.c.key == key,
            jobs.c.id != job_id,
            *_answering(),
            *wanted,
        )
    )
    with ledger.read() as connection:
        row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    left_s = None if row.expires_at is None else (row.expires_at - at).total_seconds()
    age_s = max(0.0, (at - row.created_at).total_seconds())
    return Entry(row.id, row.fence, row.attempt, row.finished_at, row.result, age_s, left_s)


def _answering() -> tuple[sa.ColumnElement[bool], ...]:
    return jobs.c.state == JobState.SUCCEEDED, jobs.c.result.is_not(None)


def count_lookup(ledger: Ledger, job_id: str, *, hit: bool, key: str | None = None) -> None:
    """Count one question of the job's tenant and its answer.

    Args:
        key: of the entry that answered, which was used just now; it lives no longer for that.
    """
    asking = sa.select(jobs.c.tenant_id, jobs.c.kind).where(jobs.c.id == job_id)
    with ledger.write() as connection:
        job = connection.execute(asking).one_or_none()
        if job is None:
            return
        _count(connection, job.tenant_id, job.kind, hits=int(hit), misses=int(not hit))
        if hit and key is not None:
            named = (cached_results.c.tenant_id == job.tenant_id) & (cached_results.c.kind == job.kind)
            connection.execute(cached_results.update().where(named, cached_results.c.key == key).values(used_at=now()))


def _count(connection: Connection, tenant_id: str, kind: str, **more: int) -> None:
    name = {"tenant_id": tenant_id, "kind": kind}
    counted = {"hits": 0, "misses": 0, "evictions": 0} | more
    if not insert_if_new(connection, cache_lookups, **name, **counted):
        mine = sa.and_(*(cache_lookups.c[key] == wanted for key, wanted in name.items()))
        grown = {column: cache_lookups.c[column] + number for column, number in more.items()}
        connection.execute(cache_lookups.update().where(mine).values(grown))


def standing(ledger: Ledger, *, tenant_id: str, kind: str) -> Standing:
    """Return how the tenant's cache of this kind stands."""
    created, ends = cached_results.c.created_at, cached_results.c.expires_at
    entries = (
        sa.select(sa.func.count(), sa.func.min(created), sa.func.max(created))
        .select_from(cached_results)
        .join(jobs, (jobs.c.id == cached_results.c.job_id) & (jobs.c.fence == cached_results.c.fence))
        .where(cached_results.c.tenant_id == tenant_id, cached_results.c.kind == kind, *_answering())
        .where(sa.or_(ends.is_(None), ends > now()))
    )
    counters = (cache_lookups.c.hits, cache_lookups.c.misses, cache_lookups.c.evictions)
    lookups = sa.select(*counters).where(cache_lookups.c.tenant_id == tenant_id, cache_lookups.c.kind == kind)
    with ledger.read() as connection:
        n, oldest, newest = connection.execute(entries).one()
        counted = connection.execute(lookups).one_or_none()
    hits, misses, evictions = (0, 0, 0) if counted is None else map(int, counted)
    return Standing(int(n), hits, misses, oldest, newest, evictions)


@dataclass(frozen=True, slots=True)
class Lookups:
    """What was asked of the caches of one kind."""

    hits: int
    misses: int
    evictions: int


def lookups_by_kind(ledger: Ledger) -> dict[str, Lookups]:
    """Return the counters of each kind, over all tenants."""
    names = ("hits", "misses", "evictions")
    sums = [sa.func.sum(cache_lookups.c[name]).label(name) for name in names]
    statement = sa.select(cache_lookups.c.kind, *sums).group_by(cache_lookups.c.kind)
    with ledger.read() as connection:
        return {
            row.kind: Lookups(int(row.hits), int(row.misses), int(row.evictions))
            for row in connection.execute(statement)
        }


def forget(ledger: Ledger, *, tenant_id: str, kind: str, labels: Sequence[tuple[str, str]] = ()) -> int:
    """Let no job of the tenant and kind (with these labels) answer any more; return how many did. Jobs stay."""
    mine = [cached_results.c.tenant_id == tenant_id, cached_results.c.kind == kind]
    for key, value in labels:
        pair = (
            (job_labels.c.job_id == cached_results.c.job_id) & (job_labels.c.key == key) & (job_labels.c.value == value)
        )
        mine.append(sa.exists().where(pair))
    with ledger.write() as connection:
        return int(connection.execute(cached_results.delete().where(*mine)).rowcount)


def outdated(*, before: Mapping[str, datetime], before_otherwise: datetime) -> Leftover:
    """Entries from before a time of their kind's own, whose files are gone by now."""
    old = [(cached_results.c.kind == kind) & (cached_results.c.created_at < time) for kind, time in before.items()]
    old.append(cached_results.c.kind.not_in(list(before)) & (cached_results.c.created_at < before_otherwise))
    return Leftover(cached_results, cached_results.c.job_id, sa.or_(*old))
