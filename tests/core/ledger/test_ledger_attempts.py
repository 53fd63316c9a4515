"""Claim, finish, requeue: each a compare-and-set, so that who comes late changes nothing."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.exc import IntegrityError

from tasks.core.clock import now
from tasks.core.ledger import Ledger, carrying, queries, state_events, transitions
from tasks.core.ledger.schema import attempts
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, Delivery, Job, JobError, JobState
from tests.samples import WORKER, accepted, carried, claimed, running


def finish(ledger: Ledger, job: Job, **changes: object) -> Job | None:
    values = {"fence": job.fence, "state": JobState.SUCCEEDED, "cause": Cause.COMPLETED} | changes
    return transitions.finish(ledger, job.id, **values)


def test_claim_begins_an_attempt_under_a_new_fence(ledger: Ledger, tenant: Tenant) -> None:
    """The row names who runs it, since when, and no longer counts as published."""
    job = running(ledger, tenant, child_pid=77)
    assert (job.state, job.attempt, job.fence, job.worker, job.child_pid) == (JobState.RUNNING, 1, 1, WORKER, 77)
    assert job.published_at is None
    assert job.started_at == job.claimed_at


def test_claim_with_an_old_carry_is_refused(ledger: Ledger, tenant: Tenant) -> None:
    """A message that was carried again is void."""
    job = carried(ledger, tenant)
    assert transitions.claim(ledger, job.id, carry=job.carry - 1, worker=WORKER, child_pid=1) is None
    assert queries.job(ledger, job.id) == job


def test_second_claim_is_refused(ledger: Ledger, tenant: Tenant) -> None:
    """A doubled message starts one attempt."""
    job = running(ledger, tenant)
    assert transitions.claim(ledger, job.id, carry=job.carry, worker="other", child_pid=2) is None
    assert queries.job(ledger, job.id) == job


def test_concurrent_claims_have_one_winner(ledger: Ledger, tenant: Tenant) -> None:
    """Eight children with the same message."""
    job = carried(ledger, tenant)
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda pid: transitions.claim(ledger, job.id, carry=1, worker=WORKER, child_pid=pid), range(8))
        )
    assert len([answer for answer in answers if answer is not None]) == 1


def test_claim_of_a_cancelled_job_is_refused(ledger: Ledger, tenant: Tenant) -> None:
    """Its message may still lie in the broker."""
    job = carried(ledger, tenant)
    transitions.request_cancel(ledger, job.id, tenant_id=tenant.id)
    assert transitions.claim(ledger, job.id, carry=job.carry, worker=WORKER, child_pid=1) is None


def test_claim_of_an_unknown_job_is_refused(ledger: Ledger) -> None:
    """An erased job's message finds nothing."""
    assert transitions.claim(ledger, "no-such-job", carry=1, worker=WORKER, child_pid=1) is None


def test_finish_writes_state_and_result_at_once(ledger: Ledger, tenant: Tenant) -> None:
    """The row, its attempt and the resume state it needs no more."""
    job = running(ledger, tenant)
    transitions.keep_resume_state(ledger, job.id, fence=job.fence, resume={"page": 3})
    done = finish(ledger, job, result={"message": "hello"}, progress={"percent": 100.0})
    assert done is not None
    assert (done.state, done.result, done.resume) == (JobState.SUCCEEDED, {"message": "hello"}, None)
    assert done.progress == {"percent": 100.0}
    assert done.finished_at is not None


def test_finish_under_a_stale_fence_is_refused(ledger: Ledger, tenant: Tenant) -> None:
    """A late writer from an old claim changes nothing."""
    old = running(ledger, tenant)
    back = transitions.requeue(ledger, old.id, fence=old.fence, cause=Cause.WORKER_LOST)
    assert back is not None
    new = claimed(ledger, *carrying.take_due(ledger, "maintenance"))
    assert finish(ledger, old, result={"late": True}) is None
    assert queries.job(ledger, old.id) == new


def test_terminal_state_is_final(ledger: Ledger, tenant: Tenant) -> None:
    """Neither a second end nor a retry nor a carry moves an ended job."""
    job = running(ledger, tenant)
    done = finish(ledger, job, result={})
    assert finish(ledger, job, state=JobState.FAILED, cause="engine_error") is None
    assert transitions.requeue(ledger, job.id, fence=job.fence, cause=Cause.WORKER_LOST) is None
    assert carrying.take_due(ledger, "maintenance") == []
    assert queries.job(ledger, job.id) == done


def follow(ledger: Ledger, job: Job, following: Delivery) -> tuple[Job | None, Job | None]:
    return transitions.succeed_and_claim(
        ledger, job, result={"a": "ü"}, progress=None, following=following, may_vanish=False
    )


def test_end_and_next_claim_are_what_they_would_be_one_by_one(ledger: Ledger, tenant: Tenant) -> None:
    """Rows, attempts and events; the next one runs in the same child. Repeated, as statements are prepared anew."""
    for _ in range(7):
        job, waiting = running(ledger, tenant, child_pid=77), carried(ledger, tenant)
        ended, next_one = follow(ledger, job, Delivery(waiting.id, waiting.carry))
        assert ended is not None
        assert next_one is not None
        assert (ended.state, ended.result, ended.cause) == (JobState.SUCCEEDED, {"a": "ü"}, Cause.COMPLETED)
        assert (next_one.state, next_one.attempt, next_one.fence) == (JobState.RUNNING, 1, 1)
        assert (next_one.worker, next_one.child_pid) == (WORKER, 77)
        assert [queries.job(ledger, one.id) for one in (ended, next_one)] == [ended, next_one]
        assert [row.outcome for row in queries.attempts_of(ledger, ended.id)] == ["succeeded"]
        assert [row.outcome for row in queries.attempts_of(ledger, next_one.id)] == [None]
        assert [event.data["state"] for event in state_events.events_of(ledger, next_one.id)] == ["queued", "running"]


def test_void_delivery_does_not_keep_a_job_from_ending(ledger: Ledger, tenant: Tenant) -> None:
    """It was a duplicate."""
    job, waiting = running(ledger, tenant), carried(ledger, tenant)
    ended, next_one = follow(ledger, job, Delivery(waiting.id, waiting.carry - 1))
    assert ended is not None
    assert (ended.state, next_one) == (JobState.SUCCEEDED, None)
    assert queries.job(ledger, waiting.id) == waiting


def test_job_that_was_taken_over_does_not_keep_the_next_from_beginning(ledger: Ledger, tenant: Tenant) -> None:
    """Its fence is old; the other's message is gone, so it must not wait until it is carried again."""
    job, waiting = running(ledger, tenant), carried(ledger, tenant)
    assert transitions.requeue(ledger, job.id, fence=job.fence, cause=Cause.WORKER_LOST) is not None
    ended, next_one = follow(ledger, job, Delivery(waiting.id, waiting.carry))
    assert next_one is not None
    assert (ended, next_one.state) == (None, JobState.RUNNING)


def test_neither_is_written_without_the_other(ledger: Ledger, tenant: Tenant) -> None:
    """Here the second cannot be: the attempt that it begins is there."""
    job, waiting = running(ledger, tenant), carried(ledger, tenant)
    with ledger.write() as connection:
        row = {"job_id": waiting.id, "fence": 1, "attempt": 1, "worker": "w", "child_pid": 1, "started_at": now()}
        connection.execute(attempts.insert().values(row))
    with pytest.raises(IntegrityError):
        follow(ledger, job, Delivery(waiting.id, waiting.carry))
    assert [queries.job(ledger, one.id) for one in (job, waiting)] == [job, waiting]


def test_requeued_job_waits_for_its_delay(ledger: Ledger, tenant: Tenant) -> None:
    """A counted retry keeps its attempt number and its error; the backoff is in the row."""
    job = running(ledger, tenant)
    error = {"code": "transient", "message": "503"}
    back = transitions.requeue(ledger, job.id, fence=job.fence, cause="transient", error=error, delay_s=60)
    assert back is not None
    assert (JobState.QUEUED, 1, error, None) == (back.state, back.attempt, back.error, back.worker)
    assert back.not_before is not None
    assert carrying.take_due(ledger, "maintenance") == []


def test_uncounted_requeue_gives_the_attempt_back(ledger: Ledger, tenant: Tenant) -> None:
    """A drain is not the job's fault, yet its fence stays spent."""
    job = running(ledger, tenant)
    back = transitions.requeue(ledger, job.id, fence=job.fence, cause=Cause.DRAINED, counted=False)
    assert back is not None
    again = claimed(ledger, *carrying.take_due(ledger, "maintenance"))
    assert (back.attempt, again.attempt, again.fence) == (0, 1, 2)


@pytest.mark.parametrize("counted", [True, False])
def test_message_of_an_attempt_that_was_sent_back_is_void(ledger: Ledger, tenant: Tenant, *, counted: bool) -> None:
    """Delivered again, it would start the next attempt before its time, and by a carry that names two attempts."""
    job = running(ledger, tenant)
    transitions.requeue(ledger, job.id, fence=job.fence, cause="transient", counted=counted)
    assert transitions.claim(ledger, job.id, carry=job.carry, worker=WORKER, child_pid=1) is None


def test_requeue_under_a_stale_fence_is_refused(ledger: Ledger, tenant: Tenant) -> None:
    """Two who notice one death send the job back once."""
    job = running(ledger, tenant)
    assert transitions.requeue(ledger, job.id, fence=job.fence, cause=Cause.WORKER_LOST) is not None
    assert transitions.requeue(ledger, job.id, fence=job.fence, cause=Cause.WORKER_LOST) is None


@pytest.mark.parametrize("counted", [True, False])
def test_requeue_of_a_job_that_was_told_to_stop_ends_it(ledger: Ledger, tenant: Tenant, *, counted: bool) -> None:
    """Neither a retry nor a drain brings a cancelled job back to life."""
    job = running(ledger, tenant)
    transitions.request_cancel(ledger, job.id, tenant_id=tenant.id)
    ended = transitions.requeue(ledger, job.id, fence=job.fence, cause="transient", counted=counted)
    assert ended is not None
    assert (ended.state, ended.cause) == (JobState.CANCELLED, Cause.CANCEL_REQUESTED)
    assert [attempt.outcome for attempt in queries.attempts_of(ledger, job.id)] == [JobState.CANCELLED]


def test_started_at_is_of_the_first_attempt(ledger: Ledger, tenant: Tenant) -> None:
    """The time in the queue ends with the first claim."""
    first = running(ledger, tenant)
    transitions.requeue(ledger, first.id, fence=first.fence, cause=Cause.WORKER_LOST)
    second = claimed(ledger, *carrying.take_due(ledger, "maintenance"))
    assert second.started_at == first.started_at
    assert second.claimed_at != first.claimed_at


def test_every_attempt_leaves_a_row(ledger: Ledger, tenant: Tenant) -> None:
    """Which try, by whom, how it ended and why, oldest first."""
    job = running(ledger, tenant)
    error = {"code": "worker_lost", "message": "gone"}
    transitions.requeue(ledger, job.id, fence=1, cause="worker_lost", error=error)
    job = claimed(ledger, *carrying.take_due(ledger, "maintenance"), worker="second")
    transitions.requeue(ledger, job.id, fence=2, cause=Cause.DRAINED, counted=False)
    job = claimed(ledger, *carrying.take_due(ledger, "maintenance"), worker="third")
    rows = queries.attempts_of(ledger, job.id)
    assert [(row.attempt, row.fence, row.worker, row.outcome) for row in rows] == [
        (1, 1, WORKER, "retried"),
        (2, 2, "second", "drained"),
        (2, 3, "third", None),
    ]
    assert rows[0].error == JobError(code="worker_lost", message="gone")
    assert rows[0].seconds is not None
    assert rows[2].seconds is None


def test_resume_state_survives_into_the_next_attempt(ledger: Ledger, tenant: Tenant) -> None:
    """What one attempt kept, the next finds in its row."""
    job = running(ledger, tenant)
    assert transitions.keep_resume_state(ledger, job.id, fence=job.fence, resume={"page": 3})
    transitions.requeue(ledger, job.id, fence=job.fence, cause=Cause.WORKER_LOST)
    assert claimed(ledger, *carrying.take_due(ledger, "maintenance")).resume == {"page": 3}


@pytest.mark.parametrize("kept", ["resume", "progress"])
def test_superseded_attempt_keeps_nothing(ledger: Ledger, tenant: Tenant, kept: str) -> None:
    """Resume state and reports are fenced like the end."""
    job = running(ledger, tenant)
    keep = transitions.keep_resume_state if kept == "resume" else transitions.note_progress
    assert keep(ledger, job.id, fence=job.fence, **{kept: {"page": 1}})
    assert not keep(ledger, job.id, fence=job.fence - 1, **{kept: {"page": 0}})
    transitions.requeue(ledger, job.id, fence=job.fence, cause=Cause.WORKER_LOST)
    assert not keep(ledger, job.id, fence=job.fence, **{kept: {"page": 2}})
    row = queries.job(ledger, job.id)
    assert row is not None
    assert getattr(row, kept) == {"page": 1}


def test_pulse_tells_what_an_attempt_must_know(ledger: Ledger, tenant: Tenant) -> None:
    """State, fence and whether somebody asked to stop; nothing for an erased job."""
    job = running(ledger, tenant)
    assert queries.pulse(ledger, job.id) == queries.Pulse(JobState.RUNNING, 1, cancel_requested=False)
    transitions.request_cancel(ledger, job.id, tenant_id=tenant.id)
    assert queries.pulse(ledger, job.id) == queries.Pulse(JobState.RUNNING, 1, cancel_requested=True)
    assert queries.pulse(ledger, "no-such-job") is None


def test_versions_of_the_jobs_that_exist(ledger: Ledger, tenant: Tenant) -> None:
    """Each transition counts one; unknown ids are left out."""
    waiting, begun = accepted(ledger, tenant, queue="ai"), running(ledger, tenant)
    assert {waiting.id: 1, begun.id: 2} == queries.versions(ledger, [waiting.id, begun.id, "no-such-job"])
