"""What every test may ask for: settings on a temporary folder, a kernel, a Redis of the test's own."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tasks.core.kernel import Kernel, open_kernel
from tasks.core.settings import Settings

# Nothing listens here, so that connecting fails at once.
DEAD_REDIS_URL = "redis://127.0.0.1:1/0"


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings on this test's folder and, unless one is given, on no Redis."""

    def make(**values: object) -> Settings:
        return Settings(**({"state_dir": tmp_path / "state", "redis_url": DEAD_REDIS_URL} | values))

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    """Settings without a Redis."""
    return make_settings()


@pytest.fixture
def kernel(settings: Settings) -> Iterator[Kernel]:
    """A kernel on an empty SQLite ledger, without a Redis."""
    opened = open_kernel(settings)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def _redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    process = subprocess.Popen(
        ["/usr/bin/redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    url = f"redis://127.0.0.1:{port}/0"
    try:
        _await_redis(url)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=5)


@pytest.fixture
def redis_server(_redis_process: str) -> Iterator[str]:
    """The URL of a private, empty redis-server."""
    with redis.Redis.from_url(_redis_process) as client:
        client.flushall()
        yield _redis_process


def _await_redis(url: str) -> None:
    deadline = time.monotonic() + 10
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
