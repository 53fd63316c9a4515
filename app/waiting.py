"""The wait that ``?wait=`` and ``Prefer: wait`` promise."""

import time
from collections.abc import Callable

from app.streams.waiter import HubWaiter

# The longest wait that one request may ask for.
LONGEST_WAIT_S = 60.0
# Who waits for any change may miss one that happens while it asks; looking again this often bounds the loss.
_SLICE_S = 5.0


def wait_until(
    is_met: Callable[[], bool], job_id: str, *, waiter: HubWaiter, version_seen: int | None, timeout_s: float
) -> bool:
    """Wait until ``is_met`` says so; False when the time is over or the process drains first."""
    deadline = time.monotonic() + min(timeout_s, LONGEST_WAIT_S)
    while not is_met():
        left = deadline - time.monotonic()
        if left <= 0 or waiter.is_draining:
            return False
        waiter.wait(job_id, version_seen, left if version_seen is None else min(left, _SLICE_S))
    return True
