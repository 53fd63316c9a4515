"""What whoever leads does with the ledger alone: rescue, expire, have swept, count, relay what was not told."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import structlog

from tasks.core.clock import now
from tasks.core.kernel import Kernel
from tasks.core.ledger import fleet, rates, state_events, transitions
from tasks.core.ledger.fleet import Worker
from tasks.core.outcome import settle_lost
from tasks.core.records import Cause
from tasks.core.relay import announce, relay_unsent
from workers.apart import done_apart
from workers.census import Census, Listening
from workers.sweeps import SweepTimer

log = structlog.get_logger()

# State events younger than this are still on their way by the hand of whoever made them.
_RELAY_AFTER_S = 2.0
_COUNT_EVERY_S = 1.0


class Judge:
    """Judges by a clock of its own and by what it saw itself.

    Args:
        clock: runs only while somebody looks at it, see ``WatchedTime``.
    """

    def __init__(self, kernel: Kernel, *, clock: Callable[[], float]) -> None:
        self._kernel = kernel
        self.census = Census(clock=clock)
        self.listening = Listening(clock=clock)
        self.live: list[Worker] = []
        """The live workers, as of the newest ``act``."""
        self._sweeps = SweepTimer(kernel)
        self._counts = Every(_COUNT_EVERY_S)

    def reset(self) -> None:
        """Forget everything: judge nobody for a full lease, and give every attempt its whole time anew."""
        self.census.reset()
        self.listening.reset()

    def act(self) -> None:
        """Do everything once, each apart from the others.

        Raises:
            LedgerUnavailable: nothing can be judged without the ledger.
        """
        self._rescue()
        done_apart(self._retry_silent, named="silence")
        done_apart(self._expire, named="expiry")
        done_apart(self._sweeps.tick, named="sweeps")
        if self._counts.is_due():
            done_apart(partial(rates.count, self._kernel.ledger), named="traffic")

    def _rescue(self) -> None:
        ledger = self._kernel.ledger
        # Holders first: who registers and claims between the two questions must not look like a holder without a row.
        holders = fleet.holders(ledger)
        self.live = fleet.live_workers(ledger)
        beats = {worker.name: worker.beat for worker in self.live}
        for name in self.census.gone(beats, holders, lease_s=self._kernel.settings.lease_s):
            # Listed before the last look at the counter: whoever was frozen here must not take what was begun since.
            lost = fleet.held_by(ledger, name)
            if name in beats:
                if not fleet.mark_gone(ledger, name, beat=beats[name]):
                    continue
                log.warning("worker_gone", worker=name)
            for held in lost:
                message = f"The worker {name} stopped beating."
                self._settle(held.job_id, held.fence, worker=name, cause=Cause.WORKER_LOST, message=message)

    def _retry_silent(self) -> None:
        for attempt in self.listening.silent(fleet.watched(self._kernel.ledger)):
            message = f"The attempt gave no sign of life for {attempt.silence_s:g} s."
            self._settle(attempt.job_id, attempt.fence, worker=attempt.worker, cause=Cause.SILENT, message=message)

    def _settle(self, job_id: str, fence: int, *, worker: str, cause: Cause, message: str) -> None:
        # Whoever holds the row of one job, or has written what this version cannot read, keeps no other from a rescue.
        done_apart(
            partial(self._settle_one, job_id, fence, worker=worker, cause=cause, message=message),
            named=f"settle {job_id}",
        )

    def _settle_one(self, job_id: str, fence: int, *, worker: str, cause: Cause, message: str) -> None:
        ledger = self._kernel.ledger
        job = settle_lost(ledger, job_id, worker=worker, cause=cause, message=message, fence=fence)
        if job is not None:
            log.warning(
                "job_rescued",
                job_id=job.id,
                correlation_id=job.correlation_id,
                worker=worker,
                cause=cause.value,
                state=str(job.state),
            )
            announce(ledger, self._kernel.events, job)

    def _expire(self) -> None:
        for job in transitions.expire(self._kernel.ledger):
            log.info("job_expired", job_id=job.id, correlation_id=job.correlation_id)
            announce(self._kernel.ledger, self._kernel.events, job)


def relay_late(kernel: Kernel, *, limit: int = 500) -> bool:
    """Append state events that the live streams are not known to have, though there was time; tell whether more wait.

    Raises:
        LedgerUnavailable, EventsUnavailable: what was noted stays noted.
    """
    before = now() - timedelta(seconds=_RELAY_AFTER_S)
    unsent = state_events.unsent_events(kernel.ledger, before=before, limit=limit)
    if unsent:
        kernel.ledger.sync_seen({(event.job_id, event.n): event.at for event in unsent})
        relay_unsent(kernel.ledger, kernel.events, unsent)
    return len(unsent) == limit


class Every:
    """Tells, at most once in ``period_s``, that something is due; the first time at once."""

    def __init__(self, period_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_s = period_s
        self._clock = clock
        self._last_at: float | None = None

    def is_due(self) -> bool:
        """Ask; a yes begins the next period."""
        at = self._clock()
        if self._last_at is not None and at - self._last_at < self._period_s:
            return False
        self._last_at = at
        return True
