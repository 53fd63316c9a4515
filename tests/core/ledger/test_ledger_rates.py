"""What came and ended: counted once each, the same however often and by whomever, and up to the present."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from tasks.core.clock import now
from tasks.core.ids import first_id_at
from tasks.core.ledger import Ledger, rates
from tasks.core.ledger.rate_tables import queue_minutes
from tasks.core.ledger.rates import Traffic
from tasks.core.ledger.schema import jobs
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import JobState
from tests.samples import a_job

AT = datetime(2026, 5, 4, 12, 0, 30, tzinfo=UTC)
HOUR, FIVE_MINUTES = timedelta(hours=1), timedelta(minutes=5)


def put(
    ledger: Ledger, tenant: Tenant, came: float, *, started: float | None = None, ended: float, **changes: object
) -> None:
    """Write a job that came, started and ended so many seconds before ``AT``."""
    created_at = AT - timedelta(seconds=came)
    started_at = None if started is None else AT - timedelta(seconds=started)
    times = {"created_at": created_at, "started_at": started_at, "claimed_at": started_at}
    values = {"state": JobState.SUCCEEDED, "finished_at": AT - timedelta(seconds=ended)} | times | changes
    job = a_job(tenant, **values)
    number = int(job.id[-6:], 16)
    job = replace(job, id=first_id_at(created_at)[:-12] + f"{number:012x}")
    row = {column.name: getattr(job, column.name) for column in jobs.columns if hasattr(job, column.name)}
    with ledger.write() as connection:
        connection.execute(jobs.insert().values(row))


def one_of_each(ledger: Ledger, tenant: Tenant) -> None:
    put(ledger, tenant, 3000, started=2990, ended=2970)
    put(ledger, tenant, 200, started=199, ended=100, queue="ai")
    put(ledger, tenant, 190, started=190, ended=90, queue="ai", state=JobState.FAILED)
    put(ledger, tenant, 180, ended=80, queue="ai", state=JobState.CANCELLED)
    put(ledger, tenant, 5, started=4, ended=1, queue="ai")


def traffic(ledger: Ledger) -> list[dict[str, Traffic]]:
    return [dict(one.queues) for one in rates.windows(ledger, at=AT, lengths=(HOUR, FIVE_MINUTES))]


def test_counting_changes_nothing_of_what_is_told(ledger: Ledger, tenant: Tenant) -> None:
    """Read from the jobs, from the minutes, or from both."""
    one_of_each(ledger, tenant)
    before = traffic(ledger)
    hour, five = before
    assert (1, 4) == (hour["maintenance"].arrived, hour["ai"].arrived)
    assert "maintenance" not in five
    ai = five["ai"]
    assert (2, 1, 1, 4) == (ai.succeeded, ai.failed, ai.cancelled, ai.ended)
    # The one that never started waited for nothing that came.
    assert pytest.approx((3, 2.0, 3, 202.0)) == (ai.waited.count, ai.waited.sum_s, ai.ran.count, ai.ran.sum_s)
    rates.count(ledger, at=AT - timedelta(seconds=2000), most_steps=99)
    assert before == traffic(ledger)
    rates.count(ledger, at=AT, most_steps=99)
    rates.count(ledger, at=AT, most_steps=99)
    assert before == traffic(ledger)


def test_what_was_counted_is_not_read_again(ledger: Ledger, tenant: Tenant) -> None:
    """The jobs may go; only what is younger than the count is looked for among them."""
    one_of_each(ledger, tenant)
    before = traffic(ledger)
    rates.count(ledger, at=AT, most_steps=99)
    with ledger.write() as connection:
        connection.execute(jobs.delete().where(jobs.c.finished_at < AT - timedelta(seconds=10)))
    assert before == traffic(ledger)


def test_sum_of_all_time_only_grows(ledger: Ledger, tenant: Tenant) -> None:
    """It holds what is too old for the minutes, which go after two hours; and not yet the last ten seconds."""
    one_of_each(ledger, tenant)
    assert {} == rates.since_the_beginning(ledger)
    rates.count(ledger, at=AT, most_steps=99)
    rates.count(ledger, at=AT + timedelta(hours=5), most_steps=99)
    found = rates.since_the_beginning(ledger)
    assert (1, 4) == (found["maintenance"].arrived, found["ai"].arrived)
    assert (1, 4) == (found["maintenance"].ended, found["ai"].ended)
    with ledger.read() as connection:
        assert [0, 0] == list(connection.execute(sa.select(queue_minutes.c.minute)).scalars())


def test_last_seconds_are_left_for_later(ledger: Ledger, tenant: Tenant) -> None:
    """Another's write may still be under way."""
    put(ledger, tenant, 9, started=8, ended=7)
    rates.count(ledger, at=AT, most_steps=99)
    assert {} == rates.since_the_beginning(ledger)
    rates.count(ledger, at=AT + timedelta(seconds=4), most_steps=99)
    assert 1 == rates.since_the_beginning(ledger)["maintenance"].ended


def test_many_are_counted_in_steps(ledger: Ledger, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that ended at the same time stay together, though they are more than a step takes."""
    monkeypatch.setattr(rates, "_MOST_AT_ONCE", 2)
    for ended in (300, 200, 200, 200, 200, 100):
        put(ledger, tenant, 400, started=350, ended=ended)
    counts = []
    for _ in range(12):
        rates.count(ledger, at=AT, most_steps=1)
        found = rates.since_the_beginning(ledger).get("maintenance", Traffic())
        counts.append(found.ended)
    assert [5, 6] == sorted(set(counts) - {0})
    assert 6 == found.arrived


def test_whoever_comes_second_counts_nothing(ledger: Ledger, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that was frozen while it counted finds the mark moved."""
    put(ledger, tenant, 60, started=55, ended=50)
    real = rates._count
    others = iter([True])

    def frozen(*found: object) -> object:
        if next(others, False):
            rates.count(ledger, at=AT, most_steps=99)
        return real(*found)

    monkeypatch.setattr(rates, "_count", frozen)
    rates.count(ledger, at=AT, most_steps=99)
    assert 1 == rates.since_the_beginning(ledger)["maintenance"].ended


def test_delay_that_was_asked_for_is_no_waiting(ledger: Ledger, tenant: Tenant) -> None:
    """It waited from when it was due; a retry's delay, which comes after its first start, says nothing."""
    put(ledger, tenant, 100, started=40, ended=30, not_before=AT - timedelta(seconds=45))
    put(ledger, tenant, 100, started=98, ended=30, not_before=AT - timedelta(seconds=60))
    [hour] = rates.windows(ledger, at=AT, lengths=(HOUR,))
    assert pytest.approx((2, 7.0)) == (hour.of("maintenance").waited.count, hour.of("maintenance").waited.sum_s)


def test_window_says_how_long_it_is(ledger: Ledger) -> None:
    """It begins with a whole minute; a queue without traffic has none."""
    hour, five = rates.windows(ledger, at=AT, lengths=(HOUR, FIVE_MINUTES))
    assert (3630.0, 330.0) == (hour.seconds, five.seconds)
    assert Traffic() == five.of("voice")


def test_count_by_the_ledgers_clock(ledger: Ledger, tenant: Tenant) -> None:
    """What ended ten seconds ago and more is counted."""
    since = (AT - now()).total_seconds()
    put(ledger, tenant, since + 60, started=since + 50, ended=since + 40)
    rates.count(ledger, most_steps=99)
    assert 1 == rates.since_the_beginning(ledger)["maintenance"].ended
