"""A server of the client's own: found where one runs already, else started, in a folder that keeps what it did.

It is the server's profile ``local``, on a free port of loopback, spoken to over HTTP like any other. Clients share it:
each holds a shared lock on ``clients.lock``, and the server ends a while after the last one has gone. ``server.lock``
is held by the server from before its start to its end, so that what ``server.json`` says of a dead one is never
believed; ``start.lock`` lets one client at a time start it.
"""

import fcntl
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Any

import httpx

from client import wire
from client.address import Address
from client.errors import ConfigurationRefused, ConnectionFailed
from client.limits import Limits

# What would tie the server to another house than its own folder, or open it to other machines.
_NOT_PASSED_ON = frozenset(
    f"SWITCHYARD_{name}"
    for name in (
        *("URL", "API_KEY", "PROFILE", "ENVIRONMENT", "STATE_DIR", "LEDGER_URL", "STORAGE_DIR", "REDIS_URL"),
        *("HOST", "PORT", "SECRET_KEY"),
    )
)
_LOOK_EVERY_S = 0.1
_ANSWER_S = 5.0
_STOP_S = 60.0


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder: ``SWITCHYARD_LOCAL_DIR``, else ``switchyard/local`` where this user's state is kept."""
    given = environ.get("SWITCHYARD_LOCAL_DIR")
    if given:
        return Path(given).absolute()
    state = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "switchyard" / "local"


@dataclass(slots=True)
class LocalServer:
    """The server of one folder, as one client sees it. Safe to share between threads.

    Args:
        limits: ``local_start_s`` and ``local_idle_s`` are its own.
    """

    folder: Path
    limits: Limits
    was_started: bool = False
    _holds: IO[bytes] | None = None
    _opening: Lock = field(default_factory=Lock)

    def open(self) -> Address:
        """Find the server or start it; return its address once it answers. It stays until ``close``, and a while after.

        Raises:
            ConfigurationRefused: the server is not installed here, or the folder belongs to somebody else.
            ConnectionFailed: it did not start in time; the message names its log.
        """
        with self._opening:
            deadline = time.monotonic() + self.limits.local_start_s
            self._make_folder()
            if self._holds is None:
                self._holds = self._locked("clients.lock", fcntl.LOCK_SH, deadline)
            with self._locked("start.lock", fcntl.LOCK_EX, deadline):
                if not self._is_running():
                    self._start(deadline)
                return self._await_answer(deadline)

    def close(self) -> None:
        """Need it no more."""
        with self._opening:
            held, self._holds = self._holds, None
        if held is not None:
            held.close()

    def running(self) -> Address | None:
        """Return where it answers, or None when it does not run; starts nothing."""
        if not self._is_running():
            return None
        with suppress(ConnectionFailed):
            return self._answering()
        return None

    def stop(self) -> bool:
        """End it, jobs in progress after their grace; they go on when it is started again. False: it did not run.

        Raises:
            ConnectionFailed: it has not ended within a minute.
        """
        if not self._is_running():
            return False
        os.kill(int(self._noted()["pid"]), signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        while self._is_running():
            if time.monotonic() > deadline:
                raise ConnectionFailed(f"the local server does not end; its log: {self.log}")
            time.sleep(_LOOK_EVERY_S)
        return True

    @property
    def log(self) -> Path:
        """Where it writes what it does."""
        return self.folder / "server.log"

    def _make_folder(self) -> None:
        # It holds a key: nobody else may look.
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.folder.stat()
        if found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise ConfigurationRefused(f"{self.folder}: must belong to you, and be closed to others (chmod 700)")

    def _locked(self, name: str, how: int, deadline: float) -> IO[bytes]:
        file = (self.folder / name).open("ab")
        while not _has_locked(file, how):
            if time.monotonic() > deadline:
                file.close()
                raise ConnectionFailed(f"another client starts or ends the local server for too long: {self.log}")
            time.sleep(_LOOK_EVERY_S)
        return file

    def _is_running(self) -> bool:
        try:
            with (self.folder / "server.lock").open("rb") as file:
                return not _has_locked(file, fcntl.LOCK_SH)
        except FileNotFoundError:
            return False

    def _noted(self) -> Any:
        return json.loads((self.folder / "server.json").read_text(encoding="utf-8"))

    def _start(self, deadline: float) -> None:
        if importlib.util.find_spec("workers") is None:
            raise ConfigurationRefused("there is no server on this machine to start: install Switchyard's server too")
        port = _free_port()
        with self._locked("server.lock", fcntl.LOCK_EX, deadline) as lock, self.log.open("ab") as log:
            # The open file goes to the server, and its lock with it: there is no moment at which nobody holds it.
            process = subprocess.Popen(
                _command(self.folder, idle_s=self.limits.local_idle_s),
                env=_environment(self.folder, port),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lock.fileno()],
                start_new_session=True,
            )
            note = {"url": f"http://127.0.0.1:{port}", "pid": process.pid}
            new = self.folder / "server.json.new"
            new.write_text(json.dumps(note), encoding="utf-8")
            new.replace(self.folder / "server.json")
        self.was_started = True
        # It outlives us; whoever reads its exit code is init, or nobody.
        process.returncode = 0

    def _await_answer(self, deadline: float) -> Address:
        while True:
            with suppress(ConnectionFailed):
                return self._answering()
            if not self._is_running():
                raise ConnectionFailed(f"the local server ended at its start:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise ConnectionFailed(f"the local server does not answer in time:\n{self._tail()}")
            time.sleep(_LOOK_EVERY_S)

    def _answering(self) -> Address:
        try:
            key = (self.folder / "state" / "dev-key").read_text(encoding="utf-8").strip()
            address = Address(str(self._noted()["url"]), key)
        except (OSError, ValueError, KeyError) as exc:
            raise ConnectionFailed("it has not begun yet") from exc
        with wire.translated(), httpx.Client(verify=wire.trusted(address, None), trust_env=False) as http:
            answer = http.get(f"{address.url}/api/backends", headers=address.headers, timeout=_ANSWER_S)
        if answer.status_code != httpx.codes.OK or answer.json()["auto"] != "local":
            raise ConnectionFailed("its runner has not begun yet")
        return address

    def _tail(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
        return "\n".join([*lines, f"(the whole log: {self.log})"])


def _command(folder: Path, *, idle_s: float) -> list[str]:
    used = str(folder / "clients.lock")
    return [
        *(sys.executable, "-m", "workers", "local", "--with-web"),
        *("--while-used", used, "--idle-s", str(idle_s)),
    ]


def _environment(folder: Path, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    # Found as we were, wherever it is started.
    paths = [str(Path(__file__).parents[1]), kept.get("PYTHONPATH", "")]
    return kept | {
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "SWITCHYARD_PROFILE": "local",
        "SWITCHYARD_STATE_DIR": str(folder / "state"),
        "SWITCHYARD_HOST": "127.0.0.1",
        "SWITCHYARD_PORT": str(port),
        "SWITCHYARD_DRAIN_S": "0",  # no balancer that would have to notice
    }


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _has_locked(file: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
