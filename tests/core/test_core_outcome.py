"""What follows an attempt that did not succeed: again, over, or cancelled."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core.clock import now
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, carrying, queries, transitions
from tasks.core.ledger.schema import jobs
from tasks.core.ledger.tenants import Tenant
from tasks.core.outcome import backoff_s, end_attempt, settle_lost
from tasks.core.records import Cause, Job, JobState
from tasks.core.spec import FAST, HEAVY, NONE, RETRY_PRESETS, STANDARD, RetryPreset
from tests.samples import WORKER, accepted, claimed, running


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


@pytest.fixture
def job(kernel: Kernel, tenant: Tenant) -> Job:
    return running(kernel.ledger, tenant, max_attempts=2)


def fail(kernel: Kernel, job: Job, *, retryable: bool = True, cause: str = "transient") -> Job | None:
    return end_attempt(kernel.ledger, job, cause=cause, message="because", retryable=retryable)


def again(kernel: Kernel, job: Job) -> Job:
    """The next attempt, without waiting for its backoff."""
    with kernel.ledger.write() as connection:
        from tasks.core.ledger.schema import jobs

        connection.execute(jobs.update().values(not_before=None))
    return claimed(kernel.ledger, *carrying.take_due(kernel.ledger, job.queue))


@pytest.mark.parametrize(
    ("preset", "attempt", "ceiling"), [(FAST, 1, 1), (FAST, 4, 8), (STANDARD, 1, 2), (HEAVY, 20, 600)]
)
def test_backoff_is_drawn_from_zero_to_its_ceiling(preset, attempt: int, ceiling: float) -> None:
    """Full jitter: the whole range, and nothing outside."""
    drawn = [backoff_s(preset, attempt) for _ in range(2000)]
    assert 0 <= min(drawn) < 0.1 * ceiling
    assert 0.9 * ceiling < max(drawn) <= ceiling


def test_presets_are_as_agreed() -> None:
    """Attempts in all, and the first ceiling in seconds."""
    agreed = {"FAST": (3, 1), "STANDARD": (5, 2), "HEAVY": (8, 5), "CRITICAL": (12, 10), "NONE": (1, 0)}
    assert agreed == {name: (preset.max_attempts, preset.base_s) for name, preset in RETRY_PRESETS.items()}


@given(preset=st.sampled_from(list(RETRY_PRESETS.values())), attempt=st.integers(1, 200), seed=st.integers(0, 2**32))
def test_no_wait_is_negative_or_over_its_ceiling(preset: RetryPreset, attempt: int, seed: int) -> None:
    """Exponential up to the cap, for every preset and however many attempts."""
    random.seed(seed)
    wait_s = backoff_s(preset, attempt)
    assert 0 <= wait_s <= min(preset.cap_s, preset.base_s * 2 ** (attempt - 1))
    assert backoff_s(preset, attempt, cap_s=3.0) <= 3.0


@given(attempt=st.integers(1, 10))
def test_ceiling_doubles_with_each_attempt_until_the_cap(attempt: int) -> None:
    """The draw at the top of the range shows the ceiling."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.core.outcome.random.uniform", lambda _low, high: high)
        ceilings = backoff_s(STANDARD, attempt), backoff_s(STANDARD, attempt + 1)
    assert ceilings == (min(600.0, 2.0**attempt), min(600.0, 2.0 ** (attempt + 1)))


def test_wait_is_kept_in_the_ledger(kernel: Kernel, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job is not due before; nothing is asleep for it anywhere."""
    monkeypatch.setattr("tasks.core.outcome.random.uniform", lambda _low, high: 500 * high)
    back = fail(kernel, job)
    assert back is not None
    assert back.not_before is not None
    assert back.not_before > now()
    assert carrying.take_due(kernel.ledger, job.queue) == []


@given(
    preset=st.sampled_from(["FAST", "STANDARD", "HEAVY", "CRITICAL"]),
    ends=st.lists(st.sampled_from(["transient", "timeout", "worker_lost", "out_of_memory"]), min_size=1, max_size=12),
    budget=st.integers(1, 12),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_attempts_are_rows_and_never_more_than_were_given(
    ledger: Ledger, tenant: Tenant, preset: str, ends: list[str], budget: int
) -> None:
    """Whatever ends them: each has when, where, why and how long, and the last cause is the dead job's."""
    job = accepted(ledger, tenant, retry=preset, max_attempts=budget)
    for cause in ends:
        with ledger.write() as connection:
            connection.execute(jobs.update().values(not_before=None, published_at=None))
        found = queries.job(ledger, job.id)
        assert found is not None
        if found.state is JobState.FAILED:
            break
        last = end_attempt(ledger, claimed(ledger, found), cause=cause, message="because", retryable=True)
        assert last is not None
    rows = queries.attempts_of(ledger, job.id)
    used = min(budget, len(ends))
    assert [row.attempt for row in rows] == list(range(1, used + 1))
    assert [row.cause for row in rows] == ends[:used]
    assert all(row.ended_at is not None and row.seconds is not None and row.worker == WORKER for row in rows)
    assert (last.dead, last.cause) == (len(ends) >= budget, ends[used - 1])


def test_backoff_can_be_capped_and_can_be_none() -> None:
    """A lost worker's job goes back soon; a kind without retries does not wait."""
    assert max(backoff_s(HEAVY, 8, cap_s=3.0) for _ in range(200)) <= 3.0
    assert backoff_s(NONE, 1) == 0.0


def test_retry_comes_while_attempts_remain_then_death(kernel: Kernel, job: Job) -> None:
    """The last cause is the job's."""
    first = fail(kernel, job)
    assert first is not None
    assert (first.state, first.cause, first.dead) == (JobState.QUEUED, "transient", False)
    last = fail(kernel, again(kernel, job), cause="timeout")
    assert last is not None
    assert (last.state, last.cause, last.dead) == (JobState.FAILED, "timeout", True)
    assert last.error == {"code": "timeout", "message": "because"}


def test_permanent_failure_ends_at_once(kernel: Kernel, job: Job) -> None:
    """It is failed, not dead: another attempt was never the question."""
    ended = end_attempt(kernel.ledger, job, cause="permanent", message="no", retryable=False, field="url")
    assert ended is not None
    assert (ended.state, ended.dead) == (JobState.FAILED, False)
    assert ended.error == {"code": "permanent", "message": "no", "field": "url"}


@pytest.mark.parametrize("retryable", [True, False])
def test_cancel_wins_over_any_failure(kernel: Kernel, job: Job, *, retryable: bool) -> None:
    """Also where it was asked after the claim that the attempt remembers."""
    transitions.request_cancel(kernel.ledger, job.id, tenant_id=job.tenant_id)
    ended = fail(kernel, job, retryable=retryable)
    assert ended is not None
    assert (ended.state, ended.cause, ended.error) == (JobState.CANCELLED, Cause.CANCEL_REQUESTED, None)


def test_lost_attempt_is_settled_once(kernel: Kernel, job: Job) -> None:
    """Hearing of a death twice changes nothing."""
    settle = {"worker": WORKER, "cause": Cause.WORKER_LOST, "message": "gone", "carry": job.carry}
    back = settle_lost(kernel.ledger, job.id, **settle)
    assert back is not None
    assert (back.state, back.attempt) == (JobState.QUEUED, 1)
    assert settle_lost(kernel.ledger, job.id, **settle) is None
    assert queries.job(kernel.ledger, job.id) == back


@pytest.mark.parametrize("wrong", [{"worker": "other"}, {"carry": 7}, {"job_id": "no-such-job"}])
def test_lost_attempt_of_somebody_else_is_left_alone(kernel: Kernel, job: Job, wrong: dict[str, object]) -> None:
    """Worker, carry and job must all be the ones that ran."""
    settle = {"job_id": job.id, "worker": WORKER, "carry": job.carry, "cause": "worker_lost", "message": "gone"} | wrong
    assert settle_lost(kernel.ledger, settle.pop("job_id"), **settle) is None
    assert queries.job(kernel.ledger, job.id) == job


def test_superseded_attempt_ends_nothing(kernel: Kernel, job: Job) -> None:
    """Its fence is old."""
    fail(kernel, job)
    second = again(kernel, job)
    assert fail(kernel, job) is None
    assert queries.job(kernel.ledger, job.id) == second
