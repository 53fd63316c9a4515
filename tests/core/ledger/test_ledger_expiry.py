"""What is too old is not started any more; what is silent shows no signs."""

from tasks.core.ledger import Ledger, carrying, fleet, queries, state_events, transitions
from tasks.core.ledger.schema import jobs as jobs_table
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, JobState
from tests.samples import WORKER, accepted, ago, carried, claimed, running


def test_job_that_nobody_started_in_time_fails(ledger: Ledger, tenant: Tenant) -> None:
    """Waiting, in the broker, or between two attempts; with its state event, and not as dead."""
    late = [accepted(ledger, tenant, expires_at=ago(1)), accepted(ledger, tenant, expires_at=ago(2), carry=1)]
    retried = claimed(ledger, carried(ledger, tenant, expires_at=ago(-60)))
    transitions.requeue(ledger, retried.id, fence=retried.fence, cause="transient", delay_s=600)
    with ledger.write() as connection:
        connection.execute(jobs_table.update().where(jobs_table.c.id == retried.id).values(expires_at=ago(3)))
    others = [accepted(ledger, tenant), accepted(ledger, tenant, expires_at=ago(-60))]

    ended = transitions.expire(ledger)

    assert [retried.id, late[1].id, late[0].id] == [job.id for job in ended]
    assert {(JobState.FAILED, Cause.EXPIRED, "expired", False)} == {
        (job.state, job.cause, job.error["code"], job.dead) for job in ended
    }
    assert [1, 2] == [event.n for event in state_events.events_of(ledger, late[0].id)]
    assert others == [queries.job(ledger, job.id) for job in others]
    assert [] == transitions.expire(ledger)


def testjobs_table_expire_in_bounded_batches_the_oldest_first(ledger: Ledger, tenant: Tenant) -> None:
    """A million of them must not hold the ledger for minutes."""
    jobs = [accepted(ledger, tenant, expires_at=ago(seconds)) for seconds in (1, 3, 2)]
    assert [jobs[1].id, jobs[2].id] == [job.id for job in transitions.expire(ledger, limit=2)]
    assert [jobs[0].id] == [job.id for job in transitions.expire(ledger, limit=2)]


def test_running_job_does_not_expire(ledger: Ledger, tenant: Tenant) -> None:
    """It was started in time."""
    job = claimed(ledger, carried(ledger, tenant, expires_at=ago(-60)))
    with ledger.write() as connection:
        connection.execute(jobs_table.update().values(expires_at=ago(1)))
    assert [] == transitions.expire(ledger)
    assert queries.job(ledger, job.id).state == JobState.RUNNING


def test_expired_job_is_neither_carried_nor_claimed(ledger: Ledger, tenant: Tenant) -> None:
    """Also where no dispatcher has ended it yet."""
    accepted(ledger, tenant, expires_at=ago(1))
    published = accepted(ledger, tenant, expires_at=ago(1), carry=1, published_at=ago(5))
    assert [] == carrying.backlogs(ledger, ["maintenance"])
    assert [] == carrying.take_due(ledger, "maintenance")
    assert [] == carrying.take_again(ledger, [(published.id, 1)])
    assert transitions.claim(ledger, published.id, carry=1, worker=WORKER, child_pid=1) is None


def test_signs_grow_under_the_fence_that_owns_the_job(ledger: Ledger, tenant: Tenant) -> None:
    """With a kept report, or alone; a superseded attempt shows none."""
    job = running(ledger, tenant, silence_s=8.0)
    running(ledger, tenant)
    assert transitions.note_sign(ledger, job.id, fence=job.fence)
    assert transitions.note_progress(ledger, job.id, fence=job.fence, progress={"percent": 1})
    assert not transitions.note_sign(ledger, job.id, fence=job.fence + 1)
    assert [fleet.Watched(job.id, job.fence, WORKER, 2, 8.0)] == fleet.watched(ledger)


def test_attempts_tell_where_they_were_begun(ledger: Ledger, tenant: Tenant) -> None:
    """And whether they still own their job; those that the ledger does not know are left out."""
    job = running(ledger, tenant, child_pid=11)
    transitions.requeue(ledger, job.id, fence=1, cause="silent")
    claimed(ledger, *carrying.take_due(ledger, "maintenance"), child_pid=12, worker="other")
    found = fleet.places_of(ledger, [(job.id, 1), (job.id, 2), (job.id, 3)])
    assert {
        (job.id, 1): fleet.AttemptPlace(WORKER, 11, owns=False),
        (job.id, 2): fleet.AttemptPlace("other", 12, owns=True),
    } == found
