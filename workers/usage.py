"""Whether anybody still needs a server that clients started for themselves."""

import fcntl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import structlog

from tasks.core.errors import LedgerUnavailable
from tasks.core.ledger import Ledger, fleet

log = structlog.get_logger()

_LOOK_EVERY_S = 0.5


@dataclass(slots=True)
class Usage:
    """Clients hold a shared lock on a file while they are there; the kernel gives it back for those that die.

    Args:
        path: the file. Once ``is_over`` has said yes this process keeps the whole lock to its end, so that a client
            that comes meanwhile waits for that, and then starts another server.
        idle_s: how long nobody may have been there, and nothing have run, before it is over.
    """

    path: Path
    ledger: Ledger
    idle_s: float
    clock: Callable[[], float] = time.monotonic
    _file: IO[bytes] | None = None
    _used_at: float | None = None
    _looks_at: float = field(default=float("-inf"))

    def is_over(self) -> bool:
        """Look, every half second at most."""
        at = self.clock()
        if at < self._looks_at:
            return False
        self._looks_at = at + _LOOK_EVERY_S
        if self._used_at is None:
            self._used_at = at
        if not self._take_whole_lock():
            self._used_at = at
            return False
        if at - self._used_at >= self.idle_s and not self._is_at_work():
            log.info("nobody_needs_us", idle_s=self.idle_s)
            return True
        self._give_back()
        return False

    def close(self) -> None:
        """Give the lock back, if it is held."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _is_at_work(self) -> bool:
        try:
            return bool(fleet.holders(self.ledger))
        except LedgerUnavailable:
            return True  # nobody can tell

    def _take_whole_lock(self) -> bool:
        if self._file is None:
            self._file = self.path.open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _give_back(self) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)
