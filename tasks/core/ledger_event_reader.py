"""Follows many jobs' streams in the ledger, by looking often while anybody watches."""

import time
from collections.abc import Mapping, Sequence
from threading import Event as Flag

from sqlalchemy.engine import Connection

from tasks.core.errors import LedgerUnavailable
from tasks.core.event_reader import OLDEST, Position, Question
from tasks.core.events import Event, EventsUnavailable
from tasks.core.ledger import Ledger, streams

# What a viewer may be behind. A look is one query, however many jobs are watched.
_POLL_S = 0.15
# Entries taken from one stream in one look; the rest come with the next.
_BATCH = 500


class LedgerEventReader:
    """Implements ``tasks.core.event_reader.EventReader``."""

    def __init__(self, ledger: Ledger, *, block_s: float = 0.5) -> None:
        self._ledger = ledger
        self._block_s = block_s
        self._woken = Flag()

    def positions(self, questions: Sequence[Question]) -> list[Position]:
        """Answer each question, all as of one moment.

        Raises:
            EventsUnavailable: the ledger is away.
        """
        try:
            with self._ledger.read() as connection:
                heads = streams.heads(connection, [question.job_id for question in questions])
                return [_position(connection, heads.get(question.job_id), question) for question in questions]
        except LedgerUnavailable as exc:
            raise EventsUnavailable from exc

    def follow(self, cursors: Mapping[str, str]) -> dict[str, list[Event]]:
        """Wait for entries after each job's cursor; empty after ``block_s`` of silence or a wake-up.

        Raises:
            EventsUnavailable: the ledger is away.
        """
        deadline = time.monotonic() + self._block_s
        while True:
            try:
                found = self._look(cursors)
            except LedgerUnavailable as exc:
                raise EventsUnavailable from exc
            if found or time.monotonic() >= deadline:
                return found
            if self._woken.wait(_POLL_S):
                self._woken.clear()
                return {}

    def _look(self, cursors: Mapping[str, str]) -> dict[str, list[Event]]:
        found: dict[str, list[Event]] = {}
        with self._ledger.read() as connection:
            for job_id, head in streams.heads(connection, list(cursors)).items():
                after = head.first_after(cursors[job_id])
                if after is not None:
                    found[job_id] = streams.entries_after(connection, head, after, limit=_BATCH)
        return found

    def wake(self) -> None:
        """End the ``follow`` that another thread is in, or the next one."""
        self._woken.set()

    def close(self) -> None:
        """Do nothing: the ledger's owner closes it."""


def _position(connection: Connection, head: streams.Head | None, question: Question) -> Position:
    if head is None:
        return Position(oldest_id=None, newest=None, n=0, since=[])
    oldest_id, newest = streams.ends(connection, head)
    after = question.after
    number = None if after is None else 0 if after == OLDEST else head.first_after(after)
    since = [] if number is None else streams.entries_after(connection, head, number)
    return Position(oldest_id=oldest_id, newest=newest, n=head.n, since=since)
