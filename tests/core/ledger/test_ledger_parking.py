"""Jobs that a limit keeps back, and batches of jobs, on both databases."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tasks.core.clock import now
from tasks.core.errors import IdempotencyKeyReused
from tasks.core.ids import new_id
from tasks.core.ledger import Ledger, accepting, aging, carrying, job_batches, outbox, parking, queries, replaying
from tasks.core.ledger import transitions as moves
from tasks.core.ledger.accepting import Idempotency
from tasks.core.ledger.job_batches import Counts, JobBatch
from tasks.core.ledger.picking import due_jobs
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.tenants import Tenant, create_key, tenant_of
from tasks.core.records import Backend, BatchState, Job, JobState
from tests.samples import a_job, accepted, ago, claimed, running

KEY = Idempotency("k", "b" * 64, ttl_s=60)


def a_batch(tenant: Tenant, jobs: list[Job], **changes: Any) -> JobBatch:
    """Make a batch that no ledger knows yet."""
    values = {"name": None, "size": len(jobs), "parallel_limit": None, "fail_fast": False, "created_at": now()}
    return JobBatch(id=new_id(), tenant_id=tenant.id, **(values | changes))  # type: ignore[arg-type]  # one dictionary, many types


def batched(ledger: Ledger, tenant: Tenant, count: int, **changes: Any) -> tuple[JobBatch, list[Job]]:
    """Put a batch of jobs into the ledger."""
    jobs = [a_job(tenant) for _ in range(count)]
    batch = a_batch(tenant, jobs, **changes)
    parked = batch.parallel_limit is not None
    jobs = [replace(job, batch_id=batch.id, parked=parked) for job in jobs]
    assert accepting.accept_batch(ledger, batch, jobs) is None
    return batch, jobs


def carry_all(ledger: Ledger) -> list[Job]:
    """Release and carry what may go."""
    parking.release(ledger)
    return carrying.take_due(ledger, "maintenance")


def end(ledger: Ledger, job: Job, state: JobState = JobState.SUCCEEDED) -> None:
    """Claim and end a carried job."""
    at_work = claimed(ledger, job)
    moves.finish(ledger, job.id, fence=at_work.fence, state=state, cause="completed")


def test_job_for_later_takes_no_room(ledger: Ledger, tenant: Tenant) -> None:
    """Who has its key goes first meanwhile, and nobody is busy with it before its time."""
    accepted(ledger, tenant, concurrency_key="k", parked=True, priority=100, not_before=ago(-60))
    assert not parking.anything_parked(ledger)
    due = accepted(ledger, tenant, concurrency_key="k", parked=True, not_before=ago(1))
    assert parking.anything_parked(ledger)
    assert [due.id] == ids(carry_all(ledger))
    assert not parking.anything_parked(ledger)


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


def told(ledger: Ledger, tenant: Tenant) -> list[tuple[str, str]]:
    """What was told of batches, oldest first."""
    outbox.number(ledger)
    found = outbox.events_after(ledger, tenant.id, 0)
    return [(event.type, event.data["state"]) for event in found if event.type.startswith("batch.")]


def test_at_most_so_many_of_a_batch_are_under_way(ledger: Ledger, tenant: Tenant) -> None:
    """In their order, another one with each that ends, and none without."""
    _, jobs = batched(ledger, tenant, 5, parallel_limit=2)
    first = carry_all(ledger)
    assert ids(jobs[:2]) == ids(first)
    assert [] == carry_all(ledger)
    claimed(ledger, first[0])
    assert [] == carry_all(ledger)
    end(ledger, first[1])
    assert ids(jobs[2:3]) == ids(carry_all(ledger))


def test_what_is_parked_is_shown_to_nobody(ledger: Ledger, tenant: Tenant) -> None:
    """Neither to the dispatcher nor to a local runner, and it stands in no plain job's way."""
    batched(ledger, tenant, 3, parallel_limit=1)
    assert parking.anything_parked(ledger)
    assert [] == carrying.backlogs(ledger, ["maintenance"])
    shown = due_jobs(ledger, ["maintenance"], kinds=["maintenance.ping"], but=(), backends=[Backend.AUTO], limit=9)
    assert [] == shown
    assert accepting.accept(ledger, a_job(tenant), may_publish=True).published


def test_a_job_that_waits_for_its_next_attempt_keeps_its_place(ledger: Ledger, tenant: Tenant) -> None:
    """Else its successor would run beside it."""
    batched(ledger, tenant, 2, parallel_limit=1)
    job = claimed(ledger, carry_all(ledger)[0])
    moves.requeue(ledger, job.id, fence=job.fence, cause="transient", delay_s=60)
    assert [] == carry_all(ledger)


def test_one_of_a_key_is_under_way_at_a_time(ledger: Ledger, tenant: Tenant) -> None:
    """The best first; other keys, and other tenants' jobs with the same one, go beside it."""
    other = tenant_of(ledger, create_key(ledger, tenant="other", name="k"))
    assert other is not None
    keyed = {"concurrency_key": "site", "parked": True}
    accepted(ledger, tenant, **keyed)
    urgent = accepted(ledger, tenant, **keyed, priority=90)
    beside = [accepted(ledger, other, **keyed), accepted(ledger, tenant, parked=True, concurrency_key="another")]
    assert {*ids([urgent, *beside])} == set(ids(carry_all(ledger)))
    assert [] == carry_all(ledger)
    moves.request_cancel(ledger, urgent.id, tenant_id=tenant.id)
    assert 1 == len(carry_all(ledger))


def test_a_job_under_two_limits_needs_room_under_both(ledger: Ledger, tenant: Tenant) -> None:
    """A batch's place is not taken by one whose key is busy."""
    busy = accepted(ledger, tenant, concurrency_key="site", parked=True)
    assert [busy.id] == ids(carry_all(ledger))
    jobs = [a_job(tenant), a_job(tenant)]
    batch = a_batch(tenant, jobs, parallel_limit=1)
    keyed = [replace(jobs[0], concurrency_key="site"), jobs[1]]
    keyed = [replace(job, batch_id=batch.id, parked=True) for job in keyed]
    accepting.accept_batch(ledger, batch, keyed)
    assert [keyed[1].id] == ids(carry_all(ledger))
    assert [] == carry_all(ledger)


def test_a_replayed_job_waits_for_its_limit_again(ledger: Ledger, tenant: Tenant) -> None:
    """Even where nothing else waits in its queue."""
    _, jobs = batched(ledger, tenant, 2, parallel_limit=1)
    end(ledger, carry_all(ledger)[0], JobState.FAILED)
    assert [jobs[1].id] == ids(carry_all(ledger))
    again = replaying.replay(ledger, jobs[0].id, tenant_id=tenant.id, may_publish=True)
    assert (True, None) == (again.parked, again.published_at)
    assert [] == carry_all(ledger)


def test_a_plain_job_is_never_parked(ledger: Ledger, tenant: Tenant) -> None:
    """Not when it is replayed, nor in a batch without a limit."""
    job = running(ledger, tenant)
    moves.finish(ledger, job.id, fence=job.fence, state=JobState.FAILED, cause="x")
    assert replaying.replay(ledger, job.id, tenant_id=tenant.id, may_publish=True).published_at is not None
    batched(ledger, tenant, 3)
    assert not parking.anything_parked(ledger)
    assert 3 == len(carry_all(ledger))


def test_a_batch_is_accepted_once(ledger: Ledger, tenant: Tenant) -> None:
    """The same key answers with the first batch; for another body it is refused, and nothing is written."""
    jobs = [a_job(tenant), a_job(tenant)]
    batch = a_batch(tenant, jobs)
    jobs = [replace(job, batch_id=batch.id) for job in jobs]
    assert accepting.accept_batch(ledger, batch, jobs, idempotency=KEY) is None
    again = a_batch(tenant, jobs)
    assert batch.id == accepting.accept_batch(ledger, again, [a_job(tenant)], idempotency=KEY)
    with pytest.raises(IdempotencyKeyReused):
        accepting.accept_batch(ledger, again, [a_job(tenant)], idempotency=replace(KEY, body_sha256="c" * 64))
    assert 2 == queries.listing(ledger, Filter(tenant.id), limit=9).total
    assert ids(jobs) == job_batches.job_ids(ledger, batch.id)
    assert 2 == queries.listing(ledger, Filter(tenant.id, batch_id=batch.id), limit=9).total


def test_a_batch_ends_with_its_last_job(ledger: Ledger, tenant: Tenant) -> None:
    """Once, and that is told once."""
    batch, _ = batched(ledger, tenant, 2)
    first, last = carry_all(ledger)
    end(ledger, first)
    assert 1 == job_batches.tend(ledger, keep_trying_s=60).open
    end(ledger, last, JobState.FAILED)
    job_batches.tend(ledger, keep_trying_s=60)
    assert 0 == job_batches.tend(ledger, keep_trying_s=60).open
    assert [("batch.progressed", "running"), ("batch.ended", "partial")] == told(ledger, tenant)
    found = job_batches.batch(ledger, batch.id, tenant_id=tenant.id)
    assert found is not None
    assert found.finished_at is not None


def test_a_batch_that_fails_fast_is_stopped_by_a_failure(ledger: Ledger, tenant: Tenant) -> None:
    """Not by a success; its other jobs are for whoever tends it to cancel, until none is left."""
    batch, _ = batched(ledger, tenant, 3, fail_fast=True)
    good, bad, left = carry_all(ledger)
    end(ledger, good)
    assert [] == job_batches.tend(ledger, keep_trying_s=60).stopped
    end(ledger, bad, JobState.FAILED)
    assert [[batch.id]] * 2 == [
        [one.id for one in job_batches.tend(ledger, keep_trying_s=60).stopped] for _ in range(2)
    ]
    moves.request_cancel(ledger, left.id, tenant_id=tenant.id)
    assert [] == job_batches.tend(ledger, keep_trying_s=60).stopped
    assert ("batch.ended", "partial") == told(ledger, tenant)[-1]


def test_progress_is_told_when_it_changes_and_not_too_often(
    ledger: Ledger, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often somebody looks."""
    monkeypatch.setattr(job_batches, "_TELL_EVERY", timedelta(hours=1))
    batched(ledger, tenant, 3)
    for job in carry_all(ledger):
        claimed(ledger, job)
        job_batches.tend(ledger, keep_trying_s=60)
    assert [("batch.progressed", "running")] == told(ledger, tenant)
    monkeypatch.setattr(job_batches, "_TELL_EVERY", timedelta(0))
    job_batches.tend(ledger, keep_trying_s=60)
    job_batches.tend(ledger, keep_trying_s=60)
    assert 2 == len(told(ledger, tenant))


def test_old_batches_are_forgotten(ledger: Ledger, tenant: Tenant) -> None:
    """Those that have ended, and nobody else's batch is told of."""
    batch, _ = batched(ledger, tenant, 1)
    assert 0 == aging.old_batches(before=now()).delete(ledger, limit=9)
    end(ledger, carry_all(ledger)[0])
    job_batches.tend(ledger, keep_trying_s=60)
    assert job_batches.batch(ledger, batch.id, tenant_id=new_id()) is None
    assert 1 == aging.old_batches(before=now() + timedelta(seconds=1)).delete(ledger, limit=9)
    assert job_batches.batch(ledger, batch.id, tenant_id=tenant.id) is None


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        (Counts(queued=2), BatchState.QUEUED),
        (Counts(queued=1, succeeded=1), BatchState.RUNNING),
        (Counts(running=1), BatchState.RUNNING),
        (Counts(succeeded=2), BatchState.SUCCEEDED),
        (Counts(succeeded=1, cancelled=1), BatchState.PARTIAL),
        (Counts(failed=1, cancelled=1), BatchState.FAILED),
        (Counts(cancelled=2), BatchState.CANCELLED),
    ],
)
def test_states_of_the_jobs_make_the_state_of_the_batch(counts: Counts, state: BatchState) -> None:
    """None has begun, some have, all have ended: well, partly, not, or not at all."""
    assert state == counts.state
