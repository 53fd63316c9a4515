"""The earlier hub's client socket over a real connection, beside an HTTP client with a stream, on the same jobs."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from app.openapi import API
from tasks.core.ledger import queries, tenants
from tasks.core.records import Job
from tasks.core.relay import announce
from tests.app.conftest import claim, finish
from tests.app.desk import Desk
from tests.app.streams.house import EventSource, event_source, served
from tests.app.streams.test_websocket import close_code, receive

ASKED: dict[str, Any] = {"service_required": "maintenance.ping", "payload": {"message": "hi"}}


@contextmanager
def client_of(desk: Desk, path: str = "/ws/client/c1", *, key: str | None = None) -> Iterator[ClientConnection]:
    token = desk.alice.key if key is None else key
    with connect(f"ws://{desk.address}{path}?token={token}", close_timeout=2) as client:
        yield client


def said(client: ClientConnection, **message: Any) -> dict[str, Any]:
    """Say it; the answer has the same number."""
    client.send(json.dumps(message))
    while (answer := receive(client)).get("message_id") != message.get("id"):
        assert "progress" == answer["type"], answer
    return answer


def progress(client: ClientConnection) -> dict[str, Any]:
    message = receive(client)
    assert "progress" == message["type"], message
    data: dict[str, Any] = message["data"]
    return data


def begun(desk: Desk, job_id: str) -> Job:
    job = claim(desk.services.kernel, job_id)
    announce(desk.services.kernel.ledger, desk.services.kernel.events, job)
    return job


def report(desk: Desk, job: Job, percent: float) -> None:
    data = {"percent": percent, "stage": "one", "step": 1, "total": 4, "message": "at it", "eta_s": 3.0}
    assert desk.services.kernel.events.append(job.id, "progress", data, fence=job.fence, attempt=job.attempt)


def end(desk: Desk, job: Job) -> None:
    announce(desk.services.kernel.ledger, desk.services.kernel.events, finish(desk.services.kernel, job))


def theirs(source: EventSource) -> dict[str, Any]:
    """The next message of a stream in their frames, which have no names."""
    while not (line := next(source._lines)).startswith("data: "):
        assert not line.startswith("event:")
    told: dict[str, Any] = json.loads(line.removeprefix("data: "))
    return told


def test_old_socket_and_new_stream_see_one_job(desk: Desk) -> None:
    """Submitted over the socket, watched there, by SSE in our words, and by SSE in theirs; the socket stays open."""
    with client_of(desk) as client:
        connected = receive(client)
        assert ("connected", "c1") == (connected["type"], connected["client_id"])
        accepted = said(client, type="submit_job", id=1, **ASKED)
        assert ("job_submitted", 1) == (accepted["type"], accepted["message_id"])
        job_id = accepted["job_id"]
        assert "subscribed" == said(client, type="subscribe_progress", id=2, job_id=job_id)["type"]
        assert "unworkable" == progress(client)["status"]
        headers = {"Authorization": f"Bearer {desk.alice.key}"}
        base = f"http://{desk.address}/api/jobs/{job_id}"
        with (
            event_source(f"{base}/events", headers=headers) as ours,
            event_source(f"{base}/progress", headers=headers) as older,
        ):
            first = ours.next()
            assert first is not None
            assert "snapshot" == first["event"]
            opened = theirs(older)
            assert ("connected", job_id) == (opened["type"], opened["job_id"])
            theirs(older)
            job = begun(desk, job_id)
            report(desk, job, 25.5)
            end(desk, job)
            over_socket = [progress(client) for _ in range(3)]
            over_sse = [theirs(older)["data"] for _ in range(3)]
            assert over_socket == over_sse
            assert ["in_progress", "in_progress", "completed"] == [one["status"] for one in over_socket]
            assert (25.5, "at it", 1, 4) == tuple(
                over_socket[1][name] for name in ("progress", "message", "current_step", "total_steps")
            )
            assert 100.0 == over_socket[2]["progress"]
            events = [ours.next() for _ in range(3)]
            assert ["state", "progress", "state"] == [event["event"] for event in events if event]
            assert events[-1] is not None
            seen = httpx.get(f"{base}/progress", headers=headers | {"Last-Event-ID": events[-1]["id"]})
            assert 204 == seen.status_code
        done = said(client, type="get_job_status", id=3, job_id=job_id)["job"]
        assert ("completed", {"message": "hi"}) == (done["status"], done["result"])


def test_socket_watches_what_http_submitted_and_cancels_it(desk: Desk) -> None:
    """At the root, nested; and what is unsubscribed from is silent."""
    first, second = desk.alice.submit()["id"], desk.alice.submit()["id"]
    with client_of(desk, "/") as client:
        receive(client)
        for n, job_id in enumerate((first, second), start=1):
            kind = said(client, type="subscribe_job", id=n, job_id=job_id)["type"]
            assert "job_notifications_subscribed" == kind
        progress(client)
        assert "unsubscribed" == said(client, type="unsubscribe_progress", id=3, job_id=first)["type"]
        assert "cancelled" == said(client, type="cancel_job", id=4, job_id=first)["status"]
        assert "cancelled" == said(client, type="cancel_job", id=5, data={"job_id": second})["status"]
        told = progress(client)
        assert (second, "cancelled") == (told["job_id"], told["status"])
        accepted = said(client, type="submit_job", id=6, data=ASKED)
        assert "job_submitted" == accepted["type"]
        assert "cancelled" == said(client, type="cancel_job", id=7, job_id=first)["status"]
        assert (
            200
            == httpx.get(
                f"http://{desk.address}/api/jobs/{accepted['job_id']}",
                headers={"Authorization": f"Bearer {desk.alice.key}"},
            ).status_code
        )


def test_refusals_are_messages_and_the_socket_goes_on(desk: Desk) -> None:
    """By name for the rest of the 37; for unknown ones; for what is no JSON; for other tenants' jobs."""
    foreign = desk.bob.submit()["id"]
    with client_of(desk) as client:
        receive(client)
        assert "message_refused" == said(client, type="claim_job", id=1)["code"]
        assert "unknown_message" == said(client, type="dance", id=2)["code"]
        assert "unknown_message" == said(client, id=3)["code"]
        for type_ in ("get_job_status", "subscribe_progress", "cancel_job"):
            assert "not_found" == said(client, type=type_, id=4, job_id=foreign)["code"]
        assert "priority" in said(client, type="submit_job", id=5, **ASKED, priority=500)["error"]
        client.send("no json")
        assert "malformed" == receive(client)["code"]
        client.send(json.dumps({"type": "ack"}))
        assert "pong" == said(client, type="ping", id="x")["type"]
        for n in range(30):  # more than waits in the socket's buffer
            client.send(json.dumps({"type": "ping", "id": n}))
        assert [*range(30)] == [receive(client)["message_id"] for _ in range(30)]
    job = queries.job(desk.services.kernel.ledger, foreign)
    assert job is not None
    assert "queued" == job.state


def test_bad_key_frame_that_is_too_large_and_restart_close(desk: Desk, make_app: Callable[..., API]) -> None:
    """1008, also for a key that is revoked meanwhile; 1009; 1012, and whoever comes back hears how the job ended."""
    with client_of(desk, key="sy_no") as client:
        assert 1008 == close_code(client)
    with client_of(desk) as client:
        receive(client)
        client.send("x" * (2**20 + 1))
        assert 1009 == close_code(client)
    ledger = desk.services.kernel.ledger
    key = tenants.create_key(ledger, tenant="alice", name="short")
    with client_of(desk) as stays, client_of(desk, key=key) as client:
        receive(client), receive(stays)
        found = next(one for one in tenants.list_keys(ledger) if one.name == "short")
        tenants.revoke_key(ledger, found.id)
        desk.services.keyring._known.clear()
        client.send(json.dumps({"type": "ping"}))
        assert 1008 == close_code(client)
        job_id = said(stays, type="submit_job", id=1, **ASKED)["job_id"]
        said(stays, type="subscribe_progress", id=2, job_id=job_id)
        progress(stays)
        desk.services.drain()
        assert 1012 == close_code(stays)
    end(desk, begun(desk, job_id))
    again = make_app(redis_url=desk.services.settings.redis_url)
    with served(again) as address, client_of(replace(desk, address=address)) as client:
        receive(client)
        said(client, type="subscribe_progress", id=3, job_id=job_id)
        assert "completed" == progress(client)["status"]
