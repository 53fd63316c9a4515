"""What jobs cost: noted once, summed by month, and told where a budget's mark is crossed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from tasks.core.clock import now
from tasks.core.ledger import Ledger, costs, tenants
from tasks.core.ledger.costs import BUDGET_ALERT, Budget
from tasks.core.ledger.schema import outbox
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Job
from tests.samples import running

TEN = Budget(10.0)
MONTH = costs.month_of(now())


def spend(ledger: Ledger, tenant: Tenant, amount: float | None, *, budget: Budget = TEN, method: str = "m") -> Job:
    """A job of the tenant that has cost so much."""
    job = running(ledger, tenant)
    costs.keep(ledger, job.id, fence=job.fence, method=method, amount=amount, budget=budget)
    return job


def told(ledger: Ledger) -> list[tuple[int, float]]:
    """The alerts: percent and what was spent."""
    with ledger.read() as connection:
        rows = connection.execute(sa.select(outbox).where(outbox.c.type == BUDGET_ALERT).order_by(outbox.c.at))
        return [(row.data["percent"], row.data["spent"]) for row in rows]


def test_an_attempt_is_noted_once(ledger: Ledger, tenant: Tenant) -> None:
    """However often its end is written."""
    job = spend(ledger, tenant, 2.0)
    costs.keep(ledger, job.id, fence=job.fence, method="m", amount=2.0, budget=TEN)
    assert 2.0 == costs.spent_this_month(ledger, tenant.id)
    costs.keep(ledger, job.id, fence=job.fence + 1, method="m", amount=0.5, budget=TEN)
    assert 2.5 == costs.spent_this_month(ledger, tenant.id)


def test_sums_are_the_tenants_own_and_by_method(ledger: Ledger, tenant: Tenant) -> None:
    """What is not known is counted, and adds nothing."""
    spend(ledger, tenant, 1.0, method="a")
    spend(ledger, tenant, 3.0, method="a")
    spend(ledger, tenant, None, method="b")
    spend(ledger, tenants.named(ledger, "stranger"), 50.0)
    found = costs.summed(ledger, tenant.id, since=MONTH)
    assert {"a": (2, 4.0, 0, 2.0), "b": (1, 0.0, 1, None)} == {
        method: (one.count, one.total, one.unknown, one.mean) for method, one in found.items()
    }
    assert 4.0 == costs.spent_this_month(ledger, tenant.id)


def test_a_sum_has_a_beginning_and_an_end(ledger: Ledger, tenant: Tenant) -> None:
    """A month does not count what the next one brings."""
    spend(ledger, tenant, 1.0)
    assert {} == costs.summed(ledger, tenant.id, since=MONTH - timedelta(days=31), until=MONTH)
    assert {} == costs.summed(ledger, tenant.id, since=now() + timedelta(days=1))


def test_each_mark_is_told_once_in_a_month(ledger: Ledger, tenant: Tenant) -> None:
    """At 80 and at 100 percent."""
    spend(ledger, tenant, 7.9)
    assert [] == told(ledger)
    spend(ledger, tenant, 0.1)
    assert [(80, 8.0)] == told(ledger)
    spend(ledger, tenant, 1.0)
    assert [(80, 8.0)] == told(ledger)
    spend(ledger, tenant, 5.0)
    spend(ledger, tenant, 5.0)
    assert [(80, 8.0), (100, 14.0)] == told(ledger)


def test_one_job_may_cross_both_marks(ledger: Ledger, tenant: Tenant) -> None:
    """Then both are told."""
    spend(ledger, tenant, 12.0)
    assert {80, 100} == {percent for percent, _ in told(ledger)}


def test_jobs_that_end_together_tell_a_mark_once(ledger: Ledger, tenant: Tenant) -> None:
    """None of them sees only its own share."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: spend(ledger, tenant, 1.0), range(8)))
    assert [80] == [percent for percent, _ in told(ledger)]


def test_without_a_budget_nothing_is_told(ledger: Ledger, tenant: Tenant) -> None:
    """Costs are noted all the same."""
    spend(ledger, tenant, 1000.0, budget=Budget())
    assert ([], 1000.0) == (told(ledger), costs.spent_this_month(ledger, tenant.id))


def test_a_month_begins_in_utc() -> None:
    """Wherever the server stands."""
    at = datetime.fromisoformat("2026-03-01T00:30:00+02:00")
    assert datetime(2026, 2, 1, tzinfo=UTC) == costs.month_of(at)
