"""How SQLite's writers wait for its one write lock."""

import random
import sqlite3
import time
from typing import Any

from tasks.core.errors import LedgerBusy, LedgerUnavailable

BUSY_TIMEOUT_S = 5
# How soon a writer looks again for SQLite's write lock, which a commit holds for about a millisecond. Each pause is
# half as long again as the one before, up to the longest, so that forty that wait leave the machine to who writes.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.0002, 0.01
# SQLite serves nobody in turn. So who has waited for this long looks more and more often, until nobody is more
# insistent: without that, newcomers with their short first pauses would let it wait for seconds.
_PATIENT_S, _INSISTENT_S = 0.1, 0.4
# Each look costs the machine some 50 microseconds, so that forty who insist must not look at every moment.
_INSISTENT_PAUSE_S = 0.001

BUSY = "The ledger is busy. Try again in a few seconds."
UNREACHABLE = "The ledger cannot be reached. Try again in a few seconds."


def begin_writing(driver: Any, *, limit_s: float) -> None:
    """Begin a write transaction on the driver's connection, which must not wait for locks by itself.

    SQLite's own waiting sleeps up to 0.1 s between its looks at the lock, in steps that all waiting processes share.

    Args:
        limit_s: how long to wait; at least one look is taken.

    Raises:
        LedgerBusy: others held the lock all the time.
        LedgerUnavailable: the file cannot be written or read.
    """
    when_free(driver, "BEGIN IMMEDIATE", limit_s=limit_s)


def when_free(driver: Any, statement: str, *, limit_s: float) -> None:
    """Run what needs a lock for which SQLite does not wait by itself; ``limit_s`` as above.

    Raises:
        LedgerBusy: others held the lock all the time.
        LedgerUnavailable: the file cannot be written or read.
    """
    began, pause_s = time.monotonic(), _FIRST_PAUSE_S
    while True:
        try:
            driver.execute(statement)
        except sqlite3.DatabaseError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise LedgerUnavailable(UNREACHABLE) from exc
            waited_s = time.monotonic() - began
            if waited_s > limit_s:
                raise LedgerBusy(BUSY) from exc
            time.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, not a secret
            pause_s = _next_pause_s(pause_s, waited_s=waited_s)
        else:
            return


def _next_pause_s(pause_s: float, *, waited_s: float) -> float:
    if waited_s < _PATIENT_S:
        return min(1.5 * pause_s, _LONGEST_PAUSE_S)
    patience = max(0.0, (_INSISTENT_S - waited_s) / (_INSISTENT_S - _PATIENT_S))
    return max(_INSISTENT_PAUSE_S, patience * _LONGEST_PAUSE_S)
