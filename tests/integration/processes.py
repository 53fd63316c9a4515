"""Local processes that pytest-celery takes for containers: no Docker, one private process each."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import redis
from pytest_celery import CeleryTestContainer

from tasks.core.errors import LedgerBusy
from tasks.core.ledger import Ledger
from tests.servers import free_port

REPOSITORY = Path(__file__).parents[2]


def family_of(pid: int) -> list[psutil.Process]:
    """Return the living process and everything below it, the process first."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def freeze(processes: Sequence[psutil.Process], ledger: Ledger) -> None:
    """Stop them (SIGSTOP) at a moment when none of them writes: one that holds SQLite's lock would stop everybody."""
    while True:
        for process in processes:
            process.suspend()
        try:
            with ledger.write():
                return
        except LedgerBusy:
            thaw(processes)
            time.sleep(0.1)


def thaw(processes: Sequence[psutil.Process]) -> None:
    """Let them go on."""
    for process in processes:
        process.resume()


def await_true(condition: Any, *, what: str, within_s: float = 60.0) -> Any:
    """Poll ``condition`` until it returns something true, and return that."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(0.05)


class LocalProcess:
    """One process with the part of ``docker.models.containers.Container`` that pytest-docker-tools asks for."""

    def __init__(self, name: str, command: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path) -> None:
        self.name = name
        self.id = secrets.token_hex(32)
        self.log_path = log
        self._command = list(command)
        self._env = dict(env)
        self._cwd = cwd
        self._process: subprocess.Popen[bytes]
        self._start()

    def _start(self) -> None:
        self._log_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._env, cwd=self._cwd, stdout=log, stderr=subprocess.STDOUT, process_group=0
            )

    @property
    def pid(self) -> int:
        """The pid of the process itself."""
        return self._process.pid

    @property
    def status(self) -> str:
        """``running`` or ``exited``, as Docker says it."""
        return "running" if self._process.poll() is None else "exited"

    @property
    def attrs(self) -> dict[str, Any]:
        """Docker's description of a container without network or published ports."""
        return {
            "Config": {"Env": [f"{key}={value}" for key, value in self._env.items()], "Hostname": "127.0.0.1"},
            "NetworkSettings": {"Networks": {}, "Ports": {}},
            "HostConfig": {"PortBindings": {}},
        }

    def reload(self) -> None:
        """Do nothing: every answer is fresh."""

    def kill(self, signal: str | int | None = None) -> None:  # Docker's name
        """Send a signal to the process alone, SIGKILL unless said otherwise."""
        self._process.send_signal(_signal_number(signal or "SIGKILL"))

    def wait(self, *, within_s: float) -> int:
        """Return the exit code."""
        return self._process.wait(timeout=within_s)

    def restart(self, timeout: float = 10) -> None:
        """Stop the process and start it again, with the same command."""
        self.stop(within_s=timeout)
        self._start()

    def logs(self) -> bytes:
        """Return all output since the last start."""
        return self.log_path.read_bytes()[self._log_from :]

    def stop(self, *, within_s: float = 5.0) -> None:
        """End the process and everything it has started, if need be by SIGKILL."""
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.pid).children(recursive=True)
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=within_s)
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def _signal_number(name: str | int) -> int:
    return name if isinstance(name, int) else int(signal.Signals[name])


# Long enough for Redis.
_AT_LAST_S = 0.2


class ProcessContainer(CeleryTestContainer):
    """pytest-celery's container, around a local process."""

    @property
    def pid(self) -> int:
        """The pid of the process itself."""
        return int(self._container.pid)

    def teardown(self) -> None:
        """Stop the process, without waiting for it to drain: how one ends that is asked to is tested by itself."""
        self._container.stop(within_s=_AT_LAST_S)


class RedisContainer(ProcessContainer):
    """A private redis-server."""

    ready_prompt = "Ready to accept connections"

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        command = ["redis-server", *self.options_of_port(), "--bind", "127.0.0.1", "--dir", str(folder)]
        command += ["--save", "", "--maxmemory-policy", "noeviction", *options]
        super().__init__(
            LocalProcess("redis", command, env=dict(os.environ), log=folder / f"redis-{self.port}.log", cwd=folder)
        )

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"redis://127.0.0.1:{self.port}/0"

    def options_of_port(self) -> list[str]:
        """How it listens."""
        return ["--port", str(self.port)]

    @property
    def celeryconfig(self) -> dict[str, Any]:
        """Where Celery finds it."""
        return {"url": self.url, "host_url": self.url}

    @property
    def client(self) -> "redis.Redis":
        """A client of one's own; close it."""
        return redis.Redis.from_url(self.url, decode_responses=True)


class CommandContainer(ProcessContainer):
    """A process of ours: a worker, the dispatcher, Flower."""

    def __init__(
        self, name: str, arguments: Sequence[str], *, env: Mapping[str, str], folder: Path, prompt: str | None
    ) -> None:
        self._prompt = prompt
        log = folder / f"{name}-{secrets.token_hex(2)}.log"
        super().__init__(LocalProcess(name, [sys.executable, *arguments], env=env, log=log, cwd=REPOSITORY))

    @property
    def ready_prompt(self) -> str | None:
        """What it logs when it is ready."""
        return self._prompt

    def wait(self, *, within_s: float = 60.0) -> int:
        """Return the exit code."""
        return int(self._container.wait(within_s=within_s))
