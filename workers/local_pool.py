"""The local runner's children: spawned interpreters, each leader of a process group, each with one job at a time."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

import psutil
import structlog

from tasks.core.ledger.picking import Due
from tasks.core.memory import MemoryKills
from tasks.core.records import Cause
from tasks.core.settling import cause_of_loss
from workers.errand import Errand, Sign
from workers.orphans import kill_group
from workers.profiles import Profile

log = structlog.get_logger()

# A child that dies before it was ready waits before it is replaced: 1 s, doubled each time, at most this long.
_LONGEST_PAUSE_S = 30.0
# What a child at rest gets to end by itself.
_CLOSE_LIMIT_S = 5.0


@dataclass(slots=True)
class Child:
    """One process and what it is at."""

    process: subprocess.Popen[bytes]
    channel: "Connection[bytes, bytes]"
    is_ready: bool = False
    due: Due | None = None
    begun_at: float = 0.0
    is_warned: bool = False
    is_timed_out: bool = False
    jobs: int = 0

    @property
    def is_free(self) -> bool:
        """Whether it waits for a job."""
        return self.is_ready and self.due is None

    def give(self, due: Due) -> None:
        """Have it claim and run the job."""
        self.due, self.begun_at = due, time.monotonic()
        self.is_warned = self.is_timed_out = False
        try:
            self.channel.send_bytes(Errand(due.job_id, due.kind, due.carry).to_bytes())
        except OSError:
            log.debug("child_left", child_pid=self.process.pid)  # the pool finds it dead


@dataclass(slots=True)
class Pool:
    """Keeps ``slots`` children, enforces the limits of their jobs, and replaces what dies or grows.

    Its methods belong to the main thread: the kernel kills a child when the thread that started it ends.

    Args:
        worker: the name under which children claim.
        lost: told of a job whose child ended without a word, with the cause and a message.
    """

    worker: str
    slots: int
    profile: Profile
    lost: Callable[[Due, str, str], None]
    memory_kills: MemoryKills
    _children: list[Child] = field(default_factory=list)
    _failures: int = 0
    _start_after: float = 0.0

    @property
    def pids(self) -> list[int]:
        """The children's pids, busy or not; for any thread."""
        return [child.process.pid for child in list(self._children)]

    @property
    def under_way(self) -> list[str]:
        """Ids of the jobs that children have."""
        return [child.due.job_id for child in self._children if child.due is not None]

    @property
    def free(self) -> list[Child]:
        """Children that wait for a job."""
        return [child for child in self._children if child.is_free]

    def start_missing(self) -> None:
        """Start children until there are enough, unless the last ones died at their start."""
        while len(self._children) < self.slots and time.monotonic() >= self._start_after:
            self._children.append(self._start())

    def _start(self) -> Child:
        ours, theirs = Pipe()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "workers.local_child", str(theirs.fileno()), self.worker],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        return Child(process, ours)

    def attend(self, timeout_s: float) -> None:
        """Listen to the children for at most ``timeout_s``, then see to limits and losses."""
        spoke = wait([child.channel for child in self._children], timeout=timeout_s)
        for child in [child for child in self._children if child.channel in spoke]:
            self._hear(child)
        for child in list(self._children):
            if child.process.poll() is not None:
                self._bury(child)
            elif child.due is not None:
                self._enforce_limits(child, child.due)

    def _hear(self, child: Child) -> None:
        try:
            sign = Sign(child.channel.recv_bytes())
        except (EOFError, OSError):
            _await_end([child])
            return
        if sign is Sign.READY:
            child.is_ready, self._failures = True, 0
            return
        child.due = None
        child.jobs += 1
        if self._is_spent(child):
            self._retire(child)

    def _is_spent(self, child: Child) -> bool:
        if 0 < self.profile.max_jobs_per_child <= child.jobs:
            return True
        try:
            return psutil.Process(child.process.pid).memory_info().rss > self.profile.max_memory_mib * 1024 * 1024
        except psutil.Error:
            return False

    def _enforce_limits(self, child: Child, due: Due) -> None:
        ran_s = time.monotonic() - child.begun_at
        if ran_s >= due.hard_limit_s:
            child.is_timed_out = True
            kill_group(child.process.pid)
        elif ran_s >= due.timeout_s and not child.is_warned:
            child.is_warned = True
            child.process.send_signal(signal.SIGUSR1)

    def _bury(self, child: Child) -> None:
        self._children.remove(child)
        child.channel.close()
        code = child.process.returncode
        if not child.is_ready:
            self._failures += 1
            self._start_after = time.monotonic() + min(_LONGEST_PAUSE_S, 2.0 ** (self._failures - 1))
            log.error("child_failed_to_start", exit_code=code)
        elif child.due is not None:
            log.warning("child_died", child_pid=child.process.pid, exit_code=code, job_id=child.due.job_id)
            if child.is_timed_out:
                message = "The attempt ran into its hard time limit and its processes were killed."
                self.lost(child.due, Cause.TIMEOUT, message)
            else:
                self.lost(child.due, *cause_of_loss(_ending(code), self.memory_kills))

    def _retire(self, child: Child) -> None:
        self._children.remove(child)
        _end([child])

    def retire_free(self) -> None:
        """Let the children that are at rest, or still starting, go."""
        resting = [child for child in self._children if child.due is None]
        self._children = [child for child in self._children if child.due is not None]
        _end(resting)


def _end(children: list[Child]) -> None:
    for child in children:
        child.channel.close()
    _await_end(children)


def _await_end(children: list[Child]) -> None:
    deadline = time.monotonic() + _CLOSE_LIMIT_S
    for child in children:
        try:
            child.process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            kill_group(child.process.pid)
            child.process.wait()


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"it exited with code {code}"
