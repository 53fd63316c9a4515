"""What one viewer gets first, what next, and when that is all."""

import pytest

from app.streams.cursor import OLDEST, Cursor, parse_cursor
from app.streams.subscription import Draining
from tasks.core.errors import InputRejected, NotFound
from tasks.core.kernel import Kernel
from tasks.core.ledger import queries
from tasks.core.redis_events import stream_key
from tests.app.streams.house import House, eventually


def types(events: list[dict]) -> list[str]:
    return [event["type"] for event in events]


def test_fresh_viewer_gets_start_snapshot_first(either_house: House) -> None:
    """The snapshot holds the whole record and the stream's newest id."""
    job = either_house.running()
    newest = either_house.report(job, 10)
    event = either_house.watch(job).next()
    assert (newest, "snapshot", "start") == (event["id"], event["type"], event["data"]["reason"])
    assert event["data"]["record"]["state"] == "running"


def test_events_after_snapshot_are_all_newer(either_house: House) -> None:
    """Nothing that the snapshot covers is sent again."""
    job = either_house.running()
    either_house.report(job, 10)
    view = either_house.watch(job)
    view.next()
    newer = [either_house.report(job, 20), either_house.report(job, 30)]
    assert newer == [view.next()["id"], view.next()["id"]]


def test_state_event_that_record_already_shows_is_skipped(either_house: House) -> None:
    """A transition announced late, after a snapshot that shows it, does not come twice."""
    job = either_house.claim(either_house.accept(), announced=False)
    view = either_house.watch(job)
    assert view.next()["data"]["record"]["version"] == 2
    either_house._announced(job)
    either_house.report(job, 5)
    assert view.next()["type"] == "progress"


def test_viewer_of_unborn_stream_gets_every_event(either_house: House) -> None:
    """A job that nobody announced yet is watched from before its first entry."""
    job = either_house.accept(announced=False)
    view = either_house.watch(job)
    assert view.next()["id"] == "0-1"
    claimed = either_house.claim(job)
    either_house.finish(claimed)
    assert [event["data"]["state"] for event in view.rest()] == ["running", "succeeded"]


def test_stream_ends_after_terminal_event(either_house: House) -> None:
    """The last frame is the terminal state event."""
    job = either_house.running()
    view = either_house.watch(job)
    either_house.finish(job)
    assert view.rest()[-1]["data"]["state"] == "succeeded"


def test_ended_job_gives_snapshot_terminal_event_and_end(either_house: House) -> None:
    """A viewer that comes late still sees how it ended."""
    job = either_house.finish(either_house.running())
    events = either_house.watch(job).rest()
    assert types(events) == ["snapshot", "state"]
    assert events[0]["data"]["record"]["result"] == {"answer": 42}


def test_client_lost_between_snapshot_and_terminal_event_still_gets_it(either_house: House) -> None:
    """The late viewer's snapshot has the cursor from which the terminal event comes next."""
    job = either_house.finish(either_house.running())
    snapshot = either_house.watch(job).next()
    assert either_house.watch(job, snapshot["id"]).next()["data"]["state"] == "succeeded"


def test_resume_from_terminal_event_gives_nothing(either_house: House) -> None:
    """Who has the end needs no stream."""
    job = either_house.finish(either_house.running())
    end = either_house.watch(job).rest()[-1]
    assert either_house.view(job, end["id"]) is None


def test_resume_from_terminal_event_made_from_ledger_gives_nothing(either_house: House) -> None:
    """An end that never reached the stream is an end, too."""
    job = either_house.finish(either_house.running(), announced=False)
    end = either_house.watch(job).rest()[-1]
    assert (end["id"], either_house.view(job, end["id"])) == ("0-3", None)


@pytest.mark.parametrize("lives", [1, 2, 7])
def test_reconnects_leave_no_gap_and_no_repeat(either_house: House, lives: int) -> None:
    """However often a client reconnects, it sees each entry once."""
    job = either_house.running()
    view = either_house.watch(job)
    seen = [view.next()["id"]]
    expected = list(seen)
    for life in range(lives):
        expected += [either_house.report(job, 10 * life + step) for step in range(4)]
        seen += [view.next()["id"] for _ in range(2)]
        view.close()
        view = either_house.watch(job, seen[-1])
    seen += [view.next()["id"] for _ in range(len(expected) - len(seen))]
    assert expected == seen


def test_resume_within_ring_costs_redis_nothing(house: House) -> None:
    """While others watch, a reconnect is served from memory."""
    job = house.running()
    other = house.watch(job)
    ids = [house.report(job, step) for step in range(3)]
    other.next()
    assert ids == [other.next()["id"] for _ in range(3)]
    before = house.kernel.events._redis.info("commandstats")["cmdstat_xrange"]["calls"]
    assert ids[1] == house.watch(job, ids[0]).next()["id"]
    assert before == house.kernel.events._redis.info("commandstats")["cmdstat_xrange"]["calls"]


def test_resume_after_the_job_was_not_watched_reads_redis(house: House) -> None:
    """A new process knows nothing; the stream does."""
    job = house.running()
    ids = [house.report(job, step) for step in range(3)]
    view = house.watch(job, ids[0])
    assert ids[1:] == [view.next()["id"], view.next()["id"]]


def test_resume_while_the_hub_lags_behind_redis_still_gives_the_end(house: House) -> None:
    """A terminal event that this process has not read yet is not taken for one that the client has."""
    job = house.running()
    cursor = house.watch(job).next()["id"]
    house.hub._reader.stop()
    house.hub._thread.join(timeout=20)
    house.report(job, 10)
    house.finish(job)
    assert types(house.watch(job, cursor).rest()) == ["progress", "state"]


def test_what_redis_and_the_feed_both_have_comes_once(house: House) -> None:
    """A resumed viewer reads ahead of the hub; the hub catching up repeats nothing."""
    job = house.running()
    cursor = house.report(job, 0)
    ids = [house.report(job, 1)]
    house.watch(job).next()
    house.hub._reader.stop()
    house.hub._thread.join(timeout=20)
    ids += [house.report(job, step) for step in range(2, 5)]
    view = house.watch(job, cursor)
    ids.append(house.report(job, 5))
    assert ids == [view.next()["id"] for _ in ids]


def test_after_zero_gives_stream_from_its_oldest_entry(either_house: House) -> None:
    """No snapshot: the whole story."""
    job = either_house.finish(either_house.running())
    assert [event["data"]["state"] for event in either_house.watch(job, "0").rest()] == [
        "queued",
        "running",
        "succeeded",
    ]


def test_after_zero_of_unborn_stream_waits_for_first_event(either_house: House) -> None:
    """Nothing was lost, hence no snapshot."""
    job = either_house.accept(announced=False)
    view = either_house.watch(job, "0")
    either_house._announced(job)
    assert view.next()["data"]["state"] == "queued"


def test_trimmed_cursor_gives_gap_snapshot(either_house: House) -> None:
    """A client that was away for too long gets the record instead of what it missed."""
    job = either_house.running()
    first = either_house.report(job, 0)
    for step in range(400):
        either_house.report(job, step % 100)
    event = either_house.watch(job, first).next()
    assert (event["type"], event["data"]["reason"]) == ("snapshot", "gap")


def test_cursor_of_other_epoch_gives_new_stream_snapshot(either_house: House) -> None:
    """A cursor from before a wipe is recognised as foreign."""
    job = either_house.running()
    event = either_house.watch(job, "1234-5").next()
    assert (event["type"], event["data"]["reason"]) == ("snapshot", "new_stream")


def test_cursor_ahead_of_stream_gives_gap_snapshot(either_house: House) -> None:
    """An id that was never given out is not waited for."""
    job = either_house.running()
    ahead = Cursor.of(either_house.report(job, 1))
    event = either_house.watch(job, f"{ahead.epoch}-{ahead.seq + 50}").next()
    assert event["data"]["reason"] == "gap"


def test_expired_stream_of_ended_job_gives_record_and_end(either_house: House) -> None:
    """Long after the end, the ledger answers alone."""
    job = either_house.finish(either_house.running())
    either_house.kernel.events.erase(job.id)
    events = either_house.watch(job, "1234-5").rest()
    assert [events[0]["data"]["reason"], events[1]["data"]["state"]] == ["new_stream", "succeeded"]


def test_slow_viewer_gets_gap_snapshot_and_goes_on(kernel: Kernel) -> None:
    """Who falls behind the ring loses events, not the thread."""
    house = House(kernel, ring_size=4)
    try:
        job = house.running()
        view = house.watch(job)
        view.next()
        for step in range(20):
            newest = house.report(job, step)
        assert eventually(lambda: view.subscription._feed.end >= 20)
        event = view.next()
        assert ("gap", newest) == (event["data"]["reason"], event["id"])
        assert house.report(job, 99) == view.next()["id"]
    finally:
        house.close()


def test_erased_job_ends_its_streams(either_house: House) -> None:
    """A job that is gone from the ledger has nothing more to show."""
    job = either_house.running()
    view = either_house.watch(job)
    view.next()
    view.subscription._feed.compare(None, at_once=False)
    assert view.subscription.frames(1) == []
    assert view.subscription.end is not None


def test_snapshot_of_erased_job_is_not_found(either_house: House) -> None:
    """The job went while its viewer was let in."""
    job = either_house.accept()
    ghost = queries.job(either_house.kernel.ledger, job.id)
    assert ghost is not None
    with either_house.kernel.ledger.write() as connection:
        connection.exec_driver_sql("DELETE FROM jobs")
    with pytest.raises(NotFound):
        either_house.services.subscribe(ghost, after=None)
    assert either_house.hub.watchers == 0


def test_draining_hub_ends_streams_promptly(either_house: House) -> None:
    """A restart does not wait for the jobs that are watched."""
    view = either_house.watch(either_house.running())
    view.next()
    either_house.hub.drain()
    assert view.subscription.frames(1) == []
    assert view.subscription.end is not None


def test_draining_hub_takes_no_new_viewer(either_house: House) -> None:
    """The client is told to come back."""
    either_house.hub.drain()
    with pytest.raises(Draining):
        either_house.view(either_house.accept())


def test_viewers_that_come_together_share_a_snapshot(either_house: House) -> None:
    """A snapshot begun after both asked serves both; one begun before serves nobody later."""
    job = either_house.running()
    view = either_house.watch(job)
    first = view.subscription._snapshots.take(view.subscription._feed)
    second = view.subscription._snapshots.take(view.subscription._feed)
    assert second is not first


def test_entries_from_before_versions_were_kept_are_read(house: House) -> None:
    """A state entry without ``n`` is an event like any other."""
    job = house.running()
    view = house.watch(job)
    place = Cursor.of(view.next()["id"])
    fields = {"t": "state", "at": "2026-01-01T00:00:00.000Z", "a": "1", "d": '{"state":"queued","cause":"drained"}'}
    house.kernel.events._redis.xadd(stream_key(job.id), fields, id=f"{place.epoch}-{place.seq + 1}")
    assert view.next()["data"]["cause"] == "drained"


@pytest.mark.parametrize("text", ["x", "1", "1-", "-1-2", "1-2-3", "\u0661-\u0662", "9" * 20 + "-1", "$", "0-0x"])
def test_malformed_cursor_is_refused_by_name(text: str) -> None:
    """The message names the field."""
    with pytest.raises(InputRejected) as caught:
        parse_cursor(text, field="after")
    assert caught.value.field == "after"


@pytest.mark.parametrize(("text", "cursor"), [(None, None), ("", None), ("0", OLDEST), ("7-3", Cursor(7, 3))])
def test_cursor_is_read(text: str | None, cursor: Cursor | None) -> None:
    """Nothing, the oldest, or a place."""
    assert cursor == parse_cursor(text, field="after")
