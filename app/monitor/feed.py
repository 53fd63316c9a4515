"""What was told last, in a ring for every viewer of this process, and how the fleet stands after it."""

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event, Lock
from typing import Any, Literal

from app.streams.cursor import Cursor
from app.streams.feed import Bell
from tasks.core.clock import now, rfc3339
from tasks.core.ledger.monitoring import Facts

Topic = Literal["job", "queue", "worker", "system"]
TOPICS: tuple[Topic, ...] = ("job", "queue", "worker", "system")

# What only operators are told of the system.
_INTERNALS = frozenset({"dispatcher_holder"})


@dataclass(frozen=True, slots=True)
class Found:
    """Something that has changed, before it has its place in the feed.

    Args:
        at: when it happened, as far as that is known.
        name: of the worker or queue that it is about.
        job: what it is about, and viewers choose by, where that is a job.
    """

    topic: Topic
    type: str
    data: dict[str, Any]
    at: datetime = field(default_factory=now)
    name: str | None = None
    job: Facts | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """One message of the feed. ``told_at`` never goes back from one to the next."""

    cursor: Cursor
    found: Found
    told_at: datetime
    text: str

    @property
    def seq(self) -> int:
        """Its place in the feed."""
        return self.cursor.seq


@dataclass(frozen=True, slots=True)
class Standing:
    """The fleet as of a place in the feed."""

    cursor: Cursor
    workers: list[dict[str, Any]]
    queues: list[dict[str, Any]]
    system: dict[str, Any]


def message(type_: str, data: Mapping[str, Any], *, cursor: Cursor, at: datetime, topic: str | None = None) -> str:
    """Return an event as JSON."""
    told = {"id": str(cursor), "seq": cursor.seq, "at": rfc3339(at), "type": type_, "topic": topic, "data": data}
    return json.dumps(told, ensure_ascii=False, default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return rfc3339(value)
    raise TypeError(type(value).__name__)


def without_internals(system: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a tenant may know of the system."""
    return {name: value for name, value in system.items() if name not in _INTERNALS}


class MonitorFeed:
    """Numbered messages of one epoch, the newest of them kept."""

    def __init__(self, *, ring_size: int) -> None:
        self._lock = Lock()
        self._ring_size = ring_size
        self._ring: deque[Told] = deque()
        self._cursor = Cursor(0, 0)
        # The ring has every message after this one.
        self._floor = 0
        self._begun_at = now()
        self._told_at = self._begun_at
        self._workers: dict[str, dict[str, Any]] = {}
        self._queues: dict[str, dict[str, Any]] = {}
        self._system: dict[str, Any] = {}
        self._bells: set[Bell] = set()
        self.is_ready = Event()
        """Set once there was a first look."""

    def add(self, bell: Bell) -> None:
        """Ring ``bell`` from now on."""
        with self._lock:
            self._bells.add(bell)

    def remove(self, bell: Bell) -> None:
        """Stop ringing ``bell``; again is harmless."""
        with self._lock:
            self._bells.discard(bell)

    @property
    def viewers(self) -> int:
        """How many bells there are."""
        with self._lock:
            return len(self._bells)

    def begin(self, epoch: int) -> None:
        """Forget all: nobody has looked for a while, so that places from before are worth nothing."""
        with self._lock:
            self._ring.clear()
            self._cursor, self._floor = Cursor(epoch, 0), 0
            self._begun_at = self._told_at = now()
            self._workers, self._queues, self._system = {}, {}, {}

    def push(self, found: Sequence[Found]) -> None:
        """Number what was found, keep it, and wake every viewer."""
        if not found:
            return
        with self._lock:
            self._told_at = max(self._told_at, now())
            for one in found:
                self._cursor = Cursor(self._cursor.epoch, self._cursor.seq + 1)
                text = message(one.type, one.data, cursor=self._cursor, at=one.at, topic=one.topic)
                self._ring.append(Told(self._cursor, one, self._told_at, text))
                self._stand(one)
            while len(self._ring) > self._ring_size:
                self._floor = self._ring.popleft().seq
        self.ring()

    def _stand(self, found: Found) -> None:
        name = found.name or ""
        if found.type == "worker.disconnected":
            self._workers.pop(name, None)
        elif found.topic == "worker":
            self._workers[name] = found.data
        elif found.topic == "queue":
            self._queues[name] = found.data
        elif found.topic == "system":
            self._system = found.data

    def refresh(self, workers: Iterable[dict[str, Any]], queues: Iterable[dict[str, Any]]) -> None:
        """Take figures that are no news, such as ages, for those that come next."""
        with self._lock:
            self._workers |= {one["name"]: one for one in workers if one["name"] in self._workers}
            self._queues |= {one["queue"]: one for one in queues if one["queue"] in self._queues}

    def ring(self) -> None:
        """Wake every viewer."""
        with self._lock:
            bells = list(self._bells)
        for bell in bells:
            bell.ring()

    def after(self, cursor: Cursor) -> list[Told] | None:
        """Return what was told after a place; None when that is not all there any more."""
        with self._lock:
            if not self._reaches(cursor):
                return None
            return [told for told in self._ring if told.seq > cursor.seq]

    def _reaches(self, cursor: Cursor) -> bool:
        return cursor.epoch == self._cursor.epoch and self._floor <= cursor.seq <= self._cursor.seq

    def told_since(self, at: datetime) -> tuple[list[Told], datetime]:
        """Return what was told at that time or later, and since when all that was told is there."""
        with self._lock:
            kept = list(self._ring)
            oldest = kept[0].told_at if kept and self._floor else self._begun_at
        return [told for told in kept if told.told_at >= at], oldest

    @property
    def cursor(self) -> Cursor:
        """The newest place."""
        with self._lock:
            return self._cursor

    def standing(self) -> Standing:
        """Return how the fleet stands now."""
        with self._lock:
            workers = [self._workers[name] for name in sorted(self._workers)]
            return Standing(self._cursor, workers, list(self._queues.values()), self._system)
