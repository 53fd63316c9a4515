"""Streams of a job that was retried after its end: the earlier end is not the stream's end."""

import pytest

from tasks.core.records import Job
from tests.app.streams.house import House, View


def states(view: View) -> list[str]:
    return [event["data"]["state"] for event in view.rest() if event["type"] == "state"]


def ended_twice(house: House) -> Job:
    job = house.replay(house.fail(house.running()))
    return house.finish(house.claim(job))


def test_whole_story_goes_on_behind_the_earlier_end(house: House) -> None:
    """From the oldest entry to the newest end."""
    job = ended_twice(house)
    assert ["queued", "running", "failed", "queued", "running", "succeeded"] == states(house.watch(job, "0"))


def test_late_viewer_of_a_replayed_job_gets_its_newest_end(house: House) -> None:
    """Snapshot and terminal event belong together."""
    job = ended_twice(house)
    snapshot, end = house.watch(job).rest()
    assert ("succeeded", "succeeded") == (snapshot["data"]["record"]["state"], end["data"]["state"])


@pytest.mark.parametrize("announced", [True, False])
def test_resume_from_before_the_earlier_end_follows_the_new_attempt(house: House, *, announced: bool) -> None:
    """Also while the stream has not heard of the replay yet."""
    job = house.running()
    cursor = house.watch(job).next()["id"]
    job = house.replay(house.fail(job), announced=announced)
    view = house.watch(job, cursor)
    house.finish(house.claim(job))
    assert ["failed", "queued", "running", "succeeded"] == states(view)


def test_resume_from_the_earlier_end_follows_the_new_attempt(house: House) -> None:
    """Who had the end has it no more."""
    job = house.fail(house.running())
    end = house.watch(job).rest()[-1]["id"]
    assert house.view(job, end) is None
    job = house.replay(job)
    view = house.watch(job, end)
    house.finish(house.claim(job))
    assert ["queued", "running", "succeeded"] == states(view)


def test_resume_in_the_ring_passes_the_earlier_end(house: House) -> None:
    """While another viewer keeps the feed alive, the frames come from memory."""
    job = house.running()
    other = house.watch(job)
    cursor = other.next()["id"]
    job = house.replay(house.fail(job))
    late = house.watch(job)
    late.next()
    view = house.watch(job, cursor)
    house.finish(house.claim(job))
    assert ["failed", "queued", "running", "succeeded"] == states(view)
    assert ["running", "succeeded"] == states(late)


def test_viewer_that_saw_the_job_replayed_is_not_ended_by_a_late_earlier_end(house: House) -> None:
    """The snapshot is newer than the terminal event that the stream gets after it."""
    job = house.running()
    job = house.replay(house.fail(job, announced=False), announced=False)
    view = house.watch(job)
    assert "queued" == view.next()["data"]["record"]["state"]
    house._announced(job)
    house.finish(house.claim(job))
    assert ["running", "succeeded"] == states(view)


def test_expired_stream_of_a_replayed_job_is_born_again(house: House) -> None:
    """A resumed client gets a snapshot and the new attempt's events."""
    job = house.fail(house.running())
    end = house.watch(job).rest()[-1]["id"]
    house.kernel.events.erase(job.id)
    job = house.replay(job)
    view = house.watch(job, end)
    first = view.next()
    assert ("snapshot", "queued") == (first["type"], first["data"]["record"]["state"])
    house.finish(house.claim(job))
    assert ["running", "succeeded"] == states(view)


def test_end_of_a_replay_that_never_reached_the_stream_comes_from_the_ledger(house: House) -> None:
    """The earlier end in the stream is not taken for it."""
    job = house.fail(house.running())
    watcher = house.watch(job)
    watcher.next()
    job = house.claim(house.replay(job, announced=False), announced=False)
    job = house.finish(job, announced=False)
    snapshot, end = house.watch(job).rest()
    assert ("succeeded", "succeeded") == (snapshot["data"]["record"]["state"], end["data"]["state"])
