"""What the dispatcher and each worker's beat ask at every turn is answered by an index."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tasks.core.clock import now
from tasks.core.ledger import (
    Ledger,
    carrying,
    fleet,
    limits,
    parking,
    pauses,
    prepared,
    queries,
    routing,
    state_events,
    transitions,
)
from tasks.core.ledger.audit import AT_THE_MACHINE
from tasks.core.ledger.prepared import Prepared, Runner
from tasks.core.ledger.schema import jobs
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import JobState, StateEvent
from tests.samples import a_job

_EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}


class Plans(list[str]):
    """How the database answers what is asked of the ledger, where it concerns one table.

    Args:
        is_forced: keep PostgreSQL from reading an empty table as a whole.
    """

    def __init__(self, table: str = "jobs", *, is_forced: bool = True) -> None:
        super().__init__()
        self.table = table
        self.is_forced = is_forced

    def add(self, driver: Any, dialect: str, text: str, parameters: Any) -> None:
        if f" {self.table}" not in text:
            return
        if dialect == "postgresql" and self.is_forced:
            driver.execute("SET enable_seqscan = off")
        rows = driver.execute(f"{_EXPLAIN[dialect]} {text}", parameters).fetchall()
        self.append("\n".join(str(row[-1]) for row in rows))


@pytest.fixture
def asked(ledger: Ledger) -> Iterator[Ledger]:
    """The same ledger, on connections that nobody else will use."""
    with closing(Ledger(ledger.url)) as own:
        yield own


@pytest.fixture
def plans(asked: Ledger, monkeypatch: pytest.MonkeyPatch) -> Plans:
    """The plans of all that is asked of ``asked``."""
    found, fetch, run = Plans(), Prepared._fetch, Prepared.run

    def explain(of: Prepared, runner: Runner, values: Any) -> None:
        compiled = of._for(runner.dialect)
        with closing(prepared._open_cursor(runner)) as cursor:
            found.add(cursor, runner.dialect.name, compiled.text, compiled.parameters(values))

    def explained(self: Prepared, runner: Runner, values: Any, *, most: int | None = None) -> Any:
        explain(self, runner, values)
        return fetch(self, runner, values, most=most)

    def explained_run(self: Prepared, runner: Runner, values: Any) -> None:
        explain(self, runner, values)
        run(self, runner, values)

    def before(connection: sa.Connection, _cursor: Any, text: str, parameters: Any, *_: Any) -> None:
        found.add(connection.connection.dbapi_connection, connection.dialect.name, text, parameters)

    monkeypatch.setattr(Prepared, "_fetch", explained)
    monkeypatch.setattr(Prepared, "run", explained_run)
    sa.event.listen(asked._engine, "before_cursor_execute", before)
    return found


def fill(ledger: Ledger, tenant: Tenant) -> None:
    """Put finished jobs there, and let the planner know: of an empty table any index is as good."""
    ended = [asdict(a_job(tenant, state=JobState.SUCCEEDED, finished_at=now())) for _ in range(300)]
    with ledger.write() as connection:
        connection.execute(jobs.insert(), ended)
        if not ledger.is_sqlite:
            connection.exec_driver_sql("ANALYZE jobs")


def accepted(ledger: Ledger, tenant: Tenant, count: int) -> list[StateEvent]:
    """Put that many jobs there; return what the streams lack of them."""
    fresh = [a_job(tenant) for _ in range(count)]
    with ledger.write() as connection:
        connection.execute(jobs.insert(), [asdict(job) for job in fresh])
        state_events.write_events(connection, fresh)
    return [state_events.state_event_of(job) for job in fresh]


def test_what_is_asked_all_the_time_reads_no_finished_job(
    ledger: Ledger, asked: Ledger, tenant: Tenant, plans: Plans
) -> None:
    """Not the number of jobs that there ever were decides what a turn costs."""
    fill(ledger, tenant)
    limits.set_limit(asked, limits.Limit(tenant.id, limits.ALL, most_at_once=1))
    made, _ = pauses.pause(asked, pauses.Scope(kind="a.b"), by=AT_THE_MACHINE)
    pauses.resume(asked, made.id, by=AT_THE_MACHINE)
    questions = {
        "backlogs": lambda: carrying.backlogs(asked, ["maintenance", "critical"]),
        "take_due": lambda: carrying.take_due(asked, "maintenance"),
        "published": lambda: carrying.published(asked, ["maintenance"]),
        "queue_position": lambda: queries.queue_position(asked, a_job(tenant)),
        "expire": lambda: transitions.expire(asked),
        "holders": lambda: fleet.holders(asked),
        "watched": lambda: fleet.watched(asked),
        "held_by": lambda: fleet.held_by(asked, "w"),
        "give_way": lambda: carrying.give_way(asked, "maintenance", patience_s=1),
        "anything_parked": lambda: parking.anything_parked(asked),
        "release": lambda: parking.release(asked),
        "tend": lambda: pauses.tend(asked),
        "let_go": lambda: pauses.let_go(asked),
        "held_counts": lambda: pauses.held_counts(asked),
        "queue_depths": lambda: queries.queue_depths(asked, at=now()),
        "anything_matched": lambda: routing.anything_matched(asked),
        "waiting_lines": lambda: routing.waiting_lines(asked),
        "routed_jobs": lambda: routing.routed_jobs(asked),
        "loads": lambda: routing.loads(asked),
    }
    narrow = [f"ix_jobs_{name}" for name in ("queued", "matched", "held", "expiring", "parked", "limited", "paused")]
    wide = {}
    for name, ask in questions.items():
        plans.clear()
        ask()
        assert plans, name
        wide[name] = [plan for plan in plans if not any(index in plan for index in narrow)]
    assert {name: [] for name in questions} == wide


def test_whether_anything_is_parked_is_not_looked_for_among_all_that_waits(asked: Ledger, plans: Plans) -> None:
    """It is asked ten times a second, and mostly of a ledger in which no limit keeps anything back."""
    parking.anything_parked(asked)
    # PostgreSQL chooses by what it has counted, and an empty table tells it nothing.
    wanted = "ix_jobs_parked" if asked.is_sqlite else "ix_jobs_"
    assert [] == [plan for plan in plans if wanted not in plan]


def test_who_goes_next_is_not_looked_for_among_all_that_wait(asked: Ledger, plans: Plans) -> None:
    """The index is in the dispatcher's order, so that a long backlog is not sorted at every turn."""
    carrying.take_due(asked, "maintenance")
    assert not any("Sort" in plan or "TEMP B-TREE" in plan for plan in plans)


def test_what_runs_for_every_job_is_not_planned_by_what_was_counted(asked: Ledger) -> None:
    """Else a connection that is opened before a burst sorts all that waits, each time."""
    if asked.is_sqlite:
        pytest.skip("SQLite has no such choice")
    with asked.read_prepared() as driver:
        ways = ("seqscan", "sort", "bitmapscan", "hashjoin", "mergejoin")
        assert {"off"} == {driver.connection.execute(f"SHOW enable_{way}").fetchone()[0] for way in ways}
        assert ("off",) == driver.connection.execute("SHOW jit").fetchone()
    with asked.read() as connection:
        assert "on" == connection.exec_driver_sql("SHOW enable_seqscan").scalar_one()


def test_what_redis_lacks_is_not_looked_for_among_all_events(
    ledger: Ledger, asked: Ledger, tenant: Tenant, plans: Plans
) -> None:
    """Nor what it was found to have."""
    plans.table, plans.is_forced = "state_events", False
    state_events.mark_sent(ledger, accepted(ledger, tenant, 300))
    if not ledger.is_sqlite:
        with ledger.write() as connection:
            connection.exec_driver_sql("ANALYZE state_events")
    some = accepted(ledger, tenant, 3)
    plans.clear()
    assert len(some) == len(state_events.unsent_events(asked, before=now() + timedelta(seconds=1)))
    assert plans
    assert [] == [plan for plan in plans if "ix_state_events_unsent" not in plan]
    plans.clear()
    state_events.mark_sent(asked, some)
    assert [] == [plan for plan in plans if "Seq Scan" in plan or "SCAN state_events" in plan]
    assert [] == state_events.unsent_events(asked, before=now() + timedelta(seconds=1))
