"""Which kinds a live worker could run now, and whether a dispatcher leads, as far as this process can tell."""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from tasks.core.ledger import Ledger, fleet, leases
from tasks.core.ledger.fleet import Worker, WorkerState
from tasks.core.ledger.leases import Lease
from tasks.core.matching import Asked, Unmet, offers_of, unmet
from tasks.core.records import Backend, ran_in
from tasks.core.spec import JobSpec


class LiveWorkers:
    """The workers that are up or draining, at most ``ttl_s`` old: one small read, however many requests ask."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        lease_s: float,
        ttl_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._lease_s = lease_s
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = Lock()
        self._read_at = float("-inf")
        self._workers: list[Worker] = []
        self._beats: dict[str, tuple[int, float]] = {}

    def all(self) -> list[Worker]:
        """List them by name."""
        with self._lock:
            if self._clock() - self._read_at >= self._ttl_s:
                self._workers = fleet.live_workers(self._ledger)
                self._read_at = self._clock()
                self._watch()
            return self._workers

    def _watch(self) -> None:
        seen = self._beats
        self._beats = {
            worker.name: seen[worker.name]
            if worker.name in seen and seen[worker.name][0] == worker.beat
            else (worker.beat, self._read_at)
            for worker in self._workers
        }

    def beating(self) -> list[Worker]:
        """List those whose counter has not stood still for a lease, as far as this process has looked.

        A dispatcher strikes the others out; this also tells where none leads. One look alone proves nothing.
        """
        workers = self.all()
        with self._lock:
            at, beats = self._clock(), self._beats
        return [worker for worker in workers if at - beats.get(worker.name, (0, at))[1] < self._lease_s + self._ttl_s]

    def missing_for(
        self,
        spec: JobSpec,
        request: Mapping[str, object] | None = None,
        *,
        backend: str = Backend.AUTO,
        tenant_id: str | None = None,
    ) -> str | None:
        """Name what no live worker offers for the kind, or a job of it; None: one can run it.

        That is a capability, ``queue:NAME`` or, where a local runner was asked for, ``backend:local``. Workers of a
        few tenants count where ``tenant_id`` is one of theirs.
        """
        return missing_among(self.all(), spec, request, backend=backend, tenant_id=tenant_id)

    def unmet_for(self, asked: Asked, *, backend: str) -> Unmet | None:
        """Tell why no live worker can run a job that requires something of its worker; None: one can."""
        return unmet(asked, [worker for worker in self.all() if serves(worker, backend)])


def missing_among(
    workers: Sequence[Worker],
    spec: JobSpec,
    request: Mapping[str, object] | None = None,
    *,
    backend: str,
    tenant_id: str | None = None,
) -> str | None:
    """Name what none of ``workers`` offers, as ``LiveWorkers.missing_for`` does."""
    serving = [worker for worker in workers if serves(worker, backend) and _takes(worker, spec, tenant_id)]
    if not serving:
        return "backend:local" if backend == Backend.LOCAL else f"queue:{spec.queue.value}"
    needed = spec.needs(request or {})
    lacking = [sorted(needed - set(worker.capabilities)) for worker in serving]
    fewest = min(lacking, key=len)
    return fewest[0] if fewest else None


def _takes(worker: Worker, spec: JobSpec, tenant_id: str | None) -> bool:
    if spec.queue in worker.queues:
        return True
    offers = offers_of(worker)
    return tenant_id is not None and spec.queue in offers.queues and offers.serves(tenant_id)


def serves(worker: Worker, backend: str) -> bool:
    """Tell whether a worker takes jobs that were submitted for ``backend``."""
    if backend == Backend.AUTO:
        return worker.state == WorkerState.UP
    # One that stands by leaves Redis the other jobs, and takes those that are for it alone.
    states = {WorkerState.UP, WorkerState.STANDBY} if backend == Backend.LOCAL else {WorkerState.UP}
    return worker.state in states and ran_in(worker.name) == backend


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
        return self.look()[1]

    def look(self) -> tuple[Lease | None, bool]:
        """Return the lease as it is (None when nobody ever held it), and whether its holder lives: of one moment.

        Raises:
            LedgerUnavailable: nobody can tell.
        """
        there = leases.lease(self._ledger, leases.DISPATCHER)
        with self._lock:
            at = self._clock()
            if there != self._seen:
                self._seen, self._changed_at = there, at
            return there, there is not None and not there.is_free and at - self._changed_at < self._lease_s
