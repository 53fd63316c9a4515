"""The worker processes of one state folder on this machine, run by supervisord (http://supervisord.org).

One supervisord for each state folder, spoken to through a socket that only this user can open. Whatever changes
something holds a lock on the folder, so that two commands at a time start no second one.
"""

import fcntl
import hashlib
import http.client
import importlib.util
import json
import os
import socket as sockets
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from pydantic import BaseModel

from client.errors import ConfigurationRefused
from client.worker_logs import remove_old
from client.worker_programs import ALL_PROGRAMS, QUEUES, Plan, configuration

# The server's own defaults (tests compare).
DEFAULT_REDIS_URL, DEFAULT_DRAIN_GRACE_S = "redis://127.0.0.1:6379/0", 30.0
# What a worker needs after its jobs' grace to give back the rest and leave.
_LEAVING_S = 15.0
_START_S = 5
_LOOK_EVERY_S = 0.1
# Tells our processes from those of another folder, also when supervisord itself is gone.
_MARK = "SWITCHYARD_WORKERS_OF"
_OVER = frozenset({"stopped", "exited", "fatal"})
# A socket's path may be no longer than this, on every system.
_LONGEST_SOCKET_PATH = 100


class WorkerProcess(BaseModel, frozen=True):
    """One managed process. ``state``: running, starting, backoff (starts again soon), stopping, exited or fatal.

    ``waiting`` and ``running`` count the jobs of its queue; None where no server was asked, or none answered.
    """

    name: str
    queue: str
    state: str
    pid: int | None
    uptime_s: float | None
    rss_bytes: int | None
    last_line: str
    log: str
    waiting: int | None = None
    running: int | None = None


class WorkerProcesses:
    """What ``switchyard workers start | stop | status | scale`` does.

    Args:
        state_dir: the stack that they belong to.
        environ: what they are started with; where it names no Redis, that of the stack that ``make up`` started.
        start_s: for so long a worker must stay up to count as started.
    """

    def __init__(self, state_dir: Path, *, environ: Mapping[str, str] = os.environ, start_s: int = _START_S) -> None:
        self.state_dir = state_dir.absolute()
        self.folder = self.state_dir / "workers"
        self._logs = self.state_dir / "log"
        self._environ = dict(environ)
        self._start_s = start_s

    def start(self, counts: Mapping[str, int]) -> list[WorkerProcess]:
        """Start what does not run yet; where no counts are given, what ran last, or one for each queue.

        Raises:
            ConfigurationRefused: supervisord is not installed, Redis does not listen, a worker refuses to start, or
                processes of a supervisord that is gone still run.
        """
        with self._locked():
            before = Plan.read(self._plan)
            wanted = {**(before.counts if before else {}), **counts} or dict.fromkeys(QUEUES, 1)
            return self._bring_about(wanted, before)

    def scale(self, counts: Mapping[str, int]) -> list[WorkerProcess]:
        """Let so many workers of these queues run, and leave the others alone; none may be 0.

        Raises:
            ConfigurationRefused: nothing was started here, or a worker refuses to start.
        """
        with self._locked():
            before = Plan.read(self._plan)
            if before is None or self._pid() is None:
                raise ConfigurationRefused(f"no workers are managed in {self.folder}: `switchyard workers start` first")
            return self._bring_about({**before.counts, **counts}, before)

    def stop(self) -> bool:
        """End all of them, each after its jobs' grace, and supervisord; return whether any ran.

        Raises:
            ConfigurationRefused: some run on.
        """
        with self._locked():
            plan = Plan.read(self._plan)
            limit_s = (plan.grace_s if plan else self._grace_s()) + _LEAVING_S
            pid = self._pid()
            if pid is not None:
                with suppress(psutil.NoSuchProcess):
                    process = psutil.Process(pid)
                    with self._supervisord() as supervisord:
                        supervisord.shutdown()
                    self._await(lambda: not process.is_running(), limit_s, "supervisord does not end")
            left = self._left_behind()
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
            _, alive = psutil.wait_procs(left, timeout=limit_s)
            for process in alive:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(alive, timeout=_LEAVING_S)
            return pid is not None or bool(left)

    def status(self) -> list[WorkerProcess]:
        """Return the processes by queue and number; none when nothing was started."""
        infos = {info["name"]: info for info in self._asked(lambda supervisord: supervisord.getAllProcessInfo()) or []}
        return [_described(name, queue, infos[name]) for name, queue in ALL_PROGRAMS if name in infos]

    # ---- the plan

    @property
    def _plan(self) -> Path:
        return self.folder / "plan.json"

    def _bring_about(self, counts: Mapping[str, int], before: Plan | None) -> list[WorkerProcess]:
        if importlib.util.find_spec("supervisor") is None:
            raise ConfigurationRefused("supervisord is missing: pip install 'switchyard[supervisor]'")
        self._refuse_without_redis()
        pid = self._pid()
        plan = Plan(counts, str(Path.cwd()), self._grace_s(), self._start_s)
        if pid is not None and before is not None:
            # What runs would be started anew if it were to run elsewhere.
            plan = replace(before, counts=counts)
        text = configuration(plan, folder=self.folder, socket=self._socket, logs=self._logs)
        self._logs.mkdir(parents=True, exist_ok=True)
        remove_old(self._logs, in_use={one.name for one in self.status()} | {name for name, _ in plan.programs})
        self._configuration.write_text(text, encoding="utf-8")
        self._plan.write_text(plan.written(), encoding="utf-8")
        if pid is None:
            self._launch()
        else:
            self._update(plan.grace_s + _LEAVING_S)
        return self._await_started(plan)

    @property
    def _configuration(self) -> Path:
        return self.folder / "supervisord.conf"

    def _launch(self) -> None:
        left = self._left_behind()
        if left:
            pids = ", ".join(str(process.pid) for process in left)
            raise ConfigurationRefused(
                f"workers of a supervisord that is gone still run (pid {pids}): `switchyard workers stop` ends them"
            )
        command = [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(self._configuration)]
        done = subprocess.run(
            command,
            env={**self._environ, **self._joined(), _MARK: str(self.state_dir)},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ConfigurationRefused(f"supervisord does not start: {(done.stderr or done.stdout).strip()}")
        self._await(lambda: self._pid() is not None, _LEAVING_S, "supervisord does not answer")

    def _update(self, limit_s: float) -> None:
        """Do what ``supervisorctl update`` does, but stop those that go at the same time."""
        with self._supervisord() as supervisord:
            [[added, changed, removed]] = supervisord.reloadConfig()
            going = [*changed, *removed]
            for name in going:
                supervisord.stopProcessGroup(name, False)
            for name in going:
                self._await(partial(_is_over, supervisord, name), limit_s, f"{name} does not end")
                supervisord.removeProcessGroup(name)
            for name in [*added, *changed]:
                supervisord.addProcessGroup(name)

    def _await_started(self, plan: Plan) -> list[WorkerProcess]:
        """Wait until each runs, or has failed; what failed before is tried again."""
        with self._supervisord() as supervisord:
            for name in [one.name for one in self.status() if one.state in _OVER]:
                # It may have been started again meanwhile.
                with suppress(xmlrpc.client.Fault):
                    supervisord.startProcess(name, False)
        deadline = time.monotonic() + plan.start_s * 10 + _LEAVING_S
        while True:
            found = self.status()
            # One that ended soon after its start is tried thrice more, while the caller may read why.
            failed = [one for one in found if one.state in ("backoff", "exited", "fatal")]
            if failed:
                lines = "".join(f"\n{one.name}: {one.last_line}; its log: {one.log}" for one in failed)
                raise ConfigurationRefused(f"workers do not start:{lines}")
            if all(one.state == "running" for one in found):
                return found
            if time.monotonic() > deadline:
                raise ConfigurationRefused(f"workers do not start in time; their logs: {self._logs}")
            time.sleep(_LOOK_EVERY_S)

    # ---- what they are started with

    def _joined(self) -> dict[str, str]:
        """Return what ties them to their stack."""
        found = {"SWITCHYARD_STATE_DIR": str(self.state_dir)}
        with suppress(OSError, ValueError, KeyError):
            noted = json.loads((self.state_dir / "up.json").read_text(encoding="utf-8"))
            found["SWITCHYARD_REDIS_URL"] = str(noted["redis_url"])
        if "SWITCHYARD_REDIS_URL" in self._environ:
            found["SWITCHYARD_REDIS_URL"] = self._environ["SWITCHYARD_REDIS_URL"]
        return found

    def _refuse_without_redis(self) -> None:
        url = urlsplit(self._joined().get("SWITCHYARD_REDIS_URL", DEFAULT_REDIS_URL))
        if url.scheme not in ("redis", "rediss"):
            return
        try:
            place = (url.hostname or "127.0.0.1", url.port or 6379)
            sockets.create_connection(place, timeout=5).close()
        except (OSError, ValueError) as exc:
            raise ConfigurationRefused(f"Redis does not listen at {url.hostname}:{url.port or 6379}: {exc}") from exc

    def _grace_s(self) -> float:
        given = self._environ.get("SWITCHYARD_DRAIN_GRACE_S", str(DEFAULT_DRAIN_GRACE_S))
        try:
            return float(given) + _LEAVING_S
        except ValueError as exc:
            raise ConfigurationRefused(f"SWITCHYARD_DRAIN_GRACE_S: {given!r} is no number of seconds") from exc

    # ---- supervisord

    @property
    def _socket(self) -> Path:
        path = self.folder / "supervisord.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        # Noted, because another shell may keep its temporary files elsewhere.
        note = self.folder / "socket"
        if not note.exists():
            note.write_text(str(self._short_socket()), encoding="utf-8")
        return Path(note.read_text(encoding="utf-8"))

    def _short_socket(self) -> Path:
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return _private(Path(tempfile.gettempdir()) / f"switchyard-{os.getuid()}") / f"{name}.sock"

    @contextmanager
    def _supervisord(self) -> Iterator[Any]:
        """Speak to it: http://supervisord.org/api.html."""
        # Imported late: who manages no workers needs no supervisord.
        from supervisor.xmlrpc import SupervisorTransport  # noqa: PLC0415  # an extra, and see above

        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._socket}")
        try:
            yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor
        finally:
            transport.close()

    def _pid(self) -> int | None:
        """Return supervisord's pid; None when it does not run."""
        pid = self._asked(lambda supervisord: supervisord.getPID())
        return None if pid is None else int(pid)

    def _asked(self, question: Callable[[Any], Any]) -> Any:
        """Return supervisord's answer; None when it does not run."""
        if importlib.util.find_spec("supervisor") is None or not self._plan.exists() or not self._socket.exists():
            return None
        try:
            with self._supervisord() as supervisord:
                return question(supervisord)
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return None

    def _left_behind(self) -> list[psutil.Process]:
        """Return our workers that no supervisord of ours looks after any more."""
        mark = str(self.state_dir)
        return [one for one in psutil.process_iter() if _is_marked(one, mark) and not _is_marked(_parent(one), mark)]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        _private(self.folder)
        with (self.folder / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _await(self, is_so: Callable[[], bool], limit_s: float, otherwise: str) -> None:
        deadline = time.monotonic() + limit_s
        while not is_so():
            if time.monotonic() > deadline:
                raise ConfigurationRefused(f"{otherwise}; its log: {self.folder / 'supervisord.log'}")
            time.sleep(_LOOK_EVERY_S)


def _described(name: str, queue: str, info: Mapping[str, Any]) -> WorkerProcess:
    pid = int(info["pid"]) or None
    return WorkerProcess(
        name=name,
        queue=queue,
        state=_state(info),
        pid=pid,
        uptime_s=float(info["now"] - info["start"]) if pid else None,
        rss_bytes=_memory(pid) if pid else None,
        last_line=_last_line(Path(info["stdout_logfile"])),
        log=info["stdout_logfile"],
    )


def _private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigurationRefused(f"{folder}: must belong to you, and be closed to others (chmod 700)")
    return folder


def _is_over(supervisord: Any, name: str) -> bool:
    return _state(supervisord.getProcessInfo(name)) in _OVER


def _state(info: Mapping[str, Any]) -> str:
    return str(info["statename"]).lower()


def _parent(process: psutil.Process) -> psutil.Process | None:
    try:
        return process.parent()
    except psutil.Error:
        return None


def _is_marked(process: psutil.Process | None, mark: str) -> bool:
    try:
        return process is not None and process.environ().get(_MARK) == mark
    except psutil.Error:
        return False


def _memory(pid: int) -> int:
    """Return what the process and its children hold."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                total += one.memory_info().rss
    return total


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return lines[-1].strip() if lines else ""
