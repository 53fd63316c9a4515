"""Children that die, hang or run late: the attempt ends with its cause, and the job goes on or is dead."""

from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks.core.records import Job as Ended
from tasks.core.records import JobState
from tests.integration.house import House
from tests.integration.processes import await_true

Fates = dict[str, Ended]
# All at once, so that their waits for another attempt, and for another child, go by together.
ACTS: dict[str, tuple[str, dict[str, Any]]] = {
    "exit": ("exit", {"max_attempts": 2}),
    "segfault": ("segfault", {"max_attempts": 2}),
    "exits once": ("exit", {"until_attempt": 1}),
    "exits": ("exit", {"max_attempts": 1}),
    "late once": ("sleep", {"seconds": 100, "timeout_s": 1, "until_attempt": 1}),
    "transient": ("transient", {"max_attempts": 2}),
    "permanent": ("fail", {}),
}
ended_by_folder: dict[Path, Fates] = {}


@pytest.fixture
def fates(house: House) -> Fates:
    """How each of ``ACTS`` has ended in this module's house, once."""
    if house.folder not in ended_by_folder:
        submitted = {name: house.submit(act, **options) for name, (act, options) in ACTS.items()}
        ended_by_folder[house.folder] = {name: house.await_end(job) for name, job in submitted.items()}
    return ended_by_folder[house.folder]


@pytest.mark.parametrize("act", ["exit", "segfault"])
def test_killed_child_costs_attempts_until_the_job_is_dead(house: House, fates: Fates, act: str) -> None:
    """A poison job runs once per attempt, is queued again each time, and ends dead with the cause named."""
    job = fates[act]

    assert (JobState.FAILED, True, "worker_lost") == (job.state, job.dead, job.cause)
    assert "worker_lost" == job.error["code"]
    assert [(1, "retried", "worker_lost"), (2, "failed", "worker_lost")] == [
        (row.attempt, row.outcome, row.cause) for row in house.attempts(job)
    ]
    assert [(1, 1), (2, 2)] == house.effects(job)
    assert ["queued", "running", "queued", "running", "failed"] == house.events(job)


def test_job_survives_a_killed_child(house: House, fates: Fates) -> None:
    """After a lost child the next attempt succeeds, and the record says how it came to that."""
    job = fates["exits once"]

    assert (JobState.SUCCEEDED, {"attempt": 2, "fence": 2}) == (job.state, job.result)
    assert ["retried", "succeeded"] == [row.outcome for row in house.attempts(job)]


def test_workdir_of_a_killed_attempt_is_removed(house: House, fates: Fates) -> None:
    """Nothing is left in the work folder of a child that was killed."""
    job = fates["exits"]

    await_true(lambda: not list((house.folder / "var" / "work").glob(f"{job.id}-*")), what="the workdir is removed")


def test_hard_limit_ends_a_hung_job_as_timeout(house: House) -> None:
    """A child that never runs Python again is killed at its hard limit, with its process group."""
    job = house.submit("hang", seconds=1000, timeout_s=1, max_attempts=1)
    house.await_start(job)
    group = psutil.Process(house.job(job).child_pid).children()

    ended = house.await_end(job)

    assert (JobState.FAILED, True, "timeout") == (ended.state, ended.dead, ended.cause)
    assert ["failed"] == [row.outcome for row in house.attempts(job)]
    await_true(lambda: not any(process.is_running() for process in group), what="the group is gone")
    await_true(lambda: not house.marked(ended.child_pid), what="no marked process lives")


def test_soft_limit_is_transient(house: House, fates: Fates) -> None:
    """An attempt over its soft limit ends as timeout in the same child, and the job is tried again."""
    job = fates["late once"]

    first, second = house.attempts(job)
    assert ("retried", "timeout", "succeeded") == (first.outcome, first.cause, second.outcome)
    assert JobState.SUCCEEDED == job.state


def test_transient_failures_use_up_attempts(house: House, fates: Fates) -> None:
    """A transient error is tried as often as the job allows, then the job is dead."""
    job = fates["transient"]

    assert (JobState.FAILED, True, "transient") == (job.state, job.dead, job.cause)
    assert [(1, 1), (2, 2)] == house.effects(job)


def test_permanent_failure_is_not_tried_again(house: House, fates: Fates) -> None:
    """A permanent error fails the job at its first attempt, with the engine's own code."""
    job = fates["permanent"]

    assert (JobState.FAILED, False) == (job.state, job.dead)
    assert {"code": "hopeless", "message": "This cannot work."} == job.error
    assert [(1, 1)] == house.effects(job)
