"""Jobs that need something of a worker, with a real ledger and Redis, the dispatcher, and rows for the workers."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, fleet, queries, transitions
from tasks.core.ledger.fleet import Worker, WorkerState
from tasks.core.ledger.schema import jobs
from tasks.core.ledger.tenants import Tenant, named
from tasks.core.matching import Offers, direct_queue
from tasks.core.records import Cause, Job, JobState
from tasks.registry import load_specs
from tests.samples import a_worker, accepted, carried, claimed
from tests.servers import RedisServer
from workers import matcher
from workers.dispatcher import Dispatcher
from workers.matcher import Fitting


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


def offering(
    name: str, *, queues: Sequence[str] = ("maintenance",), slots: int = 1, has: Sequence[str] = (), **offers: Any
) -> Worker:
    """Make a worker's row as a Celery worker of this version would."""
    kinds = [kind for kind, spec in load_specs().items() if spec.queue in queues]
    told = Offers(queues=list(queues), kinds=kinds, direct=True, **offers)
    common = [] if told.is_restricted else list(queues)
    return a_worker(
        f"{name}@{name}-host#1",
        host=f"{name}-host",
        queues=common,
        slots=slots,
        capabilities=list(has),
        offers=told.as_row(),
    )


def come(ledger: Ledger, *workers: Worker) -> None:
    for worker in workers:
        fleet.register(ledger, worker)


def messages(redis_server: RedisServer, queue: str) -> list[tuple[str, int]]:
    found = [json.loads(message)["headers"] for message in redis_server.client.lrange(f"sy:{queue}", 0, -1)]
    return [(headers["id"], headers["carry"]) for headers in found][::-1]


def at(redis_server: RedisServer, worker: Worker) -> list[str]:
    return [job_id for job_id, _ in messages(redis_server, direct_queue(worker.name))]


def begun(ledger: Ledger, redis_server: RedisServer, worker: Worker) -> list[Job]:
    """Claim what lies in the worker's own queue, as its children would."""
    began = []
    while (raw := redis_server.client.rpop(f"sy:{direct_queue(worker.name)}")) is not None:
        headers = json.loads(raw)["headers"]
        job = transitions.claim(ledger, headers["id"], carry=headers["carry"], worker=worker.name, child_pid=1)
        assert job is not None
        began.append(job)
    return began


def end(ledger: Ledger, job: Job) -> None:
    ended = transitions.finish(ledger, job.id, fence=job.fence, state=JobState.SUCCEEDED, cause=Cause.COMPLETED)
    assert ended is not None


# Forty machines, no two groups alike: what each has is told by its number.
_FORTY = [
    offering(
        f"w{number:02}",
        slots=1 + number % 3,
        has=[name for name, every in (("chromium", 2), ("r", 3), ("espeak", 7)) if number % every == 0],
        labels=[name for name, every in (("gpu", 5), ("eu", 4)) if number % every == 0],
        memory_mb=500 * (1 + number % 8),
        cpus=1 + number % 4,
    )
    for number in range(40)
]
# What is asked for, and whether the worker of a number has it.
_ASKED: list[tuple[dict[str, Any], Callable[[int], bool]]] = [
    ({}, lambda _: True),
    ({"chromium": True}, lambda n: n % 2 == 0),
    ({"chromium": False}, lambda n: n % 2 == 1),
    ({"chromium": True, "r": True}, lambda n: n % 6 == 0),
    ({"espeak": True, "r": False}, lambda n: n % 7 == 0 and n % 3 != 0),
    ({"memory_mb": 2000}, lambda n: n % 8 >= 3),
    ({"cpus": 4, "labels": ["eu"]}, lambda n: n % 4 == 3 and n % 4 == 0),  # nobody
    ({"labels": ["gpu"]}, lambda n: n % 5 == 0),
    ({"labels": ["eu", "gpu"]}, lambda n: n % 20 == 0),
    ({"labels": ["gpu"], "not_labels": ["eu"]}, lambda n: n % 5 == 0 and n % 4 != 0),
    ({"memory_mb": 4000, "not_labels": ["gpu"], "r": True}, lambda n: n % 8 == 7 and n % 5 != 0 and n % 3 == 0),
    ({"worker": "w17@w17-host#1"}, lambda n: n == 17),
    ({"host": "w23-host"}, lambda n: n == 23),
    ({"labels": ["moon"]}, lambda _: False),
]


def test_forty_workers_get_what_they_can_run_and_nothing_else(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Each job goes to a worker that fits, no worker gets ahead of its slots, and what nobody fits waits alone."""
    ledger = kernel.ledger
    come(ledger, *_FORTY)
    asked: dict[str, int] = {}
    for number, (requires, _) in enumerate(_ASKED):
        for _ in range(3):
            asked[accepted(ledger, tenant, requires=requires).id] = number
    ran: dict[str, int] = {}
    for _ in range(3):
        dispatcher.tick()
        for number, worker in enumerate(_FORTY):
            assert len(at(redis_server, worker)) <= worker.slots
            for job in begun(ledger, redis_server, worker):
                ran[job.id] = number
                end(ledger, job)
    wrong = [(asked[job_id], number) for job_id, number in ran.items() if not _ASKED[asked[job_id]][1](number)]
    assert [] == wrong
    can_run = {number for number, (_, fits) in enumerate(_ASKED) if any(map(fits, range(40)))}
    assert dict.fromkeys(can_run, 3) == Counter(asked[job_id] for job_id in ran)
    assert [] == messages(redis_server, "maintenance")


def test_job_that_nobody_can_run_starts_when_a_fitting_worker_comes(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """It holds up nothing meanwhile: what comes later and can run, runs."""
    plain, able = offering("plain"), offering("able", labels=["gpu"])
    come(kernel.ledger, plain)
    needy = accepted(kernel.ledger, tenant, requires={"labels": ["gpu"]})
    other = accepted(kernel.ledger, tenant, requires={})
    common = accepted(kernel.ledger, tenant)
    dispatcher.tick()
    assert ([other.id], [(common.id, 1)]) == (at(redis_server, plain), messages(redis_server, "maintenance"))
    come(kernel.ledger, able)
    dispatcher.tick()
    assert [needy.id] == at(redis_server, able)


@pytest.mark.parametrize("state", [WorkerState.GONE, WorkerState.DRAINING, WorkerState.STOPPED])
def test_job_is_routed_again_when_its_worker_goes(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer, state: WorkerState
) -> None:
    """By a new carry, so that the message which the other may have taken is void."""
    first, second = offering("first"), offering("second")
    come(kernel.ledger, first)
    job = accepted(kernel.ledger, tenant, requires={})
    dispatcher.tick()
    assert [(job.id, 1)] == messages(redis_server, direct_queue(first.name))
    come(kernel.ledger, second)
    fleet.set_state(kernel.ledger, first.name, state)
    dispatcher.tick()
    assert [] == at(redis_server, first)
    assert [(job.id, 2)] == messages(redis_server, direct_queue(second.name))
    assert transitions.claim(kernel.ledger, job.id, carry=1, worker=first.name, child_pid=1) is None


def test_job_of_a_lost_worker_goes_to_another_that_fits(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Also after it was begun: what was asked for stays with the job."""
    first, plain = offering("first", labels=["gpu"]), offering("plain")
    come(kernel.ledger, first, plain)
    job = accepted(kernel.ledger, tenant, requires={"labels": ["gpu"]})
    dispatcher.tick()
    (running,) = begun(kernel.ledger, redis_server, first)
    fleet.set_state(kernel.ledger, first.name, WorkerState.GONE)
    transitions.requeue(kernel.ledger, job.id, fence=running.fence, cause=Cause.WORKER_LOST)
    dispatcher.tick()
    assert [] == at(redis_server, plain)
    second = offering("second", labels=["gpu"])
    come(kernel.ledger, second)
    dispatcher.tick()
    assert [job.id] == at(redis_server, second)


def test_what_a_wiped_redis_lost_is_routed_again(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """At once, with the next carry."""
    worker = offering("only")
    come(kernel.ledger, worker)
    job = accepted(kernel.ledger, tenant, requires={})
    dispatcher.tick()
    redis_server.client.flushall()
    dispatcher.tick()
    assert [(job.id, 2)] == messages(redis_server, direct_queue(worker.name))


def test_lost_message_is_routed_again_after_a_while(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """A worker that has just taken it gets the time to claim it."""
    worker = offering("only")
    come(kernel.ledger, worker)
    job = accepted(kernel.ledger, tenant, requires={})
    dispatcher.tick()
    redis_server.client.delete(f"sy:{direct_queue(worker.name)}")
    dispatcher.tick()
    assert [] == at(redis_server, worker)
    losses = dispatcher._matching._losses
    clock = losses.clock
    losses.clock = lambda: clock() + 30
    dispatcher.tick()
    assert [(job.id, 2)] == messages(redis_server, direct_queue(worker.name))


def test_worker_of_the_last_failure_is_avoided_where_another_fits(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """And only there: a job that one worker alone can run goes there again."""
    bad, good = offering("a-bad", labels=["only"]), offering("good")
    come(kernel.ledger, bad)
    for requires, then in (({}, good), ({"labels": ["only"]}, bad)):
        job = accepted(kernel.ledger, tenant, requires=requires)
        dispatcher.tick()
        (running,) = begun(kernel.ledger, redis_server, bad)
        transitions.requeue(kernel.ledger, job.id, fence=running.fence, cause="transient")
        come(kernel.ledger, good)
        dispatcher.tick()
        assert [job.id] == at(redis_server, then)


def test_drained_job_may_go_where_it_was(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """A drain is no failure of the worker's."""
    first, second = offering("first"), offering("second", slots=1)
    come(kernel.ledger, first)
    job = accepted(kernel.ledger, tenant, requires={})
    dispatcher.tick()
    (running,) = begun(kernel.ledger, redis_server, first)
    transitions.requeue(kernel.ledger, job.id, fence=running.fence, cause=Cause.DRAINED, counted=False)
    come(kernel.ledger, second)
    dispatcher.tick()
    assert [job.id] == at(redis_server, first)


def test_least_loaded_worker_gets_the_next_job(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Against its slots, and counting what it runs of the common line."""
    busy, free = offering("a-busy", slots=2), offering("free", slots=4)
    come(kernel.ledger, busy, free)
    claimed(kernel.ledger, carried(kernel.ledger, tenant), worker=busy.name)
    placed = []
    for _ in range(4):
        placed.append(accepted(kernel.ledger, tenant, requires={}).id)
        dispatcher.tick()
    assert (placed[2:3], [*placed[:2], *placed[3:]]) == (at(redis_server, busy), at(redis_server, free))


def test_no_worker_gets_more_than_its_slots_ahead(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """The rest waits in the ledger, where order can still change and another worker may come."""
    first, second = offering("first", slots=2), offering("second", slots=2)
    come(kernel.ledger, first)
    waiting = [accepted(kernel.ledger, tenant, requires={}).id for _ in range(6)]
    dispatcher.tick()
    assert waiting[:2] == at(redis_server, first)
    come(kernel.ledger, second)
    dispatcher.tick()
    assert waiting[2:4] == at(redis_server, second)


def test_job_behind_a_busy_worker_moves_to_one_that_is_free(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it has waited there for a while."""
    busy, free = offering("busy"), offering("free")
    come(kernel.ledger, busy)
    running = accepted(kernel.ledger, tenant, requires={})
    dispatcher.tick()
    begun(kernel.ledger, redis_server, busy)
    behind = accepted(kernel.ledger, tenant, requires={})
    dispatcher.tick()
    come(kernel.ledger, free)
    dispatcher.tick()
    assert [behind.id] == at(redis_server, busy)
    monkeypatch.setattr(matcher, "_MOVES_ON_S", 0.0)
    dispatcher.tick()
    assert ([], [behind.id]) == (at(redis_server, busy), at(redis_server, free))
    assert running.id != behind.id


def test_single_job_of_another_tenant_goes_first(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """A long line of somebody else's has had its turn."""
    worker = offering("only")
    come(kernel.ledger, worker)
    for _ in range(5):
        accepted(kernel.ledger, tenant, requires={})
    dispatcher.tick()
    single = accepted(kernel.ledger, named(kernel.ledger, "other"), requires={"labels": []})
    (first,) = begun(kernel.ledger, redis_server, worker)
    end(kernel.ledger, first)
    dispatcher.tick()
    assert [single.id] == at(redis_server, worker)


def test_follow_up_goes_to_the_worker_that_holds_the_files(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """It waits until that one has run; once the worker has gone, another of its host will do."""
    elsewhere, holder = offering("elsewhere"), offering("holder")
    come(kernel.ledger, elsewhere, holder)
    parent = accepted(kernel.ledger, tenant, requires={"worker": holder.name})
    children = [accepted(kernel.ledger, tenant, requires={"same_worker_as": parent.id}) for _ in range(2)]
    dispatcher.tick()
    assert ([], [parent.id]) == (at(redis_server, elsewhere), at(redis_server, holder))
    (ran,) = begun(kernel.ledger, redis_server, holder)
    end(kernel.ledger, ran)
    dispatcher.tick()
    (first,) = begun(kernel.ledger, redis_server, holder)
    end(kernel.ledger, first)
    fleet.set_state(kernel.ledger, holder.name, WorkerState.GONE)
    dispatcher.tick()
    assert [] == at(redis_server, elsewhere)
    successor = replace(offering("holder"), name="holder@holder-host#2")
    come(kernel.ledger, successor)
    dispatcher.tick()
    assert ([children[0].id], [children[1].id]) == ([first.id], at(redis_server, successor))


# ---- workers of a few tenants


def test_worker_of_a_few_tenants_gets_their_jobs_alone(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Those that ask for nothing as well, and none of anybody else's; nothing goes where nobody takes it."""
    other = named(kernel.ledger, "other")
    own = offering("own", slots=2, tenants=[tenant.id])
    come(kernel.ledger, own)
    theirs = [accepted(kernel.ledger, other, requires=requires) for requires in (None, {})]
    mine = accepted(kernel.ledger, tenant)
    published = carried(kernel.ledger, tenant)  # a web process does not know of workers
    dispatcher.tick()
    assert {mine.id, published.id} == set(at(redis_server, own))
    assert [] == messages(redis_server, "maintenance")
    come(kernel.ledger, offering("everybody", slots=4))
    dispatcher.tick()
    assert [theirs[0].id] == [job_id for job_id, _ in messages(redis_server, "maintenance")]


def test_worker_never_gets_the_jobs_of_a_tenant_it_does_not_serve(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """All others', from their place in line."""
    other = named(kernel.ledger, "other")
    worker = offering("choosy", slots=4, not_tenants=[other.id])
    come(kernel.ledger, worker)
    for requires in (None, {}):
        accepted(kernel.ledger, other, requires=requires)
    mine = [accepted(kernel.ledger, tenant, priority=priority).id for priority in (10, 90)]
    dispatcher.tick()
    assert mine[::-1] == at(redis_server, worker)


def test_jobs_that_nobody_fits_do_not_keep_a_worker_of_a_few_tenants_idle(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Nor does the long line of one of its tenants keep the others' jobs from it."""
    own, other = offering("own", slots=2, not_tenants=["somebody"]), named(kernel.ledger, "other")
    come(kernel.ledger, own)
    for _ in range(120):
        accepted(kernel.ledger, tenant, requires={"labels": ["moon"]})
    for _ in range(5):
        accepted(kernel.ledger, tenant, requires={})
    single = accepted(kernel.ledger, other)
    dispatcher.tick()
    assert (2, True) == (len(at(redis_server, own)), single.id in at(redis_server, own))


# ---- kinds that need something


def crawler(name: str, has: Sequence[str]) -> Worker:
    return offering(name, queues=["crawler"], has=has)


@pytest.mark.parametrize(
    ("kind", "request_", "needs"),
    [
        ("discovery.site", {}, ["chromium", "playwright"]),
        ("discovery.run", {"prefer": "browser"}, ["chromium"]),
    ],
)
def test_kind_goes_only_to_those_workers_of_its_queue_that_have_what_it_needs(
    dispatcher: Dispatcher,
    kernel: Kernel,
    tenant: Tenant,
    redis_server: RedisServer,
    kind: str,
    request_: Mapping[str, Any],
    needs: list[str],
) -> None:
    """Where they differ it is routed; where they do not, it waits in the common line as ever."""
    able, lacking = crawler("able", ["chromium", "playwright"]), crawler("lacking", [])
    come(kernel.ledger, able)
    first = accepted(kernel.ledger, tenant, kind=kind, queue="crawler", request=dict(request_))
    dispatcher.tick()
    assert [first.id] == [job_id for job_id, _ in messages(redis_server, "crawler")]
    come(kernel.ledger, lacking)
    plain = accepted(kernel.ledger, tenant, kind="crawling.page", queue="crawler", request={})
    dispatcher.tick()
    assert [plain.id] == [job_id for job_id, _ in messages(redis_server, "crawler")]
    assert [first.id] == at(redis_server, able)
    found = queries.job(kernel.ledger, first.id)
    assert found is not None
    assert dict.fromkeys(needs, True) == found.requires


def test_jobs_that_need_nothing_cost_one_question(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is to be matched, no worker is compared with anything."""
    come(kernel.ledger, offering("one"))
    monkeypatch.setattr(Fitting, "among", lambda *_: pytest.fail("compared"))
    job = accepted(kernel.ledger, tenant)
    dispatcher.tick()
    assert [(job.id, 1)] == messages(redis_server, "maintenance")
    with kernel.ledger.read() as connection:
        assert connection.execute(jobs.select().where(jobs.c.requires.is_not(None))).all() == []


def test_limit_and_requirement_hold_together(
    dispatcher: Dispatcher, kernel: Kernel, tenant: Tenant, redis_server: RedisServer
) -> None:
    """Kept back by its key, then routed."""
    worker = offering("only", slots=4)
    come(kernel.ledger, worker)
    both = [accepted(kernel.ledger, tenant, requires={}, concurrency_key="k", parked=True).id for _ in range(2)]
    dispatcher.tick()
    dispatcher.tick()
    assert both[:1] == at(redis_server, worker)
    (first,) = begun(kernel.ledger, redis_server, worker)
    end(kernel.ledger, first)
    dispatcher.tick()
    dispatcher.tick()
    assert both[1:] == at(redis_server, worker)
