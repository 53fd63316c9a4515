"""The dispatcher with a real ledger and Redis and no workers: what it carries, and what it carries again."""

import itertools
import json
from collections import Counter
from dataclasses import asdict, replace

import pytest
from celery import Celery

from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, fleet, queries, transitions
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.schema import jobs
from tasks.core.ledger.tenants import Tenant, named
from tasks.core.records import Cause, JobState
from tasks.core.spec import Option
from tasks.maintenance.contract import SPECS
from tests.samples import WORKER, a_job, a_worker, accepted, ago, carried
from tests.servers import RedisServer
from tests.workers.dispatching import messages
from workers.dispatcher import Dispatcher
from workers.pace import SHORTEST_S


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


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
