"""The monitor over HTTP: who is told what, from a snapshot on or from where it was before."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from app.monitor.viewer import Wanted
from app.openapi import API
from app.services import Services, services_of
from tasks.core.ledger import fleet, leases, replaying
from tasks.core.ledger.fleet import WorkerState
from tasks.core.records import JobState
from tests.app.conftest import WORKER, Caller, add_worker, claim, finish, sign_in
from tests.app.streams.house import EventSource, event_source, served
from tests.samples import eventually, ledger_away
from tests.servers import RedisServer

Event = dict[str, Any]


class Door:
    """The front door on a server, without a Redis: an operator and two tenants."""

    def __init__(self, app: API, address: str) -> None:
        self.address = address
        self.services: Services = services_of(app)
        self.kernel = self.services.kernel
        self.root, self.alice, self.bob = (sign_in(app, name) for name in ("system", "alice", "bob"))

    @contextmanager
    def watch(self, query: str = "", *, by: Caller | None = None, last: str | None = None) -> Iterator[EventSource]:
        headers = {"Authorization": f"Bearer {(by or self.root).key}"}
        if last is not None:
            headers["Last-Event-ID"] = last
        with event_source(f"http://{self.address}/api/monitor/events{query}", headers=headers) as source:
            yield source

    def ended(self, by: Caller | None = None, **values: Any) -> str:
        job = claim(self.kernel, (by or self.alice).submit()["id"])
        return finish(self.kernel, job, **values).id


def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hub._TICK_S", "fleet_watch._WORKERS_S", "fleet_watch._SYSTEM_S", "fleet_watch._QUEUES_S"):
        monkeypatch.setattr(f"app.monitor.{name}", 0.05)


@pytest.fixture
def door(make_app: Callable[..., API], monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    _look_often(monkeypatch)
    app = make_app(profile="local", heartbeat_s=0.3)
    with served(app) as address:
        yield Door(app, address)


def following(source: EventSource, topic: str = "job") -> Event:
    """The next event of the topic."""
    while (event := source.next()) is not None:
        if event["data"]["topic"] == topic:
            found: Event = event["data"]
            return found
    raise AssertionError("the stream ended")


def opened(source: EventSource) -> Event:
    first = source.next()
    assert first is not None
    assert ("snapshot", first["id"]) == (first["event"], first["data"]["id"])
    found: Event = first["data"]["data"]
    return found


def test_operator_sees_everything_and_each_step(door: Door) -> None:
    """The snapshot has what there is; then every transition comes, in order, also of what is over within one look."""
    add_worker(door.kernel)
    before = door.alice.submit(labels={"team": "blue"})["id"]
    old = door.ended(door.bob)
    with door.watch() as source:
        seen = opened(source)
        assert ("start", True, ["job", "queue", "worker", "system"]) == (
            seen["reason"],
            seen["is_operator"],
            seen["topics"],
        )
        assert {before: ("queued", "alice"), old: ("succeeded", "bob")} == {
            job["id"]: (job["state"], job["tenant"]) for job in seen["jobs"]
        }
        assert (1, 0, 1) == tuple(seen["counts"][state] for state in ("queued", "running", "succeeded"))
        assert [(WORKER, 0)] == [(one["name"], one["running"]) for one in seen["workers"]]
        assert ["maintenance"] == [queue["queue"] for queue in seen["queues"] if queue["waiting"]]
        assert ("ok", "none") == (seen["system"]["ledger"], seen["system"]["broker"])
        job = claim(door.kernel, before)
        finish(door.kernel, job)
        new = door.ended(door.bob)
        told = [following(source) for _ in range(5)]
        steps = [(one["data"]["id"], one["data"]["state"], one["data"]["version"]) for one in told]
        assert [(before, "running", 2), (before, "succeeded", 3)] == [step for step in steps if step[0] == before]
        assert [(new, state, n) for n, state in enumerate(("queued", "running", "succeeded"), start=1)] == [
            step for step in steps if step[0] == new
        ]
        assert [one["seq"] for one in told] == sorted(one["seq"] for one in told)
        assert ({"team": "blue"}, WORKER, None) == tuple(
            told[[step[0] for step in steps].index(before)]["data"][name] for name in ("labels", "worker", "error")
        )


def test_reports_workers_queues_and_leaders_are_told(door: Door) -> None:
    """Each topic, with its own figures; what a worker does is counted."""
    with door.watch("?topic=job&topic=worker") as source, door.watch("?topic=queue&topic=system") as other:
        opened(source)
        assert {"queues", "system"} <= {*opened(other)}
        add_worker(door.kernel)
        assert "worker.connected" == following(source, "worker")["type"]
        job = claim(door.kernel, door.alice.submit()["id"])
        while (changed := following(source, "worker"))["data"]["running"] != 1:
            pass
        assert "worker.changed" == changed["type"]
        while (queue := following(other, "queue")["data"])["running"] != 1:
            pass
        assert "maintenance" == queue["queue"]
        door.kernel.events.append(job.id, "progress", {"percent": 25.0, "stage": "one"}, fence=job.fence, attempt=1)
        while (told := following(source))["type"] != "job.progress":
            pass
        assert (job.id, 25.0, "alice") == (
            told["data"]["id"],
            told["data"]["progress"]["percent"],
            told["data"]["tenant"],
        )
        lease = leases.take(door.kernel.ledger, leases.DISPATCHER, holder="d1", seen=None)
        assert lease is not None
        while (system := following(other, "system")["data"])["dispatcher"] != "leads":
            pass
        assert ("d1", 1) == (system["dispatcher_holder"], system["dispatcher_term"])
        assert 201 == door.root.post("/api/queues/ai/pause", json={"reason": "rest"}).status_code
        while not (system := following(other, "system")["data"])["pauses"]:
            pass
        assert [("ai", None, "rest")] == [(one["queue"], one["kind"], one["reason"]) for one in system["pauses"]]
        fleet.set_state(door.kernel.ledger, WORKER, WorkerState.STOPPED)
        while (left := following(source, "worker"))["type"] != "worker.disconnected":
            pass
        assert (WORKER, "stopped") == (left["data"]["name"], left["data"]["state"])


def test_tenant_sees_its_own_jobs_and_no_workers(door: Door) -> None:
    """Nor other tenants', in the snapshot or later; nor may it ask for them."""
    add_worker(door.kernel)
    mine, theirs = door.alice.submit()["id"], door.bob.submit()["id"]
    with door.watch(by=door.alice) as source:
        seen = opened(source)
        assert (["job", "queue", "system"], [mine]) == (seen["topics"], [job["id"] for job in seen["jobs"]])
        assert (False, 1) == ("workers" in seen, seen["counts"]["queued"])
        assert {"dispatcher_holder", "pauses"}.isdisjoint(seen["system"])
        leases.take(door.kernel.ledger, leases.DISPATCHER, holder="d1", seen=None)
        finish(door.kernel, claim(door.kernel, theirs))
        finish(door.kernel, claim(door.kernel, mine))
        assert [mine, mine] == [following(source)["data"]["id"] for _ in range(2)]
        system = following(source, "system")["data"]
        assert ("leads", False) == (system["dispatcher"], "dispatcher_holder" in system)
    for query in ("?topic=worker", "?tenant=bob"):
        refused = door.alice.get(f"/api/monitor{query}")
        assert (403, "not_allowed") == (refused.status_code, refused.json["code"])
        assert 403 == door.alice.get(f"/api/monitor/events{query}").status_code
    assert 200 == door.alice.get("/api/monitor?tenant=alice").status_code
    assert 401 == door.alice.client.get("/api/monitor/events").status_code


def test_filters_choose_in_the_snapshot_and_after_it(door: Door) -> None:
    """By tenant, kind, queue, job and worker; all that are given must fit."""
    add_worker(door.kernel)
    add_worker(door.kernel, name="ai@host#boot", queues=("ai",))
    one, two = door.alice.submit()["id"], door.bob.submit()["id"]

    def jobs(query: str) -> list[str]:
        return [job["id"] for job in door.root.get(f"/api/monitor?{query}").json["jobs"]]

    assert [two, one] == jobs("topic=job")
    assert [one] == jobs("tenant=alice&queue=maintenance&kind=maintenance.ping")
    assert [two] == jobs(f"job={two}")
    assert [] == jobs(f"job={two}&tenant=alice")
    assert [] == jobs("kind=discovery.site")
    assert [] == jobs("worker=other")
    snapshot = door.root.get("/api/monitor?queue=ai").json
    assert (["ai"], ["ai@host#boot"]) == (
        [queue["queue"] for queue in snapshot["queues"]],
        [worker["name"] for worker in snapshot["workers"]],
    )
    assert (None, None) == tuple(door.root.get("/api/monitor?topic=job").json[name] for name in ("queues", "system"))
    with door.watch(f"?topic=job&tenant=bob&worker={WORKER.replace('#', '%23')}") as source:
        assert [] == opened(source)["jobs"]
        finish(door.kernel, claim(door.kernel, one))
        finish(door.kernel, claim(door.kernel, two))
        assert [two, two] == [following(source)["data"]["id"] for _ in range(2)]
    for query in ("topic=none", "queue=none", "job=x", "more=1", "after=x"):
        assert 422 == door.root.get(f"/api/monitor/events?{query}").status_code, query


def test_who_comes_back_gets_what_it_missed_or_a_snapshot_and_is_told_which(door: Door) -> None:
    """By cursor while it is kept; else `gap`, and for another process's `new_stream`."""
    with door.watch("?topic=job") as source:
        opened(source)
        first = door.ended()
        last, *_ = [following(source) for _ in range(3)]
    missed = door.ended()
    with door.watch("?topic=job", last=last["id"]) as source:
        resumed = source.next()
        assert resumed is not None
        assert ("resumed", last["id"]) == (resumed["event"], resumed["data"]["data"]["after"])
        steps = [following(source)["data"] for _ in range(5)]
        assert [(first, 2), (first, 3), (missed, 1), (missed, 2), (missed, 3)] == [
            (step["id"], step["version"]) for step in steps
        ]
    with door.watch("?topic=job", last="1-1") as source:
        assert "new_stream" == opened(source)["reason"]
    with door.watch("?topic=job&after=0") as source:
        assert "start" == opened(source)["reason"]
    door.services.monitor.feed._ring_size = 2
    door.ended()
    assert eventually(lambda: door.services.monitor.feed._floor > last["seq"])
    with door.watch("?topic=job", last=last["id"]) as source:
        seen = opened(source)
        assert ("gap", 3) == (seen["reason"], len(seen["jobs"]))


def test_viewer_that_falls_behind_is_resynced_and_holds_nobody_up(door: Door) -> None:
    """What it has not taken is bounded by the ring; afterwards it goes on from the snapshot."""
    monitor = door.services.monitor
    monitor.feed._ring_size = 4
    slow, fast = (monitor.view(Wanted(is_operator=True, topics=("job",))) for _ in range(2))
    assert ["snapshot", "snapshot"] == [one.take()[0].type for one in (slow, fast)]
    seen = 0
    for n in range(1, 4):
        door.ended()
        while (seen := seen + len(fast.take())) < 3 * n:
            fast.wait(5)
    (again,) = slow.take()
    assert ("snapshot", "gap", 3) == (again.type, again.data["reason"], len(again.data["jobs"]))
    assert [] == slow.take()
    one = door.ended()
    told: list[Event] = []
    while len(told := told + [message.data for message in slow.take()]) < 3:
        slow.wait(5)
    assert {one} == {step["id"] for step in told}
    slow.close(), fast.close()
    assert 0 == monitor.feed.viewers


def test_ledger_that_is_away_is_told_and_nothing_is_missed(door: Door) -> None:
    """The stream stays open; what happened meanwhile comes afterwards."""
    job = door.alice.submit()["id"]
    with door.watch("?topic=job&topic=system") as source:
        opened(source)
        with ledger_away(door.kernel.ledger):
            assert "away" == following(source, "system")["data"]["ledger"]
        finish(door.kernel, claim(door.kernel, job))
        assert ["running", "succeeded"] == [following(source)["data"]["state"] for _ in range(2)]
        assert eventually(lambda: door.services.monitor.feed.standing().system["ledger"] == "ok")


def test_redis_that_is_wiped_frozen_or_away_costs_only_reports(
    make_app: Callable[..., API], redis_server: str, redis_process: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transitions go on on the same stream, none missed or twice; reports come again with Redis, also of old jobs."""
    _look_often(monkeypatch)
    app = make_app(redis_url=redis_server)
    with served(app) as address:
        door = Door(app, address)
        job = claim(door.kernel, door.alice.submit()["id"])

        def report(percent: float) -> None:
            door.kernel.events.append(job.id, "progress", {"percent": percent}, fence=job.fence, attempt=1)

        def told_until(kind: str, **data: Any) -> list[Event]:
            told = [following(source)]
            while told[-1]["type"] != kind or not data.items() <= told[-1]["data"].items():
                told.append(following(source))
            return told

        with door.watch("?topic=job") as source, door.watch("?topic=system") as system:
            opened(source), opened(system)
            report(10.0)
            told = told_until("job.progress", id=job.id)
            redis_process.client.flushall()
            others = [door.ended()]
            report(20.0)
            told += told_until("job.progress", id=job.id)
            for begin, end in ((redis_process.freeze, redis_process.thaw), (redis_process.stop, redis_process.start)):
                begin()
                others.append(door.ended())
                told += told_until("job.state", id=others[-1], state="succeeded")
                assert "away" == following(system, "system")["data"]["broker"]
                end()
                assert "ok" == following(system, "system")["data"]["broker"]
            report(90.0)
            told += told_until("job.progress", id=job.id)
    steps = [(one["data"]["id"], one["data"]["version"]) for one in told if one["type"] != "job.progress"]
    assert [(other, version) for other in others for version in (1, 2, 3)] == [
        step for step in steps if step[0] in others
    ]
    assert [10.0, 20.0, 90.0] == [one["data"]["progress"]["percent"] for one in told if one["type"] == "job.progress"]
    assert [one["seq"] for one in told] == sorted({one["seq"] for one in told})


def test_retries_and_replays_are_told(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is queued again is found although nothing lists it; one from before the first look, once it runs."""
    monkeypatch.setattr("app.monitor.job_watch._SWEEP_S", 0.1)
    failed = {"state": JobState.FAILED, "cause": "permanent", "result": None}
    monkeypatch.setattr("app.monitor.job_watch._SLACK", timedelta(0))
    old = door.ended(**failed)
    with door.watch("?topic=job") as source:
        opened(source)
        new = door.ended(**failed)
        assert [1, 2, 3] == [following(source)["data"]["version"] for _ in range(3)]
        replaying.replay(door.kernel.ledger, new, tenant_id=door.alice.tenant_id)
        told = following(source)["data"]
        assert (new, "queued", "replayed", None) == tuple(told[name] for name in ("id", "state", "cause", "worker"))
        replaying.replay(door.kernel.ledger, old, tenant_id=door.alice.tenant_id)
        finish(door.kernel, claim(door.kernel, old))
        steps = [following(source)["data"] for _ in range(3)]
        assert [(old, state) for state in ("queued", "running", "succeeded")] == [
            (step["id"], step["state"]) for step in steps
        ]


def test_thread_lingers_for_who_reconnects_and_then_ends(door: Door) -> None:
    """After a pause nothing is known of what was: the next viewer has a new epoch."""
    monitor = door.services.monitor
    viewer = monitor.view(Wanted(is_operator=True))
    (first,) = viewer.take()
    viewer.close()
    assert monitor.is_reading
    monitor._linger_s = 0.0
    assert eventually(lambda: not monitor.is_reading)
    again = monitor.view(Wanted(is_operator=True), after=first.cursor)
    assert "new_stream" == again.take()[0].data["reason"]
    again.close()


def test_drain_ends_streams(door: Door) -> None:
    """With a last line that says when to come back."""
    with door.watch() as source:
        opened(source)
        door.services.drain()
        while source.next() is not None:
            pass
        assert source.retry_ms is not None
    with door.watch() as source:
        assert source.next() is None
