"""Makes domain events public: numbers them, then wakes their tenants' readers. For the dispatcher."""

from datetime import timedelta
from typing import Protocol

import structlog

from tasks.core.breaker import Breaker
from tasks.core.clock import now
from tasks.core.domain_events import DomainEvent, EntryRefused
from tasks.core.events import EventsUnavailable
from tasks.core.ledger import Ledger, outbox

log = structlog.get_logger()

_MOST_TRIES = 8
# 1, 2, 4 … seconds between tries, so that the last is about two minutes after the first.
_FIRST_PAUSE_S = 1.0


class Streams(Protocol):
    """Where readers are woken: see ``tasks.core.tenant_streams.TenantStreams``."""

    def tell(self, event: DomainEvent) -> None:
        """Wake the readers of the event's tenant."""


class OutboxRelay:
    """One ``tick`` does all there is to do. ``streams`` is None where there is no Redis: readers poll the ledger."""

    def __init__(self, ledger: Ledger, streams: Streams | None) -> None:
        self._ledger = ledger
        self._streams = streams
        self._breaker = Breaker()

    def tick(self) -> int:
        """Number what is new and wake the readers of what is due; return how many events were numbered.

        Redis being away is no error: events are numbered all the same, and their readers woken later.

        Raises:
            LedgerUnavailable: nothing can be done without the ledger.
        """
        numbered = outbox.number(self._ledger)
        if self._breaker.is_open:
            return numbered
        told: list[int] = []
        try:
            for due in outbox.pending(self._ledger):
                if self._told(due):
                    told.append(due.event.seq)
            self._breaker.succeeded()
        except EventsUnavailable:
            self._breaker.failed()
        finally:
            outbox.mark_relayed(self._ledger, told)
        return numbered

    def _told(self, due: outbox.Pending) -> bool:
        if self._streams is None:
            return True
        try:
            self._streams.tell(due.event)
        except EntryRefused as exc:
            self._refused(due, str(exc))
            return False
        return True

    def _refused(self, due: outbox.Pending, error: str) -> None:
        tries = due.tries + 1
        pause = timedelta(seconds=_FIRST_PAUSE_S * 2**due.tries)
        next_try_at = now() + pause if tries < _MOST_TRIES else None
        outbox.note_refusal(self._ledger, due.event.seq, error=error, next_try_at=next_try_at)
        named = {"seq": due.event.seq, "type": due.event.type, "tries": tries, "error": error}
        if next_try_at is None:
            log.error("domain_event_dead", **named)
        else:
            log.warning("domain_event_refused", **named)
