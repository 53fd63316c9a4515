"""The workers as the ledger knows them: a row each, a counter that beats, and what each has found on its machine."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Connection

from tasks.core.clock import now
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.prepared import Prepared, Runner
from tasks.core.ledger.schema import IS_RUNNING, attempts, jobs, workers
from tasks.core.records import TERMINAL, JobState

# The broker holds at most this many published and unclaimed jobs per queue, or four for each live slot if that is more.
_LEAST_WINDOW = 32
_WINDOW_PER_SLOT = 4


class WorkerState(StrEnum):
    """What a worker says of itself, or what the dispatcher found."""

    STARTING = "starting"
    """Beats, and does not listen to its queues yet."""
    UP = "up"
    """Takes jobs."""
    STANDBY = "standby"
    """Takes jobs that are its own alone: the broker answers, and is left the others."""
    DRAINING = "draining"
    """Takes no new jobs; lets the running ones finish."""
    STOPPED = "stopped"
    """Left in order."""
    GONE = "gone"
    """Its counter stood still for a lease; its jobs were rescued."""


LIVE = frozenset({WorkerState.STARTING, WorkerState.UP, WorkerState.STANDBY, WorkerState.DRAINING})


@dataclass(frozen=True, slots=True)
class Worker:
    """One row of ``workers``. ``name`` is ``queue@host#boot-id``; ``beat`` only grows."""

    name: str
    host: str
    pid: int
    queues: list[str]
    slots: int
    capabilities: list[str]
    version: str
    started_at: datetime
    beat: int
    beat_at: datetime
    rss_bytes: int
    state: str
    offers: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A running job as its worker's beat sees it."""

    job_id: str
    fence: int
    child_pid: int
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class Watched:
    """A running attempt that must give signs of life, at least one in ``silence_s``."""

    job_id: str
    fence: int
    worker: str
    signs: int
    silence_s: float


@dataclass(frozen=True, slots=True)
class AttemptPlace:
    """Where an attempt was begun, and whether it still owns its job."""

    worker: str
    child_pid: int
    owns: bool


def register(ledger: Ledger, worker: Worker) -> None:
    """Write the worker's row, at its start or when the ledger has lost it; its boot id makes the name its own."""
    with ledger.write() as connection:
        connection.execute(workers.delete().where(workers.c.name == worker.name))
        connection.execute(workers.insert().values(asdict(worker)))


def beat(ledger: Ledger, name: str, *, rss_bytes: int, state: str) -> bool:
    """Let the counter grow by one. False: there is no such row."""
    with ledger.write(is_urgent=True) as connection:  # before a lease is over
        beaten = connection.execute(
            workers.update()
            .where(workers.c.name == name)
            .values(beat=workers.c.beat + 1, beat_at=now(), rss_bytes=rss_bytes, state=state)
        )
        return beaten.rowcount == 1


def set_state(ledger: Ledger, name: str, state: str) -> None:
    """Write what the worker says of itself."""
    with ledger.write() as connection:
        connection.execute(workers.update().where(workers.c.name == name).values(state=state))


def mark_gone(ledger: Ledger, name: str, *, beat: int) -> bool:
    """Write that the worker is gone. False: its counter does not stand at ``beat`` any more, so it lives."""
    with ledger.write() as connection:
        still = (workers.c.name == name) & (workers.c.beat == beat) & workers.c.state.in_(LIVE)
        return connection.execute(workers.update().where(still).values(state=WorkerState.GONE)).rowcount == 1


def held_by(ledger: Ledger, name: str) -> list[Held]:
    """List the running jobs that the worker's children hold."""
    statement = sa.select(jobs.c.id, jobs.c.fence, jobs.c.child_pid, jobs.c.cancel_requested_at).where(
        IS_RUNNING, jobs.c.worker == name
    )
    with ledger.read() as connection:
        return [
            Held(row.id, row.fence, row.child_pid, row.cancel_requested_at is not None)
            for row in connection.execute(statement)
        ]


def watched(ledger: Ledger) -> list[Watched]:
    """List the running attempts of kinds that may not be silent for long."""
    statement = sa.select(jobs.c.id, jobs.c.fence, jobs.c.worker, jobs.c.signs, jobs.c.silence_s).where(
        IS_RUNNING, jobs.c.silence_s.is_not(None)
    )
    with ledger.read() as connection:
        return [Watched(*row) for row in connection.execute(statement)]


def places_of(ledger: Ledger, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], AttemptPlace]:
    """Tell of each attempt, given by job id and fence, where it was begun; those of erased jobs are left out."""
    owns = (jobs.c.state == JobState.RUNNING) & (jobs.c.fence == attempts.c.fence)
    statement = (
        sa.select(attempts.c.job_id, attempts.c.fence, attempts.c.worker, attempts.c.child_pid, owns)
        .join_from(attempts, jobs, jobs.c.id == attempts.c.job_id)
        .where(attempts.c.job_id.in_({job_id for job_id, _ in keys}))
    )
    with ledger.read() as connection:
        rows = connection.execute(statement).all()
    found = {(row[0], row[1]): AttemptPlace(row[2], row[3], bool(row[4])) for row in rows}
    return {key: found[key] for key in keys if key in found}


def unfinished(ledger: Ledger, job_ids: Collection[str]) -> set[str]:
    """Return which of these jobs are still to end; neither those that have ended nor those that were erased."""
    statement = sa.select(jobs.c.id).where(jobs.c.id.in_(job_ids), jobs.c.state.not_in(TERMINAL))
    with ledger.read() as connection:
        return set(connection.execute(statement).scalars())


def live_workers(ledger: Ledger) -> list[Worker]:
    """List the workers that are up or draining, by name."""
    with ledger.read() as connection:
        return _select(connection, workers.c.state.in_(LIVE))


def beating(ledger: Ledger, *, host: str, within_s: float) -> list[Worker]:
    """List this machine's workers that have not left and whose last beat is no older than ``within_s``, by name."""
    is_recent = workers.c.beat_at >= now() - timedelta(seconds=within_s)  # that machine's clock wrote it
    with ledger.read() as connection:
        return _select(connection, workers.c.state.in_(LIVE) & (workers.c.host == host) & is_recent)


def _select(connection: Connection, where: sa.ColumnElement[bool]) -> list[Worker]:
    rows = connection.execute(workers.select().where(where).order_by(workers.c.name))
    return [Worker(**_values(row)) for row in rows]


def _values(row: Any) -> dict[str, Any]:
    return dict(row._mapping)


def held_by_tenant(ledger: Ledger, tenant_id: str) -> dict[str, list[str]]:
    """List the ids of this tenant's running jobs by the worker that holds them."""
    statement = sa.select(jobs.c.worker, jobs.c.id).where(
        jobs.c.tenant_id == tenant_id, jobs.c.state == JobState.RUNNING
    )
    held: dict[str, list[str]] = {}
    with ledger.read() as connection:
        for worker, job_id in connection.execute(statement.order_by(jobs.c.id)):
            held.setdefault(worker, []).append(job_id)
    return held


def holders(ledger: Ledger) -> set[str]:
    """Name every worker that holds a running job, whether or not it lives."""
    statement = sa.select(jobs.c.worker).where(IS_RUNNING).distinct()
    with ledger.read() as connection:
        return {name for name in connection.execute(statement).scalars() if name is not None}


_SLOTS = Prepared(sa.select(workers.c.slots, workers.c.queues).where(workers.c.state == WorkerState.UP))


def window(connection: Runner, queue: str) -> int:
    """Tell how many published and unclaimed jobs the broker may hold for ``queue``."""
    return window_of(queue, _SLOTS.all(connection, {}))


def window_of(queue: str, up: Iterable[Sequence[Any]]) -> int:
    """Tell the same from the slots and the queues of each live worker."""
    slots: int = sum(slots for slots, queues in up if queue in queues)
    return max(_LEAST_WINDOW, _WINDOW_PER_SLOT * slots)


def window_at_server(queue: sa.ColumnElement[str]) -> sa.ScalarSelect[int]:
    """Let PostgreSQL tell the same."""
    serves = sa.func.jsonb_exists(sa.cast(workers.c.queues, JSONB), queue)
    slots = sa.select(sa.func.coalesce(sa.func.sum(workers.c.slots), 0)).where(
        workers.c.state == WorkerState.UP, serves
    )
    return sa.select(sa.func.greatest(_LEAST_WINDOW, _WINDOW_PER_SLOT * slots.scalar_subquery())).scalar_subquery()


def forget(ledger: Ledger, *, older_than_s: float) -> int:
    """Delete rows of workers that ended long ago; return how many."""
    with ledger.write() as connection:
        ended = workers.c.state.not_in(LIVE) & (workers.c.beat_at < now() - timedelta(seconds=older_than_s))
        return int(connection.execute(workers.delete().where(ended)).rowcount)
