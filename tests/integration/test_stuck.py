"""Attempts that are stuck or no longer own their job: others take over, and what is left of them is killed."""

import psutil
import pytest

from tasks.core.records import Cause, JobState
from tests.faulty.contract import WATCHED
from tests.integration.house import House
from tests.integration.processes import await_true, family_of, freeze, thaw


@pytest.fixture(scope="module")
def house_settings() -> dict[str, str]:
    """A short lease, so that the dispatcher soon gives a worker up."""
    return {"lease_s": "2"}


def test_silent_attempt_is_killed_and_tried_again(house: House) -> None:
    """A kind that may not be silent: its stuck attempt counts, its child dies, the next attempt has the one effect."""
    job = house.submit("mute", kind=WATCHED, seconds=1000, until_attempt=1)
    house.await_start(job)
    stuck = house.child_of(job)

    ended = house.await_end(job)

    assert (JobState.SUCCEEDED, {"attempt": 2, "fence": 2}) == (ended.state, ended.result)
    assert [Cause.SILENT, Cause.COMPLETED] == [row.cause for row in house.attempts(job)]
    await_true(lambda: not psutil.pid_exists(stuck), what="the stuck child is killed")
    house.await_end(house.submit())
    assert ended == house.job(job)
    assert ["queued", "running", "queued", "running", "succeeded"] == house.events(job)
    await_true(lambda: not list((house.folder / "var" / "work").glob(f"{job.id}-*")), what="its folders are removed")


def test_attempt_that_shows_signs_of_life_is_left_alone(house: House) -> None:
    """However long it takes."""
    job = house.await_end(house.submit("sleep", kind=WATCHED, seconds=6))

    assert (JobState.SUCCEEDED, [(1, 1)]) == (job.state, house.effects(job))


def test_child_of_a_thawed_worker_is_killed(house: House) -> None:
    """A worker that was frozen until its job was rescued ends the child that goes on; the next attempt is not hurt."""
    frozen = house.worker
    job = house.submit("mute", seconds=1000, until_attempt=1)
    house.await_start(job)
    left = house.child_of(job)
    tree = family_of(frozen.pid)
    freeze(tree, house.kernel.ledger)

    other = house.start_worker("-Q", "analytics")
    house.await_job(job, lambda seen: seen.fence == 2, what="the other worker begins it again")
    thaw(tree)

    await_true(lambda: "superseded_child_killed" in frozen.logs(), what="the child that goes on is killed")
    assert (JobState.SUCCEEDED, 2) == ((ended := house.await_end(job)).state, ended.attempt)
    await_true(lambda: not psutil.pid_exists(left), what="the child is gone")
    assert ended == house.job(job)
    assert JobState.SUCCEEDED == house.await_end(house.submit()).state
    other.teardown()


def test_job_that_waited_too_long_never_starts(house: House) -> None:
    """It fails as expired behind a job that blocks the queue, although its message lies in the broker."""
    blocker = house.submit("sleep", seconds=100)
    house.await_start(blocker)

    late = house.submit(expires_in_s=1)

    ended = house.await_end(late)
    house.cancel(blocker)
    assert (JobState.FAILED, "expired", 0) == (ended.state, ended.error["code"], ended.attempt)
    house.await_end(house.submit())
    assert ([], ended) == (house.effects(late), house.job(late))
