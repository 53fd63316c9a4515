"""The simulated connector: as long, in as many steps and as often failing as was asked for."""

from collections.abc import Callable

import pytest

from tasks.connectors.contract import SimulateRequest
from tasks.connectors.engine.simulate import simulate
from tasks.core.errors import JobCancelled, Permanent, Transient
from tests.fakes import FakeJob


def test_every_step_is_reported(job: FakeJob) -> None:
    """And the time that was asked for has passed."""
    result = simulate(SimulateRequest(duration_s=0.2, steps=4, failure_rate=0), job)
    assert (4, 1) == (result.steps, result.attempt)
    assert result.took_s >= 0.2
    assert [(1, 4), (2, 4), (3, 4), (4, 4)] == [(report.done, report.total) for report in job.reports]


def test_a_rate_is_the_share_of_attempts_that_fail(make_job: Callable[..., FakeJob]) -> None:
    """By the seed and the number of the attempt, so that it repeats and another attempt may succeed."""

    def failed(rate: float) -> list[int]:
        request = SimulateRequest(duration_s=0, steps=3, failure_rate=rate, seed=7)
        return [attempt for attempt in range(1, 201) if _fails(request, make_job(attempt=attempt))]

    assert ([], list(range(1, 201))) == (failed(0), failed(1))
    assert failed(0.1) == failed(0.1)
    assert 8 <= len(failed(0.1)) <= 35


@pytest.mark.parametrize(("failure", "error"), [("transient", Transient), ("permanent", Permanent)])
def test_a_failure_is_the_one_asked_for(job: FakeJob, failure: str, error: type[Exception]) -> None:
    """With a code of its own."""
    with pytest.raises(error, match="Simulated, at step 1 of 1") as raised:
        simulate(SimulateRequest(duration_s=0, steps=1, failure_rate=1, failure=failure), job)
    assert "simulated_failure" == raised.value.code


def test_a_cancel_ends_it(make_job: Callable[..., FakeJob]) -> None:
    """In the middle of a step."""
    job = make_job(is_cancelled=True)
    with pytest.raises(JobCancelled):
        simulate(SimulateRequest(duration_s=1000, steps=1), job)


def _fails(request: SimulateRequest, job: FakeJob) -> bool:
    try:
        simulate(request, job)
    except Transient:
        return True
    return False
