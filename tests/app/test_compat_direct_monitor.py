"""The earlier hub's monitors: its socket, its stream, and its figures, told from our monitor."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from app.compat.direct_client import _Client
from app.compat.direct_vocabulary import ANSWERED, REFUSED
from tasks.core.clock import now
from tasks.core.ledger import tenants
from tests.app.conftest import WORKER, Caller, add_worker, claim, finish, sign_in
from tests.app.desk import Desk
from tests.app.streams.house import event_source, eventually
from tests.app.streams.test_websocket import close_code, receive
from tests.app.test_compat_direct_client import client_of, theirs

Message = dict[str, Any]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hub._TICK_S", "fleet_watch._WORKERS_S", "fleet_watch._SYSTEM_S", "fleet_watch._QUEUES_S"):
        monkeypatch.setattr(f"app.monitor.{name}", 0.05)


@pytest.fixture
def root(desk: Desk) -> Caller:
    """An operator."""
    return sign_in(desk.alice.client.application, "system")  # type: ignore[arg-type]  # Flask does not say which


@contextmanager
def monitor_of(desk: Desk, by: Caller, *, key: str | None = None) -> Iterator[ClientConnection]:
    with connect(f"ws://{desk.address}/ws/monitor/m1?token={key or by.key}", close_timeout=2) as client:
        yield client


def answered(client: ClientConnection, **message: Any) -> Message:
    """Say it, and return what has its number."""
    client.send(json.dumps(message))
    while (answer := receive(client)).get("message_id") != message["id"]:
        pass
    return answer


def next_of(client: ClientConnection, *types: str) -> Message:
    while (message := receive(client))["type"] not in types:
        pass
    return message


def ended(desk: Desk, by: Caller) -> str:
    job = claim(desk.services.kernel, by.submit(priority=70)["id"])
    return finish(desk.services.kernel, job).id


def settle(desk: Desk, client: ClientConnection, job_id: str) -> None:
    """Wait until the end of the job was told to whoever wanted it, and to this client if it did."""

    def is_told() -> bool:
        told, _ = desk.services.monitor.feed.told_since(now() - timedelta(hours=1))
        return any((one.found.data.get("id"), one.found.data.get("state")) == (job_id, "succeeded") for one in told)

    assert eventually(is_told, within_s=20)
    answered(client, type="heartbeat", id="settled")


def test_monitor_gets_the_full_state_and_what_it_subscribes_to(desk: Desk, root: Caller) -> None:
    """Workers and each step of every tenant's jobs, in the hub's words; figures; nothing before it subscribes."""
    kernel = desk.services.kernel
    add_worker(kernel)
    waiting = desk.bob.submit()["id"]
    with monitor_of(desk, root) as client:
        connected = receive(client)
        assert ("connected", "m1") == (connected["type"], connected["monitor_id"])
        full = answered(client, type="monitor_connect", id=1, request_full_state=True)
        assert ("full_state_snapshot", "asked") == (full["type"], full["reason"])
        assert [(WORKER, "idle")] == [(one["id"], one["status"]) for one in full["data"]["workers"]]
        assert [(waiting, "pending")] == [(one["job_id"], one["status"]) for one in full["data"]["jobs"]]
        assert 1 == full["data"]["system_stats"]["jobs"]["pending"]
        settle(desk, client, ended(desk, desk.bob))
        assert "heartbeat_ack" == answered(client, type="heartbeat", id=2)["type"]
        wish = {"topics": ["workers", "jobs", "system_stats", "heartbeat"], "filters": {}}
        assert "subscribed" == answered(client, type="subscribe", id=3, data=wish)["type"]
        stats = next_of(client, "system_stats")["data"]
        assert (1, {"pending", "in_progress", "completed", "failed", "cancelled"}) == (
            stats["workers"]["total"],
            set(stats["jobs"]),
        )
        job = claim(kernel, waiting)
        told = next_of(client, "job_assigned", "job_submitted")
        assert ("job_assigned", waiting, WORKER, "in_progress") == tuple(
            told[name] for name in ("type", "job_id", "worker_id", "status")
        )
        assert "busy" == next_of(client, "worker_status_changed")["status"]
        data = {"percent": 40.0, "stage": "one", "message": "at it"}
        kernel.events.append(job.id, "progress", data, fence=job.fence, attempt=1)
        told = next_of(client, "job_progress")
        assert (waiting, 40.0, "at it") == (told["job_id"], told["progress"], told["data"]["message"])
        finish(kernel, job)
        assert waiting == next_of(client, "job_completed", "job_failed")["job_id"]
        cancelled = desk.alice.submit()["id"]
        desk.alice.post(f"/api/jobs/{cancelled}/cancel")
        assert "cancelled" == next_of(client, "job_status_changed")["status"]
        assert "heartbeat" == next_of(client, "heartbeat")["type"]
        asked = {"topics": ["jobs:status"], "filters": {"priority_range": {"min": 60}, "job_types": ["no.such"]}}
        answered(client, type="subscribe", id=4, **asked)
        settle(desk, client, ended(desk, desk.bob))
        asked["filters"] = {"priority_range": [60, 100], "worker_ids": [WORKER]}
        answered(client, type="subscribe", id=5, **asked)
        last = ended(desk, desk.alice)
        assert {last} == {next_of(client, "job_submitted", "job_assigned", "job_completed")["job_id"] for _ in range(3)}


def test_monitor_that_comes_back_is_resynced(desk: Desk, root: Caller) -> None:
    """By time: what it missed, in parts if there is much; or the full state, where that is not kept any more."""
    with monitor_of(desk, root) as client:
        before = receive(client)["timestamp"]
        answered(client, type="subscribe", id=1, topics=["jobs"])
        first = ended(desk, desk.bob)
        seen = [next_of(client, "job_submitted", "job_assigned", "job_completed") for _ in range(3)]
    second = ended(desk, desk.alice)
    with monitor_of(desk, root) as client:
        receive(client)
        answered(client, type="subscribe", id=1, topics=["jobs"])
        back = answered(client, type="resync_request", id=2, since_timestamp=before)
        told = [(one["type"], one["job_id"]) for one in back["events"]]
        # What was not told yet comes by itself.
        while len(told) < 6:
            one = next_of(client, "job_submitted", "job_assigned", "job_completed")
            told.append((one["type"], one["job_id"]))
        steps = ("job_submitted", "job_assigned", "job_completed")
        assert [(step, job_id) for job_id in (first, second) for step in steps] == told
        assert (True, False) == (back["is_complete"], back["has_more"])
        part = answered(client, type="resync_request", id=3, data={"since": before, "max": 2})
        assert (True, seen[:2]) == (part["has_more"], part["events"])
        lost = answered(client, type="resync_request", id=4, since=0)
        assert (False, "full_state_snapshot") == (lost["is_complete"], next_of(client, "full_state_snapshot")["type"])
        assert "since" in answered(client, type="resync_request", id=5, since="yesterday")["error"]


def test_tenant_sees_its_own_jobs_and_monitors_only_look(desk: Desk) -> None:
    """No workers, no other tenants; what would change something is refused by name."""
    add_worker(desk.services.kernel)
    mine, _ = desk.alice.submit()["id"], desk.bob.submit()["id"]
    with monitor_of(desk, desk.alice) as client:
        receive(client)
        full = answered(client, type="monitor_connect", id=1, request_full_state=True)["data"]
        assert ([mine], False) == ([one["job_id"] for one in full["jobs"]], "workers" in full)
        answered(client, type="subscribe", id=2, topics=["workers", "jobs"])
        ended(desk, desk.bob)
        assert {ended(desk, desk.alice)} == {receive(client)["job_id"] for _ in range(3)}
        for type_ in ("submit_job", "cancel_job", "force_retry_job", "claim_job"):
            assert "message_refused" == answered(client, type=type_, id=3, job_id=mine)["code"]
        assert "unknown_message" == answered(client, type="dance", id=4)["code"]
        assert "topics" in answered(client, type="subscribe", id=5, topics=["all"])["error"]
        client.send("x" * 70_000)
        assert 1009 == close_code(client)
    assert "queued" == desk.alice.get(f"/api/jobs/{mine}").json["state"]
    with monitor_of(desk, desk.alice, key="sy_no") as client:
        assert 1008 == close_code(client)
    key = tenants.create_key(desk.services.kernel.ledger, tenant="alice", name="short")
    with monitor_of(desk, desk.alice, key=key) as client, monitor_of(desk, desk.alice) as stays:
        receive(client), receive(stays)
        found = next(one for one in tenants.list_keys(desk.services.kernel.ledger) if one.name == "short")
        tenants.revoke_key(desk.services.kernel.ledger, found.id)
        desk.services.keyring._known.clear()
        client.send(json.dumps({"type": "heartbeat"}))
        assert 1008 == close_code(client)
        desk.services.drain()
        assert 1012 == close_code(stays)
    assert 426 == httpx.get(f"http://{desk.address}/ws/monitor/m1").status_code


def test_figures_are_told_over_the_socket_and_over_http(desk: Desk) -> None:
    """The tenant's own; on request, and again when they change."""
    add_worker(desk.services.kernel)
    desk.bob.submit()
    job_id = desk.alice.submit()["id"]
    with client_of(desk) as client:
        receive(client)
        told = answered(client, type="request_stats", id=1)
        assert ("response_stats", 1) == (told["type"], told["data"]["jobs"]["pending"])
        assert "subscription_confirmed" == answered(client, type="subscribe_stats", id=2)["type"]
        assert 1 == next_of(client, "stats_broadcast")["data"]["jobs"]["pending"]
        job = claim(desk.services.kernel, job_id)
        while next_of(client, "stats_broadcast")["data"]["jobs"]["in_progress"] != 1:
            pass
    for path in ("statistics", "metrics", "system/status"):
        answer = desk.alice.get(f"/api/{path}")
        assert ("ok", 1) == (answer.json["system"]["ledger"], answer.json["workers"]["total"])
        assert {"Deprecation", "Link"} <= {*answer.headers.keys()}
    assert "in_progress" == desk.alice.get(f"/api/jobs/{job_id}/status").json["job"]["status"]
    worker = WORKER.replace("#", "%23")
    assert [job_id] == [one["id"] for one in desk.alice.get(f"/api/workers/{worker}/jobs").json["jobs"]]
    assert [] == desk.bob.get(f"/api/workers/{worker}/jobs").json["jobs"]
    finish(desk.services.kernel, job)
    for state, count in (("pending", 0), ("active", 0), ("completed", 1), ("failed", 0)):
        assert count == desk.alice.get(f"/api/queue/{state}").json["total"]
    refused = desk.alice.post("/api/cleanup")
    assert (409, False, "message_refused") == (refused.status_code, refused.json["success"], refused.json["code"])
    hidden = desk.bob.get(f"/api/jobs/{job_id}/status")
    assert (404, False) == (hidden.status_code, hidden.json["success"])
    assert 401 == desk.alice.client.get("/api/statistics").status_code
    assert 200 == desk.alice.client.get(f"/api/statistics?token={desk.alice.key}").status_code


def test_stream_of_monitors_is_in_their_words(desk: Desk) -> None:
    """The full state first, then each change; it goes on after the last id, and says so."""
    desk.alice.submit()
    url = f"http://{desk.address}/api/events/monitor?token={desk.alice.key}"
    with event_source(url, headers={"Authorization": f"Bearer {desk.alice.key}"}) as source:
        assert "connected" == theirs(source)["type"]
        full = theirs(source)
        assert ("full_state_snapshot", 1, "start") == (full["type"], len(full["data"]["jobs"]), full["reason"])
        job_id = ended(desk, desk.alice)
        while (told := theirs(source))["type"] != "job_completed":
            pass
        assert job_id == told["job_id"]
        cursor = desk.services.monitor.feed.cursor
    headers = {"Authorization": f"Bearer {desk.alice.key}", "Last-Event-ID": str(replace(cursor, seq=1))}
    with event_source(url, headers=headers) as source:
        assert ["connected", "resumed"] == [theirs(source)["type"] for _ in range(2)]


def test_what_the_socket_handles_is_what_the_vocabulary_says(desk: Desk) -> None:
    """Of the 37 types, those with a handler are those that are said to be answered."""
    handled = {*_Client(desk.services, None, "c")._handlers}  # type: ignore[arg-type]  # no stream is opened
    assert ANSWERED == handled & (ANSWERED | set(REFUSED))
    assert {"subscribe_progress", "unsubscribe_progress", "get_job_status", "ping"} == handled - ANSWERED
