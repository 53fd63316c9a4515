"""Starts one Celery worker per queue, restarts what dies, and passes a stop on; `python -m workers` runs it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event

import structlog
from billiard.util import set_pdeathsig

log = structlog.get_logger()

# A process that dies young waits before it is started again: 1 s, doubled each time, at most this long.
_LONGEST_PAUSE_S = 30.0
# One that has lived this long is taken for healthy, and its next restart is immediate.
_HEALTHY_AFTER_S = 10.0
# The exit code by which a process says that starting it again cannot help.
_REFUSED = 2


@dataclass(slots=True)
class Supervised:
    """One process that should be there."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restarts: int = 0
    start_after: float = 0.0
    refused: bool = False
    ends_with_us: bool = False

    def start(self) -> None:
        """Start it in a process group of its own, so that a terminal's Ctrl-C reaches only the supervisor."""
        # The supervisor has one thread, so nothing can hold a lock between fork and exec.
        ask = _ask_to_end_with_us if self.ends_with_us else None
        self.process = subprocess.Popen(self.command, process_group=0, preexec_fn=ask)  # noqa: PLW1509  # see above
        self.started_at = time.monotonic()
        log.info("process_started", name=self.name, pid=self.process.pid)

    def look_after(self) -> None:
        """Start it when it is due; note its death."""
        if self.process is None:
            if not self.refused and time.monotonic() >= self.start_after:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        lived_s = time.monotonic() - self.started_at
        self.process = None
        self.refused = code == _REFUSED
        self.restarts = 0 if lived_s >= _HEALTHY_AFTER_S else self.restarts + 1
        pause_s = min(_LONGEST_PAUSE_S, 2.0 ** (self.restarts - 1)) if self.restarts else 0.0
        self.start_after = time.monotonic() + pause_s
        log.error("process_died", name=self.name, exit_code=code, lived_s=round(lived_s, 1), refused=self.refused)


@dataclass(slots=True)
class Supervisor:
    """Keeps its processes running until it is told to stop, or ``is_over`` says that nobody needs them."""

    supervised: list[Supervised]
    stop_limit_s: float
    is_over: Callable[[], bool] = lambda: False
    _stopping: Event = field(default_factory=Event)

    def run(self) -> int:
        """Supervise until SIGTERM or SIGINT; return the exit code: 2 when every process refuses to start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        while not self._stopping.is_set() and not self.is_over():
            for child in self.supervised:
                child.look_after()
            if all(child.refused for child in self.supervised):
                return _REFUSED
            self._stopping.wait(0.2)
        self._stop_all()
        return 0

    def _stop_all(self) -> None:
        running = [child.process for child in self.supervised if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self.stop_limit_s
        for process in running:
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("process_killed", pid=process.pid)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _ask_to_end_with_us() -> None:
    set_pdeathsig(signal.SIGTERM)


def worker_command(queue: str) -> list[str]:
    """Return the command of a worker for one queue: the one that a person would type."""
    return [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-Q", queue, "--loglevel", "INFO"]
