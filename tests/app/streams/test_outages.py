"""What viewers see while Redis forgets, freezes or is gone: never a hole without a snapshot, always the end."""

from tasks.core.clock import now
from tasks.core.events import EventsUnavailable
from tasks.core.ledger import state_events
from tasks.core.redis_events import meta_key, stream_key
from tasks.core.relay import relay_unsent
from tests.app.streams.house import House, View, eventually
from tests.app.streams.redis_server import RedisServer


def watch_from_start(house: House, job) -> View:
    view = house.watch(job)
    view.next()
    return view


def test_wiped_redis_gives_new_stream_snapshot(house: House) -> None:
    """What comes after a wipe belongs to another stream, and the client is told."""
    job = house.running()
    house.report(job, 10)
    view = watch_from_start(house, job)
    house.kernel.events._redis.flushall()
    house.report(job, 20)
    event = view.next()
    assert (event["type"], event["data"]["reason"]) == ("snapshot", "new_stream")


def test_end_arrives_although_redis_was_wiped(house: House) -> None:
    """The terminal event comes from the reborn stream."""
    job = house.running()
    view = watch_from_start(house, job)
    house.kernel.events._redis.flushall()
    house.finish(job)
    assert view.rest()[-1]["data"]["state"] == "succeeded"


def test_states_are_not_repeated_after_wipe(house: House) -> None:
    """The relay appends all states again; the snapshot covers the old ones."""
    job = house.running()
    view = watch_from_start(house, job)
    house.kernel.events._redis.flushall()
    relay_unsent(
        house.kernel.ledger, house.kernel.events, state_events.unsent_events(house.kernel.ledger, before=now())
    )
    house.report(job, 50)
    house.finish(job)
    events = view.rest()
    assert [event["data"]["state"] for event in events if event["type"] == "state"] == ["succeeded"]


def test_viewer_sees_end_while_redis_is_stopped(house: House, own_redis: RedisServer) -> None:
    """The ledger tells: a gap snapshot with the record, then the terminal event."""
    job = house.running()
    view = watch_from_start(house, job)
    own_redis.stop()
    house.finish(job)
    snapshot, end = view.rest()
    assert (snapshot["data"]["reason"], snapshot["data"]["record"]["state"]) == ("gap", "succeeded")
    assert (end["id"], end["data"]["state"]) == ("0-3", "succeeded")


def test_viewer_sees_end_while_redis_is_frozen(house: House, own_redis: RedisServer) -> None:
    """A Redis that takes connections and never answers is as good as none."""
    job = house.running()
    view = watch_from_start(house, job)
    own_redis.freeze()
    house.finish(job)
    assert view.rest()[-1]["data"]["state"] == "succeeded"


def test_fresh_viewer_is_served_while_redis_is_frozen(house: House, own_redis: RedisServer) -> None:
    """The record comes from the ledger, before the viewer gives up."""
    job = house.running()
    own_redis.freeze()
    assert house.watch(job).next()["data"]["reason"] == "start"


def test_resuming_viewer_is_served_while_redis_is_stopped(house: House, own_redis: RedisServer) -> None:
    """Its cursor stays good: the gap snapshot carries it on."""
    job = house.running()
    cursor = house.report(job, 10)
    own_redis.stop()
    event = house.watch(job, cursor).next()
    assert (cursor, "gap") == (event["id"], event["data"]["reason"])


def test_viewer_that_came_during_outage_gets_events_after_it(house: House, own_redis: RedisServer) -> None:
    """When Redis is back, a snapshot bridges the gap and the stream goes on."""
    job = house.accept(announced=False)
    own_redis.stop()
    view = watch_from_start(house, job)
    own_redis.start()
    assert view.next()["data"]["reason"] == "gap"
    claimed = house.claim(job, announced=False)
    assert eventually(lambda: _report(house, claimed))
    assert view.next()["type"] in {"progress", "snapshot"}


def test_viewer_goes_on_after_reconnect_of_frozen_redis(house: House, own_redis: RedisServer) -> None:
    """A pause without loss costs no snapshot."""
    job = house.running()
    view = watch_from_start(house, job)
    own_redis.freeze()
    assert view.subscription.frames(1.5) == []
    own_redis.thaw()
    assert eventually(lambda: _report(house, job))
    assert view.next()["type"] == "progress"


def test_state_that_never_reached_redis_is_told_by_ledger(house: House, monkeypatch) -> None:
    """Even with Redis healthy, a lost announcement is noticed."""
    monkeypatch.setattr("app.streams.reader._SAFETY_S", 0.3)
    job = house.running()
    view = watch_from_start(house, job)
    house.finish(job, announced=False)
    assert view.rest()[-1]["data"]["state"] == "succeeded"


def test_lost_entries_of_one_epoch_give_gap_snapshot(house: House) -> None:
    """Entries trimmed before the hub read them are not passed over in silence."""
    job = house.running()
    view = watch_from_start(house, job)
    redis = house.kernel.events._redis
    redis.hset(meta_key(job.id), "seq", 500)
    house.report(job, 10)
    assert view.next()["data"]["reason"] == "gap"
    assert redis.exists(stream_key(job.id))


def _report(house: House, job) -> bool:
    try:
        house.report(job, 10)
    except EventsUnavailable:
        return False
    return True
