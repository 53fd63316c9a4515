"""``switchyard workers``: real worker processes under supervisord, started, killed, scaled and stopped."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.house import environment
from tests.integration.processes import REPOSITORY, RedisContainer, await_true


class Managed:
    """Runs the command for one state folder."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def run(self, *arguments: str) -> Any:
        """Return what it wrote; it must end well."""
        done = self.ended(*arguments)
        assert 0 == done.returncode, done.stderr
        return json.loads(done.stdout)

    def ended(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Return how it ended."""
        return subprocess.run(
            [sys.executable, "-m", "client.command", "--json", "workers", *arguments],
            env=self._env,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def pids(self, *arguments: str) -> dict[str, int]:
        """Return the pid of each process that the command lists."""
        return {one["name"]: one["pid"] for one in self.run(*arguments)["workers"]}

    def of_folder(self) -> list[psutil.Process]:
        """Return all processes of the folder, supervisord and the workers' children among them."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SWITCHYARD_WORKERS_OF") == self._env["SWITCHYARD_STATE_DIR"]:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[Managed]:
    """A state folder of its own, and a private Redis."""
    redis = RedisContainer(tmp_path)
    redis.ready()
    found = Managed({**environment(tmp_path, redis.url, {"drain_grace_s": "5"}), "PYTHONPATH": str(REPOSITORY)})
    yield found
    found.ended("stop")
    for process in found.of_folder():
        process.kill()
    redis.teardown()


def test_workers_are_started_replaced_scaled_and_stopped(managed: Managed) -> None:
    """What was asked for runs, and only that; a worker that is killed comes back; after a stop there is nothing."""
    [worker] = managed.run("start", "analytics=1")["workers"]
    assert ("analytics-1", "analytics", "running") == (worker["name"], worker["queue"], worker["state"])
    first = worker["pid"]
    assert {"analytics-1": first} == managed.pids("start")

    def says_ready() -> Any:
        [worker] = managed.run("status")["workers"]
        return worker if worker["last_line"].endswith("ready.") or "ready" in worker["last_line"] else None

    ready = await_true(says_ready, what="its last line is shown")
    assert ready["rss_bytes"] > 10_000_000
    assert ready["uptime_s"] > 0
    assert "-A tasks worker -Q analytics" in " ".join(psutil.Process(first).cmdline())

    psutil.Process(first).kill()
    again = await_true(
        lambda: (pid := managed.pids("status")["analytics-1"]) not in {first, None} and pid, what="it is started again"
    )

    more = managed.pids("scale", "analytics=2")
    assert ["analytics-1", "analytics-2"] == sorted(more)
    assert again == more["analytics-1"]
    assert {"analytics-1": again} == managed.pids("scale", "analytics=1")
    await_true(lambda: not psutil.pid_exists(more["analytics-2"]), what="the second has left")

    assert {"stopped": True} == managed.run("stop")
    assert [] == managed.of_folder()
    assert {"stopped": False} == managed.run("stop")
