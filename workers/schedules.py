"""Schedules, looked after by whoever leads: with the ledger alone, and in small steps."""

import time
from collections.abc import Callable, Mapping

from tasks.core.kernel import Kernel
from tasks.core.ledger import schedules
from tasks.core.spec import JobSpec
from tasks.scheduling import fire
from workers.judge import Every

FIRES_AGAIN_S = 0.05
"""How long to rest while more ticks wait than were fired at once."""

_LOOKS_EVERY_S = 0.5
# At a time, so that a thousand schedules of midnight do not keep the rescues waiting.
_MOST_AT_ONCE = 50
# A tick that is later than this was missed. Whoever takes a dead leader's place does so within a lease or two.
_GRACE_S = 60.0


class Scheduler:
    """Fires ticks that have come. Call ``tick`` as often as you like."""

    def __init__(
        self, kernel: Kernel, specs: Mapping[str, JobSpec], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kernel = kernel
        self._specs = specs
        self._looks = Every(_LOOKS_EVERY_S, clock=clock)
        self._grace_s = max(_GRACE_S, 3 * kernel.settings.lease_s)
        self.is_busy = False
        """Whether more may be due, as of the newest look."""

    def tick(self) -> None:
        """Fire what is due, each schedule once.

        Raises:
            LedgerUnavailable: nothing can be done without the ledger.
        """
        if not self._looks.is_due() and not self.is_busy:
            return
        self.is_busy = False  # what raises is tried again at the next look, not at once
        found = schedules.due(self._kernel.ledger, limit=_MOST_AT_ONCE)
        for schedule in found.schedules:
            fire(self._kernel, self._specs, schedule, at=found.at, grace_s=self._grace_s)
        # A schedule that was away has several ticks to make up for, one at a time.
        self.is_busy = bool(found.schedules)
