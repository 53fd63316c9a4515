"""The WebSocket over a real connection."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.app.streams.house import KEY, OTHER_KEY, House, add_other_tenant, eventually


@contextmanager
def websocket(address: str, job_id: str, query: str = "", *, key: str | None = KEY) -> Iterator[ClientConnection]:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    with connect(f"ws://{address}/ws/jobs/{job_id}{query}", additional_headers=headers, close_timeout=2) as client:
        yield client


def receive(client: ClientConnection) -> dict[str, Any]:
    return json.loads(client.recv(timeout=20))


def close_code(client: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed):
        client.recv(timeout=20)
    return client.close_code


def is_quiet(house: House) -> bool:
    """Whether no socket's thread and no viewer is left."""
    return not house.hub.watchers and not any("simple_websocket" in thread.name for thread in threading.enumerate())


def test_websocket_carries_the_same_events(house: House, address: str) -> None:
    """Snapshot, progress, end, then 1000."""
    job = house.running()
    with websocket(address, job.id) as client:
        frames = [receive(client)]
        house.report(job, 10)
        house.finish(job)
        frames += [receive(client), receive(client)]
        assert close_code(client) == 1000
    assert [frame["type"] for frame in frames] == ["snapshot", "progress", "state"]


def test_finished_job_gives_its_end_and_closes(house: House, address: str) -> None:
    """Without waiting for anything."""
    with websocket(address, house.finish(house.running()).id) as client:
        assert [receive(client)["type"], receive(client)["type"]] == ["snapshot", "state"]
        assert close_code(client) == 1000


def test_ping_is_answered(house: House, address: str) -> None:
    """At once, while the job is silent; what else a client says is ignored."""
    with websocket(address, house.running().id) as client:
        receive(client)
        for message in ("hello", "[1]", b"\xff", '{"type": "ping"}'):
            client.send(message)
        assert receive(client) == {"type": "pong"}


def test_after_resumes(house: House, address: str) -> None:
    """No snapshot, no gap, no repeat."""
    job = house.running()
    first, second = house.report(job, 1), house.report(job, 2)
    with websocket(address, job.id, f"?after={first}") as client:
        assert second == receive(client)["id"]


def test_resume_from_terminal_event_closes_at_once(house: House, address: str) -> None:
    """There is no 204 on a WebSocket."""
    job = house.finish(house.running())
    newest = house.kernel.events.position(job.id)[1]
    with websocket(address, job.id, f"?after={newest}") as client:
        assert close_code(client) == 1000


def test_draining_closes_with_1012(house: House, address: str) -> None:
    """Service restart: the client should come back."""
    with websocket(address, house.running().id) as client:
        receive(client)
        house.hub.drain()
        assert close_code(client) == 1012
    with websocket(address, house.running().id) as client:
        assert close_code(client) == 1012


@pytest.mark.parametrize("token", ["garbage", "expired", "other job"])
def test_bad_token_closes_with_1008(house: House, address: str, token: str) -> None:
    """Which a browser's page can see."""
    job, other = house.running(), house.running()
    if token == "expired":
        token = house.tokens.issue(job.id, tenant_id=house.tenant.id).token
        house.tokens._ttl_s = -1
    if token == "other job":
        token = house.tokens.issue(other.id, tenant_id=house.tenant.id).token
    with websocket(address, job.id, f"?token={token}", key=None) as client:
        assert close_code(client) == 1008


def test_good_token_opens(house: House, address: str) -> None:
    """Without any key."""
    job = house.running()
    token = house.tokens.issue(job.id, tenant_id=house.tenant.id).token
    with websocket(address, job.id, f"?token={token}", key=None) as client:
        assert receive(client)["type"] == "snapshot"


@pytest.mark.parametrize(("key", "status"), [(OTHER_KEY, 404), (None, 401)])
def test_stranger_is_refused_before_the_upgrade(house: House, address: str, key: str | None, status: int) -> None:
    """With a problem document, not a socket."""
    add_other_tenant(house.kernel)
    with pytest.raises(InvalidStatus) as caught, websocket(address, house.running().id, key=key):
        pass
    assert status == caught.value.response.status_code


def test_malformed_cursor_is_refused_before_the_upgrade(house: House, address: str) -> None:
    """422, as over HTTP."""
    with pytest.raises(InvalidStatus) as caught, websocket(address, house.running().id, "?after=x"):
        pass
    assert caught.value.response.status_code == 422


def test_plain_http_is_told_to_upgrade(house: House, address: str) -> None:
    """426 names the protocol."""
    answer = httpx.get(f"http://{address}/ws/jobs/{house.running().id}", headers={"Authorization": f"Bearer {KEY}"})
    assert (answer.status_code, answer.headers["Upgrade"]) == (426, "websocket")


def test_broken_handshake_is_400(house: House, address: str) -> None:
    """An upgrade without its key is no WebSocket."""
    headers = {"Authorization": f"Bearer {KEY}", "Connection": "Upgrade", "Upgrade": "websocket"}
    answer = httpx.get(f"http://{address}/ws/jobs/{house.running().id}", headers=headers)
    assert (answer.status_code, house.hub.watchers) == (400, 0)


def test_client_that_closes_leaves_nothing_behind(house: House, address: str) -> None:
    """Neither viewer nor thread."""
    with websocket(address, house.running().id) as client:
        receive(client)
        assert house.hub.watchers == 1
    assert eventually(lambda: is_quiet(house))


def test_client_that_vanishes_leaves_nothing_behind(house: House, address: str) -> None:
    """A reset instead of a goodbye."""
    with websocket(address, house.running().id) as client:
        receive(client)
        client.socket.shutdown(socket.SHUT_RDWR)
    assert eventually(lambda: is_quiet(house))


def test_client_that_breaks_the_protocol_leaves_nothing_behind(house: House, address: str) -> None:
    """Frames with reserved bits are a violation."""
    with websocket(address, house.running().id) as client:
        receive(client)
        client.socket.sendall(b"\xff\xff\xff\xff\xff\xff\xff\xff")
        assert eventually(lambda: is_quiet(house))


def test_large_snapshot_arrives_whole(house: House, address: str) -> None:
    """A frame of a megabyte is not cut by a full send buffer."""
    job = house.running()
    object.__setattr__(house.services, "record_of", lambda job: {"text": "x" * 3_000_000})
    with connect(
        f"ws://{address}/ws/jobs/{job.id}",
        additional_headers={"Authorization": f"Bearer {KEY}"},
        max_size=None,
        compression=None,
    ) as client:
        assert len(receive(client)["data"]["record"]["text"]) == 3_000_000
