"""Processes that nobody owns any more: what a killed child or worker left behind on this machine.

A worker's children inherit ``SWITCHYARD_WORKER=<boot>:<parent pid>`` from it, and everything that a child starts
inherits ``SWITCHYARD_CHILD=<boot>:<child pid>``. A process is an orphan when the one its marker names is dead, even
where it made itself a session of its own and so outlived the kill of its group.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

WORKER_MARK = "SWITCHYARD_WORKER"
CHILD_MARK = "SWITCHYARD_CHILD"

# A signal arrives at once, except in a system call that cannot be interrupted.
_STOP_LIMIT_S = 0.2


def is_own_child(pid: int) -> bool:
    """Tell whether ``pid`` is a living child of this process, and not a stranger that got a dead child's number."""
    try:
        process = psutil.Process(pid)
        return process.ppid() == os.getpid() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def kill_group(pid: int) -> None:
    """Kill the process group that our child ``pid`` leads, or the child alone where it leads none."""
    if not is_own_child(pid):
        return
    with suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


def kill_group_if(pid: int, claim: Callable[[], bool]) -> bool:
    """Stop our child ``pid``, so that it cannot move on meanwhile, and kill its group if ``claim`` holds then."""
    if not is_own_child(pid):
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGSTOP)
        try:
            if _has_stopped(pid) and claim():
                kill_group(pid)
                return True
        finally:
            os.kill(pid, signal.SIGCONT)
    return False


def _has_stopped(pid: int) -> bool:
    deadline = time.monotonic() + _STOP_LIMIT_S
    with suppress(psutil.Error):
        while time.monotonic() < deadline:
            if psutil.Process(pid).status() == psutil.STATUS_STOPPED:
                return True
            time.sleep(0.001)
    return False


def is_child_of(pid: int, boot: str) -> bool:
    """Tell whether ``pid`` lives, as a child of the worker on this machine that booted as ``boot``."""
    try:
        alive = psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
    return alive and _environ(pid).get(WORKER_MARK, "").startswith(f"{boot}:")


def kill_orphans() -> list[int]:
    """Kill every orphan on this machine; return their pids."""
    killed = []
    for pid in psutil.pids():
        if pid == os.getpid():
            continue
        marks = _marks(pid)
        if (
            marks
            and _is_in_our_namespace(pid)
            and not all(_is_alive(owner, boot=boot, since=pid) for boot, owner in marks)
        ):
            with suppress(ProcessLookupError, PermissionError):
                _kill_with_group(pid)
                killed.append(pid)
    return killed


def _kill_with_group(pid: int) -> None:
    # A browser's processes overwrite their environment, and the marks with it; only the one that leads them keeps it.
    if os.getpgid(pid) == pid:
        os.killpg(pid, signal.SIGKILL)
    else:
        os.kill(pid, signal.SIGKILL)


def _marks(pid: int) -> list[tuple[str, int]]:
    environ = _environ(pid)
    found = []
    for name in (WORKER_MARK, CHILD_MARK):
        boot, colon, owner = environ.get(name, "").partition(":")
        if colon and owner.isdecimal() and int(owner) != pid:
            found.append((boot, int(owner)))
    return found


def _is_in_our_namespace(pid: int) -> bool:
    """Tell whether ``pid`` counts processes as we do; in a container's marks, seen from its host, pids mean others."""
    try:
        return Path(f"/proc/{pid}/ns/pid").readlink() == Path("/proc/self/ns/pid").readlink()
    except OSError:
        return False


def _environ(pid: int) -> dict[str, str]:
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (part.partition(b"=") for part in raw.split(b"\0") if part.startswith(b"SWITCHYARD_"))
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, _, value in pairs}


def _is_alive(pid: int, *, boot: str, since: int) -> bool:
    """Tell whether ``pid`` is still the process that was marked, and not a later one that got its number.

    ``since`` is a process that it started, directly or not: a later one would be younger than that.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or process.create_time() > psutil.Process(since).create_time():
            return False
    except psutil.Error:
        return False
    # A worker's parent has no mark in /proc, because it set its own after it started; a child's must name our boot.
    return _environ(pid).get(WORKER_MARK, boot).startswith(boot)
