"""Two dispatchers run and one acts; whichever dies or freezes, the work goes on."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from tasks.core.ledger import leases, schedules
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.schema import jobs
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import JobState
from tasks.core.schedules.records import CatchUp
from tasks.dispatch import cancel_matching
from tests.core.ledger.test_ledger_schedules import kept
from tests.integration.house import House
from tests.integration.processes import CommandContainer, await_true, family_of, freeze, thaw
from tests.samples import PING

_BACKLOG = 100


@pytest.fixture(scope="module")
def house_settings() -> dict[str, str]:
    """A short lease, so that a successor soon takes over; the usual time to claim, because carries are counted."""
    return {"lease_s": "2", "carry_again_s": "20"}


@pytest.fixture
def other(house: House, dispatcher: CommandContainer) -> Iterator[CommandContainer]:
    """A second dispatcher, which stands by while the house's own leads."""
    other = house.start("dispatcher", "-m", "workers", "dispatcher", prompt="dispatcher_started")
    await_true(lambda: "dispatcher_stands_by" in other.logs(), what="the second dispatcher stands by")
    yield other
    other.kill("SIGCONT")
    other.kill("SIGTERM")
    other.wait(within_s=10)


def term(house: House) -> int:
    """Return the number of the present leader's term."""
    lease = leases.lease(house.kernel.ledger, leases.DISPATCHER)
    assert lease is not None
    return lease.term


def test_successor_of_a_killed_leader_does_its_work(
    house: House, dispatcher: CommandContainer, other: CommandContainer
) -> None:
    """A retry, which only a dispatcher can carry, runs although the leader was killed before."""
    before = term(house)
    dispatcher.kill("SIGKILL")

    job = house.await_end(house.submit("transient", until_attempt=1))

    assert (JobState.SUCCEEDED, 2) == (job.state, job.attempt)
    assert before + 1 == term(house)
    other.kill("SIGTERM")
    other.wait(within_s=10)
    dispatcher.restart()
    again = house.await_end(house.submit("transient", until_attempt=1))
    assert (JobState.SUCCEEDED, before + 2) == (again.state, term(house))


def test_ticks_come_once_across_a_leaders_death(
    house: House, dispatcher: CommandContainer, other: CommandContainer
) -> None:
    """Five schedules, a tick a second each: none is lost with the leader, and none comes twice."""
    ledger = house.kernel.ledger
    tenant = Tenant(house.tenant_id, "tests")
    made = [kept(ledger, tenant, every_s=1, catch_up=CatchUp.ALL) for _ in range(5)]

    def ticks() -> dict[str, list[datetime]]:
        found: dict[str, list[datetime]] = {one.id: [] for one in made}
        with ledger.read() as connection:
            labelled = sa.select(jobs.c.labels).where(jobs.c.correlation_id.in_(found))
            for labels in connection.execute(labelled).scalars():
                found[labels["schedule"]].append(datetime.fromisoformat(labels["tick"]))
        return {schedule_id: sorted(times) for schedule_id, times in found.items()}

    def last() -> datetime:
        return min(max(times, default=made[0].anchor) for times in ticks().values())

    await_true(lambda: last() > made[0].anchor, what="the leader fires")
    dispatcher.kill("SIGKILL")
    killed_at = last()
    await_true(lambda: last() > killed_at + timedelta(seconds=2), what="its successor makes up for what came meanwhile")
    for one in made:
        schedules.delete(ledger, house.tenant_id, one.id)
    for times in ticks().values():
        assert times == [times[0] + timedelta(seconds=n) for n in range(len(times))]
    # No worker of this house takes them.
    cancel_matching(house.kernel, house.carrier, Filter(tenant.id, kind=PING), limit=10_000)
    other.kill("SIGTERM")
    other.wait(within_s=10)
    dispatcher.restart()


def test_leader_that_was_frozen_stands_down(
    house: House, dispatcher: CommandContainer, other: CommandContainer
) -> None:
    """While it is frozen and after it is back every job is carried, and each attempt starts once."""
    frozen = family_of(dispatcher.pid)
    freeze(frozen, house.kernel.ledger)
    jobs = [house.submit("transient", until_attempt=1) for _ in range(5)]
    ended = [house.await_end(job) for job in jobs]

    thaw(frozen)

    await_true(lambda: "dispatcher_stood_down" in dispatcher.logs(), what="the frozen leader stands down")
    ended += [house.await_end(house.submit("transient", until_attempt=1)) for _ in range(5)]
    assert [(JobState.SUCCEEDED, [(1, 1), (2, 2)], 3)] * 10 == [
        (job.state, house.effects(job), job.carry) for job in ended
    ]


def test_backlog_is_published_once_each(house: House, other: CommandContainer) -> None:
    """Far more jobs than the broker may hold are carried once each, and run once each."""
    blocker = house.submit("sleep", seconds=100)
    house.await_start(blocker)
    jobs = [house.submit() for _ in range(_BACKLOG)]
    house.cancel(blocker)

    ended = [house.await_end(job) for job in jobs]

    assert {(JobState.SUCCEEDED, 1, 1)} == {(job.state, job.carry, len(house.effects(job))) for job in ended}
