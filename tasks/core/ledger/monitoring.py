"""What whoever watches everything reads: which jobs have changed, and each transition that they made.

Nothing here is told by Redis, and no row keeps the time of its last change: new jobs are found by their ids, ended ones
by their end, and those that run by their state. What a job did in between is in ``state_events``, none left out.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tasks.core.ledger.database import Ledger
from tasks.core.ledger.schema import IS_QUEUED, IS_RUNNING, jobs, state_events, tenants, workers
from tasks.core.records import JobState

# Parameters of one statement; SQLite takes a few hundred of them at any rate.
_MOST_IDS = 500


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which jobs somebody watches. Nothing given: all; each that is given must fit.

    Args:
        tenant_id: of this tenant alone.
        tenants: of tenants with one of these names.
        priorities: from the first to the second.
    """

    tenant_id: str | None = None
    tenants: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    workers: frozenset[str] = frozenset()
    job_ids: frozenset[str] = frozenset()
    priorities: tuple[int, int] | None = None

    def matches(self, job: "Facts") -> bool:
        """Tell whether a job is one of these."""
        asked = (
            *((self.tenants, job.tenant), (self.kinds, job.kind), (self.queues, job.queue)),
            *((self.workers, job.worker), (self.job_ids, job.id)),
        )
        return (
            self.tenant_id in {None, job.tenant_id}
            and all(not wanted or value in wanted for wanted, value in asked)
            and (self.priorities is None or self.priorities[0] <= job.priority <= self.priorities[1])
        )

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Return what rows of ``jobs``, joined to their tenants, must meet."""
        asked = (
            *((self.tenants, tenants.c.name), (self.kinds, jobs.c.kind), (self.queues, jobs.c.queue)),
            *((self.workers, jobs.c.worker), (self.job_ids, jobs.c.id)),
        )
        where: list[sa.ColumnElement[bool]] = [column.in_(wanted) for wanted, column in asked if wanted]
        if self.tenant_id is not None:
            where.append(jobs.c.tenant_id == self.tenant_id)
        if self.priorities is not None:
            where.append(jobs.c.priority.between(*self.priorities))
        return where


@dataclass(frozen=True, slots=True)
class Running:
    """A job that runs: its version, and who has it."""

    job_id: str
    version: int
    worker: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has ended."""

    job_id: str
    version: int
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """What is told of a job whatever its state. ``tenant`` is the tenant's name, ``worker`` the last that had it."""

    id: str
    kind: str
    queue: str
    state: str
    version: int
    cause: str
    dead: bool
    priority: int
    attempt: int
    max_attempts: int
    tenant: str
    reference: str | None
    labels: dict[str, str]
    site: str | None
    batch_id: str | None
    worker: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: dict[str, Any] | None
    tenant_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of a job; ``n`` is its version after it."""

    n: int
    at: datetime
    attempt: int
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Changed:
    """A job and its transitions, oldest first."""

    facts: Facts
    transitions: list[Transition]


_FACTS: tuple[sa.ColumnElement[Any], ...] = (
    *(jobs.c.id, jobs.c.kind, jobs.c.queue, jobs.c.state, jobs.c.version, jobs.c.cause, jobs.c.dead, jobs.c.priority),
    *(jobs.c.attempt, jobs.c.max_attempts, tenants.c.name.label("tenant"), jobs.c.reference, jobs.c.labels),
    *(jobs.c.site, jobs.c.batch_id, jobs.c.worker, jobs.c.created_at, jobs.c.started_at, jobs.c.finished_at),
    *(jobs.c.error, jobs.c.tenant_id, jobs.c.fence),
)


def newest_id(ledger: Ledger) -> str | None:
    """Return the id of the job that was accepted last."""
    with ledger.read() as connection:
        return connection.execute(sa.select(sa.func.max(jobs.c.id))).scalar_one_or_none()


def made_after(ledger: Ledger, job_id: str, *, limit: int) -> dict[str, int]:
    """Return the versions of jobs with a greater id, by id and in order."""
    statement = sa.select(jobs.c.id, jobs.c.version).where(jobs.c.id > job_id).order_by(jobs.c.id).limit(limit)
    with ledger.read() as connection:
        return {row.id: row.version for row in connection.execute(statement)}


def ended_since(ledger: Ledger, since: datetime, *, limit: int) -> list[Ended]:
    """List jobs that ended then or later, in order."""
    statement = (
        sa.select(jobs.c.id, jobs.c.version, jobs.c.finished_at)
        .where(_ended(since))
        .order_by(jobs.c.finished_at, jobs.c.id)
        .limit(limit)
    )
    with ledger.read() as connection:
        return [Ended(*row) for row in connection.execute(statement)]


def running(ledger: Ledger) -> list[Running]:
    """List the jobs that run; there are no more of them than slots."""
    with ledger.read() as connection:
        rows = connection.execute(sa.select(jobs.c.id, jobs.c.version, jobs.c.worker).where(IS_RUNNING))
        return [Running(row.id, row.version, row.worker or "") for row in rows]


def changed(ledger: Ledger, job_ids: Sequence[str]) -> list[Changed]:
    """Return these jobs, as far as they exist, each with all its transitions."""
    found: list[Changed] = []
    for start in range(0, len(job_ids), _MOST_IDS):
        some = job_ids[start : start + _MOST_IDS]
        steps = (
            sa.select(state_events.c.job_id, state_events.c.n, state_events.c.at, state_events.c.attempt)
            .add_columns(state_events.c.data)
            .where(state_events.c.job_id.in_(some))
            .order_by(state_events.c.job_id, state_events.c.n)
        )
        with ledger.read() as connection:
            facts = _facts(connection.execute(_of_jobs().where(jobs.c.id.in_(some))))
            made: dict[str, list[Transition]] = {}
            for row in connection.execute(steps):
                made.setdefault(row.job_id, []).append(Transition(row.n, row.at, row.attempt, row.data))
        # A transition that was committed between the two questions comes with the next look.
        found += [Changed(one, [step for step in made.get(one.id, ()) if step.n <= one.version]) for one in facts]
    return found


def newest(ledger: Ledger, state: JobState, chosen: Chosen, *, limit: int) -> list[Facts]:
    """List the chosen jobs that are queued or running, the newest first."""
    statement = _of_jobs().where(_in_state(state), *chosen.conditions()).order_by(jobs.c.id.desc())
    with ledger.read() as connection:
        return _facts(connection.execute(statement.limit(limit)))


def newest_ended(ledger: Ledger, chosen: Chosen, *, since: datetime, limit: int) -> list[Facts]:
    """List the chosen jobs that ended then or later, the last one first."""
    statement = _of_jobs().where(_ended(since), *chosen.conditions())
    with ledger.read() as connection:
        return _facts(connection.execute(statement.order_by(jobs.c.finished_at.desc(), jobs.c.id).limit(limit)))


def counts(ledger: Ledger, chosen: Chosen, *, since: datetime) -> dict[str, int]:
    """Count the chosen jobs that have not ended, and those that ended since then, by state."""
    found = dict.fromkeys(JobState, 0)
    of_chosen = sa.select(jobs.c.state, sa.func.count()).join_from(jobs, tenants, tenants.c.id == jobs.c.tenant_id)
    of_chosen = of_chosen.where(*chosen.conditions()).group_by(jobs.c.state)
    with ledger.read() as connection:
        for condition in (_in_state(JobState.QUEUED), _in_state(JobState.RUNNING), _ended(since)):
            for state, count in connection.execute(of_chosen.where(condition)):
                found[JobState(state)] = int(count)
    return {state.value: count for state, count in found.items()}


def worker_states(ledger: Ledger, names: Collection[str]) -> dict[str, str]:
    """Return what is written of these workers; those whose rows were deleted are left out."""
    statement = sa.select(workers.c.name, workers.c.state).where(workers.c.name.in_(names))
    with ledger.read() as connection:
        return {row.name: row.state for row in connection.execute(statement)}


def _of_jobs() -> sa.Select[Any]:
    return sa.select(*_FACTS).join_from(jobs, tenants, tenants.c.id == jobs.c.tenant_id)


def _facts(rows: Any) -> list[Facts]:
    return [Facts(**row._mapping) for row in rows]


def _in_state(state: JobState) -> sa.ColumnElement[bool]:
    # As the partial indexes have them.
    return IS_QUEUED if state is JobState.QUEUED else IS_RUNNING


def _ended(since: datetime) -> sa.ColumnElement[bool]:
    return jobs.c.finished_at.is_not(None) & (jobs.c.finished_at >= since)
