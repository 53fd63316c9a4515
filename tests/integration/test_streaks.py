"""Brief jobs that a worker's child runs in one go: each is seen, and ends as it would have by itself."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from threading import Thread
from typing import Any

import pytest
from celery.events import EventReceiver

from tasks.core.records import Job, JobState
from tests.integration.house import House
from tests.integration.processes import await_true

Heard = dict[str, list[str]]

# Enough for many streaks, and little enough for a busy machine.
_MANY = 120


@pytest.fixture(scope="module")
def worker_options() -> tuple[str, ...]:
    """One child, which all jobs have to go through."""
    return ("-Q", "analytics", "--concurrency", "1")


@pytest.fixture
def heard(house: House) -> Iterator[Heard]:
    """What Flower hears of each job while the test runs."""
    told: Heard = defaultdict(list)

    def note(event: dict[str, Any]) -> None:
        if event["type"].startswith("task-"):
            told[event["uuid"]].append(event["type"].removeprefix("task-"))

    with house.app.connection_for_read() as connection:
        receiver = EventReceiver(connection, handlers={"*": note}, app=house.app)
        thread = Thread(target=lambda: receiver.capture(timeout=120, wakeup=False))
        thread.start()
        yield told
        receiver.should_stop = True
        thread.join()


def submitted(house: House, acts: Sequence[str], **options: Any) -> list[Job]:
    """Submit jobs that wait until they are all there, so that one follows the other."""
    first = house.submit("sleep", seconds=1.0)
    return [first, *(house.submit(act, **options) for act in acts)]


def test_each_job_of_many_is_run_once_and_seen(house: House, heard: Heard) -> None:
    """Flower hears of every one of them, as of jobs that went by way of the parent."""
    jobs = submitted(house, ["succeed"] * _MANY)
    ended = [house.await_end(job) for job in jobs]
    assert {job.state for job in ended} == {JobState.SUCCEEDED}
    assert all(house.effects(job) == [(1, 1)] for job in jobs)
    whole = ["received", "started", "succeeded"]
    await_true(lambda: all(heard[job.id] == whole for job in jobs), what="every job is heard of, once and in order")


def test_each_ends_as_by_itself(house: House) -> None:
    """Failures, dead children and limits in the middle of a streak are those of the job that had them."""
    acts = ["succeed"] * 8
    jobs = submitted(house, [*acts, "fail", *acts, "exit", *acts], max_attempts=1)
    hung = submitted(house, [*acts, "hang", *acts], max_attempts=1, timeout_s=2, seconds=1000)
    ends: dict[str, list[str]] = defaultdict(list)
    for job in [*jobs, *hung]:
        ends[str(job.request["act"])].append(house.await_end(job).cause)
    assert {act: set(causes) for act, causes in ends.items()} == {
        "sleep": {"completed"},
        "succeed": {"completed"},
        "fail": {"hopeless"},
        "exit": {"worker_lost"},
        "hang": {"timeout"},
    }
    assert all(house.effects(job) == [(1, 1)] for job in [*jobs, *hung] if job.request["act"] == "succeed")
