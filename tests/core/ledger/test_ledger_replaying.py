"""A failed or cancelled job runs again: the one way out of a terminal state."""

import pytest

from tasks.core.errors import Conflict, NotFound
from tasks.core.ledger import Ledger, carrying, queries, replaying, state_events, transitions
from tasks.core.ledger.tenants import Tenant, create_key, tenant_of
from tasks.core.records import Cause, Job, JobState
from tests.samples import accepted, ago, claimed, running


def failed(ledger: Ledger, tenant: Tenant, **changes: object) -> Job:
    return fail(ledger, running(ledger, tenant, **changes))


def fail(ledger: Ledger, job: Job) -> Job:
    error = {"code": "transient", "message": "no"}
    ended = transitions.finish(
        ledger, job.id, fence=job.fence, state=JobState.FAILED, cause="transient", error=error, dead=True
    )
    assert ended is not None
    return ended


def replay(ledger: Ledger, job: Job, **options: bool) -> Job:
    return replaying.replay(ledger, job.id, tenant_id=job.tenant_id, **options)


def test_failed_job_is_queued_again_as_itself(ledger: Ledger, tenant: Tenant) -> None:
    """The same id, a new event, nothing left of the end; fence and attempt go on from where they were."""
    job = failed(ledger, tenant, expires_at=ago(-3600))
    back = replay(ledger, job)
    assert (back.id, back.state, back.cause, back.version) == (job.id, JobState.QUEUED, Cause.REPLAYED, job.version + 1)
    assert (back.error, back.dead, back.finished_at, back.worker, back.expires_at) == (None, False, None, None, None)
    assert (back.attempt, back.fence, back.published_at) == (1, 1, None)
    assert [event.data["cause"] for event in state_events.events_of(ledger, job.id)][-1] == "replayed"
    assert queries.job(ledger, job.id) == back


def test_replayed_job_has_its_attempts_again(ledger: Ledger, tenant: Tenant) -> None:
    """As many as the request was given, however often it is replayed and however many it used."""
    job = failed(ledger, tenant, max_attempts=2)
    for expected in (3, 4, 5):
        back = replay(ledger, job)
        assert (back.attempt, back.max_attempts) == (expected - 2, expected)
        [carried] = carrying.take_due(ledger, back.queue)
        job = fail(ledger, claimed(ledger, carried))
    assert [row.attempt for row in queries.attempts_of(ledger, job.id)] == [1, 2, 3, 4]


def test_cancelled_job_is_replayed_without_its_cancel(ledger: Ledger, tenant: Tenant) -> None:
    """What was asked of the earlier run does not stop the new one."""
    job = transitions.request_cancel(ledger, accepted(ledger, tenant).id, tenant_id=tenant.id)
    back = replay(ledger, job, may_publish=True)
    assert (back.state, back.cancel_requested_at, back.max_attempts) == (JobState.QUEUED, None, 3)


def test_message_of_an_earlier_carry_stays_void(ledger: Ledger, tenant: Tenant) -> None:
    """A cancelled job may still lie in the broker when it is replayed."""
    job = accepted(ledger, tenant)
    [published] = carrying.take_due(ledger, job.queue)
    transitions.request_cancel(ledger, job.id, tenant_id=tenant.id)
    back = replay(ledger, job, may_publish=True)
    assert transitions.claim(ledger, job.id, carry=published.carry, worker="w", child_pid=1) is None
    assert transitions.claim(ledger, job.id, carry=back.carry, worker="w", child_pid=1) is not None


def test_late_writer_of_the_failed_attempt_is_refused(ledger: Ledger, tenant: Tenant) -> None:
    """Its fence is old, whether the job waits or runs again."""
    job = failed(ledger, tenant)
    end = {"fence": job.fence, "state": JobState.SUCCEEDED, "cause": Cause.COMPLETED, "result": {"late": True}}
    back = replay(ledger, job, may_publish=True)
    assert transitions.finish(ledger, job.id, **end) is None
    claimed(ledger, back)
    assert transitions.finish(ledger, job.id, **end) is None


def test_first_carry_is_taken_only_where_nothing_waits(ledger: Ledger, tenant: Tenant) -> None:
    """A replayed job does not overtake."""
    job = failed(ledger, tenant)
    other = failed(ledger, tenant)
    assert replay(ledger, job, may_publish=True).published_at is not None
    accepted(ledger, tenant)
    assert replay(ledger, other, may_publish=True).published_at is None


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED])
def test_other_states_are_refused_with_the_remedy(ledger: Ledger, tenant: Tenant, state: JobState) -> None:
    """And nothing changes."""
    job = accepted(ledger, tenant) if state is JobState.QUEUED else running(ledger, tenant)
    if state is JobState.SUCCEEDED:
        transitions.finish(ledger, job.id, fence=job.fence, state=state, cause="completed", result={})
    before = queries.job(ledger, job.id)
    with pytest.raises(Conflict, match=f"{state}; .*(submit|without|cancel)"):
        replay(ledger, job)
    assert queries.job(ledger, job.id) == before


def test_second_retry_at_once_makes_no_second_attempt(ledger: Ledger, tenant: Tenant) -> None:
    """A double click: the second finds the job queued."""
    job = failed(ledger, tenant)
    back = replay(ledger, job)
    with pytest.raises(Conflict):
        replay(ledger, job)
    assert queries.job(ledger, job.id) == back


def test_stranger_cannot_replay(ledger: Ledger, tenant: Tenant) -> None:
    """Another tenant's job is no job."""
    stranger = tenant_of(ledger, create_key(ledger, tenant="stranger", name="key"))
    assert stranger is not None
    with pytest.raises(NotFound):
        replaying.replay(ledger, failed(ledger, tenant).id, tenant_id=stranger.id)
