"""Follows many jobs' streams over one Redis connection."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis

from tasks.core.event_reader import OLDEST, Position, Question
from tasks.core.events import Event, EventsUnavailable
from tasks.core.redis_events import connect, event_from_entry, meta_key, stream_key

# Redis answers everything but a blocking read within this, or counts as away.
_LIMIT_S = 0.5
# Entries taken from one stream in one read; the rest come with the next.
_BATCH = 500


class RedisEventReader:
    """One connection; ``wake_key`` names a stream of its own, whose entries only end a blocking read."""

    def __init__(self, url: str, *, wake: Callable[[str], None], wake_key: str, block_s: float = 0.5) -> None:
        self._redis = connect(url, timeout_s=block_s + _LIMIT_S, max_connections=1)
        self._wake = wake
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

    def wake(self) -> None:
        """End the ``follow`` that another thread is in; without Redis it ends by itself soon."""
        self._wake(self._wake_key)

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
