"""Which jobs go into the broker, and which of them again: every carry is taken here."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import zip_longest
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import ReturningUpdate

from tasks.core.clock import now
from tasks.core.ledger.database import Ledger, LedgerNow, ledger_now
from tasks.core.ledger.fleet import window
from tasks.core.ledger.prepared import JOB_COLUMNS, Prepared, Runner, job_of
from tasks.core.ledger.rows import job_from_row
from tasks.core.ledger.schema import IS_READY, jobs
from tasks.core.ledger.shares import Shares, Weigh, even, is_passed_over
from tasks.core.records import Backend, Job, JobState

# A job's id and which time it was put into the broker: what a message says of itself.
Carry = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Choice:
    """Jobs of a kind whose request has ``value`` in ``field``."""

    kind: str
    field: str
    value: str


# Jobs that nobody can run now: all of a kind, or those that ask for something special.
Unserved = Collection[str | Choice]


def is_due(at: sa.ColumnElement[datetime]) -> sa.ColumnElement[bool]:
    """Match jobs whose ``not_before`` has passed at ``at``."""
    return sa.or_(jobs.c.not_before.is_(None), jobs.c.not_before <= at)


def not_expired(at: sa.ColumnElement[datetime]) -> sa.ColumnElement[bool]:
    """Match jobs that may still be started at ``at``."""
    return sa.or_(jobs.c.expires_at.is_(None), jobs.c.expires_at > at)


def is_waiting(queue: str | sa.ColumnElement[str], at: sa.ColumnElement[datetime]) -> sa.ColumnElement[bool]:
    """Match the queue's jobs that are due and not in the broker, but should be."""
    unpublished = IS_READY & jobs.c.published_at.is_(None)
    return (jobs.c.queue == queue) & unpublished & (jobs.c.backend != Backend.LOCAL) & is_due(at) & not_expired(at)


def _taking(which: sa.ColumnElement[bool]) -> ReturningUpdate[Any]:
    return (
        jobs.update()
        .where(which, jobs.c.state == JobState.QUEUED)
        .values(carry=jobs.c.carry + 1, published_at=sa.bindparam("at"))
        .returning(*JOB_COLUMNS)
    )


def counts_published(queue: sa.ColumnElement[str]) -> sa.Select[int]:
    """Count the queue's jobs that are in the broker, as far as the ledger knows, and not yet claimed."""
    return sa.select(sa.func.count()).where(jobs.c.queue == queue, IS_READY, jobs.c.published_at.is_not(None))


_PUBLISHED_COUNT = Prepared(counts_published(sa.bindparam("asked")))


def published_count(connection: Runner, queue: str) -> int:
    """Run ``counts_published``."""
    row = _PUBLISHED_COUNT.first(connection, {"asked": queue})
    assert row is not None  # noqa: S101  # a count always has one
    return int(row[0])


@dataclass(frozen=True, slots=True)
class Backlog:
    """A queue in which due jobs wait, how many the broker may hold of it, and for how many of these there is room."""

    queue: str
    window: int
    room: int


def backlogs(
    ledger: Ledger, queues: Sequence[str], *, without: Unserved = (), windows: Mapping[str, int] | None = None
) -> list[Backlog]:
    """List those of ``queues`` in which anything due waits, other than the jobs in ``without``; locks nothing.

    ``windows`` are of at least how many jobs the broker may hold, where that is more than ``fleet.window`` says.
    """
    found = []
    with ledger.read_prepared() as driver:
        for (queue,) in _waiting_queues(tuple(queues), frozenset(without)).all(driver, {}):
            size = max(window(driver, queue), (windows or {}).get(queue, 0))
            found.append(Backlog(queue, size, max(0, size - published_count(driver, queue))))
    return found


@lru_cache(maxsize=8)
def _waiting_queues(queues: tuple[str, ...], without: frozenset[str | Choice]) -> Prepared:
    waits = [sa.exists().where(is_waiting(queue, LedgerNow()), *other_than(without)) for queue in queues]
    return Prepared(
        sa.union_all(
            *(
                sa.select(sa.literal(str(queue)).label("queue")).where(any_waits)
                for queue, any_waits in zip(queues, waits, strict=True)
            )
        )
    )


def take_due(
    ledger: Ledger, queue: str, *, shares: Shares | None = None, without: Unserved = (), window_of: int = 0
) -> list[Job]:
    """Take the next carry of as many due jobs as the queue's window has room for, in the order in which they go.

    The window is ``fleet.window``, or ``window_of`` where that is more.

    Between tenants ``shares`` decides, between a tenant's own jobs their place in line. The jobs in ``without`` stay
    where they are.
    """
    shares, without = shares or Shares(), frozenset(without)
    with ledger.write_prepared() as driver:
        room = max(window(driver, queue), window_of) - published_count(driver, queue)
        tenant_ids = [] if room <= 0 else waiting_tenants(driver, queue)
        if not tenant_ids:
            return []
        at = now()
        values = {"asked": queue, "room": room, "at": at}
        if len(tenant_ids) == 1:
            shares.alone(queue, tenant_ids[0])
            rows = _take_best(without).all(driver, values | {"tenant": tenant_ids[0]})
            return sorted((job_of(row) for row in rows), key=_order)
        lines = {}
        for tenant_id in shares.in_turn(queue, tenant_ids):
            # Who waits for a time of its own only, or for a worker, has no line, and must not take another's turn.
            if line := _best(without).all(driver, values | {"tenant": tenant_id}):
                lines[tenant_id] = line
            if len(lines) == room:
                break
        oldest_first = sorted(lines, key=lambda one: lines[one][0][1])
        chosen = shares.choose(queue, {one: [row[0] for row in lines[one]] for one in oldest_first}, room)
        taken = {row[0]: job_of(row) for row in _take_chosen(driver, chosen, at=at)}
    return [taken[job_id] for job_id in chosen if job_id in taken]


@lru_cache(maxsize=8)
def _best(without: frozenset[str | Choice]) -> Prepared:
    return Prepared(_best_of_tenant(without))


@lru_cache(maxsize=8)
def _take_best(without: frozenset[str | Choice]) -> Prepared:
    chosen = _best_of_tenant(without).cte("best")
    return Prepared(_taking(jobs.c.id.in_(sa.select(chosen.c.id))))


def _best_of_tenant(without: frozenset[str | Choice]) -> sa.Select[Any]:
    return (
        sa.select(jobs.c.id, jobs.c.place)
        .where(is_waiting(sa.bindparam("asked"), LedgerNow()), *other_than(without))
        .where(jobs.c.tenant_id == sa.bindparam("tenant"))
        # Of those that wait, ``published_at`` is the same for all: named so that PostgreSQL knows the index's order.
        .order_by(jobs.c.published_at, jobs.c.place, jobs.c.id)
        .limit(sa.bindparam("room"))
        .with_for_update(skip_locked=True)
    )


# A prepared statement has a fixed number of values.
_PLACES = [f"chosen_{number}" for number in range(32)]
_TAKE_CHOSEN = Prepared(_taking(jobs.c.id.in_([sa.bindparam(place) for place in _PLACES])))


def _take_chosen(driver: Runner, chosen: Sequence[str], *, at: datetime) -> list[list[Any]]:
    rows = []
    for first in range(0, len(chosen), len(_PLACES)):
        some = chosen[first : first + len(_PLACES)]
        rows += _TAKE_CHOSEN.all(driver, {"at": at} | dict(zip_longest(_PLACES, some, fillvalue="")))
    return rows


def _tenants() -> sa.Select[Any]:
    """Name the tenants of which something waits in a queue, in steps over the index: one for each, however long."""
    waits = IS_READY & jobs.c.published_at.is_(None) & (jobs.c.queue == sa.bindparam("asked"))
    one = sa.select(jobs.c.tenant_id).where(waits).order_by(jobs.c.published_at, jobs.c.tenant_id).limit(1)
    found = sa.select(one.scalar_subquery().label("tenant_id")).cte("found", recursive=True)
    following = one.where(jobs.c.tenant_id > found.c.tenant_id).correlate(found).scalar_subquery()
    found = found.union_all(sa.select(following).where(found.c.tenant_id.is_not(None)))
    return sa.select(found.c.tenant_id).where(found.c.tenant_id.is_not(None))


_TENANTS = Prepared(_tenants())


def waiting_tenants(driver: Runner, queue: str) -> list[str]:
    """Name the tenants of which jobs are not in the broker; they may still wait for their time."""
    return [str(row[0]) for row in _TENANTS.all(driver, {"asked": queue})]


_HELD = Prepared(
    sa.select(jobs.c.tenant_id, jobs.c.published_at).where(
        jobs.c.queue == sa.bindparam("asked"), IS_READY, jobs.c.published_at.is_not(None)
    )
)


def give_way(ledger: Ledger, queue: str, *, patience_s: float, weigh: Weigh = even) -> set[Carry]:
    """Take back what waits in the broker, if a tenant was passed over there; return the carries that this concerned.

    These jobs are taken again in the order of the shares, and what the broker still holds of them is void then. Nothing
    is done where the workers empty the window within ``patience_s``.
    """
    with ledger.read_prepared() as driver:
        held = [(str(tenant_id), published_at) for tenant_id, published_at in _HELD.all(driver, {"asked": queue})]
        waiting = waiting_tenants(driver, queue) if held else []
    before = now() - timedelta(seconds=patience_s)
    firsts = dict.fromkeys(waiting, before)
    firsts |= {tenant_id: min(at for other, at in held if other == tenant_id) for tenant_id, _ in held}
    ahead = {
        mine: Counter(other for other, at in held if other != mine and at < min(first, before))
        for mine, first in firsts.items()
    }
    if not any(is_passed_over(ahead[mine], mine, weigh=weigh) for mine in ahead):
        return set()
    return take_back(ledger, queue)


def take_back(ledger: Ledger, queue: str) -> set[Carry]:
    """Take back all that waits in the broker for the queue's workers; return the carries that this concerned.

    What the broker still holds of them is void once they are taken again.
    """
    with ledger.write() as connection:
        in_broker = (jobs.c.queue == queue) & IS_READY & jobs.c.published_at.is_not(None)
        taken_back = jobs.update().where(in_broker).values(published_at=None).returning(jobs.c.id, jobs.c.carry)
        return {(job_id, carry) for job_id, carry in connection.execute(taken_back)}


def other_than(without: Unserved) -> list[sa.ColumnElement[bool]]:
    """Match jobs that are none of ``without``; each condition has a fixed number of values, so it can be prepared."""
    matches: list[sa.ColumnElement[bool]] = [jobs.c.kind != one for one in without if isinstance(one, str)]
    for choice in without:
        if isinstance(choice, Choice):
            # A field that is not there is no choice either, and must not make the condition unknown.
            chosen = sa.func.coalesce(jobs.c.request[choice.field].as_string(), "")
            matches.append(sa.or_(jobs.c.kind != choice.kind, chosen != choice.value))
    return matches


def published(ledger: Ledger, queues: Sequence[str]) -> dict[str, set[Carry]]:
    """Tell, by queue, the carries that were published and not yet claimed, as far as the ledger knows."""
    statement = sa.select(jobs.c.queue, jobs.c.id, jobs.c.carry).where(
        jobs.c.queue.in_(queues), IS_READY, jobs.c.published_at.is_not(None)
    )
    found: dict[str, set[Carry]] = {}
    with ledger.read() as connection:
        for queue, job_id, carry in connection.execute(statement):
            found.setdefault(queue, set()).add((job_id, carry))
    return found


def take_again(ledger: Ledger, lost: Iterable[Carry]) -> list[Job]:
    """Take another carry of jobs whose message was lost, unless it was claimed after all; the lost one is void then."""
    taken: list[Job] = []
    with ledger.write() as connection:
        at = ledger_now(connection)
        for job_id, carry in lost:
            unclaimed = (jobs.c.id == job_id) & (jobs.c.carry == carry) & jobs.c.published_at.is_not(None)
            taken += _take_carry(connection, unclaimed & not_expired(at))
    return sorted(taken, key=_order)


def _take_carry(connection: Connection, which: sa.ColumnElement[bool]) -> list[Job]:
    statement = (
        jobs.update()
        .where(which, jobs.c.state == JobState.QUEUED)
        .values(carry=jobs.c.carry + 1, published_at=now())
        .returning(*jobs.c)
    )
    return sorted((job_from_row(row) for row in connection.execute(statement)), key=_order)


def _order(job: Job) -> tuple[int, str]:
    return job.place, job.id


def put_back(ledger: Ledger, carried: Sequence[Carry]) -> None:
    """Note that these ``(job id, carry)`` did not reach the broker, so that the dispatcher carries them."""
    with ledger.write() as connection:
        for job_id, carry in carried:
            connection.execute(
                jobs.update()
                .where(jobs.c.id == job_id, jobs.c.carry == carry, jobs.c.state == JobState.QUEUED)
                .values(published_at=None)
            )
