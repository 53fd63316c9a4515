"""Answers that are given again for a while: fresh ones as they are, somewhat older ones while a new one is made."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

import structlog

from tasks.core.errors import AppError

log = structlog.get_logger()

FRESH_S = 300.0
STALE_S = 60.0
_MOST = 5000

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(slots=True)
class _Entry(Generic[Value]):
    value: Value
    owner: str
    made_at: float
    is_renewed: bool = False


class FreshAnswers(Generic[Key, Value]):
    """For many threads. Each answer belongs to an owner, all of whose answers can be forgotten.

    Args:
        most: answers that are kept; those used longest ago make room.
    """

    def __init__(self, *, most: int = _MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._lock = Lock()
        self._entries: OrderedDict[Key, _Entry[Value]] = OrderedDict()
        self._forgotten: dict[str, int] = {}
        # Its thread starts with the first stale answer, hence after any fork.
        self._renewing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fresh-answers")

    def get(self, key: Key, owner: str, renew: Callable[[], Value | None]) -> Value | None:
        """Return the answer if it is not too old; a stale one is renewed aside by ``renew``, where that gives one."""
        with self._lock:
            entry = self._entries.get(key)
            age_s = 0.0 if entry is None else self._clock() - entry.made_at
            if entry is None or age_s >= FRESH_S + STALE_S:
                return None
            self._entries.move_to_end(key)
            if age_s < FRESH_S or entry.is_renewed:
                return entry.value
            entry.is_renewed = True
        self._renewing.submit(self._renew, key, owner, renew)
        return entry.value

    def _renew(self, key: Key, owner: str, renew: Callable[[], Value | None]) -> None:
        seen = self.seen(owner)
        try:
            value = renew()
        except AppError as exc:
            log.warning("answer_not_renewed", code=exc.code)
            return
        if value is not None:
            self.put(key, owner, value, seen=seen)

    def seen(self, owner: str) -> int:
        """Return what ``put`` is to be told, asked for before the answer is made."""
        with self._lock:
            return self._forgotten.get(owner, 0)

    def put(self, key: Key, owner: str, value: Value, *, seen: int) -> None:
        """Keep an answer, unless its owner's were forgotten since ``seen``."""
        with self._lock:
            if self._forgotten.get(owner, 0) != seen:
                return
            self._entries[key] = _Entry(value, owner, self._clock())
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)

    def forget(self, owner: str) -> None:
        """Let every answer of this owner go."""
        with self._lock:
            self._forgotten[owner] = self._forgotten.get(owner, 0) + 1
            for key in [key for key, entry in self._entries.items() if entry.owner == owner]:
                del self._entries[key]

    def close(self) -> None:
        """Let the thread end."""
        self._renewing.shutdown(wait=False, cancel_futures=True)
