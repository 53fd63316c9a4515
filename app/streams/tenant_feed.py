"""One tenant's domain events in this process: read once, rendered once, kept in a short ring for all its viewers."""

from collections import deque
from dataclasses import dataclass
from itertools import dropwhile
from threading import Lock
from typing import Self

from app.streams.feed import Bell
from tasks.core.domain_events import DomainEvent


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it goes out, and what viewers choose by."""

    seq: int
    type: str
    job_id: str | None
    sse: bytes

    @classmethod
    def of(cls, event: DomainEvent) -> Self:
        """Render an event."""
        sse = f"id: {event.seq}\nevent: {event.type}\ndata: {event.to_json()}\n\n".encode()
        return cls(event.seq, event.type, event.job_id, sse)


class TenantFeed:
    """The tenant's newest events, as far as this process has read the ledger: up to number ``position``."""

    def __init__(self, tenant_id: str, *, position: int, ring_size: int) -> None:
        self.tenant_id = tenant_id
        self.position = position
        self._lock = Lock()
        self._ring: deque[Told] = deque()
        self._ring_size = ring_size
        # The ring has every event after this one.
        self._floor = position
        self._bells: set[Bell] = set()

    def add(self, bell: Bell) -> None:
        """Ring ``bell`` from now on."""
        with self._lock:
            self._bells.add(bell)

    def remove(self, bell: Bell) -> bool:
        """Stop ringing ``bell``; return whether anybody is left."""
        with self._lock:
            self._bells.discard(bell)
            return bool(self._bells)

    def ring(self) -> None:
        """Wake every viewer."""
        with self._lock:
            bells = list(self._bells)
        for bell in bells:
            bell.ring()

    def push(self, events: list[DomainEvent]) -> None:
        """Take what the ledger had next and wake every viewer."""
        told = [Told.of(event) for event in events]
        with self._lock:
            self._ring.extend(told)
            while len(self._ring) > self._ring_size:
                self._floor = self._ring.popleft().seq
            self.position = events[-1].seq
        self.ring()

    def after(self, seq: int) -> list[Told] | None:
        """Return the events after ``seq``; None when the ring does not reach back so far."""
        with self._lock:
            if seq < self._floor:
                return None
            return list(dropwhile(lambda told: told.seq <= seq, self._ring))
