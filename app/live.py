"""Which kinds a live worker could run now, and whether a dispatcher leads, as far as this process can tell."""

import time
from collections.abc import Callable, Mapping
from threading import Lock

from tasks.core.ledger import Ledger, fleet, leases
from tasks.core.ledger.fleet import Worker, WorkerState
from tasks.core.ledger.leases import Lease
from tasks.core.spec import JobSpec


class LiveWorkers:
    """The workers that are up or draining, at most ``ttl_s`` old: one small read, however many requests ask."""

    def __init__(self, ledger: Ledger, *, ttl_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = Lock()
        self._read_at = float("-inf")
        self._workers: list[Worker] = []

    def all(self) -> list[Worker]:
        """List them by name."""
        with self._lock:
            if self._clock() - self._read_at >= self._ttl_s:
                self._workers = fleet.live_workers(self._ledger)
                self._read_at = self._clock()
            return self._workers

    def missing_for(self, spec: JobSpec, request: Mapping[str, object] | None = None) -> str | None:
        """Name what no live worker offers for the kind, or a job of it: ``queue:NAME`` or a capability; else None."""
        serving = [worker for worker in self.all() if worker.state == WorkerState.UP and spec.queue in worker.queues]
        if not serving:
            return f"queue:{spec.queue.value}"
        needed = spec.needs(request or {})
        lacking = [sorted(needed - set(worker.capabilities)) for worker in serving]
        fewest = min(lacking, key=len)
        return fewest[0] if fewest else None


class LiveDispatcher:
    """Whether a dispatcher leads, judged by this process's own clock since the lease last changed.

    The first look at a lease can tell only whether somebody holds it; from then on a beat that has stood still for
    ``lease_s`` between two looks is seen.
    """

    def __init__(self, ledger: Ledger, *, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._lease_s = lease_s
        self._clock = clock
        self._lock = Lock()
        self._seen: Lease | None = None
        self._changed_at = 0.0

    def leads(self) -> bool:
        """Look at the lease, and tell whether its holder lives.

        Raises:
            LedgerUnavailable: nobody can tell.
        """
        there = leases.lease(self._ledger, leases.DISPATCHER)
        with self._lock:
            at = self._clock()
            if there != self._seen:
                self._seen, self._changed_at = there, at
            return there is not None and not there.is_free and at - self._changed_at < self._lease_s
