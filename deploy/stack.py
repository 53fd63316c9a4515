"""Everything on one machine: ``python -m deploy.stack up | down | status``.

Starts Redis, the web server, a supervisor of the dispatcher and a worker per queue, and Flower, each with its log
in ``<state>/log``, on free loopback ports, and writes their addresses and pids to ``<state>/up.json``.
"""

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from deploy.ports import free_port
from deploy.redis_server import NoRedisServer, redis_command

_START_LIMIT_S = 90.0
_STOP_LIMIT_S = 60.0
_QUEUES = 6


class StackFailed(Exception):
    """A part did not start; the message names its log."""


@dataclass(frozen=True, slots=True)
class Running:
    """A stack that is up, as written in ``up.json``."""

    url: str
    api_key: str
    flower_url: str
    flower_user: str
    flower_password: str
    redis_url: str
    state_dir: str
    processes: dict[str, dict[str, float]]

    def is_alive(self) -> bool:
        """Whether every process still runs."""
        return all(_find(entry) is not None for entry in self.processes.values())


class Stack:
    """One stack in one state folder."""

    def __init__(
        self, state_dir: Path, *, environment: Mapping[str, str] | None = None, say: Callable[[str], None]
    ) -> None:
        self.state_dir = state_dir.absolute()
        self._environment = dict(environment or {})
        self._say = say
        self._processes: dict[str, dict[str, float]] = {}

    @property
    def _note(self) -> Path:
        return self.state_dir / "up.json"

    def running(self) -> Running | None:
        """Return the stack noted in ``up.json``, alive or not; None when none is noted."""
        try:
            return Running(**json.loads(self._note.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def up(self, *, port: int = 0) -> Running:
        """Start what is not running yet; return when everything answers.

        Raises:
            StackFailed: a part did not start in time; the rest was stopped again.
        """
        before = self.running()
        if before is not None:
            if before.is_alive():
                return before
            self.down()
        try:
            return self._start(port)
        except BaseException:
            self._stop(self._processes)
            raise

    def _start(self, port: int) -> Running:
        (self.state_dir / "log").mkdir(parents=True, exist_ok=True)
        redis_port, web_port, flower_port = free_port(), free_port(port), free_port()
        password = secrets.token_urlsafe(12)
        settings = {
            "SWITCHYARD_STATE_DIR": str(self.state_dir),
            "SWITCHYARD_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
            "SWITCHYARD_PORT": str(web_port),
            "SWITCHYARD_FLOWER_PASSWORD": password,
            "SWITCHYARD_DRAIN_S": "0",  # no balancer here that would have to notice
            **self._environment,
        }
        python = sys.executable
        began = time.monotonic()
        self._spawn("redis", redis_command(redis_port, self.state_dir / "redis"), settings)
        self._spawn("web", [python, "-m", "app"], settings)
        url = f"http://127.0.0.1:{web_port}"
        self._await("web", lambda: httpx.get(f"{url}/health/ready", timeout=2).status_code == httpx.codes.OK)
        key = (self.state_dir / "dev-key").read_text().strip()
        self._spawn("workers", [python, "-m", "workers", "--with-dispatcher"], settings)
        self._spawn("flower", [python, "-m", "workers", "flower", "--port", str(flower_port)], settings)
        self._await("workers", lambda: _workers_up(url, key, since=began) >= _QUEUES)
        flower_url = f"http://127.0.0.1:{flower_port}"
        self._await("flower", lambda: httpx.get(flower_url, timeout=2).status_code == httpx.codes.UNAUTHORIZED)
        user = settings.get("SWITCHYARD_FLOWER_USER", "operator")
        running = Running(
            url=url,
            api_key=key,
            flower_url=flower_url,
            flower_user=user,
            flower_password=password,
            redis_url=settings["SWITCHYARD_REDIS_URL"],
            state_dir=str(self.state_dir),
            processes=self._processes,
        )
        _write_private(self._note, json.dumps(vars_of(running), indent=2))
        return running

    def down(self) -> bool:
        """Stop what ``up`` started, newest first; return whether anything was noted."""
        noted = self.running()
        if noted is None:
            return False
        self._stop(noted.processes)
        self._note.unlink(missing_ok=True)
        return True

    def _spawn(self, name: str, command: list[str], settings: Mapping[str, str]) -> None:
        self._say(f"starting {name}")
        log = (self.state_dir / "log" / f"{name}.log").open("ab")
        with log:
            process = subprocess.Popen(
                command,
                env={**os.environ, **settings},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._processes[name] = {"pid": process.pid, "created": psutil.Process(process.pid).create_time()}

    def _await(self, name: str, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < deadline:
            process = _find(self._processes[name])
            if process is None or process.status() == psutil.STATUS_ZOMBIE:
                raise StackFailed(f"{name} stopped at its start:\n{self._tail(name)}")
            try:
                if is_ready():
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        raise StackFailed(f"{name} did not answer within {_START_LIMIT_S:g} s:\n{self._tail(name)}")

    def _tail(self, name: str) -> str:
        path = self.state_dir / "log" / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-15:]) + f"\n(the whole log: {path})"

    def _stop(self, processes: Mapping[str, dict[str, float]]) -> None:
        for name in reversed(list(processes)):
            process = _find(processes[name])
            if process is None:
                continue
            self._say(f"stopping {name}")
            process.terminate()
            try:
                process.wait(timeout=_STOP_LIMIT_S)
            except psutil.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def vars_of(running: Running) -> dict[str, Any]:
    """Return the fields of ``running`` as JSON types."""
    return {name: getattr(running, name) for name in Running.__slots__}


def _find(entry: Mapping[str, float]) -> psutil.Process | None:
    """Return the process, unless it ended or its number went to another."""
    try:
        process = psutil.Process(int(entry["pid"]))
        return process if abs(process.create_time() - entry["created"]) < 1 else None
    except psutil.Error:
        return None


def _workers_up(url: str, key: str, *, since: float) -> int:
    # Rows of a stack that was killed stay for a lease; they are older than this start.
    age_s = time.monotonic() - since
    answer = httpx.get(f"{url}/api/workers", headers={"Authorization": f"Bearer {key}"}, timeout=5)
    workers = answer.json().get("workers", [])
    return sum(worker["state"] == "up" and worker["uptime_s"] <= age_s + 1 for worker in workers)


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def describe(running: Running) -> str:
    """Return the addresses as a person wants them."""
    return "\n".join(
        [
            f"API       {running.url}/api    (try it: {running.url}/docs)",
            f"API key   {running.api_key}",
            f"Flower    {running.flower_url}    (user {running.flower_user}, password {running.flower_password})",
            f"Redis     {running.redis_url}",
            f"State     {running.state_dir}    (logs in log/, ledger in ledger.db)",
            "",
            "The `switchyard` command finds these by itself when run in this folder, for example:",
            "  .venv/bin/switchyard submit maintenance.ping --param message=hello --follow",
            "Stop everything with `make down`.",
        ]
    )


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.stack", description=__doc__)
    parser.add_argument("act", choices=["up", "down", "status"])
    parser.add_argument("--state", type=Path, default=Path("var"), help="the state folder")
    arguments = parser.parse_args()
    stack = Stack(arguments.state, say=print)
    if arguments.act == "down":
        print("stopped" if stack.down() else "nothing was running")
        return 0
    if arguments.act == "status":
        running = stack.running()
        print(describe(running) if running and running.is_alive() else "not running")
        return 0 if running and running.is_alive() else 1
    try:
        print(describe(stack.up(port=8000)))
    except (StackFailed, NoRedisServer) as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
