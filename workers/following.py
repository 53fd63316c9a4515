"""Starting what follows jobs that have ended, for as little of the leader's time as the ledger allows."""

import time
from collections.abc import Callable

from tasks.core.kernel import Kernel
from tasks.core.ledger import follow_ups
from tasks.follow_ups import start_due
from tasks.registry import load_specs

# A look costs what waits, not what has ended: with 100,000 jobs that are to be followed it is no longer short, and is
# then made less often, so that it takes a tenth of the time at most.
_SHARE = 0.1


class FollowUps:
    """Starts follow-ups. Call ``tick`` as often as you like."""

    def __init__(self, kernel: Kernel, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._kernel = kernel
        self._specs = load_specs(kernel.settings.extra_families)
        self._clock = clock
        self._not_before: float | None = None
        self.is_busy = False
        """Whether a job was to be followed, as of the newest look."""

    def tick(self) -> None:
        """Look, unless that was done just now at a price, and start what is due.

        Raises:
            LedgerUnavailable: nothing can be done without the ledger.
        """
        began = self._clock()
        if self._not_before is not None and began < self._not_before:
            return
        self.is_busy = False
        if follow_ups.anything_waits(self._kernel.ledger):
            is_found = start_due(self._kernel, self._specs) > 0
            took_s = self._clock() - began
            self._not_before = None if is_found else began + took_s / _SHARE
            self.is_busy = True
