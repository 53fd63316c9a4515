"""The server told to stop under load: unready at once, and nothing else is noticed until the draining is over."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.app.streams.house import EventSource
from tests.conftest import DEAD_REDIS_URL
from tests.samples import eventually
from tests.servers import free_port

_START_S = 30.0


class Server:
    """`python -m app` in a process of its own, with a key to call it."""

    def __init__(self, folder: Path, *, workers: int, drain_s: float) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        ours = {
            "STATE_DIR": str(folder / "state"),
            "REDIS_URL": DEAD_REDIS_URL,
            "WEB_THREADS": "32",
            "PORT": str(self.port),
            "DRAIN_S": str(drain_s),
            "HEARTBEAT_S": "0.5",
        }
        env = os.environ | {f"SWITCHYARD_{name}": value for name, value in ours.items()}
        command = [sys.executable, "-m", "app", "serve", "--workers", str(workers)]
        self.ledger = folder / "state" / "ledger.db"
        self.log = (folder / "web.log").open("wb")
        self.process = subprocess.Popen(command, env=env, stdout=self.log, stderr=subprocess.STDOUT)
        assert eventually(
            lambda: self.get("/health/ready") == 200 and len(self.workers()) == workers, within_s=_START_S
        )
        key = (folder / "state" / "dev-key").read_text().strip()
        self.headers = {"Authorization": f"Bearer {key}"}

    def get(self, path: str) -> int:
        """Return the status; 0 when nobody answers."""
        try:
            return httpx.get(f"{self.url}{path}", timeout=5).status_code
        except httpx.TransportError:
            return 0

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def submit(self, client: httpx.Client | None = None) -> httpx.Response:
        post = httpx.post if client is None else client.post
        body = {"params": {"message": "hi"}}
        return post(f"{self.url}/api/jobs/maintenance.ping", json=body, headers=self.headers, timeout=10)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
        self.process.wait(timeout=20)
        self.log.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def run(*, workers: int = 1, drain_s: float = 2.0) -> Server:
        started.append(Server(tmp_path, workers=workers, drain_s=drain_s))
        return started[-1]

    yield run
    for server in started:
        server.close()


class Load:
    """Threads that submit without a pause, on kept connections and on new ones, until the server is gone."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.answers: Counter[int] = Counter()
        self.accepted: list[str] = []
        self.failed_at: list[tuple[float, str]] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number % 2 == 0,)) for number in range(4)]
        for thread in self._threads:
            thread.start()

    def _run(self, keeps: bool) -> None:
        with httpx.Client() as client:
            while not self._stopping.is_set():
                try:
                    answer = self.server.submit(client if keeps else None)
                except httpx.TransportError as exc:
                    with self._lock:
                        self.failed_at.append((time.monotonic(), type(exc).__name__))
                    return
                with self._lock:
                    self.answers[answer.status_code] += 1
                    if answer.status_code == 202:
                        self.accepted.append(answer.json()["id"])
                time.sleep(0.01)

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=20)


@pytest.mark.parametrize("workers", [1, 2])
def test_draining_server_answers_everything_until_it_stops(start: Callable[..., Server], workers: int) -> None:
    """No refusal, no 5xx but of readiness, and every accepted job is in the ledger, on kept and on new connections."""
    server = start(workers=workers, drain_s=8.0)
    load = Load(server)
    try:
        assert eventually(lambda: len(load.accepted) > 20, within_s=20)
        told_at = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: server.get("/health/ready") == 503, within_s=7)
        assert 200 == server.get("/health/live")
        before = len(load.accepted)
        server.process.wait(timeout=30)
    finally:
        load.stop()
    assert len(load.accepted) > before
    assert {202} == set(load.answers)
    assert [] == [failure for failure in load.failed_at if failure[0] - told_at < 7.9]
    with contextlib.closing(sqlite3.connect(server.ledger)) as ledger:
        kept = {row[0] for row in ledger.execute("SELECT id FROM jobs")}
    assert set() == set(load.accepted) - kept
    assert 0 == server.process.returncode


def test_kept_connections_are_ended_with_an_answer(start: Callable[..., Server]) -> None:
    """Each says so, and serves one more request before."""
    server = start()
    with httpx.Client(base_url=server.url) as client:
        assert "keep-alive" == client.get("/health/live").headers["Connection"]
        server.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: server.get("/health/ready") == 503)
        answer = client.get("/health/live")
    assert (200, "close") == (answer.status_code, answer.headers["Connection"])


def test_streams_and_waits_end_at_once(start: Callable[..., Server]) -> None:
    """SSE with `retry:`, WebSocket with 1012, a long-poll with what there is; the same for those that come later."""
    server = start(drain_s=12.0)
    job_id = server.submit().json()["id"]
    polled: list[httpx.Response] = []

    def poll() -> None:
        polled.append(httpx.get(f"{server.url}/api/jobs/{job_id}?wait=40", headers=server.headers, timeout=60))

    polling = threading.Thread(target=poll)
    polling.start()
    with (
        httpx.stream("GET", f"{server.url}/api/jobs/{job_id}/events", headers=server.headers) as of_job,
        httpx.stream("GET", f"{server.url}/api/events", headers=server.headers) as of_tenant,
        connect(f"ws://127.0.0.1:{server.port}/ws/jobs/{job_id}", additional_headers=server.headers) as socket_,
    ):
        job_events, domain_events = EventSource(of_job), EventSource(of_tenant)
        assert "snapshot" == (job_events.next() or {})["event"]
        assert "snapshot" == json.loads(socket_.recv(timeout=20))["type"]
        domain_events.until_comment()
        job_events.retry_ms = domain_events.retry_ms = None
        time.sleep(0.3)  # for the long-poll to be under way
        server.process.send_signal(signal.SIGTERM)
        assert job_events.next() is None
        assert domain_events.next() is None
        with pytest.raises(ConnectionClosed):
            socket_.recv(timeout=20)
        assert 1012 == socket_.close_code
    for source in (job_events, domain_events):
        assert source.retry_ms is not None
        assert 1000 <= source.retry_ms <= 3000
    polling.join(timeout=20)
    assert [(200, "queued")] == [(answer.status_code, answer.json()["state"]) for answer in polled]
    late = httpx.get(f"{server.url}/api/jobs/{job_id}/events", headers=server.headers)
    assert (200, True) == (late.status_code, late.text.startswith("retry: "))
    assert server.process.poll() is None


def test_process_that_starts_while_draining_drains_too(start: Callable[..., Server]) -> None:
    """Gunicorn replaces a process that dies; the new one is unready from its first answer."""
    server = start(drain_s=16.0)
    (worker,) = server.workers()
    server.process.send_signal(signal.SIGTERM)
    assert eventually(lambda: server.get("/health/ready") == 503)
    worker.kill()
    assert eventually(lambda: [child.pid for child in server.workers()] not in ([], [worker.pid]))
    first = 0
    deadline = time.monotonic() + 14
    while first == 0 and time.monotonic() < deadline:
        first = server.get("/health/ready")
    assert 503 == first


def test_second_signal_stops_at_once(start: Callable[..., Server]) -> None:
    """For whoever does not want to wait."""
    server = start(drain_s=120.0)
    server.process.send_signal(signal.SIGTERM)
    assert eventually(lambda: server.get("/health/ready") == 503)
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(timeout=15)
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", server.port), timeout=1):
        pass


def test_ctrl_c_drains_as_well(start: Callable[..., Server]) -> None:
    """A terminal sends SIGINT to every process of the group."""
    server = start(drain_s=2.0)
    for process in [*server.workers(), psutil.Process(server.process.pid)]:
        process.send_signal(signal.SIGINT)
    assert eventually(lambda: server.get("/health/ready") == 503)
    assert 200 == server.get("/health/live")
    assert 0 == server.process.wait(timeout=20)


def test_killed_main_process_leaves_nobody(start: Callable[..., Server]) -> None:
    """Its processes notice, end their streams and leave."""
    server = start(workers=2)
    workers = server.workers()
    server.process.kill()
    server.process.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert [] == alive
