"""Limits by tenant and kind: how many are under way, and how many begin in a second."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from tasks.core.clock import now
from tasks.core.errors import NotFound
from tasks.core.ledger import Ledger, carrying, limits, parking, replaying
from tasks.core.ledger import transitions as moves
from tasks.core.ledger.flow_tables import limits as limits_table
from tasks.core.ledger.limits import ALL, KnownLimits, Limit, remove_limit, set_limit
from tasks.core.ledger.schema import jobs as jobs_table
from tasks.core.ledger.tenants import Tenant, named
from tasks.core.records import Job
from tasks.maintenance.contract import PING
from tests.samples import FakeClock, accepted, claimed, eventually


@pytest.fixture
def other(ledger: Ledger) -> Tenant:
    """A second tenant."""
    return named(ledger, "other")


def parked(ledger: Ledger, tenant: Tenant, count: int, *, kind: str = PING) -> list[Job]:
    """Jobs as they are accepted under a limit."""
    return [accepted(ledger, tenant, kind=kind, parked=True, limited=True) for _ in range(count)]


def go(ledger: Ledger) -> list[Job]:
    """Release and carry what may go."""
    parking.release(ledger)
    return carrying.take_due(ledger, "maintenance")


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


def test_a_tenant_has_so_many_under_way(ledger: Ledger, tenant: Tenant, other: Tenant) -> None:
    """Of all kinds together; another tenant is of no concern."""
    set_limit(ledger, Limit(tenant.id, ALL, most_at_once=2))
    mine = [*parked(ledger, tenant, 2), *parked(ledger, tenant, 1, kind="other.kind")]
    theirs = accepted(ledger, other)
    first = go(ledger)
    assert {*ids(mine[:2]), theirs.id} == set(ids(first))
    claimed(ledger, next(job for job in first if job.id == mine[0].id))
    assert [] == go(ledger)
    moves.request_cancel(ledger, mine[1].id, tenant_id=tenant.id)
    assert ids(mine[2:]) == ids(go(ledger))


def test_a_kind_has_so_many_under_way_shared_between_tenants(ledger: Ledger, tenant: Tenant, other: Tenant) -> None:
    """Who has fewer goes next, however long the other one's line is."""
    set_limit(ledger, Limit(ALL, PING, most_at_once=2))
    mine, theirs = parked(ledger, tenant, 5), parked(ledger, other, 1)
    assert {mine[0].id, theirs[0].id} == set(ids(go(ledger)))
    assert [] == go(ledger)


def test_several_limits_hold_together(ledger: Ledger, tenant: Tenant) -> None:
    """The narrowest decides for each kind."""
    set_limit(ledger, Limit(tenant.id, ALL, most_at_once=3))
    set_limit(ledger, Limit(tenant.id, "other.kind", most_at_once=1))
    narrow, wide = parked(ledger, tenant, 3, kind="other.kind"), parked(ledger, tenant, 3)
    with ledger.write() as connection:
        connection.execute(sa.update(jobs_table).values(place=1))  # accepted within one millisecond
    assert {narrow[0].id, *ids(wide[:2])} == set(ids(go(ledger)))


def test_no_more_begin_than_the_bucket_has_tokens(ledger: Ledger, tenant: Tenant) -> None:
    """A burst, then as many as have been filled in since, by the ledger's clock."""
    set_limit(ledger, Limit(tenant.id, PING, rate_per_s=0.5, burst=3))
    jobs = parked(ledger, tenant, 9)
    assert ids(jobs[:3]) == ids(go(ledger))
    assert [] == go(ledger)
    with ledger.write() as connection:
        connection.execute(limits_table.update().values(refilled_at=now() - timedelta(seconds=4.5)))
    assert ids(jobs[3:5]) == ids(go(ledger))
    assert [] == go(ledger)
    with ledger.write() as connection:
        connection.execute(limits_table.update().values(refilled_at=now() - timedelta(days=1)))
    assert 3 == len(go(ledger))


def test_a_bucket_is_filled_on_when_the_clock_was_set_back(ledger: Ledger, tenant: Tenant) -> None:
    """It went an hour ahead for a while: nobody waits until that time comes."""
    set_limit(ledger, Limit(tenant.id, PING, rate_per_s=100.0, burst=1))
    jobs = parked(ledger, tenant, 2)
    assert ids(jobs[:1]) == ids(go(ledger))
    with ledger.write() as connection:
        connection.execute(limits_table.update().values(refilled_at=now() + timedelta(hours=1)))
    assert [] == go(ledger)
    assert eventually(lambda: ids(jobs[1:]) == ids(go(ledger)))


def test_a_new_limit_holds_for_what_waits_already(ledger: Ledger, tenant: Tenant, other: Tenant) -> None:
    """And what it kept back goes when it is removed."""
    begun = claimed(ledger, accepted(ledger, tenant))
    mine, theirs = [accepted(ledger, tenant) for _ in range(2)], accepted(ledger, other)
    set_limit(ledger, Limit(tenant.id, ALL, most_at_once=1))
    assert begun.tenant_id == tenant.id
    assert [theirs.id] == ids(go(ledger))
    remove_limit(ledger, tenant.id, ALL)
    assert ids(mine) == ids(go(ledger))
    with pytest.raises(NotFound):
        remove_limit(ledger, tenant.id, ALL)


def test_a_replayed_job_is_under_the_limits_of_today(ledger: Ledger, tenant: Tenant) -> None:
    """Not only under those that it was accepted under."""
    ended = accepted(ledger, tenant)
    moves.request_cancel(ledger, ended.id, tenant_id=tenant.id)
    set_limit(ledger, Limit(ALL, PING, most_at_once=1))
    again = replaying.replay(ledger, ended.id, tenant_id=tenant.id, may_publish=True)
    assert (True, True, None) == (again.parked, again.limited, again.published_at)
    assert [ended.id] == ids(go(ledger))
    remove_limit(ledger, ALL, PING)
    moves.request_cancel(ledger, ended.id, tenant_id=tenant.id)
    assert not replaying.replay(ledger, ended.id, tenant_id=tenant.id).parked


def test_a_process_knows_the_limits_within_a_second(ledger: Ledger, tenant: Tenant, other: Tenant) -> None:
    """Those that park, quotas, and weights."""
    clock = FakeClock()
    known = KnownLimits(ledger, clock=clock)
    assert (False, None, 1.0) == (known.parks(tenant.id, PING), known.quotas(tenant.id), known.weight(tenant.id))
    set_limit(ledger, Limit(tenant.id, PING, rate_per_s=1.0))
    quotas = Limit(tenant.id, ALL, most_queued=5, weight=3)
    set_limit(ledger, quotas)
    assert not known.parks(tenant.id, PING)
    clock.at += 1.1
    assert (True, quotas, 3.0) == (known.parks(tenant.id, PING), known.quotas(tenant.id), known.weight(tenant.id))
    assert [False, False] == [known.parks(tenant.id, "other.kind"), known.parks(other.id, PING)]
    assert (None, 1.0) == (known.quotas(other.id), known.weight(other.id))
    assert 2 == len(limits.all_limits(ledger))
