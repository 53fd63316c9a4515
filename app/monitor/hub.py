"""What watches everything for all viewers of this process: one thread, which runs while there is a viewer."""

import random
import time
from threading import Event, Lock, Thread

import structlog

from app.live import LiveDispatcher
from app.monitor.feed import MonitorFeed
from app.monitor.fleet_watch import FleetWatch, QueueLook
from app.monitor.job_watch import JobWatch
from app.monitor.viewer import ENDED_WITHIN, MonitorViewer, Wanted
from app.streams.cursor import Cursor
from app.streams.feed import Bell
from tasks.core.clock import now
from tasks.core.errors import LedgerUnavailable
from tasks.core.kernel import Kernel
from tasks.core.ledger import monitoring
from tasks.core.ledger.monitoring import Chosen

log = structlog.get_logger()

# What a viewer may be behind.
_TICK_S = 0.5
# After the last viewer the thread goes on for as long as one that reconnects may take.
_LINGER_S = 30.0
# A first look takes no longer, or the ledger counts as away.
_FIRST_LOOK_S = 5.0
# Messages kept; a viewer that falls further behind gets a new snapshot.
_RING_SIZE = 2000
# Many viewers that want the same share a count.
_COUNTS_S = 1.0
_MOST_COUNTS = 100


class MonitorHub:
    """One per web process. The thread starts with the first viewer, hence after any fork."""

    def __init__(
        self,
        kernel: Kernel,
        dispatcher: LiveDispatcher,
        queues_now: QueueLook,
        *,
        ring_size: int = _RING_SIZE,
        linger_s: float = _LINGER_S,
    ) -> None:
        self._kernel = kernel
        self._dispatcher = dispatcher
        self._queues_now = queues_now
        self._linger_s = linger_s
        self._lock = Lock()
        self._thread: Thread | None = None
        self._stopping = Event()
        self._counts: dict[Chosen, tuple[dict[str, int], float]] = {}
        self.feed = MonitorFeed(ring_size=ring_size)
        self.is_draining = False

    @property
    def is_reading(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def view(self, wanted: Wanted, *, after: Cursor | None = None, bell: Bell | None = None) -> MonitorViewer:
        """Return a new viewer, which its owner must ``close``.

        Args:
            after: the place that the client has come to, if it was here before.
        Raises:
            LedgerUnavailable: nothing can be shown without the ledger.
        """
        bell = bell or Bell()
        self.feed.add(bell)
        try:
            self.keep_running()
            if not self.feed.is_ready.wait(_FIRST_LOOK_S):
                raise LedgerUnavailable("The ledger did not answer: nothing can be shown. Try again.")
        except BaseException:
            self.feed.remove(bell)
            raise
        return MonitorViewer(self, self._kernel, wanted, bell=bell, after=after)

    def counts(self, chosen: Chosen) -> dict[str, int]:
        """Return how many of the chosen jobs are in each state, at most a second old; see ``monitoring.counts``.

        Raises:
            LedgerUnavailable: nobody can count.
        """
        with self._lock:
            kept = self._counts.get(chosen)
        if kept is not None and time.monotonic() - kept[1] < _COUNTS_S:
            return kept[0]
        counts = monitoring.counts(self._kernel.ledger, chosen, since=now() - ENDED_WITHIN)
        with self._lock:
            if len(self._counts) >= _MOST_COUNTS:
                self._counts.clear()
            self._counts[chosen] = (counts, time.monotonic())
        return counts

    def leave(self, bell: Bell) -> None:
        """Stop watching; again is harmless."""
        self.feed.remove(bell)

    def keep_running(self) -> None:
        """Start the thread again, should it have died; viewers call this in idle moments."""
        with self._lock:
            if not self.is_reading and not self._stopping.is_set():
                self.feed.is_ready.clear()
                self._thread = Thread(target=self._run, name="monitor-reader", daemon=True)
                self._thread.start()

    def drain(self) -> None:
        """End every stream. Safe in a signal handler: it takes no lock on the calling thread."""
        self.is_draining = True
        Thread(target=self.feed.ring, name="monitor-drain", daemon=True).start()

    def close(self) -> None:
        """End every stream, then the thread."""
        self.is_draining = True
        self._stopping.set()
        self.feed.ring()
        thread = self._thread
        if thread is not None:
            thread.join(timeout=3)

    def _run(self) -> None:
        # Of two processes, or of this one before and after a pause, no two have the same.
        self.feed.begin(int(time.time() * 1000) * 100 + random.randrange(100))  # noqa: S311  # hides nothing
        jobs, fleet = JobWatch(self._kernel), FleetWatch(self._kernel, self._dispatcher, self._queues_now)
        has_begun, seen_at = False, time.monotonic()
        while not self._stopping.is_set() and self._is_needed(seen_at):
            if self.feed.viewers:
                seen_at = time.monotonic()
            try:
                if not has_begun:
                    jobs.begin()
                    has_begun = True
                self._look(jobs, fleet)
            except LedgerUnavailable as exc:
                log.warning("monitor_blind", code=exc.code)
                self.feed.push(fleet.without_ledger())
            self._stopping.wait(_TICK_S)

    def _look(self, jobs: JobWatch, fleet: FleetWatch) -> None:
        self.feed.push(jobs.look())
        self.feed.push(jobs.reports())
        for found in fleet.look(jobs.running):
            self.feed.push(found)
        self.feed.refresh(fleet.workers, fleet.queues)
        self.feed.is_ready.set()

    def _is_needed(self, seen_at: float) -> bool:
        # Under the lock, so that who comes now either keeps this thread or starts the next.
        with self._lock:
            if self.feed.viewers or time.monotonic() - seen_at < self._linger_s:
                return True
            self._thread = None
            return False
