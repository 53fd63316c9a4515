"""Callbacks in the ledger: each end told once to each who hears of it, taken by one sender at a time."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from tasks.core.callbacks.records import ENDS, TEST, DeliveryState, OffReason, OwnCallback, Tried, Webhook
from tasks.core.clock import now
from tasks.core.domain_events import Emission
from tasks.core.errors import Conflict, NotFound
from tasks.core.ids import new_id
from tasks.core.ledger import (
    Ledger,
    accepting,
    aging,
    batches,
    callbacks,
    deliveries,
    job_batches,
    outbox,
    transitions,
    webhooks,
)
from tasks.core.ledger.aging import old_deliveries
from tasks.core.ledger.callback_tables import callback_deliveries
from tasks.core.ledger.deliveries import Taken, Wanted
from tasks.core.ledger.job_batches import JobBatch
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.replaying import replay
from tasks.core.ledger.schema import state_events
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, Job, JobState
from tests.core.ledger.test_ledger_outbox import a_tenant
from tests.samples import a_job, accepted, ago, claimed, running

URL = "https://hooks.example.com/in"
DAY_S = 86400.0
OFF_AFTER_S = 3600.0


def a_webhook(ledger: Ledger, tenant: Tenant, *events: str, url: str = URL, enabled: bool = True) -> Webhook:
    return webhooks.create(
        ledger,
        tenant.id,
        webhook_id=new_id(),
        url=url,
        events=events or ENDS,
        description="",
        sealed=b"sealed",
        enabled=enabled,
    )


def with_callback(ledger: Ledger, tenant: Tenant, *, events: Sequence[str] = ENDS, **changes: Any) -> Job:
    job = a_job(tenant, **changes)
    asked = OwnCallback(URL, events)
    own = webhooks.own_webhook(asked, tenant.id, webhook_id=new_id(), sealed=None, at=now(), job_id=job.id)
    return accepting.accept(ledger, job, may_publish=True, callback=own).job


def ended(ledger: Ledger, job: Job, state: JobState = JobState.SUCCEEDED, **changes: Any) -> None:
    assert transitions.finish(ledger, job.id, fence=job.fence, state=state, cause=Cause.COMPLETED, **changes)


def tell(ledger: Ledger) -> None:
    callbacks.tell_transitions(ledger, keep_trying_s=DAY_S)
    outbox.number(ledger)
    callbacks.tell_domain_events(ledger, keep_trying_s=DAY_S)


def told(ledger: Ledger, tenant: Tenant) -> list[tuple[str, str | None]]:
    found = deliveries.page(ledger, Wanted(tenant.id), limit=100)
    return sorted((one.type, one.job_id) for one in found)


def take_one(ledger: Ledger, *, hold_s: float = 60.0) -> Taken:
    (lane,) = deliveries.due_lanes(ledger)
    (taken,) = deliveries.take(ledger, lane.name, limit=1, hold_s=hold_s)
    return taken


def tried(status: int | None) -> Tried:
    return Tried(now(), 5.0, status, None if status == 200 else "status")


def due_now(ledger: Ledger) -> None:
    with ledger.write() as connection:
        pending = callback_deliveries.c.state == DeliveryState.PENDING
        connection.execute(callback_deliveries.update().where(pending).values(next_try_at=ago(1)))


def test_end_of_a_job_with_a_callback_is_told_once(ledger: Ledger, tenant: Tenant) -> None:
    """Also when two senders look, and only the end unless the start was asked for."""
    job = claimed(ledger, with_callback(ledger, tenant))
    tell(ledger)
    assert [] == told(ledger, tenant)
    ended(ledger, job)
    tell(ledger)
    with ledger.write() as connection:  # as if a second sender had read it before the first one was done
        connection.execute(state_events.update().values(calls_back=True))
    tell(ledger)
    assert [("job.succeeded", job.id)] == told(ledger, tenant)
    (delivery,) = deliveries.page(ledger, Wanted(tenant.id, job_id=job.id), limit=10)
    assert '"kind":"maintenance.ping"' in delivery.body
    assert f'"href":"/api/jobs/{job.id}"' in delivery.body


def test_end_of_a_batch_with_a_callback_is_told_once(ledger: Ledger, tenant: Tenant) -> None:
    """And nothing of its jobs; the batch takes it along when it is forgotten."""
    batch = JobBatch(new_id(), tenant.id, None, 1, None, fail_fast=False, created_at=now())
    job = a_job(tenant, batch_id=batch.id)
    asked = OwnCallback(URL, ["batch.ended"])
    own = webhooks.own_webhook(asked, tenant.id, webhook_id=new_id(), sealed=None, at=now(), batch_id=batch.id)
    accepting.accept_batch(ledger, batch, [job], callbacks=[own])
    assert [] == webhooks.listed(ledger, tenant.id)
    assert transitions.request_cancel(ledger, job.id, tenant_id=tenant.id).state is JobState.CANCELLED
    for _ in range(2):
        job_batches.tend(ledger, keep_trying_s=DAY_S)
        tell(ledger)
    assert [("batch.ended", None)] == told(ledger, tenant)
    (delivery,) = deliveries.page(ledger, Wanted(tenant.id), limit=10)
    data = json.loads(delivery.body)["data"]
    assert ("cancelled", 1) == (data["state"], data["counts"]["cancelled"])
    assert f"/api/jobs/batch/{batch.id}" == data["href"]
    assert 0 == aging.callbacks_of_forgotten_batches().delete(ledger, limit=9)
    assert 1 == aging.old_batches(before=ago(-1)).delete(ledger, limit=9)
    assert 1 == aging.callbacks_of_forgotten_batches().delete(ledger, limit=9)
    assert [] == told(ledger, tenant)


def test_start_is_told_to_who_asks_for_it(ledger: Ledger, tenant: Tenant) -> None:
    """A pattern names all events of jobs."""
    job = claimed(ledger, with_callback(ledger, tenant, events=["job.*"]))
    ended(ledger, job, JobState.FAILED, error={"code": "x", "message": "y"})
    tell(ledger)
    assert [("job.failed", job.id), ("job.started", job.id)] == told(ledger, tenant)


def test_every_way_to_an_end_is_told(ledger: Ledger, tenant: Tenant) -> None:
    """Cancelled in the queue, one or many; expired; lost for good; by whatever code that is."""
    one, of_many, late = (accepted(ledger, tenant, **more) for more in ({}, {}, {"expires_at": ago(1)}))
    lost = running(ledger, tenant, max_attempts=1)
    a_webhook(ledger, tenant)  # made while they are under way
    transitions.request_cancel(ledger, one.id, tenant_id=tenant.id)
    assert [late.id] == [job.id for job in transitions.expire(ledger)]
    assert [of_many.id] == [job.id for batch in batches.cancel(ledger, _queued(tenant), limit=10) for job in batch]
    ended(ledger, lost, JobState.FAILED, dead=True)
    tell(ledger)
    expected = [("job.cancelled", one.id), ("job.cancelled", of_many.id)]
    expected += [("job.failed", late.id), ("job.failed", lost.id)]
    assert sorted(expected) == told(ledger, tenant)


def _queued(tenant: Tenant) -> Filter:
    return Filter(tenant_id=tenant.id, states=[JobState.QUEUED])


def test_nobody_hears_of_another_tenant_and_nothing_is_noted_for_nobody(ledger: Ledger, tenant: Tenant) -> None:
    """A job of who wants no callbacks leaves no trace of them."""
    other = a_tenant(ledger, "other")
    a_webhook(ledger, other)
    ended(ledger, running(ledger, tenant))
    with ledger.read() as connection:
        noted = sa.select(sa.func.count()).where(state_events.c.calls_back == sa.true())
        assert 0 == connection.execute(noted).scalar_one()
    tell(ledger)
    assert ([], []) == (told(ledger, tenant), told(ledger, other))


def test_a_replayed_job_is_told_of_at_each_of_its_ends(ledger: Ledger, tenant: Tenant) -> None:
    """A second end is another event, with another id."""
    job = claimed(ledger, with_callback(ledger, tenant))
    ended(ledger, job, JobState.FAILED)
    tell(ledger)
    again = replay(ledger, job.id, tenant_id=tenant.id, may_publish=True)
    ended(ledger, claimed(ledger, again))
    tell(ledger)
    assert [("job.failed", job.id), ("job.succeeded", job.id)] == told(ledger, tenant)


def test_domain_events_are_told_from_the_moment_an_endpoint_is_there(ledger: Ledger, tenant: Tenant) -> None:
    """Once, by pattern, and none of jobs: those are told by their transitions."""
    ended(ledger, running(ledger, tenant), emitted=[Emission("site.crawled", {"pages": 1})])
    outbox.number(ledger)
    a_webhook(ledger, tenant, "site.*", "job.dead")
    job = running(ledger, tenant)
    ended(ledger, job, emitted=[Emission("site.crawled", {"pages": 2}), Emission("page.found", {})])
    ended(ledger, running(ledger, tenant), JobState.FAILED, dead=True)
    for _ in range(2):
        tell(ledger)
    assert [("site.crawled", job.id)] == told(ledger, tenant)


def test_a_delivery_is_taken_by_one_and_comes_back_when_its_taker_is_silent(ledger: Ledger, tenant: Tenant) -> None:
    """Under the same id; what the silent one says later is refused."""
    ended(ledger, claimed(ledger, with_callback(ledger, tenant)))
    tell(ledger)
    silent = take_one(ledger)
    assert [] == deliveries.due_lanes(ledger)
    due_now(ledger)  # its hold is over
    second = take_one(ledger)
    assert (silent.delivery.id, 1, 2) == (second.delivery.id, silent.delivery.tries, second.delivery.tries)
    deliveries.record(ledger, silent, tried(500), again_in_s=None, off_after_s=OFF_AFTER_S)
    assert DeliveryState.PENDING == deliveries.find(ledger, tenant.id, second.delivery.id).state
    deliveries.record(ledger, second, tried(200), again_in_s=None, off_after_s=OFF_AFTER_S)
    found = deliveries.find(ledger, tenant.id, second.delivery.id)
    assert (DeliveryState.DELIVERED, [200]) == (found.state, [one["status"] for one in found.attempts])


def test_failed_tries_are_kept_and_the_next_one_waits(ledger: Ledger, tenant: Tenant) -> None:
    """A success clears what was noted against the endpoint."""
    webhook = a_webhook(ledger, tenant)
    ended(ledger, running(ledger, tenant))
    tell(ledger)
    deliveries.record(ledger, take_one(ledger), tried(500), again_in_s=30, off_after_s=OFF_AFTER_S)
    assert [] == deliveries.due_lanes(ledger)
    assert webhooks.find(ledger, tenant.id, webhook.id).failing_since is not None
    due_now(ledger)
    deliveries.record(ledger, take_one(ledger), tried(200), again_in_s=None, off_after_s=OFF_AFTER_S)
    assert webhooks.find(ledger, tenant.id, webhook.id).failing_since is None
    counted = webhooks.stats(ledger, webhook.id)
    assert (0, 1, 0) == (counted.pending, counted.delivered, counted.dead)


@pytest.mark.parametrize(("status", "off_after_s", "reason"), [(500, 0.0, OffReason.FAILING), (410, 1e6, "gone")])
def test_endpoint_that_fails_for_long_or_is_gone_is_switched_off(
    ledger: Ledger, tenant: Tenant, status: int, off_after_s: float, reason: str
) -> None:
    """Its tenant is told, what was pending is dead, nothing new is written; switched on, the dead can be replayed."""
    webhook = a_webhook(ledger, tenant)
    for _ in range(2):
        ended(ledger, running(ledger, tenant))
    tell(ledger)
    off = deliveries.record(ledger, take_one(ledger), tried(status), again_in_s=30, off_after_s=off_after_s)
    assert reason == off
    shown = webhooks.find(ledger, tenant.id, webhook.id)
    assert (False, reason) == (shown.enabled, shown.off_reason)
    outbox.number(ledger)
    assert "webhook.switched_off" in [one.type for one in outbox.events_after(ledger, tenant.id, 0)]
    ended(ledger, running(ledger, tenant))
    tell(ledger)
    states = [one.state for one in deliveries.page(ledger, Wanted(tenant.id), limit=10)]
    assert [DeliveryState.DEAD] * 2 == states
    first = deliveries.page(ledger, Wanted(tenant.id), limit=1)[0]
    with pytest.raises(Conflict):
        deliveries.replay(ledger, tenant.id, first.id, keep_trying_s=DAY_S)
    webhooks.change(ledger, tenant.id, webhook.id, {"enabled": True})
    assert 2 == deliveries.replay_dead(ledger, webhook.id, keep_trying_s=DAY_S, limit=10)
    assert 2 == deliveries.due_lanes(ledger)[0].due


def test_delivery_is_replayed_under_its_id(ledger: Ledger, tenant: Tenant) -> None:
    """Also one that had arrived; a pending one is not."""
    ended(ledger, claimed(ledger, with_callback(ledger, tenant)))
    tell(ledger)
    taken = take_one(ledger)
    with pytest.raises(Conflict):
        deliveries.replay(ledger, tenant.id, taken.delivery.id, keep_trying_s=DAY_S)
    deliveries.record(ledger, taken, tried(200), again_in_s=None, off_after_s=OFF_AFTER_S)
    deliveries.replay(ledger, tenant.id, taken.delivery.id, keep_trying_s=DAY_S)
    again = take_one(ledger)
    assert (taken.delivery.id, taken.delivery.body) == (again.delivery.id, again.delivery.body)
    with pytest.raises(NotFound):
        deliveries.replay(ledger, a_tenant(ledger, "other").id, taken.delivery.id, keep_trying_s=DAY_S)


def test_a_test_is_told_to_an_endpoint_that_is_off_and_counts_for_nothing(ledger: Ledger, tenant: Tenant) -> None:
    """So that a tenant can look before switching it on."""
    webhook = a_webhook(ledger, tenant, enabled=False)
    callbacks.tell_test(ledger, webhook, TEST)
    taken = take_one(ledger)
    assert taken.delivery.give_up_at <= taken.now
    deliveries.record(ledger, taken, tried(500), again_in_s=None, off_after_s=0.0)
    assert webhooks.find(ledger, tenant.id, webhook.id).failing_since is None


def test_lanes_of_all_tenants_come_before_the_second_lane_of_any(ledger: Ledger, tenant: Tenant) -> None:
    """However long one tenant's are due."""
    for number in range(3):
        a_webhook(ledger, tenant, url=f"https://{number}.example.com/")
    ended(ledger, running(ledger, tenant))
    other = a_tenant(ledger, "other")
    a_webhook(ledger, other)
    ended(ledger, running(ledger, other))
    tell(ledger)
    lanes = deliveries.due_lanes(ledger)
    assert {tenant.id, other.id} == {lane.tenant_id for lane in lanes[:2]}
    assert 4 == len(lanes)


def test_erased_job_takes_its_callback_along_and_a_webhook_its_deliveries(ledger: Ledger, tenant: Tenant) -> None:
    """What is left is what another endpoint was told."""
    webhook = a_webhook(ledger, tenant)
    job = claimed(ledger, with_callback(ledger, tenant))
    ended(ledger, job)
    tell(ledger)
    assert 2 == len(told(ledger, tenant))
    transitions.erase(ledger, job.id, tenant_id=tenant.id)
    assert [webhook.id] == [one.webhook_id for one in deliveries.page(ledger, Wanted(tenant.id), limit=10)]
    webhooks.delete(ledger, tenant.id, webhook.id)
    assert [] == told(ledger, tenant)


def test_old_deliveries_go_unless_they_are_pending(ledger: Ledger, tenant: Tenant) -> None:
    """What is still to be sent is never too old."""
    a_webhook(ledger, tenant)
    for _ in range(2):
        ended(ledger, running(ledger, tenant))
    tell(ledger)
    deliveries.record(ledger, take_one(ledger), tried(200), again_in_s=None, off_after_s=OFF_AFTER_S)
    assert 1 == old_deliveries(before=now()).delete(ledger, limit=10)
    assert 1 == len(told(ledger, tenant))
