"""Which kinds a live worker could run now. One small read of the ledger a second, however many requests ask."""

import time
from collections.abc import Callable
from threading import Lock

from tasks.core.ledger import Ledger, fleet
from tasks.core.ledger.fleet import Worker, WorkerState
from tasks.core.spec import JobSpec


class LiveWorkers:
    """The workers that are up or draining, at most ``ttl_s`` old."""

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

    def missing_for(self, spec: JobSpec) -> str | None:
        """Name what no live worker offers: ``queue:NAME`` or a capability; None when one can run the kind."""
        serving = [worker for worker in self.all() if worker.state == WorkerState.UP and spec.queue in worker.queues]
        if not serving:
            return f"queue:{spec.queue.value}"
        lacking = [sorted(spec.capabilities - set(worker.capabilities)) for worker in serving]
        fewest = min(lacking, key=len)
        return fewest[0] if fewest else None
