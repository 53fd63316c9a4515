"""Writers take turns: one at a time, across threads and processes, and nobody keeps a turn for good."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tasks.core.errors import LedgerBusy, LedgerUnavailable
from tasks.core.ledger import Ledger, locking
from tasks.core.ledger.tenants import create_key
from tasks.core.ledger.turns import Turns

# Has the turn until it is told to go on, or killed.
_HOLDER = """
import sys
from tasks.core.ledger.turns import Turns

with Turns(sys.argv[1]).taken():
    print("mine", flush=True)
    sys.stdin.readline()
"""

# Each turn looks whether somebody else has it, too.
_TAKER = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from tasks.core.ledger import locking
from tasks.core.ledger.turns import Turns

locking.BUSY_TIMEOUT_S = 60  # nothing here is about how fast this machine is just now
turns, mark = Turns(sys.argv[1]), sys.argv[1] + "-mark"

def take(_):
    with turns.taken():
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        os.unlink(mark)

with ThreadPoolExecutor(3) as threads:
    list(threads.map(take, range(150)))
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db")


@pytest.fixture
def turns(path: str) -> Iterator[Turns]:
    opened = Turns(path)
    yield opened
    opened.close()


@contextmanager
def another_process(path: str) -> Iterator[subprocess.Popen[str]]:
    """One that has the turn."""
    command = [sys.executable, "-c", _HOLDER, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mine\n"
        yield holder
        end(holder)


def end(holder: subprocess.Popen[str]) -> None:
    """Let it go on, if it has not."""
    if holder.poll() is None:
        with suppress(BrokenPipeError):
            holder.communicate("go on\n", timeout=30)


@pytest.mark.slow
def test_one_at_a_time(path: str) -> None:
    """Six processes with three threads each, none of which ever meets another."""
    command = [sys.executable, "-c", _TAKER, path]
    takers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(6)]
    assert [(taker.communicate(timeout=120)[1], taker.returncode) for taker in takers] == [(b"", 0)] * 6


def test_long_turn_is_not_waited_for_longer_than_a_lock(
    path: str, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who gave up takes no turn later: others can have it, and so can the one who gave up."""
    monkeypatch.setattr(locking, "BUSY_TIMEOUT_S", 0.2)
    with another_process(path), pytest.raises(LedgerBusy, match="Try again"), turns.taken():
        pass
    monkeypatch.setattr(locking, "BUSY_TIMEOUT_S", 30)
    with another_process(path):
        pass
    with turns.taken():
        pass


def test_next_one_has_it_as_soon_as_it_is_free(path: str, turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is woken by the kernel, and holds it against others then."""
    monkeypatch.setattr(locking, "BUSY_TIMEOUT_S", 30)

    def take() -> bool:
        with turns.taken():
            monkeypatch.setattr(locking, "BUSY_TIMEOUT_S", 0.2)
            with pytest.raises(LedgerBusy), Turns(path).taken():
                pass
        return True

    with ThreadPoolExecutor(1) as thread, another_process(path) as holder:
        taken = thread.submit(take)
        time.sleep(0.2)
        assert not taken.done()
        end(holder)
        assert taken.result(timeout=30)


def test_killed_process_has_no_turn(path: str, turns: Turns) -> None:
    """The kernel takes it back."""
    with another_process(path) as holder:
        holder.send_signal(signal.SIGKILL)
        with turns.taken():
            pass


def test_failed_writer_gives_its_turn_back(turns: Turns) -> None:
    """Whatever was raised in it."""
    with pytest.raises(RuntimeError), turns.taken():
        raise RuntimeError
    with turns.taken():
        pass


def test_forked_process_has_turns_of_its_own(path: str, turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither has its parent's, nor gives it back."""
    monkeypatch.setattr(locking, "BUSY_TIMEOUT_S", 0.2)
    with turns.taken():
        child = os.fork()
        if child == 0:  # which must not run pytest's end
            try:
                with Turns(path).taken():
                    os._exit(1)
            except LedgerBusy:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        with pytest.raises(LedgerBusy), Turns(path).taken():
            pass


def test_what_a_fork_inherits_is_not_used(path: str, turns: Turns) -> None:
    """A process that took turns forks: parent and child exclude each other."""
    with turns.taken():
        pass
    child = os.fork()
    if child == 0:  # as above
        try:
            with turns.taken():
                Path(f"{path}-child").touch()
                time.sleep(1)
                Path(f"{path}-child").unlink()
            os._exit(0)
        finally:
            os._exit(1)
    while not Path(f"{path}-child").exists():
        time.sleep(0.01)
    with turns.taken():
        assert not Path(f"{path}-child").exists()
    assert os.waitpid(child, 0)[1] == 0


def test_file_that_cannot_be_opened_is_a_ledger_that_is_away(tmp_path: Path) -> None:
    """As one of which the folder is gone."""
    with pytest.raises(LedgerUnavailable), Turns(str(tmp_path / "gone" / "ledger.db")).taken():
        pass


def test_signal_in_the_moment_of_acquiring_leaves_nothing_locked(path: str, turns: Turns) -> None:
    """A soft time limit raises between any two steps; whoever writes in another thread then is not locked out."""

    class Limit(Exception):
        pass

    class Acquired:
        """What the kernel may do: the signal comes when the lock was taken, and nobody has noted that yet."""

        def __init__(self, lock: Any, *, before: bool) -> None:
            self.lock, self.before, self.release = lock, before, lock.release

        def acquire(self, **limits: float) -> bool:
            if self.before:
                signal.raise_signal(signal.SIGUSR1)
            self.lock.acquire(**limits)
            signal.raise_signal(signal.SIGUSR1)
            raise AssertionError

    def raise_limit(*_: object) -> None:
        raise Limit

    lock, handler = turns._mine, signal.signal(signal.SIGUSR1, raise_limit)
    try:
        for before in (False, True):
            turns._mine = Acquired(lock, before=before)
            with pytest.raises(Limit), turns.taken():
                pass
    finally:
        signal.signal(signal.SIGUSR1, handler)
    turns._mine = lock

    def take() -> bool:
        with turns.taken():
            return True

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(take).result(timeout=30)


def test_waiting_that_failed_once_is_tried_anew(path: str, turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread to be had, or a file system that says no: that is told at once, and it is over when it is over."""
    monkeypatch.setattr(locking, "BUSY_TIMEOUT_S", 60)
    flock = fcntl.flock
    refused: list[int] = []

    def refusing(how: int) -> Callable[[int, int], None]:
        def refuse(file: int, operation: int) -> None:
            if operation == how:
                refused.append(how)
                raise OSError(errno.ENOLCK, "refused")
            flock(file, operation)

        return refuse

    def take() -> bool:
        with turns.taken():
            return True

    def no_thread(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with another_process(path) as holder:
        for name, value, why in (
            ("turns.Thread.start", no_thread, "can't start new thread"),
            ("turns.fcntl.flock", refusing(fcntl.LOCK_EX), "No locks available"),
            ("turns.fcntl.flock", refusing(fcntl.LOCK_EX | fcntl.LOCK_NB), "No locks available"),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(f"tasks.core.ledger.{name}", value)
                with pytest.raises(LedgerUnavailable, match=rf"\(ledger.db-turns: {why}\)"), turns.taken():
                    pass
        assert [fcntl.LOCK_EX, fcntl.LOCK_EX | fcntl.LOCK_NB] == refused
        with ThreadPoolExecutor(1) as thread:
            taken = thread.submit(take)
            time.sleep(0.2)
            assert not taken.done()
            end(holder)
            assert taken.result(timeout=30)


def test_ledger_waits_for_its_turn(sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to write do."""
    monkeypatch.setattr(locking, "BUSY_TIMEOUT_S", 0.2)
    with another_process(sqlite_ledger.url.removeprefix("sqlite:///")):
        with pytest.raises(LedgerBusy):
            create_key(sqlite_ledger, tenant="a", name="k")
        with pytest.raises(LedgerBusy), sqlite_ledger.write_prepared():
            pass
    create_key(sqlite_ledger, tenant="a", name="k")


def test_file_has_the_mode_of_the_ledger(tmp_path: Path) -> None:
    """So that whoever may write the ledger, as one of its group, may take turns."""
    ledger = tmp_path / "ledger.db"
    ledger.touch()
    ledger.chmod(0o660)
    with Turns(str(ledger)).taken():
        made = tmp_path / "ledger.db-turns"
    assert 0o660 == stat.S_IMODE(made.stat().st_mode)
