"""The dispatcher with a real ledger and Redis and no workers: carries, carries again, rescues, relays, outlives."""

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest
from celery import Celery
from structlog.testing import capture_logs

from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, fleet, queries, state_events, transitions
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.schema import jobs
from tasks.core.ledger.tenants import Tenant, named
from tasks.core.records import Cause, JobState
from tasks.core.redis_events import BELL_KEY
from tasks.core.spec import Option
from tasks.maintenance.contract import SPECS
from tests.samples import WORKER, a_job, a_worker, accepted, ago, carried, claimed, eventually, ledger_away, running
from tests.servers import RedisServer
from workers.dispatcher import Dispatcher
from workers.judge import Every
from workers.pace import SHORTEST_S


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


@pytest.fixture
def dispatcher(kernel: Kernel, sender: Celery, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dispatcher]:
    """A dispatcher that does everything at each tick."""
    monkeypatch.setattr(Every, "is_due", lambda _: True)
    dispatcher = Dispatcher(kernel, sender)
    with capture_logs():
        yield dispatcher
    dispatcher._publisher.close()
    dispatcher._broker.close()


def messages(redis_server: RedisServer, queue: str = "maintenance") -> list[tuple[str, int]]:
    found = [json.loads(message)["headers"] for message in redis_server.client.lrange(f"sy:{queue}", 0, -1)]
    return [(headers["id"], headers["carry"]) for headers in found][::-1]


def backlog(kernel: Kernel, tenant: Tenant, size: int) -> None:
    with kernel.ledger.write() as connection:
        connection.execute(jobs.insert(), [asdict(a_job(tenant)) for _ in range(size)])


def age(dispatcher: Dispatcher, seconds: float = 30) -> None:
    """Let what was published have been so for a while, by the dispatcher's own clock."""
    clock = dispatcher._losses.clock
    dispatcher._losses.clock = lambda: clock() + seconds


def test_waiting_jobs_are_carried_in_order(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Priority first, each queue for itself."""
    low, high = (accepted(kernel.ledger, tenant, priority=priority) for priority in (10, 90))
    other = accepted(kernel.ledger, tenant, queue="ai")
    dispatcher.tick()
    assert messages(redis_server) == [(high.id, 1), (low.id, 1)]
    assert messages(redis_server, "ai") == [(other.id, 1)]


def test_kind_that_no_live_worker_can_run_waits(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """In the ledger, until a worker of its queue has what it needs; kinds without needs are carried meanwhile."""
    dispatcher._needy = [replace(SPECS[0], kind="maintenance.needy", capabilities=frozenset({"chromium"}))]
    fleet.register(kernel.ledger, a_worker("plain"))
    fleet.register(kernel.ledger, a_worker("elsewhere", queues=["ai"], capabilities=["chromium"]))
    needy, plain = accepted(kernel.ledger, tenant, kind="maintenance.needy"), accepted(kernel.ledger, tenant)
    dispatcher.tick()
    assert messages(redis_server) == [(plain.id, 1)]
    fleet.register(kernel.ledger, a_worker("able", capabilities=["chromium", "r"]))
    dispatcher.tick()
    assert messages(redis_server) == [(plain.id, 1), (needy.id, 1)]


def test_job_whose_request_needs_more_waits(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Until a worker has what the option takes; other jobs of its kind are carried meanwhile."""
    dispatcher._needy = [replace(SPECS[0], options=(Option("message", "special", "chromium"),))]
    fleet.register(kernel.ledger, a_worker("plain"))
    special = accepted(kernel.ledger, tenant, request={"message": "special"})
    plain = accepted(kernel.ledger, tenant, request={"message": "plain"})
    dispatcher.tick()
    assert messages(redis_server) == [(plain.id, 1)]
    fleet.register(kernel.ledger, a_worker("able", capabilities=["chromium"]))
    dispatcher.tick()
    assert messages(redis_server) == [(plain.id, 1), (special.id, 1)]


def test_no_more_than_the_window_is_carried(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """The rest waits in the ledger, where order can still change."""
    backlog(kernel, tenant, 50)
    for _ in range(3):
        dispatcher.tick()
    assert len(messages(redis_server)) == 32


def test_single_job_goes_before_a_line_that_is_in_the_broker(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another tenant has there is taken out, and put there anew behind it; a stranger's message stays."""
    monkeypatch.setattr("workers.dispatcher._GIVES_WAY_EVERY_S", 0.0)
    backlog(kernel, tenant, 50)
    dispatcher.tick()
    line = [job_id for job_id, _ in messages(redis_server)]
    stranger = json.dumps({"headers": {"id": "x", "carry": 1}})
    redis_server.client.rpush("sy:maintenance", stranger)
    single = accepted(kernel.ledger, named(kernel.ledger, "other"))
    dispatcher.tick()
    assert [("x", 1), (single.id, 1), (line[0], 2)] == messages(redis_server)[:3]
    assert 33 == len(messages(redis_server))
    dispatcher.tick()
    assert 33 == len(messages(redis_server))


def test_job_under_way_is_not_carried_again(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """However old its message is, as long as Redis holds it, and whatever the clock said that dated it."""
    job = carried(kernel.ledger, tenant, created_at=ago(7200))
    dispatcher._publish([job])
    for _ in range(3):
        dispatcher.tick()
        age(dispatcher)
    assert messages(redis_server) == [(job.id, 1)]


def test_lost_message_alone_is_carried_again(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Once it was missing for a while; what lies beside it in the queue stays as it is."""
    lost, held = (accepted(kernel.ledger, tenant) for _ in range(2))
    dispatcher.tick()
    redis_server.client.rpop("sy:maintenance")
    dispatcher.tick()
    assert messages(redis_server) == [(held.id, 1)]
    age(dispatcher)
    dispatcher.tick()
    assert messages(redis_server) == [(held.id, 1), (lost.id, 2)]


def test_stranger_in_the_queue_hides_no_loss(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Messages are compared, not counted: one that is void or no message of ours stands for no job."""
    lost = accepted(kernel.ledger, tenant)
    dispatcher.tick()
    redis_server.client.delete("sy:maintenance")
    redis_server.client.lpush("sy:maintenance", "no message", json.dumps({"headers": {"id": lost.id, "carry": 0}}))
    dispatcher.tick()
    age(dispatcher)
    dispatcher.tick()
    redis_server.client.lrem("sy:maintenance", 1, "no message")
    assert messages(redis_server) == [(lost.id, 0), (lost.id, 2)]


def test_message_that_waits_is_not_lost_when_it_is_taken(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """A worker that has just taken it gets as long to claim the job as if it had not waited."""
    job = accepted(kernel.ledger, tenant)
    dispatcher.tick()
    age(dispatcher)
    dispatcher.tick()
    redis_server.client.delete("sy:maintenance")
    dispatcher.tick()
    assert (messages(redis_server), queries.job(kernel.ledger, job.id).carry) == ([], 1)


def test_wiped_redis_is_filled_again_at_once(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Nobody waits for a Redis that is known to have lost everything; and only once."""
    job = accepted(kernel.ledger, tenant)
    dispatcher.tick()
    redis_server.client.flushall()
    for _ in range(3):
        dispatcher.tick()
    assert messages(redis_server) == [(job.id, 2)]


def test_wipe_that_another_dispatcher_saw_first_is_noticed(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """It may have died before it carried everything again."""
    job = accepted(kernel.ledger, tenant)
    dispatcher.tick()
    redis_server.client.flushall()
    redis_server.client.set("sy:born", "another")
    dispatcher.tick()
    assert messages(redis_server) == [(job.id, 2)]


def test_new_dispatcher_leaves_what_redis_holds(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer, sender: Celery
) -> None:
    """A Redis with a mark was not wiped."""
    job = accepted(kernel.ledger, tenant)
    dispatcher.tick()
    successor = Dispatcher(kernel, sender)
    successor.tick()
    successor._publisher.close()
    successor._broker.close()
    assert messages(redis_server) == [(job.id, 1)]


def test_wiped_redis_with_a_hundred_waiting_loses_none(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """All of them run in the end, each once."""
    backlog(kernel, tenant, 100)
    ran: Counter[str] = Counter()
    dispatcher.tick()
    redis_server.client.flushall()
    while work(dispatcher, kernel, redis_server, ran):
        pass
    assert (100, {1}) == (len(ran), set(ran.values()))


def work(dispatcher: Dispatcher, kernel: Kernel, redis_server: RedisServer, ran: Counter[str]) -> bool:
    """One tick, then a worker's part: take and end whatever lies in the broker."""
    dispatcher.tick()
    took = messages(redis_server)
    redis_server.client.delete("sy:maintenance")
    for job_id, carry in took:
        job = transitions.claim(kernel.ledger, job_id, carry=carry, worker=WORKER, child_pid=1)
        if job is not None:
            ran[job_id] += 1
            state = JobState.SUCCEEDED
            transitions.finish(kernel.ledger, job.id, fence=job.fence, state=state, cause=Cause.COMPLETED)
    return bool(took)


@pytest.mark.slow
def test_long_backlog_is_published_once_each(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Ten thousand wait, the broker never holds more than the window, and no message comes twice."""
    backlog(kernel, tenant, 10_000)
    fleet.register(kernel.ledger, a_worker(slots=125))
    sent: Counter[tuple[str, int]] = Counter()
    for _ in range(6):
        fleet.beat(kernel.ledger, WORKER, rss_bytes=1, state="up")
        dispatcher.tick()
        took = messages(redis_server)
        redis_server.client.delete("sy:maintenance")
        assert len(took) == 500
        sent.update(took)
        with kernel.ledger.write() as connection:
            connection.execute(
                jobs.update()
                .where(jobs.c.published_at.is_not(None))
                .values(state=JobState.SUCCEEDED, published_at=None, finished_at=ago(0))
            )
    assert queries.listing(kernel.ledger, Filter(tenant.id, states=["queued"]), limit=1).total == 7000
    assert (3000, {1}, {1}) == (len(sent), set(sent.values()), {carry for _, carry in sent})


@pytest.mark.slow
def test_long_backlog_is_published_once_each_while_the_window_grows(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Ten thousand brief jobs, and two slots that take all that is there and claim the last of it a look later."""
    backlog(kernel, tenant, 10_000)
    fleet.register(kernel.ledger, a_worker(slots=2))
    # As quick as a look may follow the other: how quick this machine is decides nothing.
    dispatcher._pace.clock = itertools.count(step=SHORTEST_S).__next__
    sent: Counter[tuple[str, int]] = Counter()
    held: list[int] = []
    unclaimed: list[str] = []
    while sum(sent.values()) < 10_000:
        fleet.beat(kernel.ledger, WORKER, rss_bytes=1, state="up")
        dispatcher.tick()
        took = messages(redis_server)
        redis_server.client.delete("sy:maintenance")
        assert took, "jobs wait, and nothing is published"
        sent.update(took)
        held.append(len(took))
        ids = unclaimed + [job_id for job_id, _ in took]
        with kernel.ledger.write() as connection:
            connection.execute(
                jobs.update()
                .where(jobs.c.id.in_(ids[:-5]))
                .values(state=JobState.SUCCEEDED, published_at=None, finished_at=ago(0))
            )
        unclaimed = ids[-5:]
    assert (10_000, {1}, {1}) == (len(sent), set(sent.values()), {carry for _, carry in sent})
    assert 32 == held[0]
    assert 128 < max(held) <= 256, "the window has grown, and not beyond its bound"


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


def expire(dispatcher: Dispatcher) -> None:
    """Let a lease pass on the census's clock."""
    clock = dispatcher._judge.census.clock
    dispatcher._judge.census.clock = lambda: clock() + 11


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
    with kernel.ledger.write() as connection:
        connection.execute(jobs.update().values(not_before=None))
    dispatcher.tick()
    claimed(kernel.ledger, queries.job(kernel.ledger, job.id), worker="second")
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
    """Sooner than its second; a stop ends it."""
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    try:
        for _ in range(3):
            assert eventually(lambda: redis_server.client.info("clients")["blocked_clients"] == 1)
            job = accepted(kernel.ledger, tenant)
            began = time.monotonic()
            kernel.events.ring()
            assert eventually(lambda: job.id in dict(messages(redis_server)))  # noqa: B023  # called at once
            assert time.monotonic() - began < 0.9
    finally:
        dispatcher.stop()
        thread.join(timeout=5)
    assert not thread.is_alive()
    assert redis_server.client.llen(BELL_KEY) == 0


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
