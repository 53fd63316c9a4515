"""Follows many jobs' streams over one Redis connection. For one thread: the web process's reader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from tasks.core.events import Event, EventsUnavailable, connect, event_from_entry, meta_key, stream_key

# Redis answers everything but a blocking read within this, or counts as away.
_LIMIT_S = 0.5
# Entries taken from one stream in one read; the rest come with the next.
_BATCH = 500

OLDEST = "-"
"""As ``after``: from the oldest entry that is kept."""


@dataclass(frozen=True, slots=True)
class Question:
    """Where does the job's stream stand, and which entries has it after ``after`` (None: not asked)?"""

    job_id: str
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """A stream's ends, the version of its newest ``state`` event (0: none), and the entries that were asked for."""

    oldest_id: str | None
    newest: Event | None
    n: int
    since: list[Event]


class EventReader:
    """One connection; ``wake_key`` names a stream of its own, whose entries only end a blocking read."""

    def __init__(self, url: str, *, wake_key: str, block_s: float = 0.5) -> None:
        self._redis = connect(url, timeout_s=block_s + _LIMIT_S, max_connections=1)
        self._wake_key = wake_key
        self._woken_at = "0-0"
        self._block_ms = int(block_s * 1000)

    def positions(self, questions: Sequence[Question]) -> list[Position]:
        """Answer each question, all as of one moment.

        Raises:
            EventsUnavailable: Redis is away.
        """
        try:
            with self._redis.pipeline(transaction=True) as pipe:
                for question in questions:
                    _ask(pipe, question)
                rows = pipe.execute()
        except redis.RedisError as exc:
            raise EventsUnavailable from exc
        return [_position(q.job_id, *rows[4 * at : 4 * at + 4]) for at, q in enumerate(questions)]

    def follow(self, cursors: Mapping[str, str]) -> dict[str, list[Event]]:
        """Wait for entries after each job's cursor; empty after ``block_s`` of silence or a wake-up.

        Raises:
            EventsUnavailable: Redis is away.
        """
        keys: dict[Any, Any] = {stream_key(job_id): cursor for job_id, cursor in cursors.items()}
        keys[self._wake_key] = self._woken_at
        jobs = {stream_key(job_id): job_id for job_id in cursors}
        try:
            answer: Any = self._redis.xread(keys, count=_BATCH, block=self._block_ms)
        except redis.RedisError as exc:
            raise EventsUnavailable from exc
        found: dict[str, list[Event]] = {}
        for key, entries in answer or ():
            if key == self._wake_key:
                self._woken_at = entries[-1][0]
            else:
                found[jobs[key]] = [event_from_entry(jobs[key], entry) for entry in entries]
        return found

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()


def _ask(pipe: Any, question: Question) -> None:
    key = stream_key(question.job_id)
    pipe.xrange(key, min="-", max="+", count=1)
    pipe.xrevrange(key, max="+", min="-", count=1)
    pipe.hget(meta_key(question.job_id), "n")
    if question.after is None:
        pipe.exists(key)  # keeps four answers to a question
    else:
        pipe.xrange(key, min=OLDEST if question.after == OLDEST else f"({question.after}", max="+")


def _position(job_id: str, first: list[Any], last: list[Any], n: str | None, since: Any) -> Position:
    return Position(
        oldest_id=first[0][0] if first else None,
        newest=event_from_entry(job_id, last[0]) if last else None,
        n=int(n or 0),
        since=[event_from_entry(job_id, entry) for entry in since] if isinstance(since, list) else [],
    )
