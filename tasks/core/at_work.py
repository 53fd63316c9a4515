"""Which attempt each child of this machine's workers works on: a small file for each child, which it alone writes.

A folder made and removed for each attempt would tell as much, but takes the disk's journal up to milliseconds.
"""

import os
from functools import lru_cache
from pathlib import Path

# An attempt's job id and fence.
AttemptKey = tuple[str, int]

# Always as long, so that nothing of an earlier attempt is left behind a later one.
_SIZE = 64


@lru_cache(maxsize=64)  # a child asks for its own before every attempt
def note_of(state_dir: Path, *, worker: str, child_pid: int) -> Path:
    """Return the file of the worker's child, ``work/children/<boot>.<pid>``, whether it is there or not."""
    return _root(state_dir) / f"{boot_of(worker)}.{child_pid}"


def boot_of(worker: str) -> str:
    """Return which start of a worker's parent this is; its name, ``queue@host#boot``, ends with that."""
    return worker.rpartition("#")[2]


def begin(note: Path, job_id: str, fence: int) -> None:
    """Note that the child works on the attempt from now on."""
    _write(note, f"{job_id}-{fence}")


def end(note: Path) -> None:
    """Note that the child works on nothing."""
    _write(note, "")


def attempt_in(note: Path) -> AttemptKey | None:
    """Tell what the child works on; None for nothing."""
    try:
        text = note.read_text(errors="replace")
    except OSError:
        return None
    job_id, _, fence = text.strip().rpartition("-")
    return (job_id, int(fence)) if fence.isdecimal() else None


def notes(state_dir: Path) -> list[tuple[str, int, Path]]:
    """List ``(boot, child pid, file)`` of every child that has worked on this machine and was not tidied away."""
    found = []
    for note in _root(state_dir).glob("*.*"):
        boot, _, pid = note.name.rpartition(".")
        if pid.isdecimal():
            found.append((boot, int(pid), note))
    return found


def _write(note: Path, text: str) -> None:
    content = text.ljust(_SIZE).encode()
    while True:
        try:
            opened = os.open(note, os.O_WRONLY | os.O_CREAT, 0o600)
        except FileNotFoundError:
            note.parent.mkdir(parents=True, exist_ok=True)
            continue
        try:
            os.pwrite(opened, content, 0)
            if os.fstat(opened).st_nlink:  # else somebody tidied it away just now, and nobody would find it
                return
        finally:
            os.close(opened)


def _root(state_dir: Path) -> Path:
    return (state_dir / "work" / "children").absolute()
