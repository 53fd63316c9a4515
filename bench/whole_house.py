"""A whole house as in service: Redis, the web server, the dispatcher and a worker, each a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from bench.house import ROOT, await_port, free_port, redis_server

_READY_LIMIT_S = 120.0


@contextmanager
def whole_house(
    folder: Path, endpoint: str, *, queues: Sequence[str], settings: Mapping[str, str] | None = None
) -> Iterator[httpx.Client]:
    """Start everything, its worker for these queues; give a client that is signed in. ``endpoint`` may be reached.

    Args:
        settings: more of them, by their variables.
    """
    port = free_port()
    worker = ("-m", "celery", "-A", "tasks", "worker", "-Q", ",".join(queues))
    with ExitStack() as opened:
        environment = os.environ | {
            "SWITCHYARD_STATE_DIR": str(folder / "state"),
            "SWITCHYARD_REDIS_URL": opened.enter_context(redis_server(folder)),
            "SWITCHYARD_PORT": str(port),
            "SWITCHYARD_EGRESS_ALLOW": endpoint,
            "SWITCHYARD_LOG_LEVEL": "warning",
            "SWITCHYARD_DRAIN_S": "0",
            "SWITCHYARD_DRAIN_GRACE_S": "1",
            **(settings or {}),
        }
        for command in (("-m", "app"), ("-m", "workers", "dispatcher"), worker):
            process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
            opened.callback(process.wait)
            opened.callback(process.terminate)
            if command == ("-m", "app"):
                await_port(port)
                _await(lambda: httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).is_success)
        key = (folder / "state" / "dev-key").read_text().strip()
        client = opened.enter_context(
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}, timeout=_READY_LIMIT_S
            )
        )
        _await(lambda: any(set(queues) <= set(one["queues"]) for one in _workers(client)))
        yield client


def _workers(client: httpx.Client) -> list[dict[str, list[str]]]:
    found: list[dict[str, list[str]]] = client.get("/api/workers").json()["workers"]
    return found


def _await(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _READY_LIMIT_S
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("the house did not come up")
        time.sleep(0.1)
