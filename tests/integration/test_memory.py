"""Jobs that take too much memory: the worker lives, the cause is named, the others go on."""

import pytest

from tasks.core.records import JobState
from tests.integration.house import House


@pytest.fixture(scope="module")
def house_settings() -> dict[str, str]:
    return {"child_memory_mb": "250"}


def test_job_over_the_limit_dies_of_it(house: House) -> None:
    """Once per attempt; the worker takes the next job."""
    job = house.await_end(house.submit("gobble", mebibytes=400, seconds=100, max_attempts=2))

    assert (JobState.FAILED, True, "out_of_memory") == (job.state, job.dead, job.cause)
    assert "over the limit of 250" in job.error["message"]
    assert ["out_of_memory"] * 2 == [row.cause for row in house.attempts(job)]
    assert JobState.SUCCEEDED == house.await_end(house.submit("gobble", mebibytes=10, seconds=1)).state


def test_memory_error_is_out_of_memory(house: House) -> None:
    """Raised in Python, before the kernel or the beat has to step in."""
    job = house.await_end(house.submit("unmemorable", max_attempts=1))

    assert (JobState.FAILED, True, "out_of_memory") == (job.state, job.dead, job.cause)


@pytest.mark.parametrize(("act", "signal"), [("kill", "SIGKILL"), ("segfault", "SIGSEGV")])
def test_deadly_signal_is_named(house: House, act: str, signal: str) -> None:
    """A child that was lost for no known reason at least says which signal ended it."""
    job = house.await_end(house.submit(act, max_attempts=1))

    assert (True, "worker_lost") == (job.dead, job.cause)
    assert signal in job.error["message"]


def test_retry_of_a_dead_job_runs_it_again(house: House) -> None:
    """As the same job, with a later attempt and a later fence."""
    dead = house.await_end(house.submit("exit", max_attempts=1, until_attempt=1))
    assert dead.dead

    again = house.await_end(house.retry(dead))

    assert (JobState.SUCCEEDED, {"attempt": 2, "fence": 2}) == (again.state, again.result)
    assert [(1, 1), (2, 2)] == house.effects(again)
    assert ["queued", "running", "failed", "queued", "running", "succeeded"] == house.events(again)
