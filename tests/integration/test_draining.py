"""SIGTERM: running jobs finish within the grace time or are handed back, and the worker leaves in order."""

import pytest

from tasks.core.ledger.fleet import WorkerState
from tasks.core.records import JobState
from tests.integration.house import House


@pytest.fixture(scope="module")
def house_settings() -> dict[str, str]:
    """A grace time that a test can wait for."""
    return {"drain_grace_s": "2"}


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


def test_jobs_beyond_the_grace_time_are_handed_back_uncounted(house: House) -> None:
    """Longer jobs are queued again with their attempts given back, their children killed, and the worker exits 0."""
    worker = house.start_worker("-Q", "analytics", "-c", "3")
    jobs = {act: house.submit(act, seconds=1000, max_attempts=1) for act in ("sleep", "stubborn", "hang")}
    children = {act: house.await_start(job).child_pid for act, job in jobs.items()}

    worker.kill("SIGTERM")

    assert 0 == worker.container.wait()
    house.await_row(worker, WorkerState.STOPPED)
    for act, job in jobs.items():
        back = house.job(job)
        assert (act, JobState.QUEUED, 0, "drained") == (act, back.state, back.attempt, back.cause)
        assert (act, ["drained"]) == (act, [row.outcome for row in house.attempts(job)])
        assert (act, []) == (act, house.marked(children[act]))
        assert (act, []) == (act, list((house.folder / "var" / "work").glob(f"{job.id}-*")))
        house.cancel(job)


def test_worker_without_grace_hands_back_what_runs_and_cancels_what_is_to_be_cancelled(house: House) -> None:
    """What it gives back the next one runs, as the same attempt under a new fence; what was cancelled ends so."""
    settings = {"cancel_grace_s": "60", "drain_grace_s": "0"}
    first = house.start_worker("-Q", "analytics", "-c", "2", settings=settings)
    job = house.submit("sleep", seconds=3, max_attempts=1)
    cancelled = house.submit("stubborn", seconds=1000)
    house.await_start(job)
    house.await_start(cancelled)
    house.cancel(cancelled)
    first.kill("SIGTERM")
    assert 0 == first.container.wait()
    assert JobState.CANCELLED == house.await_end(cancelled).state

    second = house.start_worker("-Q", "analytics")

    ended = house.await_end(job)
    assert (JobState.SUCCEEDED, {"attempt": 1, "fence": 2}) == (ended.state, ended.result)
    second.teardown()


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
