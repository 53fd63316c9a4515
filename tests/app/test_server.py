"""The server as a process: started, called and stopped as an operator would."""

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import DEAD_REDIS_URL
from tests.servers import free_port


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `python -m app` on a temporary folder; what still runs at the end is stopped."""
    started: list[subprocess.Popen[str]] = []

    def run(**values: str) -> subprocess.Popen[str]:
        ours = {
            "STATE_DIR": str(tmp_path / "state"),
            "REDIS_URL": DEAD_REDIS_URL,
            "WEB_THREADS": "16",
            "DRAIN_S": "0",
        } | values
        env = os.environ | {f"SWITCHYARD_{name}": value for name, value in ours.items()} | {"HOME": str(tmp_path)}
        command = [sys.executable, "-m", "app"]
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


def _await_live(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{url}/health/ready", timeout=10).raise_for_status()
            return
        except httpx.HTTPError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_server_prints_a_key_that_works_and_stops_when_told(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """On one's own machine the first call needs nothing but what the server printed."""
    port = free_port()
    process, url = start(PORT=str(port)), f"http://127.0.0.1:{port}"
    _await_live(url)
    key = (tmp_path / "state" / "dev-key").read_text().strip()
    answer = httpx.post(
        f"{url}/api/jobs/maintenance.ping", json={"params": {}}, headers={"Authorization": f"Bearer {key}"}
    )
    assert answer.status_code == 202
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"development key: {key}" in output
    assert "Traceback" not in output
    assert not list(tmp_path.rglob("*.ctl"))


@pytest.mark.parametrize("told", ["", "glibc.malloc.arena_max=8"])
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator alone is told anything")
def test_server_has_small_heaps_unless_told_otherwise(
    start: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    """Thousands of threads would each keep a cache; an operator's own choice stands."""
    if told:
        monkeypatch.setenv("GLIBC_TUNABLES", told)
    port = free_port()
    process = start(PORT=str(port))
    _await_live(f"http://127.0.0.1:{port}")
    found = psutil.Process(process.pid).environ()["GLIBC_TUNABLES"]
    assert found == told if told else "tcache_count=0" in found


def test_server_without_a_key_refuses_to_start(start: Callable[..., subprocess.Popen[str]]) -> None:
    """Where others can reach it, a server needs a real key first."""
    process = start(HOST="0.0.0.0", PORT=str(free_port()))
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "python -m app keys create" in output
