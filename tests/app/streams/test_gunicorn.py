"""The same behind gunicorn, with either of its worker classes: threads, and greenlets on a patched library."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tasks.core.settings import Settings
from tests.app.streams.house import KEY, House, event_source, eventually
from tests.servers import free_port

ROOT = Path(__file__).parents[3]
HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(params=["gthread", "gevent"])
def address(request: pytest.FixtureRequest, settings: Settings, house: House) -> Iterator[str]:
    """Where one gunicorn worker of this class answers, as host:port."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gunicorn", "-k", request.param, "--threads", "16", "-b", address]
    command += ["--no-control-socket", "--graceful-timeout", "2", "--log-level", "warning"]
    environment = os.environ | {
        "SWITCHYARD_STATE_DIR": str(settings.state_dir),
        "SWITCHYARD_REDIS_URL": settings.redis_url,
        "SWITCHYARD_HEARTBEAT_S": "0.25",
    }
    process = subprocess.Popen([*command, "tests.app.streams.house:create_app()"], cwd=ROOT, env=environment)
    try:
        _await(address)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=10)


def _await(address: str) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            break
        time.sleep(0.05)
    # The port is open before the worker has loaded the application; this waits until it has.
    assert httpx.get(f"http://{address}/nothing", timeout=20).status_code == 404


def test_both_dialects_work_behind_gunicorn(house: House, address: str) -> None:
    """SSE and WebSocket side by side, answered pings, the end, one connection for the reader, and none afterwards."""
    job = house.running()
    with (
        event_source(f"http://{address}/api/jobs/{job.id}/events") as source,
        connect(f"ws://{address}/ws/jobs/{job.id}", additional_headers=HEADERS) as client,
    ):
        seen = [source.next()["event"], json.loads(client.recv(timeout=20))["type"]]
        client.send('{"type": "ping"}')
        seen.append(json.loads(client.recv(timeout=20))["type"])
        house.finish(job)
        seen += [source.next()["event"], json.loads(client.recv(timeout=20))["type"]]
        assert source.next() is None
    assert seen == ["snapshot", "snapshot", "pong", "state", "state"]
    _assert_readers_of_clients_that_left_are_dropped(house, address)


def _assert_readers_of_clients_that_left_are_dropped(house: House, address: str) -> None:
    """When nobody watches, nobody blocks in Redis."""
    job = house.running()
    redis = house.kernel.events._redis
    with (
        event_source(f"http://{address}/api/jobs/{job.id}/events") as source,
        connect(f"ws://{address}/ws/jobs/{job.id}", additional_headers=HEADERS) as client,
    ):
        source.next()
        client.recv(timeout=20)
        assert eventually(lambda: "xread" in {row["cmd"] for row in redis.client_list()})

    def reads() -> int:
        return int(redis.info("commandstats")["cmdstat_xread"]["calls"])

    def nobody_reads() -> bool:
        before = reads()
        time.sleep(0.7)
        return before == reads() and not any("b" in row["flags"] for row in redis.client_list())

    assert eventually(nobody_reads)
