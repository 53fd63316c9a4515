"""What Redis holds of what was published, and how the dispatcher waits for its bell."""

import json
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import cast

from tasks.core.ledger.carrying import Carry
from tasks.core.redis_events import BELL_KEY, connect

# Redis answers in a millisecond; the dispatcher has other work while it does not.
_LIMIT_S = 1.0
# Which Redis this is: a wiped one has lost the key, or another dispatcher has put its own.
_BORN_KEY = "sy:born"


class Broker:
    """The dispatcher's view of Redis; every call takes a second at most, and raises ``redis.RedisError``.

    Args:
        key_prefix: what Kombu puts before the name of each queue.
    """

    def __init__(self, url: str, *, key_prefix: str, longest_wait_s: float) -> None:
        self._key_prefix = key_prefix
        self._redis = connect(url, timeout_s=_LIMIT_S)
        self._waiting = connect(url, timeout_s=longest_wait_s + _LIMIT_S)
        self._born: str | None = None

    def is_known(self) -> bool:
        """Tell whether this still is the Redis that was last marked; a new dispatcher knows any that bears a mark."""
        born = cast("str | None", self._redis.get(_BORN_KEY))
        if self._born is None:
            self._born = born
        return born is not None and born == self._born

    def mark(self) -> None:
        """Know this Redis from now on."""
        self._redis.set(_BORN_KEY, secrets.token_hex(8), nx=True)
        self._born = cast("str | None", self._redis.get(_BORN_KEY))

    def held(self, queue: str) -> set[Carry]:
        """Tell which carries lie in the queue.

        What a worker has taken from it is not among them. Kombu notes such a message as ``unacked`` for an hour, also
        where the worker died before it claimed the job, so that note says nothing about whether anybody still has it.
        """
        raw = cast("list[str]", self._redis.lrange(self._key_prefix + queue, 0, -1))
        return {carry for carry in map(_carry_of, raw) if carry is not None}

    def remove(self, queue: str, carries: Collection[Carry]) -> None:
        """Take the messages of these carries out of the queue; what a worker has taken meanwhile stays with it."""
        name = self._key_prefix + queue
        raw = cast("list[str]", self._redis.lrange(name, 0, -1))
        with self._redis.pipeline(transaction=False) as pipeline:
            for message in raw:
                if _carry_of(message) in carries:
                    pipeline.lrem(name, 1, message)
            pipeline.execute()

    def await_bell(self, *, at_most_s: float) -> None:
        """Wait until somebody rings, or for ``at_most_s``."""
        self._waiting.blpop([BELL_KEY], timeout=at_most_s)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
        self._waiting.close()


def _carry_of(message: str) -> Carry | None:
    try:
        headers = json.loads(message)["headers"]
        return str(headers["id"]), int(headers["carry"])
    except (ValueError, KeyError, TypeError):
        return None  # put there by somebody else: no message of ours


@dataclass(slots=True)
class Losses:
    """Which published messages Redis has lost, by this process's own clock.

    A message is lost once it was missing for ``patience_s``: shorter than that, a worker may have taken it and be about
    to claim the job.
    """

    patience_s: float
    clock: Callable[[], float] = time.monotonic
    # When each published carry was last known to lie in its queue, or was first heard of.
    _there_at: dict[str, dict[Carry, float]] = field(default_factory=dict)

    def lost(
        self, queue: str, published: set[Carry], *, held: Callable[[], set[Carry]], wiped: bool = False
    ) -> set[Carry]:
        """Tell which of ``published``, all that the ledger counts in this queue, are lost.

        Args:
            held: asks Redis what lies in the queue; called only when that can make a difference.
            wiped: Redis was emptied, so that what is missing now is lost now.
        """
        at, before = self.clock(), self._there_at.get(queue, {})
        there_at = {carry: before.get(carry, at) for carry in published}
        missing = set(published)
        if published and (wiped or before.keys() & published):
            here = published & held()
            missing -= here
            there_at |= dict.fromkeys(here, at)
        self._there_at[queue] = there_at
        return {carry for carry in missing if wiped or at - there_at[carry] >= self.patience_s}
