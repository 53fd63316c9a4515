"""``switchyard workers``: real worker processes under supervisord, started, killed, scaled and stopped."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from client.command import main
from client.errors import ConfigurationRefused
from client.worker_processes import WorkerProcess, WorkerProcesses
from tests.integration.house import environment
from tests.integration.processes import REPOSITORY, RedisContainer, await_true


def of_folder(state_dir: Path) -> list[psutil.Process]:
    """Return all processes of the folder, supervisord and the workers' children among them."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SWITCHYARD_WORKERS_OF") == str(state_dir):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of its own, and a private Redis, for whatever this process starts."""
    redis = RedisContainer(tmp_path)
    redis.ready()
    env = {**environment(tmp_path, redis.url, {"drain_grace_s": "5"}), "PYTHONPATH": str(REPOSITORY)}
    for name in set(os.environ) - set(env):
        monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    yield tmp_path / "var"
    for process in of_folder(tmp_path / "var"):
        process.kill()
    redis.teardown()


def pids(found: list[WorkerProcess]) -> dict[str, int | None]:
    return {one.name: one.pid for one in found}


def test_workers_are_started_replaced_scaled_and_stopped(
    state_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked for runs, and only that; a worker that is killed comes back; after a stop there is nothing."""
    monkeypatch.chdir(REPOSITORY)
    processes = WorkerProcesses(state_dir, start_s=1)
    [worker] = processes.start({"analytics": 1})
    assert ("analytics-1", "analytics", "running") == (worker.name, worker.queue, worker.state)
    assert {"analytics-1": worker.pid} == pids(processes.start({}))
    assert worker.pid is not None
    assert "-A tasks worker -Q analytics" in " ".join(psutil.Process(worker.pid).cmdline())
    await_true(lambda: "ready" in processes.status()[0].last_line, what="its last line is shown")
    with pytest.raises(SystemExit):
        main(["workers", "status", "--json"])
    [told] = json.loads(capsys.readouterr().out)["workers"]
    assert (worker.pid, "running") == (told["pid"], told["state"])
    assert told["rss_bytes"] > 10_000_000
    assert told["uptime_s"] > 0
    assert told["waiting"] is told["running"] is None  # no server answers here

    psutil.Process(worker.pid).kill()
    await_true(lambda: processes.status()[0].pid not in {worker.pid, None}, what="it is started again")
    [again] = processes.start({})
    more = pids(processes.scale({"analytics": 2}))
    assert ["analytics-1", "analytics-2"] == sorted(more)
    assert again.pid == more["analytics-1"]
    assert {"analytics-1": again.pid} == pids(processes.scale({"analytics": 1}))

    assert processes.stop()
    assert [] == of_folder(state_dir)
    assert not processes.stop()


def test_what_goes_wrong_is_told_and_can_be_ended(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that refuses its settings says why; workers whose supervisord is gone are not doubled."""
    monkeypatch.chdir(REPOSITORY)
    refusing = WorkerProcesses(state_dir, environ={**os.environ, "SWITCHYARD_BEAT_S": "no number"}, start_s=10)
    with pytest.raises(ConfigurationRefused, match=r"voice-1: SWITCHYARD_BEAT_S: .*worker-voice-1\.log"):
        refusing.start({"voice": 1})
    assert refusing.status()[0].state in {"backoff", "starting", "fatal"}
    assert refusing.stop()

    processes = WorkerProcesses(state_dir, start_s=1)
    [worker] = processes.start({"voice": 1})
    psutil.Process(int((state_dir / "workers" / "supervisord.pid").read_text())).kill()
    await_true(lambda: processes.status() == [], what="supervisord is gone")
    with pytest.raises(ConfigurationRefused, match=rf"still run \(pid {worker.pid}\)"):
        processes.start({})
    assert processes.stop()
    assert [] == of_folder(state_dir)
