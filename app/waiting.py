"""How a request waits for a job, and the wait that ``?wait=`` and ``Prefer: wait`` promise."""

import time
from collections.abc import Callable
from threading import Event
from typing import Protocol

from tasks.core.ledger import Ledger, queries
from tasks.core.records import TERMINAL

# The longest wait that one request may ask for.
LONGEST_WAIT_S = 60.0
# A waiter may miss a change that happens while it is being asked; looking again this often bounds the loss.
_SLICE_S = 5.0


class Waiter(Protocol):
    """Waits for a job without holding anything that other requests need."""

    def wait(self, job_id: str, version_seen: int | None, timeout_s: float) -> None:
        """Return when the job has ended, is gone, or this process drains; at the latest after ``timeout_s``.

        With ``version_seen``, return at any other version, and at a new progress report, too. Returning early is
        allowed: the caller looks for itself.
        """


class LedgerWaiter:
    """Asks the ledger again and again."""

    def __init__(self, ledger: Ledger, draining: Event, *, step_s: float = 0.25) -> None:
        self._ledger = ledger
        self._draining = draining
        self._step_s = step_s

    def wait(self, job_id: str, version_seen: int | None, timeout_s: float) -> None:
        """Poll; see ``Waiter``. With ``version_seen``, every step returns, since progress may be anywhere."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            if self._draining.wait(min(self._step_s, left)) or version_seen is not None:
                return
            pulse = queries.pulse(self._ledger, job_id)
            if pulse is None or pulse.state in TERMINAL:
                return


def wait_until(
    is_met: Callable[[], bool],
    job_id: str,
    *,
    waiter: Waiter,
    draining: Event,
    version_seen: int | None,
    timeout_s: float,
) -> bool:
    """Wait until ``is_met`` says so; False when the time is over or the process drains first."""
    deadline = time.monotonic() + min(timeout_s, LONGEST_WAIT_S)
    while not is_met():
        left = deadline - time.monotonic()
        if left <= 0 or draining.is_set():
            return False
        waiter.wait(job_id, version_seen, min(left, _SLICE_S))
    return True
