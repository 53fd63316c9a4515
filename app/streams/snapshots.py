"""The first frame of a viewer, and of one that has lost its place: the whole record, as of a place in the stream."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from app.streams.cursor import NOWHERE, Cursor
from app.streams.feed import Feed, Frame
from tasks.core.clock import now, rfc3339
from tasks.core.errors import NotFound
from tasks.core.events import Event
from tasks.core.ledger import Ledger, queries, state_events
from tasks.core.records import Job

Reason = Literal["start", "gap", "new_stream"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A record that is at least as new as everything up to ``cursor``; frames from ``next_number`` on may be newer.

    ``cursor`` is None when there is no stream, ``next_number`` is negative when nobody knows. ``end`` is the terminal
    event of a job that has ended.
    """

    begun_at_s: float
    cursor: Cursor | None
    next_number: int
    version: int
    end: Frame | None
    job_id: str
    attempt: int
    at: str
    record_json: str

    def frame(self, reason: Reason, *, seen: Cursor | None) -> Frame:
        """Render it for one client, which has ``seen`` this much of the stream."""
        cursor = self._resumed_from(seen)
        text = (
            f'{{"id":"{cursor}","seq":{cursor.seq},"at":"{self.at}","type":"snapshot","job_id":"{self.job_id}",'
            f'"attempt":{self.attempt},"data":{{"reason":"{reason}","record":{self.record_json}}}}}'
        )
        return Frame.rendered(text, type_="snapshot", cursor=cursor)

    def _resumed_from(self, seen: Cursor | None) -> Cursor:
        """Return the cursor from which a client that gets no further must go on."""
        if self.end is not None and self.cursor == self.end.cursor:
            return self.cursor.before()
        if self.cursor is not None:
            return self.cursor
        if seen is not None and seen.is_streamed:
            return seen
        return Cursor(0, self.version if self.end is None else self.version - 1)


class Snapshots:
    """Makes snapshots; viewers that come at the same time share one."""

    def __init__(self, ledger: Ledger, record_of: Callable[[Job], dict[str, Any]]) -> None:
        self._ledger = ledger
        self._record_of = record_of

    def take(self, feed: Feed) -> Snapshot:
        """Return a snapshot that was begun after this call.

        Raises:
            NotFound: the job was erased.
            LedgerUnavailable: the ledger does not answer.
        """
        asked_at_s = time.monotonic()
        with feed.snapshot_lock:
            if feed.snapshot is None or feed.snapshot.begun_at_s < asked_at_s:
                feed.snapshot = self._new(feed)
            return feed.snapshot

    def _new(self, feed: Feed) -> Snapshot:
        begun_at_s = time.monotonic()
        # The place first, the record second: what happens in between is in both, never in neither.
        with feed.lock:
            cursor, next_number = feed.cursor, feed.end if feed.cursor is not None else -1
        job = queries.job(self._ledger, feed.job_id)
        if job is None:
            raise NotFound(f"No job {feed.job_id}.")
        return Snapshot(
            begun_at_s=begun_at_s,
            cursor=None if cursor == NOWHERE else cursor,
            next_number=next_number,
            version=job.version,
            end=self._end_of(job, feed),
            job_id=job.id,
            attempt=job.attempt,
            at=rfc3339(now()),
            record_json=json.dumps(self._record_of(job), separators=(",", ":"), ensure_ascii=False),
        )

    def _end_of(self, job: Job, feed: Feed) -> Frame | None:
        if not job.state.is_terminal:
            return None
        newest = feed.newest
        if newest is not None and newest.is_terminal and newest.n >= job.version:  # else it ended before a replay
            return newest
        return end_from_ledger(self._ledger, job)


def end_from_ledger(ledger: Ledger, job: Job) -> Frame:
    """Return the terminal event of a job that has ended, as the ledger keeps it.

    Raises:
        NotFound: the job was erased.
    """
    for event in state_events.events_of(ledger, job.id, after=job.version - 1):
        data_json = json.dumps(event.data, separators=(",", ":"), ensure_ascii=False)
        return Frame.of(
            Event(f"0-{event.n}", job.id, "state", rfc3339(event.at), event.attempt, data_json, n=event.n),
        )
    raise NotFound(f"No job {job.id}.")
