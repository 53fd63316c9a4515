"""What whoever leads does about schedules."""

from datetime import timedelta

import pytest

from tasks.core.clock import now
from tasks.core.kernel import Kernel
from tasks.core.ledger import carrying, queries, schedules, tenants
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.schedule_tables import schedules as rows
from tasks.core.schedules.records import CatchUp
from tasks.registry import load_specs
from tests.core.ledger.test_ledger_schedules import kept
from tests.samples import FakeClock, ago
from workers.schedules import Scheduler


def test_ticks_are_fired_in_small_steps(local_kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many at a time, the longest due first, and busy until none is left; it looks no more often than it needs."""
    ledger = local_kernel.ledger
    monkeypatch.setattr("workers.schedules._MOST_AT_ONCE", 2)
    tenant = tenants.named(ledger, "acme")
    made = [kept(ledger, tenant) for _ in range(3)]
    with ledger.write() as connection:
        for number, one in enumerate(made):
            connection.execute(rows.update().where(rows.c.id == one.id).values(next_at=ago(10 + number)))
    clock = FakeClock()
    scheduler = Scheduler(local_kernel, load_specs(), clock=clock)
    found = []
    for _ in range(3):
        scheduler.tick()
        found.append(([job.labels["schedule"] for job in carrying.take_due(ledger, "maintenance")], scheduler.is_busy))
    assert [([made[2].id, made[1].id], True), ([made[0].id], True), ([], False)] == found
    schedules.change(ledger, tenant.id, made[0].id, {"name": "x"})
    with ledger.write() as connection:
        connection.execute(rows.update().where(rows.c.id == made[0].id).values(next_at=ago(1)))
    scheduler.tick()
    assert [] == carrying.take_due(ledger, "maintenance")
    clock.at += 1
    scheduler.tick()
    assert 1 == len(carrying.take_due(ledger, "maintenance"))


def test_schedule_that_raises_uses_its_tick_up_and_keeps_nobody_waiting(local_kernel: Kernel) -> None:
    """What another version kept may be of any shape; the schedule says so, and those that are due after it fire."""
    ledger = local_kernel.ledger
    tenant = tenants.named(ledger, "acme")
    broken, sound = (kept(ledger, tenant) for _ in range(2))
    odd = {**broken.submission, "plan": {"on_success": {"of": "another version"}}}
    with ledger.write() as connection:
        connection.execute(rows.update().where(rows.c.id == broken.id).values(next_at=ago(20), submission=odd))
        connection.execute(rows.update().where(rows.c.id == sound.id).values(next_at=ago(10)))
    Scheduler(local_kernel, load_specs()).tick()
    assert [sound.id] == [job.labels["schedule"] for job in carrying.take_due(ledger, "maintenance")]
    found = schedules.find(ledger, tenant.id, broken.id)
    assert ("refused", "internal_error") == (found.last_outcome, found.last_error["code"])
    assert found.next_at > now()


def test_look_that_raises_is_not_made_again_at_once(local_kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else whoever leads would be busy with nothing else but with writing that down."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a row of another version")

    clock = FakeClock()
    scheduler = Scheduler(local_kernel, load_specs(), clock=clock)
    tenant = tenants.named(local_kernel.ledger, "acme")
    made = kept(local_kernel.ledger, tenant)
    with local_kernel.ledger.write() as connection:
        connection.execute(rows.update().where(rows.c.id == made.id).values(next_at=ago(1)))
    scheduler.tick()
    assert scheduler.is_busy
    monkeypatch.setattr("workers.schedules.schedules.due", fail)
    with pytest.raises(RuntimeError):
        scheduler.tick()
    assert not scheduler.is_busy
    scheduler.tick()


def test_ticks_that_a_change_of_leader_delayed_are_all_fired(local_kernel: Kernel) -> None:
    """Each of them, whatever the schedule says of missed ones."""
    ledger = local_kernel.ledger
    tenant = tenants.named(ledger, "acme")
    made = kept(ledger, tenant, every_s=1, catch_up=CatchUp.SKIP, anchor=now())
    with ledger.write() as connection:
        past = {"anchor": made.anchor - timedelta(seconds=20), "next_at": made.anchor - timedelta(seconds=15)}
        connection.execute(rows.update().where(rows.c.id == made.id).values(past))
    scheduler = Scheduler(local_kernel, load_specs())
    scheduler.tick()
    while scheduler.is_busy:
        scheduler.tick()
    found = queries.listing(ledger, Filter(tenant.id), limit=100).jobs
    ticks = [job.labels["tick"] for job in found]
    assert len(ticks) == len(set(ticks)) >= 16
