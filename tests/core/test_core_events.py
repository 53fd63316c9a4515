"""Event streams: order, fences, gaps, wipes, caps and ends; and what a dead or frozen Redis costs."""

import time
from collections.abc import Sequence

import pytest

from tasks.core import relay
from tasks.core.clock import rfc3339
from tasks.core.events import Events, EventsUnavailable
from tasks.core.kernel import Kernel
from tasks.core.ledger import carrying, state_events, transitions
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import JobState, StateEvent
from tasks.core.redis_events import BELL_KEY, RedisEvents, meta_key, stream_key
from tasks.core.relay import Opening, announce, relay_unsent, tell_ends
from tests.samples import accepted, ago, carried, claimed, eventually, ledger_away, running
from tests.servers import RedisServer


def tell(events: Events, job_id: str = "job", *, fence: int = 1, **data: object) -> str | None:
    return events.append(job_id, "progress", data, fence=fence, attempt=1)


def states(kernel: Kernel, job_id: str) -> list[str]:
    return [event.data["state"] for event in kernel.events.read(job_id) if event.type == "state"]


def test_events_keep_their_order_and_count(either_kernel: Kernel) -> None:
    """``seq`` grows by one, and the id is the place in the stream."""
    ids = [tell(either_kernel.events, n=n) for n in range(3)]
    found = either_kernel.events.read("job")
    assert ids == [event.id for event in found]
    assert [(event.seq, event.data) for event in found] == [(1, {"n": 0}), (2, {"n": 1}), (3, {"n": 2})]
    assert either_kernel.events.position("job") == (ids[0], ids[2])


def test_reading_goes_on_after_a_cursor(either_kernel: Kernel) -> None:
    """Nothing again and nothing left out."""
    ids = [tell(either_kernel.events, n=n) for n in range(3)]
    assert ids[1] is not None
    assert ids[2:] == [event.id for event in either_kernel.events.read("job", after=ids[1])]


def test_unknown_stream_is_empty(either_kernel: Kernel) -> None:
    """A job that told nothing yet."""
    assert (either_kernel.events.read("none"), either_kernel.events.position("none")) == ([], (None, None))


def test_wire_form_is_one_json_object(either_kernel: Kernel) -> None:
    """Text stays text, whatever it is made of."""
    import json

    tell(either_kernel.events, text='ü "quoted" \n\u2028')
    (event,) = either_kernel.events.read("job")
    assert {
        "id": event.id,
        "seq": 1,
        "at": event.at,
        "type": "progress",
        "job_id": "job",
        "attempt": 1,
        "data": {"text": 'ü "quoted" \n\u2028'},
    } == json.loads(event.to_json())


def test_stale_fence_is_refused(either_kernel: Kernel) -> None:
    """A late writer from an old claim is not heard."""
    tell(either_kernel.events, fence=2)
    assert tell(either_kernel.events, fence=1) is None
    assert tell(either_kernel.events, fence=2) is not None
    assert len(either_kernel.events.read("job")) == 2


def test_state_event_of_a_new_claim_silences_the_old_one(either_kernel: Kernel, tenant: Tenant) -> None:
    """From the claim on, only the new fence is heard."""
    job = running(either_kernel.ledger, tenant)
    either_kernel.events.append_states(state_events.events_of(either_kernel.ledger, job.id))
    assert tell(either_kernel.events, job.id, fence=0) is None


def test_repeated_state_is_not_appended_again(either_kernel: Kernel, tenant: Tenant) -> None:
    """Whoever made it and the dispatcher may both append it."""
    job = running(either_kernel.ledger, tenant)
    events = state_events.events_of(either_kernel.ledger, job.id)
    assert [either_kernel.events.append_states(events) for _ in range(2)] == [2, 2]
    assert states(either_kernel, job.id) == ["queued", "running"]


def test_state_after_a_gap_is_refused_until_the_gap_is_filled(either_kernel: Kernel, tenant: Tenant) -> None:
    """The answer tells which the stream has."""
    job = running(either_kernel.ledger, tenant)
    first, second = state_events.events_of(either_kernel.ledger, job.id)
    assert either_kernel.events.append_states([second]) == 0
    assert states(either_kernel, job.id) == []
    assert either_kernel.events.append_states([first, second]) == 2


def test_announce_fills_the_gap_before_it(either_kernel: Kernel, tenant: Tenant) -> None:
    """A viewer sees the earlier states first."""
    job = running(either_kernel.ledger, tenant)
    announce(either_kernel.ledger, either_kernel.events, job)
    assert states(either_kernel, job.id) == ["queued", "running"]


def test_wiped_redis_begins_a_new_epoch_with_all_states(kernel: Kernel, tenant: Tenant) -> None:
    """An old cursor is recognised as foreign, and the end still comes."""
    job = running(kernel.ledger, tenant)
    announce(kernel.ledger, kernel.events, job)
    (before, _) = kernel.events.position(job.id)
    kernel.events._redis.flushall()
    time.sleep(0.002)
    done = transitions.finish(kernel.ledger, job.id, fence=1, state=JobState.SUCCEEDED, cause="completed")
    assert done is not None
    announce(kernel.ledger, kernel.events, done)
    (after, _) = kernel.events.position(job.id)
    assert before is not None
    assert after is not None
    assert before.partition("-")[0] < after.partition("-")[0]
    assert states(kernel, job.id) == ["queued", "running", "succeeded"]


def test_stream_is_capped(redis_server: RedisServer) -> None:
    """Older entries go, the sequence goes on."""
    events = RedisEvents(redis_server.url, maxlen=100, ttl_s=60)
    for n in range(400):
        tell(events, n=n)
    found = events.read("job")
    assert 100 <= len(found) < 300
    assert found[-1].seq == 400
    events.close()


def test_ended_stream_expires_and_a_running_one_stays(kernel: Kernel, tenant: Tenant) -> None:
    """Both keys get the time to live of the settings with the last state."""
    job = running(kernel.ledger, tenant)
    announce(kernel.ledger, kernel.events, job)
    keys = [stream_key(job.id), meta_key(job.id)]
    assert {True} == {kernel.events._redis.ttl(key) > 6 * 86400 for key in keys}
    done = transitions.finish(kernel.ledger, job.id, fence=1, state=JobState.FAILED, cause="permanent")
    assert done is not None
    announce(kernel.ledger, kernel.events, done)
    assert {True} == {86300 < kernel.events._redis.ttl(key) <= 86400 for key in keys}
    assert kernel.events.read(job.id)[-1].is_terminal


def test_newest_progress_of_many_jobs_is_one_question(kernel: Kernel) -> None:
    """With the fence it was reported under; jobs without one are left out."""
    tell(kernel.events, "a", percent=10)
    tell(kernel.events, "a", percent=20, fence=2)
    tell(kernel.events, "b", percent=30)
    assert kernel.events.progress(["a", "b", "c"]) == {"a": (2, {"percent": 20}), "b": (1, {"percent": 30})}
    assert kernel.events.progress([]) == {}


def test_erased_stream_is_gone(kernel: Kernel) -> None:
    """With what is kept beside it."""
    tell(kernel.events)
    kernel.events.erase("job")
    assert kernel.events._redis.keys("*") == []


def test_many_rings_are_one_bell(kernel: Kernel) -> None:
    """A dispatcher that was away wakes once."""
    for _ in range(3):
        kernel.events.ring()
    assert kernel.events._redis.llen(BELL_KEY) == 1


def test_frozen_redis_costs_a_second_once(kernel: Kernel, redis_server: RedisServer) -> None:
    """Then the breaker answers at once, and lets through again when Redis lives."""
    tell(kernel.events)
    redis_server.freeze()
    began = time.monotonic()
    with pytest.raises(EventsUnavailable):
        tell(kernel.events)
    assert 0.4 < time.monotonic() - began < 5
    began = time.monotonic()
    for attempt in (lambda: tell(kernel.events), lambda: kernel.events.read("job"), lambda: kernel.events.erase("job")):
        with pytest.raises(EventsUnavailable):
            attempt()
    kernel.events.ring()
    assert kernel.events.progress(["job"]) == {}
    assert time.monotonic() - began < 0.45  # less than one more limit
    redis_server.thaw()
    assert eventually(lambda: kernel.events.progress(["job"]) != {})


def test_successful_ring_closes_the_breaker(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reaches Redis proves that it lives."""
    for proof in (kernel.events.ring, lambda: kernel.events.progress(["job"])):
        monkeypatch.setattr(kernel.events.breaker, "_pause_s", 0.0)
        kernel.events.breaker.failed()
        monkeypatch.setattr(kernel.events.breaker, "_pause_s", 60.0)
        proof()
        assert not kernel.events.breaker.is_open


def test_stopped_redis_is_unavailable_at_once(kernel: Kernel, redis_server: RedisServer) -> None:
    """A refused connection needs no patience."""
    redis_server.stop()
    began = time.monotonic()
    with pytest.raises(EventsUnavailable):
        kernel.events.read("job")
    kernel.events.breaker.succeeded()
    kernel.events.ring()
    kernel.events.breaker.succeeded()
    assert kernel.events.progress(["job"]) == {}
    assert time.monotonic() - began < 0.45


def test_announce_without_redis_or_ledger_is_quiet(kernel: Kernel, redis_server: RedisServer, tenant: Tenant) -> None:
    """The transition stands; the dispatcher relays it later."""
    job = running(kernel.ledger, tenant)
    with ledger_away(kernel.ledger):
        announce(kernel.ledger, kernel.events, job)
    redis_server.stop()
    announce(kernel.ledger, kernel.events, job)


def test_relay_sends_what_is_unsent_and_notes_it(either_kernel: Kernel, tenant: Tenant) -> None:
    """Several jobs at once, each from where its stream stands."""
    jobs = [claimed(either_kernel.ledger, carried(either_kernel.ledger, tenant)) for _ in range(2)]
    accepted(either_kernel.ledger, tenant)
    announce(either_kernel.ledger, either_kernel.events, jobs[0])
    unsent = state_events.unsent_events(either_kernel.ledger, before=ago(-1))
    assert relay_unsent(either_kernel.ledger, either_kernel.events, unsent) == 5
    assert state_events.unsent_events(either_kernel.ledger, before=ago(-1)) == []
    assert [states(either_kernel, job.id) for job in jobs] == [["queued", "running"]] * 2


def test_relay_notes_what_it_sent_before_redis_went_away(
    kernel: Kernel, redis_server: RedisServer, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest stays unsent."""
    jobs = [accepted(kernel.ledger, tenant) for _ in range(2)]
    append = kernel.events.append_states_of_jobs

    def append_once(jobs) -> list[int]:
        have = append(jobs)
        redis_server.stop()
        return have

    monkeypatch.setattr(relay, "_JOBS_AT_ONCE", 1)
    monkeypatch.setattr(kernel.events, "append_states_of_jobs", append_once)
    unsent = state_events.unsent_events(kernel.ledger, before=ago(-1))
    with pytest.raises(EventsUnavailable):
        relay_unsent(kernel.ledger, kernel.events, unsent)
    assert [jobs[1].id] == [event.job_id for event in state_events.unsent_events(kernel.ledger, before=ago(-1))]


def test_opening_told_with_the_end_shows_the_whole_story(kernel: Kernel, tenant: Tenant) -> None:
    """Acceptance, claim and end in one call, without a look into the ledger, and as the ledger has them."""
    job = running(kernel.ledger, tenant)
    opening = Opening(kernel.ledger, kernel.events, job)
    ended = transitions.finish(kernel.ledger, job.id, fence=1, state=JobState.SUCCEEDED, cause="completed", result={})
    assert ended is not None
    kernel.ledger.sync()
    with ledger_away(kernel.ledger):
        tell_ends(kernel.ledger, kernel.events, [(opening, ended)])
    opening.tell()
    shown = [(event.n, event.at, event.attempt, event.data) for event in kernel.events.read(job.id)]
    kept = state_events.events_of(kernel.ledger, job.id)
    assert shown == [(event.n, rfc3339(event.at), event.attempt, event.data) for event in kept]


def test_opening_is_told_once(kernel: Kernel, tenant: Tenant) -> None:
    """Before the first report or a little later, whichever comes first; the end follows alone."""
    job = running(kernel.ledger, tenant)
    opening = Opening(kernel.ledger, kernel.events, job)
    opening.tell()
    assert states(kernel, job.id) == ["queued", "running"]
    tell(kernel.events, job.id, fence=1)
    opening.tell()
    ended = transitions.finish(kernel.ledger, job.id, fence=1, state=JobState.SUCCEEDED, cause="completed", result={})
    assert ended is not None
    tell_ends(kernel.ledger, kernel.events, [(opening, ended)])
    assert ["state", "state", "progress", "state"] == [event.type for event in kernel.events.read(job.id)]


def test_ends_of_several_jobs_are_told_at_once(kernel: Kernel, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one exchange with Redis, each with what is not told yet of how it began."""
    ends = []
    for told in (True, False, False):
        job = running(kernel.ledger, tenant)
        opening = Opening(kernel.ledger, kernel.events, job)
        if told:
            opening.tell()
        ended = transitions.finish(
            kernel.ledger, job.id, fence=1, state=JobState.SUCCEEDED, cause="completed", result={}
        )
        assert ended is not None
        ends.append((opening, ended))
    exchanges, append = [], kernel.events.append_states_of_jobs

    def count(pending: Sequence[Sequence[StateEvent]]) -> list[int]:
        exchanges.append(len(pending))
        return append(pending)

    monkeypatch.setattr(kernel.events, "append_states_of_jobs", count)
    tell_ends(kernel.ledger, kernel.events, ends)
    assert exchanges == [3]
    assert [states(kernel, job.id) for _, job in ends] == [["queued", "running", "succeeded"]] * 3


def test_opening_of_a_later_attempt_fills_the_gap_before_it(kernel: Kernel, tenant: Tenant) -> None:
    """What an earlier worker could not tell comes first."""
    first = running(kernel.ledger, tenant)
    transitions.requeue(kernel.ledger, first.id, fence=1, cause="worker_lost")
    (due,) = carrying.take_due(kernel.ledger, "maintenance")
    Opening(kernel.ledger, kernel.events, claimed(kernel.ledger, due)).tell()
    assert states(kernel, first.id) == ["queued", "running", "queued", "running"]


def test_relay_only_notes_what_the_streams_have(
    kernel: Kernel, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly every state was told by whoever made it, and costs one question for all of them."""
    jobs = [running(kernel.ledger, tenant) for _ in range(3)]
    for job in jobs:
        announce(kernel.ledger, kernel.events, job)
    unsent = state_events.unsent_events(kernel.ledger, before=ago(-1))
    monkeypatch.delattr(type(kernel.events), "append_states_of_jobs")
    assert relay_unsent(kernel.ledger, kernel.events, unsent) == 6
    assert state_events.unsent_events(kernel.ledger, before=ago(-1)) == []
