"""SIGTERM: running jobs finish within the grace time or are handed back, and the worker leaves in order."""

import pytest

from tasks.core.ledger.fleet import WorkerState
from tasks.core.records import JobState
from tests.integration.house import House


@pytest.fixture(scope="module")
def house_settings() -> dict[str, str]:
    """A grace time that a test can wait for."""
    return {"drain_grace_s": "4"}


@pytest.fixture(scope="module")
def worker_options() -> tuple[str, ...]:
    """The module's own worker takes none of the jobs; each test starts the one it stops."""
    return ("-Q", "maintenance")


def test_running_job_finishes_within_the_grace_time(house: House) -> None:
    """A job shorter than the grace time succeeds in the worker that was told to stop."""
    worker = house.start_worker("-Q", "analytics", settings={"drain_grace_s": "60"})
    job = house.submit("sleep", seconds=2)
    house.await_start(job)

    worker.kill("SIGTERM")

    assert 0 == worker.container.wait()
    assert (JobState.SUCCEEDED, 1) == (house.job(job).state, house.job(job).attempt)
    house.await_row(worker, WorkerState.STOPPED)


@pytest.mark.parametrize("act", ["sleep", "stubborn", "hang"])
def test_job_beyond_the_grace_time_is_handed_back_uncounted(house: House, act: str) -> None:
    """A longer job is queued again with its attempt given back, its child killed, and the worker exits 0."""
    worker = house.start_worker("-Q", "analytics")
    job = house.submit(act, seconds=1000, max_attempts=1)
    started = house.await_start(job)

    worker.kill("SIGTERM")

    assert 0 == worker.container.wait()
    house.await_row(worker, WorkerState.STOPPED)
    assert (JobState.QUEUED, 0, "drained") == (house.job(job).state, house.job(job).attempt, house.job(job).cause)
    assert ["drained"] == [row.outcome for row in house.attempts(job)]
    assert [] == house.marked(started.child_pid)
    assert [] == list((house.folder / "var" / "work").glob(f"{job.id}-*"))
    house.cancel(job)


def test_job_that_was_handed_back_runs_elsewhere(house: House) -> None:
    """What a stopped worker gave back is run by the next one, as the same attempt under a new fence."""
    first = house.start_worker("-Q", "analytics", settings={"drain_grace_s": "0"})
    job = house.submit("sleep", seconds=3, max_attempts=1)
    house.await_start(job)
    first.kill("SIGTERM")
    assert 0 == first.container.wait()

    second = house.start_worker("-Q", "analytics")

    ended = house.await_end(job)
    assert (JobState.SUCCEEDED, {"attempt": 1, "fence": 2}) == (ended.state, ended.result)
    second.teardown()


def test_cancelled_job_of_a_draining_worker_is_cancelled(house: House) -> None:
    """A job that was to be cancelled is not handed back."""
    worker = house.start_worker("-Q", "analytics", settings={"cancel_grace_s": "60", "drain_grace_s": "0"})
    job = house.submit("stubborn", seconds=1000)
    house.await_start(job)
    house.cancel(job)

    worker.kill("SIGTERM")

    assert 0 == worker.container.wait()
    assert JobState.CANCELLED == house.await_end(job).state


def test_drain_does_not_wait_for_work_that_was_taken_away(house: House) -> None:
    """A child that still works on a job another claim owns is killed at the end of the grace time as well."""
    worker = house.start_worker("-Q", "analytics", settings={"drain_grace_s": "1"})
    job = house.submit("stubborn", seconds=1000, until_attempt=1)
    started = house.await_start(job)
    house.take_away(started)

    worker.kill("SIGTERM")

    assert 0 == worker.container.wait()
    house.await_row(worker, WorkerState.STOPPED)
    house.cancel(job)
