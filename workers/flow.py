"""Limits, pauses, batches and follow-ups, looked after by whoever leads: with the ledger alone, and in small steps."""

import time
from collections.abc import Callable

from tasks.core.kernel import Kernel
from tasks.core.ledger import batches, job_batches, parking, pauses
from tasks.core.ledger.queries import Filter
from tasks.core.records import JobState
from tasks.core.relay import announce_all
from workers.apart import done_apart
from workers.following import FollowUps
from workers.judge import Every

RELEASE_EVERY_S = 0.1
"""How long a free place under a limit stays free, at the most, while others wait for it."""
_TEND_EVERY_S = 0.5


class Flow:
    """Releases what a limit or a pause kept back, starts what follows jobs that have ended, looks after batches.

    Call ``tick`` as often as you like.
    """

    def __init__(self, kernel: Kernel, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._kernel = kernel
        self._releases = Every(RELEASE_EVERY_S, clock=clock)
        self._tends = Every(_TEND_EVERY_S, clock=clock)
        self._has_batches = self._has_held = self._has_parked = False
        self._follow_ups = FollowUps(kernel, clock=clock)
        self.is_busy = False
        """Whether, as of the newest look, a job was parked or to be followed, a pause new or ended, or a batch open."""

    def tick(self) -> None:
        """Do what is due, each thing apart from the others."""
        if not self._releases.is_due():
            return
        if self._tends.is_due():
            done_apart(self._tend, named="batches")
        done_apart(self._hold, named="pauses")
        done_apart(self._release, named="limits")
        done_apart(self._follow_ups.tick, named="follow_ups")
        self.is_busy = self._has_batches or self._has_held or self._has_parked or self._follow_ups.is_busy

    # Each says that there is more only when it is done: what raises is tried again in time, and not at once.

    def _hold(self) -> None:
        self._has_held = False
        self._has_held = pauses.tend(self._kernel.ledger)

    def _release(self) -> None:
        self._has_parked = False
        if parking.anything_parked(self._kernel.ledger):
            parking.release(self._kernel.ledger)
            self._has_parked = True

    def _tend(self) -> None:
        self._has_batches = False
        ledger = self._kernel.ledger
        tended = job_batches.tend(ledger, keep_trying_s=self._kernel.settings.callback_retry_s)
        for batch in tended.stopped:
            wanted = Filter(tenant_id=batch.tenant_id, batch_id=batch.id)
            for touched in batches.cancel(ledger, wanted, limit=batch.size):
                cancelled = [job for job in touched if job.state is JobState.CANCELLED]
                announce_all(ledger, self._kernel.events, cancelled)
        self._has_batches = tended.open > 0
