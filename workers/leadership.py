"""Of the dispatchers that run, one acts: the holder of the lease in the ledger."""

import time
from collections.abc import Callable

import structlog

from tasks.core.errors import LedgerUnavailable
from tasks.core.ledger import Ledger, leases
from tasks.core.ledger.leases import Lease

log = structlog.get_logger()


class Leadership:
    """Holds the lease, or waits for it.

    A lease is taken over at once when it was given back, and otherwise when, by this process's own clock, its beat has
    stood still for ``lease_s`` while the ledger could be read. A leader that was frozen meanwhile finds at its next
    renewal that it leads no more; what it does until then is compare-and-set on jobs, and so changes nothing wrongly.
    """

    def __init__(
        self, ledger: Ledger, *, holder: str, lease_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger = ledger
        self._holder = holder
        self._lease_s = lease_s
        # A renewal is a commit, so not at each of the many ticks that a backlog brings.
        self._renew_s = min(1.0, lease_s / 10)
        self._clock = clock
        self._held: Lease | None = None
        self._renewed_at = 0.0
        self._seen: Lease | None = None
        self._seen_at = 0.0

    @property
    def term(self) -> int | None:
        """The number of the term in which we lead; None while we do not."""
        return None if self._held is None else self._held.term

    def holds(self) -> bool:
        """Renew the lease or try to take it; tell whether it is ours.

        Raises:
            LedgerUnavailable: nobody can lead now. A lease that we hold stays ours until somebody takes it.
        """
        try:
            return self._renew() if self._held is not None else self._contend()
        except LedgerUnavailable:
            self._seen = None  # its holder could not beat either: it gets a whole lease anew
            raise

    def resign(self) -> None:
        """Give the lease back, if it is ours and the ledger is there."""
        held, self._held = self._held, None
        if held is None:
            return
        try:
            leases.release(self._ledger, held)
        except LedgerUnavailable as exc:
            log.warning("lease_not_released", code=exc.code)

    def _renew(self) -> bool:
        assert self._held is not None  # noqa: S101  # asked by holds
        if self._clock() - self._renewed_at < self._renew_s:
            return True
        asked_at = self._clock()
        self._held = leases.renew(self._ledger, self._held)
        self._renewed_at = asked_at
        if self._held is None:
            log.warning("dispatcher_stood_down", holder=self._holder)
        return self._held is not None

    def _contend(self) -> bool:
        at = self._clock()
        there = leases.lease(self._ledger, leases.DISPATCHER)
        # Ours, when a renewal was committed and its answer got lost.
        if there is not None and not there.is_free and there.holder != self._holder:
            if self._seen is None or (there.term, there.beat) != (self._seen.term, self._seen.beat):
                if self._seen is None or there.term != self._seen.term:
                    log.info("dispatcher_stands_by", leader=there.holder, term=there.term)
                self._seen, self._seen_at = there, at
            if at - self._seen_at < self._lease_s:
                return False
        self._held = leases.take(self._ledger, leases.DISPATCHER, holder=self._holder, seen=there)
        self._renewed_at, self._seen = at, None
        if self._held is not None:
            log.info("dispatcher_leads", holder=self._holder, term=self._held.term)
        return self._held is not None
