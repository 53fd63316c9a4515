"""The dispatcher with a real ledger and Redis and no workers: rescues, relays, expires, and outlives what is away."""

import threading
import time
from collections.abc import Callable

import pytest

from tasks.core.errors import LedgerBusy
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, fleet, queries, state_events, transitions
from tasks.core.ledger.schema import jobs
from tasks.core.ledger.tenants import Tenant
from tasks.core.outcome import settle_lost
from tasks.core.records import Cause, Job, JobState
from tasks.core.redis_events import BELL_KEY
from tests.samples import WORKER, a_worker, accepted, ago, claimed, eventually, ledger_away, running
from tests.servers import RedisServer
from tests.workers.dispatching import expire, messages
from workers.broker import Broker
from workers.callbacks import SenderKeeper
from workers.dispatcher import Dispatcher
from workers.judge import Every
from workers.pace import SHORTEST_S


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


def test_unsent_states_are_relayed(dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant) -> None:
    """Also those that nobody announced; the newest two seconds are left to whoever made them."""
    old, fresh = accepted(kernel.ledger, tenant, created_at=ago(3)), accepted(kernel.ledger, tenant)
    dispatcher.tick()
    assert [["queued"], []] == [[event.data["state"] for event in kernel.events.read(job.id)] for job in (old, fresh)]
    assert state_events.unsent_events(kernel.ledger, before=ago(2)) == []


def test_many_unsent_states_are_relayed_between_looks_at_the_queues(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few at a time, tick after tick, until the last; then it rests again."""
    monkeypatch.setattr("workers.dispatcher._RELAY_AT_ONCE", 2)
    monkeypatch.setattr(dispatcher, "_relays", Every(3600))
    for _ in range(5):
        accepted(kernel.ledger, tenant, created_at=ago(3))
    left, rests = [], []
    for _ in range(3):
        dispatcher.tick()
        left.append(len(state_events.unsent_events(kernel.ledger, before=ago(2))))
        rests.append(dispatcher._pause_s > SHORTEST_S)
    assert ([3, 1, 0], [False, False, True]) == (left, rests)


def test_relay_that_fails_keeps_nothing_else_from_being_done(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Schedules come after it in a tick; and it does not try again all the time."""

    def fail(*_: object, **__: object) -> bool:
        raise ValueError("what nobody has thought of")

    ticked: list[bool] = []
    monkeypatch.setattr("workers.dispatcher.relay_late", fail)
    monkeypatch.setattr(dispatcher._scheduler, "tick", lambda: ticked.append(True))
    dispatcher._relays_more = True
    dispatcher.tick()
    assert ([True], True) == (ticked, dispatcher._pause_s > SHORTEST_S)


def test_redis_may_stop_and_come_back(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Jobs stay due meanwhile, and ticks stay quick."""
    redis_server.stop()
    job = accepted(kernel.ledger, tenant)
    for _ in range(3):
        began = time.monotonic()
        dispatcher.tick()
        assert time.monotonic() - began < 3
    assert queries.job(kernel.ledger, job.id).published_at is None
    redis_server.start()
    dispatcher._breaker.succeeded()
    dispatcher.tick()
    assert [job.id] == [job_id for job_id, _ in messages(redis_server)]


def test_jobs_of_a_worker_that_stands_still_are_rescued(dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant) -> None:
    """They are queued again, the worker is gone, and the stream shows why."""
    fleet.register(kernel.ledger, a_worker())
    job = running(kernel.ledger, tenant)
    dispatcher.tick()
    assert queries.job(kernel.ledger, job.id).state == JobState.RUNNING
    expire(dispatcher)
    dispatcher.tick()
    back = queries.job(kernel.ledger, job.id)
    assert (JobState.QUEUED, Cause.WORKER_LOST) == (back.state, back.cause)
    assert fleet.live_workers(kernel.ledger) == []
    assert kernel.events.read(job.id)[-1].data["cause"] == Cause.WORKER_LOST


def test_jobs_of_a_beating_worker_stay(dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant) -> None:
    """However long they run, and whatever its clock says."""
    fleet.register(kernel.ledger, a_worker(beat_at=ago(3600)))
    job = running(kernel.ledger, tenant)
    for _ in range(3):
        dispatcher.tick()
        expire(dispatcher)
        fleet.beat(kernel.ledger, WORKER, rss_bytes=1, state="up")
    assert queries.job(kernel.ledger, job.id) == job


def test_worker_that_beats_again_in_the_last_moment_keeps_its_jobs(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dispatcher that was frozen between its judgement and the act looks once more."""
    fleet.register(kernel.ledger, a_worker())
    job = running(kernel.ledger, tenant)
    dispatcher.tick()
    expire(dispatcher)
    held_by = fleet.held_by

    def thawed(ledger: Ledger, name: str) -> list[fleet.Held]:
        held = held_by(ledger, name)
        fleet.beat(ledger, name, rss_bytes=1, state="up")
        return held

    monkeypatch.setattr(fleet, "held_by", thawed)
    dispatcher.tick()
    assert queries.job(kernel.ledger, job.id) == job
    assert [WORKER] == [worker.name for worker in fleet.live_workers(kernel.ledger)]


def test_poison_job_dies_after_its_attempts(dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant) -> None:
    """Each worker it takes with it counts; the last cause is kept."""
    job = running(kernel.ledger, tenant, max_attempts=2, worker="first")
    dispatcher.tick()
    expire(dispatcher)
    dispatcher.tick()
    assert queries.job(kernel.ledger, job.id).state is JobState.QUEUED
    with kernel.ledger.write() as connection:
        connection.execute(jobs.update().values(not_before=None))
    dispatcher.tick()
    claimed(kernel.ledger, queries.job(kernel.ledger, job.id), worker="second")
    dispatcher.tick()
    expire(dispatcher)
    dispatcher.tick()
    dead = queries.job(kernel.ledger, job.id)
    assert (JobState.FAILED, True, "worker_lost") == (dead.state, dead.dead, dead.error["code"])


def test_silent_attempt_is_taken_for_stuck(dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant) -> None:
    """Its kind says after how long; one that shows signs of life stays, and so does one whose kind may be silent."""
    silent, lively = (running(kernel.ledger, tenant, silence_s=8.0) for _ in range(2))
    free = running(kernel.ledger, tenant)
    fleet.register(kernel.ledger, a_worker())
    dispatcher.tick()
    clock = dispatcher._judge.listening.clock
    dispatcher._judge.listening.clock = lambda: clock() + 8
    transitions.note_sign(kernel.ledger, lively.id, fence=lively.fence)
    dispatcher.tick()
    ended = queries.job(kernel.ledger, silent.id)
    assert (JobState.QUEUED, Cause.SILENT, 1) == (ended.state, ended.cause, ended.attempt)
    states = [queries.job(kernel.ledger, job.id).state for job in (lively, free)]
    assert [JobState.RUNNING, JobState.RUNNING] == states


def test_job_that_is_too_old_is_ended_and_told(dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant) -> None:
    """Before it could be carried; also while Redis is away."""
    late = accepted(kernel.ledger, tenant, expires_at=ago(1))
    dispatcher.tick()
    ended = queries.job(kernel.ledger, late.id)
    assert (JobState.FAILED, Cause.EXPIRED, 0) == (ended.state, ended.cause, ended.carry)
    assert kernel.events.read(late.id)[-1].data["cause"] == Cause.EXPIRED


def test_ledger_work_goes_on_while_redis_is_frozen(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Each tick waits for it for a moment only, and what is silent, lost or too old is settled."""
    lost = running(kernel.ledger, tenant)
    silent = running(kernel.ledger, tenant, silence_s=1.0, worker="beats")
    fleet.register(kernel.ledger, a_worker("beats"))
    late = accepted(kernel.ledger, tenant, expires_at=ago(-0.1))
    dispatcher.tick()
    redis_server.freeze()
    expire(dispatcher)
    fleet.beat(kernel.ledger, "beats", rss_bytes=1, state="up")
    clock = dispatcher._judge.listening.clock
    dispatcher._judge.listening.clock = lambda: clock() + 2
    for _ in range(3):
        began = time.monotonic()
        dispatcher.tick()
        assert time.monotonic() - began < 5
    causes = [queries.job(kernel.ledger, job.id).cause for job in (lost, silent, late)]
    assert [Cause.WORKER_LOST, Cause.SILENT, Cause.EXPIRED] == causes


def test_bell_wakes_the_dispatcher(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Long before it would look by itself; a stop ends it."""
    dispatcher._pace.longest_s = dispatcher._tick_s = dispatcher._pause_s = 30.0
    dispatcher._broker.close()
    dispatcher._broker = Broker(kernel.settings.redis_url, key_prefix="sy:", longest_wait_s=30.0)
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    try:
        for _ in range(3):
            assert eventually(lambda: redis_server.client.info("clients")["blocked_clients"] == 1)
            job = accepted(kernel.ledger, tenant)
            kernel.events.ring()
            assert eventually(lambda: job.id in dict(messages(redis_server)))  # noqa: B023  # called at once
            assert redis_server.client.llen(BELL_KEY) == 0
    finally:
        dispatcher.stop()
        kernel.events.ring()
        thread.join(timeout=5)
    assert not thread.is_alive()


def test_ledger_outage_is_outlived_and_blamed_on_nobody(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Workers could not beat either, so each gets a new lease."""
    fleet.register(kernel.ledger, a_worker())
    job = running(kernel.ledger, tenant)
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    try:
        assert eventually(lambda: dispatcher._judge.census._seen != {})
        with ledger_away(kernel.ledger):
            kernel.events.ring()
            assert eventually(lambda: dispatcher._judge.census._seen == {})
            expire(dispatcher)
        assert eventually(lambda: dispatcher._judge.census._seen != {})
    finally:
        dispatcher.stop()
        thread.join(timeout=5)
    assert queries.job(kernel.ledger, job.id) == job


def test_duty_that_always_fails_keeps_nobody_from_the_others(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it finds what it cannot deal with, or what it asks of the ledger takes too long."""
    lost = running(kernel.ledger, tenant)
    dispatcher.tick()
    expire(dispatcher)
    for error in (RuntimeError("a row of another version"), LedgerBusy("slow")):
        asked: list[object] = []

        def fail(of: object, error: Exception = error, asked: list[object] = asked, **_: object) -> None:
            asked.append(of)
            raise error

        for duty in ("job_batches.tend", "pauses.tend", "parking.anything_parked", "FollowUps.tick"):
            monkeypatch.setattr(f"workers.flow.{duty}", fail)
        for duty in (dispatcher._outbox, dispatcher._scheduler):
            monkeypatch.setattr(type(duty), "tick", fail)
        monkeypatch.setattr(SenderKeeper, "look_after", fail)
        job = accepted(kernel.ledger, tenant)
        dispatcher.tick()
        assert (7, True) == (len(asked), job.id in dict(messages(redis_server)))
    assert queries.job(kernel.ledger, lost.id).cause == Cause.WORKER_LOST


def test_job_that_cannot_be_settled_keeps_no_other_from_it(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor from being expired, swept or carried; it is tried again at every turn."""
    first, second = (running(kernel.ledger, tenant, worker="gone") for _ in range(2))
    dispatcher.tick()
    late = accepted(kernel.ledger, tenant, expires_at=ago(1))
    stuck = first
    tried: list[str] = []

    def settle(ledger: Ledger, job_id: str, **told: object) -> Job | None:
        tried.append(job_id)
        if job_id == stuck.id:
            raise LedgerBusy("somebody holds the row")
        return settle_lost(ledger, job_id, **told)

    monkeypatch.setattr("workers.judge.settle_lost", settle)
    job = accepted(kernel.ledger, tenant)
    expire(dispatcher)
    dispatcher.tick()
    causes = [queries.job(kernel.ledger, one.id).cause for one in (first, second, late)]
    assert [Cause.CLAIMED, Cause.WORKER_LOST, Cause.EXPIRED] == causes
    assert job.id in dict(messages(redis_server))
    stuck = late
    dispatcher.tick()
    assert ([first.id, second.id, first.id], Cause.WORKER_LOST) == (tried, queries.job(kernel.ledger, first.id).cause)
    assert Cause.EXPIRED == queries.job(kernel.ledger, late.id).cause


def test_silence_that_cannot_be_judged_keeps_nothing_else_from_being_done(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do jobs that cannot be expired, sweeps that cannot be submitted, and traffic that cannot be counted."""
    asked: list[str] = []

    def failing(name: str, error: Exception) -> Callable[..., None]:
        def fail(*_: object, **__: object) -> None:
            asked.append(name)
            raise error

        return fail

    for error in (RuntimeError("a row of another version"), LedgerBusy("slow")):
        asked.clear()
        monkeypatch.setattr("workers.judge.fleet.watched", failing("silence", error))
        monkeypatch.setattr("workers.judge.transitions.expire", failing("expiry", error))
        monkeypatch.setattr("workers.judge.SweepTimer.tick", failing("sweeps", error))
        monkeypatch.setattr("workers.judge.rates.count", failing("traffic", error))
        monkeypatch.setattr(dispatcher._judge._counts, "is_due", lambda: True)
        monkeypatch.setattr(dispatcher._judges, "is_due", lambda: True)
        job = accepted(kernel.ledger, tenant)
        dispatcher.tick()
        assert ["silence", "expiry", "sweeps", "traffic"] == asked
        assert job.id in dict(messages(redis_server))
