"""One watched job's events in this process: rendered once, kept in a short ring, shared by everybody who watches."""

from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Self

from app.streams.cursor import NOWHERE, Cursor
from tasks.core.event_reader import Position
from tasks.core.events import Event

if TYPE_CHECKING:
    from app.streams.snapshots import Snapshot

# What changes the job's record, as a long-poll understands it.
_CHANGES = frozenset({"state", "progress", "artifact"})


class Bell:
    """Wakes one waiting thread; rung twice before the thread looks, it wakes it once."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the waiter, now or when it next waits."""
        with suppress(RuntimeError):  # raised when the bell is rung already
            self._lock.release()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the bell; False when the time is over."""
        return self._lock.acquire(timeout=max(0.0, timeout_s))


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as it goes out: ready-made bytes for SSE, text for a WebSocket."""

    type: str
    cursor: Cursor
    n: int
    is_terminal: bool
    text: str
    sse: bytes

    @classmethod
    def of(cls, event: Event) -> Self:
        """Render an event of a stream."""
        return cls.rendered(
            event.to_json(), type_=event.type, cursor=Cursor.of(event.id), n=event.n, is_terminal=event.is_terminal
        )

    @classmethod
    def rendered(cls, text: str, *, type_: str, cursor: Cursor, n: int = 0, is_terminal: bool = False) -> Self:
        """Wrap an event that is JSON already."""
        sse = f"id: {cursor}\nevent: {type_}\ndata: {text}\n\n".encode()
        return cls(type_, cursor, n, is_terminal, text, sse)


class Feed:
    """Where the job's stream stands as far as this process has read it, and its newest frames.

    Frames are numbered from 0 within this process. A break in the stream (entries trimmed unread, a new epoch) takes a
    number too and empties the ring, so that whoever had not read up to here finds its next frame gone.
    """

    def __init__(self, job_id: str, *, ring_size: int) -> None:
        self.job_id = job_id
        self.lock = Lock()
        self.cursor: Cursor | None = None
        self.newest: Frame | None = None
        self.n = 0
        self.changes = 0
        self.ledger_version = 0
        self.is_erased = False
        self.snapshot_lock = Lock()
        self.snapshot: Snapshot | None = None
        self._ring: deque[Frame] = deque(maxlen=ring_size)
        self._end = 0
        self._suspected_version = 0
        self._all: set[Bell] = set()
        self._for_states: set[Bell] = set()

    @property
    def end(self) -> int:
        """The number that the next frame will get."""
        return self._end

    def add(self, bell: Bell, *, states_only: bool) -> None:
        """Ring ``bell`` from now on."""
        with self.lock:
            (self._for_states if states_only else self._all).add(bell)

    def remove(self, bell: Bell) -> bool:
        """Stop ringing ``bell``; return whether anybody is left."""
        with self.lock:
            self._all.discard(bell)
            self._for_states.discard(bell)
            return bool(self._all or self._for_states)

    @property
    def watchers(self) -> int:
        """How many bells are rung."""
        return len(self._all) + len(self._for_states)

    def ring(self, *, states: bool = True) -> None:
        """Wake everybody, or everybody but those who only care for states."""
        with self.lock:
            bells = [*self._all, *self._for_states] if states else [*self._all]
        for bell in bells:
            bell.ring()

    def open(self, position: Position) -> None:
        """Take the stream's present end as the place to follow from."""
        with self.lock:
            self.newest = None if position.newest is None else Frame.of(position.newest)
            self.cursor = NOWHERE if self.newest is None else self.newest.cursor
            self.n = position.n
        self.ring()

    def push(self, events: list[Event]) -> None:
        """Take what the stream had next and wake those whom it concerns."""
        frames = [Frame.of(event) for event in events]
        with self.lock:
            for frame in frames:
                if self.cursor is None or not self.cursor.is_followed_by(frame.cursor):
                    self._break(to=frame.cursor)
                self._ring.append(frame)
                self._end += 1
                self.cursor = frame.cursor
                self.n = max(self.n, frame.n)
                self.changes += frame.type in _CHANGES
            self.newest = frames[-1]
        self.ring(states=any(frame.type == "state" for frame in frames))

    def _break(self, *, to: Cursor) -> None:
        if self.cursor is not None and self.cursor.epoch != to.epoch:
            self.n = 0
        self._ring.clear()
        self._end += 1

    def after(self, number: int) -> list[Frame] | None:
        """Return the frames from ``number`` on; None when the ring does not reach back so far. Hold ``lock``."""
        missed = self._end - number
        if number < 0 or missed > len(self._ring):
            return None
        return list(islice(self._ring, len(self._ring) - missed, None)) if missed else []

    def number_after(self, cursor: Cursor) -> int | None:
        """Return the number of the frame that follows ``cursor``; None when the ring cannot tell. Hold ``lock``."""
        if self.cursor is None or cursor.epoch != self.cursor.epoch:
            return None
        missed = self.cursor.seq - cursor.seq
        return self._end - missed if 0 <= missed <= len(self._ring) else None

    def compare(self, version: int | None, *, at_once: bool) -> None:
        """Compare with the job's version in the ledger (None: the job is gone).

        A version that the stream lacks counts when it is seen twice, because its state event may be on its way;
        ``at_once`` when Redis is away.
        """
        if version is None:
            self.is_erased = True
        elif version <= max(self.n, self.ledger_version):
            return
        elif at_once or version == self._suspected_version:
            self.ledger_version = version
        else:
            self._suspected_version = version
            return
        self.ring()
