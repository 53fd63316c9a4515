"""What a tenant's jobs have cost, and how that stands to what it may cost in a month.

A month is one of the calendar, UTC. A cost that is not known is counted as a job and adds nothing: sums say how many
of their jobs are without one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.clock import now
from tasks.core.domain_events import Emission
from tasks.core.ledger.database import Ledger, insert_if_new
from tasks.core.ledger.outbox import write_event
from tasks.core.ledger.schema import budget_alerts, job_costs, jobs, tenants

BUDGET_ALERT = "budget.alert"
"""A domain event: a tenant has used so much of its budget of this month: month, percent, spent, budget, stops."""
ALERT_PERCENTS = (80, 100)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a tenant's jobs may cost in a month; None: whatever they do. ``stops``: beyond it none is accepted."""

    amount: float | None = None
    stops: bool = False


@dataclass(frozen=True, slots=True)
class Sum:
    """Of some jobs. ``mean`` is that of those whose cost is known; None where none is."""

    count: int
    total: float
    unknown: int

    @property
    def mean(self) -> float | None:
        """The average cost of a job."""
        known = self.count - self.unknown
        return self.total / known if known else None


def keep(ledger: Ledger, job_id: str, *, fence: int, method: str, amount: float | None, budget: Budget) -> None:
    """Note once what an attempt of a job has cost, and tell the tenant where that crosses a mark of its budget.

    Args:
        method: how the work was done.
        amount: None where it is not known.
    """
    at = now()
    with ledger.write() as connection:
        job = connection.execute(sa.select(jobs.c.tenant_id, jobs.c.kind).where(jobs.c.id == job_id)).one_or_none()
        if job is None:
            return
        row = {"job_id": job_id, "fence": fence, "tenant_id": job.tenant_id, "kind": job.kind}
        if not insert_if_new(connection, job_costs, **row, method=method, at=at, amount=amount):
            return
        if budget.amount:
            _alert(connection, job.tenant_id, budget, at=at, job_id=job_id)


def _alert(connection: Connection, tenant_id: str, budget: Budget, *, at: datetime, job_id: str) -> None:
    # Two jobs that end together see each other's cost in turn; NO KEY, so that the tenant's other work goes on.
    connection.execute(sa.select(tenants.c.id).where(tenants.c.id == tenant_id).with_for_update(key_share=True))
    spent = _spent(connection, tenant_id, at)
    assert budget.amount is not None  # noqa: S101  # asked by keep
    month = f"{at.astimezone(UTC):%Y-%m}"
    for percent in ALERT_PERCENTS:
        is_crossed = spent * 100 >= budget.amount * percent
        if is_crossed and insert_if_new(
            connection, budget_alerts, tenant_id=tenant_id, month=month, percent=percent, at=at
        ):
            told = {"month": month, "percent": percent, "spent": round(spent, 6), "budget": budget.amount}
            write_event(connection, tenant_id, Emission(BUDGET_ALERT, told | {"stops": budget.stops}), job_id=job_id)


def spent_this_month(ledger: Ledger, tenant_id: str) -> float:
    """Return what the tenant's jobs have cost since the month began."""
    with ledger.read() as connection:
        return _spent(connection, tenant_id, now())


def spent_by_owner(ledger: Ledger, job_id: str) -> float:
    """Return the same for whoever a job belongs to; 0 if it is gone."""
    owner = sa.select(jobs.c.tenant_id).where(jobs.c.id == job_id)
    with ledger.read() as connection:
        tenant_id = connection.execute(owner).scalar_one_or_none()
        return 0.0 if tenant_id is None else _spent(connection, tenant_id, now())


def _spent(connection: Connection, tenant_id: str, at: datetime) -> float:
    mine = (job_costs.c.tenant_id == tenant_id) & (job_costs.c.at >= month_of(at))
    total = connection.execute(sa.select(sa.func.sum(job_costs.c.amount)).where(mine)).scalar_one()
    return float(total or 0.0)


def month_of(at: datetime) -> datetime:
    """Return when the month began in which ``at`` is."""
    return at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def summed(ledger: Ledger, tenant_id: str, *, since: datetime, until: datetime | None = None) -> Mapping[str, Sum]:
    """Return what the tenant's jobs have cost between two times, by method."""
    mine = [job_costs.c.tenant_id == tenant_id, job_costs.c.at >= since]
    if until is not None:
        mine.append(job_costs.c.at < until)
    columns = (
        job_costs.c.method,
        sa.func.count().label("n"),
        sa.func.coalesce(sa.func.sum(job_costs.c.amount), 0.0).label("total"),
        (sa.func.count() - sa.func.count(job_costs.c.amount)).label("unknown"),
    )
    statement = sa.select(*columns).where(*mine).group_by(job_costs.c.method).order_by(job_costs.c.method)
    with ledger.read() as connection:
        return {
            row.method: Sum(int(row.n), float(row.total), int(row.unknown)) for row in connection.execute(statement)
        }
