"""SQLite's writers take turns, roughly in the order in which they came.

SQLite has one write lock and no line before it: whoever wants it looks again and again. Forty processes that look cost
more than what they wait for. So the kernel keeps the line, on a lock of a file beside the ledger (``flock``), and only
whoever has the turn asks SQLite, whose lock stays the one that counts: a writer that knows nothing of turns, or one
that is late, is still refused by it. Who finds the lock free takes it, and may so pass those whom the kernel is about
to wake.
"""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Lock, RLock, Thread

from tasks.core.errors import LedgerBusy, LedgerUnavailable
from tasks.core.ledger import locking

# Of the file's name, after the ledger's.
SUFFIX = "-turns"


class Turns:
    """The turns of this process and, through the file, of all that write the same ledger.

    The kernel takes a turn back from a process that dies. One that is stopped keeps it, as it keeps SQLite's lock.

    Args:
        ledger: the path of SQLite's file; the one beside it is made when it is not there, and stays empty.
    """

    def __init__(self, ledger: str) -> None:
        self._path = ledger + SUFFIX
        # One that knows its owner: see ``taken``.
        self._mine = RLock()
        self._files: _Files | None = None
        self._until: float | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the turn, and have it until the end.

        Raises:
            LedgerBusy: others had it all the time.
            LedgerUnavailable: the file cannot be opened or locked.
        """
        limit_s = locking.BUSY_TIMEOUT_S
        until = time.monotonic() + limit_s
        try:
            if not self._mine.acquire(timeout=limit_s):
                raise LedgerBusy(locking.BUSY)
            self._until = until
            files = self._files_of_this_process()
            try:
                if not files.lock(until - time.monotonic()):
                    raise LedgerBusy(locking.BUSY)
                yield
            finally:  # whatever a signal broke off
                self._until = None
                files.unlock()
        finally:
            # A signal may have raised as soon as it was acquired, or before.
            with suppress(RuntimeError):  # this thread has not got it
                self._mine.release()

    def left_s(self) -> float:
        """Return how much longer whoever has the turn may wait for SQLite's own lock, or whoever takes none."""
        until = self._until
        return locking.BUSY_TIMEOUT_S if until is None else max(0.0, until - time.monotonic())

    def close(self) -> None:
        """Close the file, unless somebody still waits for a turn."""
        if self._mine.acquire(blocking=False):
            try:
                if self._files is not None:
                    self._files.close()
                self._files = None
            finally:
                self._mine.release()

    def _files_of_this_process(self) -> "_Files":
        # A lock is of what was opened, which a forked process would share.
        if self._files is None or self._files.pid != os.getpid():
            self._files = _Files(self._path)
        return self._files


class _Files:
    """The file, opened twice: once to try, once for a thread that waits, since ``flock`` knows no limit of time."""

    def __init__(self, path: str) -> None:
        self.pid = os.getpid()
        self._path = path
        try:
            self._tried = _opened(path)
            self._awaited = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as exc:
            raise self._unavailable(exc) from exc
        self._changed = Condition(Lock())
        self._wanted = self._had = self._closed = False
        self._waiter: Thread | None = None
        self._failed: OSError | None = None

    def lock(self, limit_s: float) -> bool:
        """Take the lock. False: others had it for so long.

        Raises:
            LedgerUnavailable: it cannot be taken, or not waited for.
        """
        try:
            fcntl.flock(self._tried, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._await(limit_s)
        except OSError as exc:
            raise self._unavailable(exc) from exc
        return True

    def _await(self, limit_s: float) -> bool:
        with self._changed:
            if self._waiter is None or not self._waiter.is_alive():
                self._waiter = self._started()
            self._failed = None
            self._wanted = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._had or self._failed is not None, limit_s)
            if self._failed is not None:
                raise self._unavailable(self._failed) from self._failed
            return self._had

    def _started(self) -> Thread:
        waiter = Thread(target=self._wait, name="ledger-turns", daemon=True)
        try:
            waiter.start()
        except RuntimeError as exc:  # the machine, or the container, has no thread more for us
            raise self._unavailable(exc) from exc
        return waiter

    def _unavailable(self, exc: Exception) -> LedgerUnavailable:
        # Callers hear it, too: no folders.
        why = os.strerror(exc.errno) if isinstance(exc, OSError) and exc.errno else exc
        return LedgerUnavailable(f"{locking.UNREACHABLE} ({Path(self._path).name}: {why})")

    def unlock(self) -> None:
        """Give the lock back, or up, or do nothing."""
        with self._changed:
            self._wanted = False
            if self._had:
                self._had = False
                fcntl.flock(self._awaited, fcntl.LOCK_UN)
        fcntl.flock(self._tried, fcntl.LOCK_UN)

    def _wait(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: (self._wanted and not self._had) or self._closed)
                if self._closed:
                    os.close(self._awaited)
                    return
            try:
                fcntl.flock(self._awaited, fcntl.LOCK_EX)
            except OSError as exc:
                with self._changed:
                    self._wanted, self._failed = False, exc
                    self._changed.notify_all()
                continue
            with self._changed:
                if self._wanted:
                    self._had = True
                    self._changed.notify_all()
                else:  # it came too late
                    fcntl.flock(self._awaited, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close both; the thread closes its own once it has no lock to wait for."""
        os.close(self._tried)
        with self._changed:
            self._closed = True
            if self._waiter is None or not self._waiter.is_alive():
                os.close(self._awaited)
            self._changed.notify_all()


def _opened(path: str) -> int:
    """Open the file; who makes it gives it the ledger's mode, as SQLite does with files of its own."""
    with suppress(FileNotFoundError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    made = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with suppress(OSError):  # somebody else made it in this moment, or there is no ledger yet
        os.fchmod(made, stat.S_IMODE(os.stat(path.removesuffix(SUFFIX)).st_mode))  # noqa: PTH116  # a name, not a Path
    return made
