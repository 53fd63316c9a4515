"""Many jobs at once, by filter: bounded batches, only what the act applies to, only this tenant's."""

import pytest

from tasks.core.ledger import Ledger, batches, queries, state_events, transitions
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.tenants import Tenant, create_key, tenant_of
from tasks.core.records import Cause, Job, JobState
from tests.samples import accepted, running


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH", 2)


def ended(ledger: Ledger, tenant: Tenant, state: JobState, **changes: object) -> Job:
    job = running(ledger, tenant, **changes)
    done = transitions.finish(ledger, job.id, fence=job.fence, state=state, cause="because")
    assert done is not None
    return done


def states(ledger: Ledger, jobs: list[Job]) -> list[str]:
    found = [queries.job(ledger, job.id) for job in jobs]
    return ["gone" if job is None else job.state for job in found]


def test_cancel_takes_queued_jobs_and_flags_running_ones(ledger: Ledger, tenant: Tenant) -> None:
    """In batches, oldest first; what has ended is left alone."""
    jobs = [accepted(ledger, tenant) for _ in range(3)]
    busy = running(ledger, tenant)
    done = ended(ledger, tenant, JobState.SUCCEEDED)
    touched = list(batches.cancel(ledger, Filter(tenant.id), limit=100))
    assert [2, 2] == [len(batch) for batch in touched]
    assert ["cancelled"] * 3 + ["running", "succeeded"] == states(ledger, [*jobs, busy, done])
    pulse = queries.pulse(ledger, busy.id)
    assert pulse is not None
    assert pulse.cancel_requested
    assert ["accepted", Cause.CANCEL_REQUESTED] == [
        event.data["cause"] for event in state_events.events_of(ledger, jobs[0].id)
    ]
    assert list(batches.cancel(ledger, Filter(tenant.id), limit=100)) == []


def test_limit_is_kept_across_batches(ledger: Ledger, tenant: Tenant) -> None:
    """The oldest go first."""
    jobs = [accepted(ledger, tenant) for _ in range(5)]
    list(batches.cancel(ledger, Filter(tenant.id), limit=3))
    assert ["cancelled"] * 3 + ["queued"] * 2 == states(ledger, jobs)


def test_replay_takes_failed_and_cancelled_jobs(ledger: Ledger, tenant: Tenant) -> None:
    """Each with its own attempts again."""
    one = ended(ledger, tenant, JobState.FAILED, max_attempts=1)
    two = ended(ledger, tenant, JobState.CANCELLED, max_attempts=5)
    good = ended(ledger, tenant, JobState.SUCCEEDED)
    [batch] = batches.replay(ledger, Filter(tenant.id), limit=10)
    assert {one.id: 2, two.id: 6} == {job.id: job.max_attempts for job in batch}
    assert ["queued", "queued", "succeeded"] == states(ledger, [one, two, good])


def test_erase_takes_finished_jobs(ledger: Ledger, tenant: Tenant) -> None:
    """With their rows in every table."""
    done = [ended(ledger, tenant, state, labels={"a": "b"}) for state in (JobState.FAILED, JobState.SUCCEEDED)]
    waiting = accepted(ledger, tenant)
    [batch] = batches.erase(ledger, Filter(tenant.id), limit=10)
    assert {job.id for job in done} == {job.id for job in batch}
    assert ["gone", "gone", "queued"] == states(ledger, [*done, waiting])


def test_filter_and_tenant_are_kept_to(ledger: Ledger, tenant: Tenant) -> None:
    """What does not match is not touched."""
    stranger = tenant_of(ledger, create_key(ledger, tenant="stranger", name="key"))
    assert stranger is not None
    jobs = [
        accepted(ledger, tenant, site="a"),
        accepted(ledger, tenant, site="b"),
        accepted(ledger, stranger, site="a"),
    ]
    list(batches.cancel(ledger, Filter(tenant.id, site="a"), limit=10))
    assert ["cancelled", "queued", "queued"] == states(ledger, jobs)


def test_reach_counts_matches_and_those_that_the_act_applies_to(ledger: Ledger, tenant: Tenant) -> None:
    """What a confirmation has to name."""
    accepted(ledger, tenant)
    ended(ledger, tenant, JobState.FAILED)
    wanted = Filter(tenant.id)
    assert batches.Reach(2, 1) == batches.reach(ledger, wanted, batches.CANCELLABLE)
    assert batches.Reach(2, 1) == batches.reach(ledger, wanted, batches.RETRYABLE)
    assert batches.Reach(0, 0) == batches.reach(ledger, Filter(tenant.id, site="x"), batches.ERASABLE)
