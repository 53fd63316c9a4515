"""Old socket clients, new streams and a monitor on one job, while the web process is killed and another one comes."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from client import Limits, Switchyard
from tasks.core.kernel import open_kernel
from tasks.core.relay import announce
from tasks.core.settings import Settings
from tests.app.conftest import claim, finish
from tests.app.streams.house import EventSource, event_source
from tests.app.streams.test_websocket import receive
from tests.app.test_server_drain import Server
from tests.samples import eventually

ASKED: dict[str, Any] = {"service_required": "maintenance.ping", "payload": {"message": "hi"}}


def status_after(client: ClientConnection, **message: Any) -> str:
    """Say it; return the status of the first progress that comes."""
    client.send(json.dumps(message))
    return next_status(client)


def next_status(client: ClientConnection) -> str:
    while (told := receive(client))["type"] != "progress":
        pass
    return str(told["data"]["status"])


def code_at_the_end(client: ClientConnection) -> int | None:
    """Read on until the connection is lost."""
    with suppress(ConnectionClosed):
        while True:
            client.recv(timeout=20)
    return client.close_code


def states_until(source: EventSource, state: str) -> list[str]:
    """The states that a stream tells, by events or snapshots, up to this one or its end."""
    seen: list[str] = []
    while state not in seen and (event := source.next()) is not None:
        data = event["data"]["data"]
        seen.append(str(data["record"]["state"] if event["event"] == "snapshot" else data.get("state")))
    return seen


@pytest.mark.slow
def test_all_go_on_after_the_web_process_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connects again, is told where the job is, and sees its end; the client's monitor does so by itself."""
    monkeypatch.setenv("SWITCHYARD_PROFILE", "local")
    server = Server(tmp_path, workers=1, drain_s=1)
    kernel = open_kernel(Settings(state_dir=tmp_path / "state", profile="local"))
    key = server.headers["Authorization"].removeprefix("Bearer ")
    socket = f"ws://127.0.0.1:{server.port}/ws/client/c1?token={key}"
    limits = Limits(backoff_s=0.2, reconnects=100)
    try:
        with Switchyard(server.url, key, limits=limits) as library, library.monitor(topics=["job"]) as monitor:
            assert "start" == next(monitor).data["reason"]
            job_id = httpx.post(f"{server.url}/api/jobs", json=ASKED, headers=server.headers).json()["job_id"]
            stream = f"{server.url}/api/jobs/{job_id}/events"
            with connect(socket) as client, event_source(stream, headers=server.headers) as source:
                assert "unworkable" == status_after(client, type="subscribe_progress", job_id=job_id)
                first = source.next()
                assert first is not None
                (killed,) = server.workers()
                killed.kill()
                assert 1006 == code_at_the_end(client)
            assert eventually(lambda: server.get("/health/ready") == 200, within_s=30)
            job = claim(kernel, job_id)
            announce(kernel.ledger, kernel.events, job)
            last = {"Last-Event-ID": first["id"]}
            with connect(socket) as client, event_source(stream, headers=server.headers | last) as source:
                assert "in_progress" == status_after(client, type="subscribe_progress", job_id=job_id)
                assert "running" in states_until(source, "running")
                announce(kernel.ledger, kernel.events, finish(kernel, job))
                assert "completed" == next_status(client)
                assert "succeeded" in states_until(source, "succeeded")
            known: dict[str, str] = {}
            reasons: list[str] = []
            while known.get(job_id) != "succeeded":
                event = next(monitor)
                if event.type == "snapshot":
                    reasons.append(event.data["reason"])
                    known = {one["id"]: one["state"] for one in event.data["jobs"]}
                elif event.type == "job.state":
                    known[event.data["id"]] = event.data["state"]
            assert ["new_stream"] == reasons
    finally:
        kernel.close()
        server.close()
