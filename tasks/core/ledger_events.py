"""The live event streams kept in the ledger, for the profile without Redis."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from tasks.core.clock import now
from tasks.core.errors import LedgerUnavailable
from tasks.core.events import Event, EventsUnavailable, EventType
from tasks.core.ledger import Ledger, streams
from tasks.core.ledger.streams import Entry
from tasks.core.ledger_event_reader import LedgerEventReader
from tasks.core.records import StateEvent
from tasks.core.storable import storable


class LedgerEvents:
    """Implements ``tasks.core.events.Events``; the ledger is its owner's to close."""

    def __init__(self, ledger: Ledger, *, maxlen: int, ttl_s: int) -> None:
        self._ledger = ledger
        self._maxlen = maxlen
        self._ttl_s = ttl_s

    def append(
        self,
        job_id: str,
        type_: EventType,
        data: dict[str, Any],
        *,
        fence: int,
        attempt: int,
        at: datetime | None = None,
    ) -> str | None:
        """Append one event; return its id, or None when the fence is stale.

        Raises:
            EventsUnavailable: the ledger is away; the event is dropped.
        """
        ids, _ = self._append(job_id, [_entry(type_, data, fence=fence, attempt=attempt, at=at or now())])
        return ids[0]

    def append_all(
        self, job_id: str, batch: Sequence[tuple[EventType, dict[str, Any]]], *, fence: int, attempt: int
    ) -> None:
        """Append several events in one transaction.

        Raises:
            EventsUnavailable: the ledger is away; they are dropped.
        """
        at = now()
        self._append(job_id, [_entry(type_, data, fence=fence, attempt=attempt, at=at) for type_, data in batch])

    def append_states(self, events: Sequence[StateEvent]) -> int:
        """Append one job's consecutive state events; see ``Events``.

        Raises:
            EventsUnavailable: the ledger is away.
        """
        entries = [
            _entry("state", event.data, fence=event.fence, attempt=event.attempt, at=event.at, n=event.n)
            for event in events
        ]
        _, have = self._append(events[0].job_id, entries)
        return have

    def append_states_of_jobs(self, jobs: Sequence[Sequence[StateEvent]]) -> list[int]:
        """Do for each of several jobs what ``append_states`` does for one.

        Raises:
            EventsUnavailable: the ledger is away.
        """
        return [self.append_states(events) for events in jobs]

    def newest_states(self, job_ids: Iterable[str]) -> dict[str, int]:
        """Return the newest ``n`` that each job's stream has; 0 for none.

        Raises:
            EventsUnavailable: the ledger is away.
        """
        ids = list(job_ids)
        with _translated(), self._ledger.read() as connection:
            heads = streams.heads(connection, ids)
        return {job_id: heads[job_id].n if job_id in heads else 0 for job_id in ids}

    def _append(self, job_id: str, entries: Sequence[Entry]) -> tuple[list[str | None], int]:
        with _translated():
            return streams.append(self._ledger, job_id, entries, maxlen=self._maxlen, ttl_s=self._ttl_s)

    def read(self, job_id: str, *, after: str = "-", count: int = 5000) -> list[Event]:
        """List the stream's entries after the cursor ``after`` (``-``: from the oldest kept).

        Raises:
            EventsUnavailable: the ledger is away.
        """
        with _translated(), self._ledger.read() as connection:
            head = streams.heads(connection, [job_id]).get(job_id)
            number = None if head is None else 0 if after == "-" else head.first_after(after)
            if head is None or number is None:
                return []
            return streams.entries_after(connection, head, number, limit=count)

    def position(self, job_id: str) -> tuple[str | None, str | None]:
        """Return the ids of the oldest kept and the newest entry; ``(None, None)`` for no stream.

        Raises:
            EventsUnavailable: the ledger is away.
        """
        with _translated(), self._ledger.read() as connection:
            head = streams.heads(connection, [job_id]).get(job_id)
            if head is None:
                return None, None
            oldest_id, newest = streams.ends(connection, head)
            return oldest_id, newest.id

    def progress(self, job_ids: Iterable[str]) -> dict[str, tuple[int, dict[str, Any]]]:
        """Return the newest ``(fence, report)`` of each job that has one; nothing when the ledger is away."""
        ids = list(job_ids)
        if not ids:
            return {}
        try:
            with self._ledger.read() as connection:
                found = streams.heads(connection, ids)
        except LedgerUnavailable:
            return {}
        return {
            job_id: (head.progress_fence or 0, head.progress)
            for job_id, head in found.items()
            if head.progress is not None
        }

    def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            EventsUnavailable: the ledger is away.
        """
        with _translated(), self._ledger.read() as connection:
            streams.heads(connection, [""])

    def erase(self, job_id: str) -> None:
        """Delete the job's stream.

        Raises:
            EventsUnavailable: the ledger is away; the stream expires by itself.
        """
        with _translated():
            streams.erase(self._ledger, job_id)

    def ring(self) -> None:
        """Do nothing: the local runner looks into the ledger often."""

    def reader(self) -> LedgerEventReader:
        """Return a reader of many streams, for one thread."""
        return LedgerEventReader(self._ledger)

    def close(self) -> None:
        """Do nothing: the ledger's owner closes it."""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except LedgerUnavailable as exc:
        raise EventsUnavailable from exc


def _entry(type_: EventType, data: dict[str, Any], *, fence: int, attempt: int, at: datetime, n: int = 0) -> Entry:
    payload = storable(json.dumps(data, separators=(",", ":"), ensure_ascii=False))
    return Entry(type_, at, attempt, fence, data, payload, n)
