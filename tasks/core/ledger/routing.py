"""Jobs that need something of a worker: which of them wait, and to whose direct queue they go.

They are in no queue's common line: a dispatcher routes each to a worker that fits. That takes a carry, as publishing
does, and notes the worker; the job is claimed, ends and is rescued as any other, and what goes back is routed again.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.clock import now
from tasks.core.ledger.carrying import Carry, Unserved, is_due, is_waiting, not_expired, other_than
from tasks.core.ledger.database import Ledger, ledger_now
from tasks.core.ledger.matching_tables import IS_MATCHED, REQUIRED
from tasks.core.ledger.prepared import Prepared
from tasks.core.ledger.rows import job_from_row
from tasks.core.ledger.schema import IS_READY, IS_RUNNING, attempts, jobs
from tasks.core.matching import Asked
from tasks.core.records import Backend, Job
from tasks.core.spec import Queue

# Every queue is named because SQLite would look through all jobs otherwise: an index is to be entered from its front.
_IN_A_QUEUE = jobs.c.queue.in_([sa.literal_column(f"'{queue}'") for queue in Queue])
_IS_FREE = IS_MATCHED & _IN_A_QUEUE & (jobs.c.parked == sa.false())
_IS_LOOSE = _IS_FREE & jobs.c.published_at.is_(None)
_IS_ROUTED = _IS_FREE & jobs.c.published_at.is_not(None)
# How an attempt ended after which another worker may do better.
_BAD_ENDS = ("retried", "failed")
_MOST_COUNTED = 1000
# Values of one statement.
_MOST_VALUES = 5000


@dataclass(frozen=True, slots=True)
class Line:
    """Jobs of a tenant that need the same. ``text``: what they require, as the ledger writes it."""

    tenant_id: str
    queue: str
    kind: str
    text: str

    @property
    def requires(self) -> Mapping[str, Any]:
        """What they require."""
        found: Mapping[str, Any] = json.loads(self.text)
        return found

    def asked(self, place: str | None) -> Asked:
        """Return what they ask for. ``place``: see ``Asked``."""
        return Asked(self.tenant_id, self.queue, self.kind, self.requires, place)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many of a line wait, and the place in line of the first."""

    line: Line
    count: int
    place: int


@dataclass(frozen=True, slots=True)
class Next:
    """A job to be routed. ``failed_on``: the worker on which its last attempt came to a bad end."""

    job_id: str
    place: int
    failed_on: str | None


@dataclass(frozen=True, slots=True)
class Routed:
    """A job in a worker's direct queue that is not claimed yet."""

    job_id: str
    carry: int
    worker: str
    at: datetime
    line: Line


@dataclass(frozen=True, slots=True)
class Load:
    """How many jobs a worker runs, and how many more are in its direct queue."""

    worker: str
    running: int
    ready: int


@dataclass(frozen=True, slots=True)
class Plain:
    """A job in its queue's common line."""

    job_id: str
    tenant_id: str
    kind: str
    request: Mapping[str, Any]


_ANY_MATCHED = Prepared(sa.select(sa.literal(1)).where(sa.exists().where(_IS_FREE)))


def anything_matched(ledger: Ledger) -> bool:
    """Tell whether any queued job needs something: where none does, this is all that matching costs."""
    with ledger.read_prepared() as driver:
        return _ANY_MATCHED.first(driver, {}) is not None


def waiting_lines(ledger: Ledger, *, backends: Collection[str] = (Backend.AUTO, Backend.QUEUE)) -> list[Waiting]:
    """List the lines of due jobs that are in no worker's queue, the one with the best place first."""
    columns = (jobs.c.tenant_id, jobs.c.queue, jobs.c.kind, REQUIRED)
    with ledger.read() as connection:
        at = ledger_now(connection)
        statement = (
            sa.select(*columns, sa.func.count(), sa.func.min(jobs.c.place))
            .where(_IS_LOOSE, jobs.c.backend.in_(backends), is_due(at), not_expired(at))
            .group_by(*columns)
            .order_by(sa.func.min(jobs.c.place), sa.func.min(jobs.c.id))
        )
        return [Waiting(Line(*line), count, place) for *line, count, place in connection.execute(statement)]


def best_of(ledger: Ledger, line: Line, *, most: int) -> list[Next]:
    """List the best of a line."""
    with ledger.read() as connection:
        at = ledger_now(connection)
        last = (attempts.c.job_id == jobs.c.id) & (attempts.c.fence == jobs.c.fence)
        statement = (
            sa.select(jobs.c.id, jobs.c.place, attempts.c.worker)
            .join_from(jobs, attempts, last & attempts.c.outcome.in_(_BAD_ENDS), isouter=True)
            .where(_IS_LOOSE, jobs.c.backend != Backend.LOCAL, *_of(line), is_due(at), not_expired(at))
            .order_by(jobs.c.place, jobs.c.id)
            .limit(most)
        )
        return [Next(*row) for row in connection.execute(statement)]


def _of(line: Line) -> list[sa.ColumnElement[bool]]:
    exact = {jobs.c.tenant_id: line.tenant_id, jobs.c.queue: line.queue, jobs.c.kind: line.kind}
    return [*(column == value for column, value in exact.items()), REQUIRED.in_([line.text])]


def route(ledger: Ledger, chosen: Mapping[str, str]) -> list[tuple[Job, str]]:
    """Take the next carry of each of these jobs for the worker named beside its id, best first.

    Jobs that somebody else has taken, cancelled or routed meanwhile are left out.
    """
    of_worker: dict[str, list[str]] = defaultdict(list)
    for job_id, worker in chosen.items():
        of_worker[worker].append(job_id)
    routed: list[tuple[Job, str]] = []
    with ledger.write() as connection:
        for worker, ids in sorted(of_worker.items()):
            statement = (
                jobs.update()
                .where(jobs.c.id.in_(ids), _IS_LOOSE)
                .values(carry=jobs.c.carry + 1, published_at=now(), routed_to=worker)
                .returning(*jobs.c)
            )
            routed += [(job_from_row(row), worker) for row in connection.execute(statement)]
    return sorted(routed, key=lambda one: (one[0].place, one[0].id))


def routed_jobs(ledger: Ledger) -> list[Routed]:
    """List what is in workers' direct queues, as far as the ledger knows."""
    columns = (jobs.c.id, jobs.c.carry, jobs.c.routed_to, jobs.c.published_at)
    of_line = (jobs.c.tenant_id, jobs.c.queue, jobs.c.kind, REQUIRED)
    with ledger.read() as connection:
        rows = connection.execute(sa.select(*columns, *of_line).where(_IS_ROUTED)).all()
    return [Routed(row[0], row[1], row[2] or "", row[3], Line(*row[4:])) for row in rows]


def give_back(ledger: Ledger, carries: Iterable[Carry]) -> int:
    """Note that these are in no worker's queue any more, unless they were claimed; return how many."""
    given = 0
    with ledger.write() as connection:
        for job_id, carry in carries:
            still = (jobs.c.id == job_id) & (jobs.c.carry == carry) & _IS_ROUTED
            given += connection.execute(jobs.update().where(still).values(published_at=None)).rowcount
    return given


def loads(ledger: Ledger) -> list[Load]:
    """Count what each worker has under way: what it runs, of whatever kind, and what its direct queue holds."""
    count = sa.func.count()
    running = sa.select(jobs.c.worker, count).where(IS_RUNNING).group_by(jobs.c.worker)
    ready = sa.select(jobs.c.routed_to, count).where(_IS_ROUTED).group_by(jobs.c.routed_to)
    with ledger.read() as connection:
        runs, waits = ({str(name): int(number) for name, number in connection.execute(one)} for one in (running, ready))
    return [Load(name, runs.get(name, 0), waits.get(name, 0)) for name in sorted({*runs, *waits})]


def ran_on(ledger: Ledger, lines: Iterable[Line]) -> dict[Line, str]:
    """Tell, of lines that want to be where another job was, which worker ran that one last; left out: none has."""
    named = {line: line.requires.get("same_worker_as") for line in lines if "same_worker_as" in line.text}
    near = {line: str(job_id) for line, job_id in named.items() if job_id is not None}
    found = ran_last(ledger, set(near.values())) if near else {}
    return {line: found[job_id] for line, job_id in near.items() if job_id in found}


def ran_last(ledger: Ledger, job_ids: Collection[str]) -> dict[str, str]:
    """Tell which worker ran each of these jobs last; left out: none has."""
    asked, found = sorted(job_ids), dict[str, str]()
    statement = sa.select(attempts.c.job_id, attempts.c.worker).order_by(attempts.c.fence)
    with ledger.read() as connection:
        for first in range(0, len(asked), _MOST_VALUES):
            some = statement.where(attempts.c.job_id.in_(asked[first : first + _MOST_VALUES]))
            found |= {row.job_id: row.worker for row in connection.execute(some)}
    return found


def unmatched_counts(ledger: Ledger) -> list[tuple[Line, str, int]]:
    """Count the queued jobs that are in no worker's queue, by line and by the backend that they ask for.

    Only the longest lines are counted.
    """
    columns = (jobs.c.tenant_id, jobs.c.queue, jobs.c.kind, REQUIRED, jobs.c.backend)
    count = sa.func.count()
    statement = (
        sa.select(*columns, count).where(_IS_LOOSE).group_by(*columns).order_by(count.desc()).limit(_MOST_COUNTED)
    )
    with ledger.read() as connection:
        return [(Line(*line), backend, number) for *line, backend, number in connection.execute(statement)]


# ---- jobs of the common line that have to be routed after all


def plain_of(ledger: Ledger, queue: str, which: Unserved, *, most: int) -> list[Plain]:
    """List the best of the queue's common line that are among ``which``."""
    return _plain(ledger, queue, sa.not_(sa.and_(*other_than(which))), most=most)


def plain_for(
    ledger: Ledger,
    queue: str,
    *,
    kinds: Collection[str],
    tenants: Collection[str] | None,
    not_tenants: Collection[str],
    most: int,
) -> list[Plain]:
    """List the best of the queue's common line that are of these kinds and tenants (None: all but ``not_tenants``)."""
    mine = jobs.c.kind.in_(kinds) & jobs.c.tenant_id.not_in(not_tenants)
    return _plain(ledger, queue, mine if tenants is None else mine & jobs.c.tenant_id.in_(tenants), most=most)


def _plain(ledger: Ledger, queue: str, which: sa.ColumnElement[bool], *, most: int) -> list[Plain]:
    # The best of each tenant: what is chosen among them later is chosen by their shares.
    rank = sa.func.row_number().over(partition_by=jobs.c.tenant_id, order_by=(jobs.c.place, jobs.c.id)).label("rank")
    with ledger.read() as connection:
        at = ledger_now(connection)
        found = (
            sa.select(jobs.c.id, jobs.c.tenant_id, jobs.c.kind, jobs.c.request, rank)
            .where(is_waiting(queue, at), which)
            .subquery()
        )
        statement = sa.select(found.c.id, found.c.tenant_id, found.c.kind, found.c.request).order_by(found.c.rank)
        return [Plain(*row) for row in connection.execute(statement.limit(most))]


def enlist(ledger: Ledger, needs: Mapping[str, Mapping[str, Any]]) -> int:
    """Let these jobs of common lines be routed, with what each requires by its id; return how many still were there."""
    with ledger.write() as connection:
        return sum(_enlist(connection, job_id, dict(requires)) for job_id, requires in sorted(needs.items()))


def _enlist(connection: Connection, job_id: str, requires: dict[str, Any]) -> int:
    still = (jobs.c.id == job_id) & IS_READY & jobs.c.published_at.is_(None)
    return connection.execute(jobs.update().where(still).values(requires=requires)).rowcount
