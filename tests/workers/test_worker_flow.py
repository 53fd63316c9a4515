"""What whoever leads does about limits and batches."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tasks.core.clock import now
from tasks.core.ids import new_id
from tasks.core.kernel import Kernel
from tasks.core.ledger import accepting, carrying, job_batches, tenants, transitions
from tasks.core.ledger.job_batches import Counts, JobBatch
from tasks.core.records import JobState
from tests.samples import FakeClock, a_job, claimed
from workers.flow import Flow


def test_batch_that_fails_fast_is_cancelled_and_ended(kernel: Kernel) -> None:
    """One after the other under its limit of one, until one fails; the flow is busy until the batch has ended."""
    tenant = tenants.named(kernel.ledger, "acme")
    batch = JobBatch(new_id(), tenant.id, None, 4, 1, fail_fast=True, created_at=now())
    jobs = [replace(a_job(tenant), batch_id=batch.id, parked=True) for _ in range(4)]
    accepting.accept_batch(kernel.ledger, batch, jobs)
    clock = FakeClock()
    flow = Flow(kernel, clock=clock)
    for number, state in enumerate([JobState.SUCCEEDED, JobState.FAILED]):
        clock.at += 1.0
        flow.tick()
        assert flow.is_busy
        [job] = carrying.take_due(kernel.ledger, "maintenance")
        assert job.id == jobs[number].id
        at_work = claimed(kernel.ledger, job)
        transitions.finish(kernel.ledger, job.id, fence=at_work.fence, state=state, cause="x")
    clock.at += 1.0
    flow.tick()
    assert Counts(succeeded=1, failed=1, cancelled=2) == job_batches.counts(kernel.ledger, batch.id)
    clock.at += 1.0
    flow.tick()
    clock.at += 1.0
    flow.tick()
    assert not flow.is_busy


def test_one_that_fails_keeps_nobody_from_the_others_and_is_not_tried_at_once(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is asked in its time, and what was to be done at the look before makes nobody busy then."""
    tenant = tenants.named(kernel.ledger, "acme")
    for _ in range(2):
        accepting.accept(kernel.ledger, a_job(tenant, concurrency_key="k", parked=True))
    clock = FakeClock()
    flow = Flow(kernel, clock=clock)
    flow.tick()
    assert flow.is_busy
    flow._has_batches = flow._has_held = flow._follow_ups.is_busy = True
    asked: list[str] = []

    def failing(name: str) -> Callable[..., None]:
        def fail(*_: object, **__: object) -> None:
            asked.append(name)
            raise RuntimeError("a row of another version")

        return fail

    names = ["flow.job_batches.tend", "flow.pauses.tend", "flow.parking.release", "following.start_due"]
    for name in names:
        monkeypatch.setattr(f"workers.{name}", failing(name))
    monkeypatch.setattr("workers.following.follow_ups.anything_waits", lambda _: True)
    clock.at += 1.0
    with capture_logs() as logs:
        flow.tick()
    assert names == asked
    assert ["duty_failed"] * 4 == [line["event"] for line in logs]
    assert not flow.is_busy


def test_flow_looks_no_more_often_than_it_needs_to(kernel: Kernel) -> None:
    """However often the dispatcher ticks."""
    tenant = tenants.named(kernel.ledger, "acme")
    clock = FakeClock()
    flow = Flow(kernel, clock=clock)
    clock.at += 1.0
    flow.tick()
    accepting.accept(kernel.ledger, a_job(tenant, concurrency_key="k", parked=True))
    flow.tick()
    assert [] == carrying.take_due(kernel.ledger, "maintenance")
    clock.at += 0.11
    flow.tick()
    assert 1 == len(carrying.take_due(kernel.ledger, "maintenance"))
