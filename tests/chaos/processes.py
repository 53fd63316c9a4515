"""The processes of a house that are not Switchyard's own: Redis as in production, and the sink."""

import json
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import redis

from deploy.redis_server import redis_command
from tasks.core.callbacks.records import ENDS
from tests.chaos.sink import READY, Arrival, read_arrivals
from tests.integration.processes import REPOSITORY, LocalProcess, await_true
from tests.receiver import READY as RECEIVES
from tests.receiver import read_received
from tests.servers import free_port


class RedisWithAOF:
    """A private redis-server that keeps its data as ``make up``'s does; it can be killed, restarted and wiped."""

    def __init__(self, folder: Path, env: Mapping[str, str], *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._data = folder / "redis"
        command = [*redis_command(self.port, self._data), *options]
        self.client = redis.Redis(port=self.port, socket_timeout=5)
        self.process = LocalProcess("redis", command, env=env, log=folder / "redis.log", cwd=folder)
        self.await_up()

    def await_up(self) -> None:
        """Wait until it answers and has read what it kept."""
        await_true(self._answers, what="redis-server answers", within_s=30)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill("SIGKILL")
        self.process.wait(within_s=10)

    def wipe(self) -> None:
        """Remove what a killed server kept."""
        shutil.rmtree(self._data)
        self._data.mkdir()

    def start(self) -> None:
        """Start it again after ``kill``, on the same port."""
        self.process._start()
        self.await_up()

    def close(self) -> None:
        """End it."""
        self.client.close()
        self.process.stop(within_s=1)


class Sink:
    """The sink's process and what it has noted."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.path = folder / "arrivals.jsonl"
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        command = [sys.executable, "-m", "tests.chaos.sink", "--port", str(port), "--file", str(self.path)]
        self.process = LocalProcess("sink", command, env=env, log=folder / "sink.log", cwd=REPOSITORY)
        await_true(lambda: READY.encode() in self.process.logs(), what="the sink is ready", within_s=30)

    def arrivals(self) -> list[Arrival]:
        """Return every arrival so far, oldest first."""
        return read_arrivals(self.path)

    def starts(self) -> list[Arrival]:
        """Return the starts so far, oldest first."""
        return [arrival for arrival in self.arrivals() if arrival.phase == "start"]

    def close(self) -> None:
        """End it."""
        self.process.stop(within_s=0.2)


class Hearer:
    """A receiver's process, which is told of every end of a job of the house's own tenant."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.path = folder / "callbacks.jsonl"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/ends"
        command = [sys.executable, "-m", "tests.receiver", "--port", str(self.port), "--file", str(self.path)]
        self.process = LocalProcess("hearer", command, env=env, log=folder / "hearer.log", cwd=REPOSITORY)
        await_true(lambda: RECEIVES.encode() in self.process.logs(), what="the hearer is ready", within_s=30)

    def ids_by_job(self) -> dict[str, list[str]]:
        """Return the callback id of every arrival that told of an end, by job."""
        found: dict[str, list[str]] = {}
        for one in read_received(self.path):
            told = json.loads(one.body)
            if told["type"] in ENDS:
                found.setdefault(told["data"]["job_id"], []).append(one.id)
        return found

    def close(self) -> None:
        """End it."""
        self.process.stop(within_s=0.2)


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
