"""Which finished job answers a request that is sent again. Nothing crosses from one tenant to another.

An entry only points: it answers as long as its job has succeeded and still has its result, and goes with its job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tasks.core.clock import now
from tasks.core.ledger.aging import Leftover
from tasks.core.ledger.database import Ledger, insert_if_new
from tasks.core.ledger.schema import cache_lookups, cached_results, job_labels, jobs
from tasks.core.records import JobState


@dataclass(frozen=True, slots=True)
class Entry:
    """An earlier job that answers; ``at``: when it ended."""

    job_id: str
    fence: int
    attempt: int
    at: datetime
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a tenant's cache of one kind stands; ``hits`` and ``misses`` since the beginning."""

    entries: int
    hits: int
    misses: int
    oldest: datetime | None
    newest: datetime | None


def remember(ledger: Ledger, job_id: str, *, fence: int, key: str) -> bool:
    """Let the job answer its tenant's requests with this key, once it has succeeded. False: another claim owns it."""
    with ledger.write() as connection:
        owned = (jobs.c.id == job_id) & (jobs.c.state == JobState.RUNNING) & (jobs.c.fence == fence)
        job = connection.execute(sa.select(jobs.c.tenant_id, jobs.c.kind).where(owned).with_for_update()).one_or_none()
        if job is None:
            return False
        name = {"tenant_id": job.tenant_id, "kind": job.kind, "key": key}
        value = {"job_id": job_id, "fence": fence, "created_at": now()}
        if not insert_if_new(connection, cached_results, **name, **value):
            same = sa.and_(*(cached_results.c[column] == wanted for column, wanted in name.items()))
            connection.execute(cached_results.update().where(same).values(value))
        return True


def find(ledger: Ledger, job_id: str, *, key: str) -> Entry | None:
    """Return what answers this job's request, of the same tenant and kind; None when nothing does."""
    asking = jobs.alias("asking")
    statement = (
        sa.select(jobs.c.id, jobs.c.fence, jobs.c.attempt, jobs.c.finished_at, jobs.c.result)
        .join(cached_results, (cached_results.c.job_id == jobs.c.id) & (cached_results.c.fence == jobs.c.fence))
        .join(
            asking,
            (asking.c.tenant_id == cached_results.c.tenant_id) & (asking.c.kind == cached_results.c.kind),
        )
        .where(
            asking.c.id == job_id,
            cached_results.c.key == key,
            jobs.c.id != job_id,
            jobs.c.state == JobState.SUCCEEDED,
            jobs.c.result.is_not(None),
        )
    )
    with ledger.read() as connection:
        row = connection.execute(statement).one_or_none()
    return None if row is None else Entry(row.id, row.fence, row.attempt, row.finished_at, row.result)


def count_lookup(ledger: Ledger, job_id: str, *, hit: bool) -> None:
    """Count one question of the job's tenant and its answer."""
    column = cache_lookups.c.hits if hit else cache_lookups.c.misses
    with ledger.write() as connection:
        job = connection.execute(sa.select(jobs.c.tenant_id, jobs.c.kind).where(jobs.c.id == job_id)).one_or_none()
        if job is None:
            return
        name = {"tenant_id": job.tenant_id, "kind": job.kind}
        if not insert_if_new(connection, cache_lookups, **name, hits=int(hit), misses=int(not hit)):
            mine = sa.and_(*(cache_lookups.c[key] == wanted for key, wanted in name.items()))
            connection.execute(cache_lookups.update().where(mine).values({column: column + 1}))


def standing(ledger: Ledger, *, tenant_id: str, kind: str) -> Standing:
    """Return how the tenant's cache of this kind stands."""
    mine = (cached_results.c.tenant_id == tenant_id) & (cached_results.c.kind == kind)
    created = cached_results.c.created_at
    entries = sa.select(sa.func.count(), sa.func.min(created), sa.func.max(created)).where(mine)
    lookups = sa.select(cache_lookups.c.hits, cache_lookups.c.misses).where(
        cache_lookups.c.tenant_id == tenant_id, cache_lookups.c.kind == kind
    )
    with ledger.read() as connection:
        n, oldest, newest = connection.execute(entries).one()
        counted = connection.execute(lookups).one_or_none()
    hits, misses = (0, 0) if counted is None else (counted.hits, counted.misses)
    return Standing(int(n), int(hits), int(misses), oldest, newest)


def lookups_by_kind(ledger: Ledger) -> dict[str, tuple[int, int]]:
    """Return ``(hits, misses)`` of each kind, over all tenants."""
    statement = sa.select(
        cache_lookups.c.kind, sa.func.sum(cache_lookups.c.hits), sa.func.sum(cache_lookups.c.misses)
    ).group_by(cache_lookups.c.kind)
    with ledger.read() as connection:
        return {kind: (int(hits), int(misses)) for kind, hits, misses in connection.execute(statement)}


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
