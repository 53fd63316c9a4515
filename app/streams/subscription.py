"""One viewer of one job: what it gets first, what it gets next, and when that is all."""

import time
from enum import Enum

import structlog

from app.streams.cursor import OLDEST, Cursor
from app.streams.feed import Bell, Feed, Frame
from app.streams.hub import Hub
from app.streams.snapshots import Reason, Snapshots
from app.streams.watchlist import Inquiry
from tasks.core.errors import LedgerUnavailable, NotFound
from tasks.core.event_reader import Position
from tasks.core.records import Job

log = structlog.get_logger()


class End(Enum):
    """Why a subscription gives nothing more."""

    COMPLETE = "complete"
    """The terminal event was given out, or the job was erased."""
    INTERRUPTED = "interrupted"
    """This server cannot go on; the client should resume from its cursor, elsewhere or later."""


class Draining(Exception):
    """This process is about to stop: the client should come back, and will find another."""


def subscribe(
    hub: Hub, snapshots: Snapshots, job: Job, *, after: Cursor | None, bell: Bell | None = None
) -> "Subscription | None":
    """Return a new viewer of the job; None when it resumes from the terminal event. The caller must ``close`` it.

    Args:
        job: as the ledger has it now; whoever asks may see it.
        after: the last event that the client has; None for a fresh one.
        bell: what to ring, where one thread waits for several jobs. Subscribing may use up a ring of it.
    Raises:
        Draining: this process takes no new viewers.
        LedgerUnavailable: there is nothing to show a snapshot of.
    """
    if hub.is_draining:
        raise Draining
    subscription = Subscription(hub, snapshots, job.id, bell or Bell())
    try:
        if subscription.begin(job, after):
            return subscription
    except BaseException:
        subscription.close()
        raise
    subscription.close()
    return None


class Subscription:
    """Frames in order: no gap, no repeat, unless a snapshot says so. For one thread."""

    def __init__(self, hub: Hub, snapshots: Snapshots, job_id: str, bell: Bell) -> None:
        self._hub = hub
        self._snapshots = snapshots
        self.bell = bell
        self._feed: Feed = hub.join(job_id, self.bell)
        self._ready: list[Frame] = []
        self._next_number = -1
        self._seen: Cursor | None = None
        self._version = 0
        self._newest_version = 0
        self.end: End | None = None

    def close(self) -> None:
        """Stop watching; again is harmless."""
        self._hub.leave(self._feed, self.bell)

    def frames(self, timeout_s: float) -> list[Frame]:
        """Return what is new, waiting for it; empty after ``timeout_s`` of silence and after the ``end``."""
        deadline = time.monotonic() + timeout_s
        while True:
            ready = self.take()
            if ready or self.end is not None:
                return ready
            if not self.wait(deadline - time.monotonic()):
                return []

    def wait(self, timeout_s: float) -> bool:
        """Wait until there may be something to take; False when the time is over."""
        if self.bell.wait(timeout_s):
            return True
        self.keep_running()
        return False

    def keep_running(self) -> None:
        """See to it that somebody reads; for idle moments."""
        self._hub.keep_running()

    def take(self) -> list[Frame]:
        """Return what is new, without waiting."""
        ready, self._ready = self._ready, []
        if self.end is None:
            try:
                ready += self._fresh()
            except LedgerUnavailable as exc:
                log.warning("stream_interrupted", job_id=self._feed.job_id, code=exc.code)
                self.end = End.INTERRUPTED
            except NotFound:
                self.end = End.COMPLETE
        return ready

    def begin(self, job: Job, after: Cursor | None) -> bool:
        """Find the place to go on from; False when the client has all there is."""
        self._newest_version = job.version
        if after is not None and not after.is_streamed and after != OLDEST:  # it has seen ``after.seq`` versions
            if job.state.is_terminal and after.seq >= job.version:
                return False
            self._hub.wait_until_open(self._feed, self.bell)
            self._show("new_stream")
            return True
        if after is None:
            self._hub.wait_until_open(self._feed, self.bell)
            self._show("start")
            return True
        return self._resume_in_ring(job, after) or self._resume_from_redis(job, after)

    def _resume_in_ring(self, job: Job, after: Cursor) -> bool:
        feed = self._feed
        if job.state.is_terminal:  # whether the client has its end already, only the stream can tell
            return False
        with feed.lock:
            number = feed.number_after(after)
            if number is None:
                return False
            self._next_number, self._seen = number, after
            return True

    def _resume_from_redis(self, job: Job, after: Cursor) -> bool:
        inquiry = Inquiry(self._feed, after, self.bell)
        if not self._hub.inquire(inquiry):
            self._seen = after
            self._show("start" if after == OLDEST else "gap")
            return True
        position = inquiry.position
        assert position is not None  # noqa: S101  # `inquire` said so
        lost = _lost(job, position, after)
        if lost is not None:
            self._show(lost)
            return True
        frames = [Frame.of(event) for event in position.since]
        if job.state.is_terminal and position.n >= job.version and not any(frame.is_terminal for frame in frames):
            return False
        self._newest_version = max(job.version, position.n)
        self._next_number, self._seen = inquiry.next_number, after
        self._ready = self._passed(frames)
        return True

    def _show(self, reason: Reason) -> None:
        snapshot = self._snapshots.take(self._feed)
        frame = snapshot.frame(reason, seen=self._seen)
        self._ready.append(frame)
        self._seen = frame.cursor
        self._version = snapshot.version
        self._newest_version = max(self._newest_version, snapshot.version)
        self._next_number = snapshot.next_number
        if snapshot.end is not None:
            self._ready.append(snapshot.end)
            self.end = End.COMPLETE

    def _fresh(self) -> list[Frame]:
        if self._hub.is_draining:
            self.end = End.INTERRUPTED
            return []
        feed = self._feed
        if feed.is_erased:
            self.end = End.COMPLETE
            return []
        with feed.lock:
            frames = feed.after(self._next_number)
            number, is_open, epoch = feed.end, feed.cursor is not None, feed.cursor.epoch if feed.cursor else 0
            self._newest_version = max(self._newest_version, feed.n)
        if frames is None and is_open:
            return self._lose("gap" if self._seen is None or self._seen.epoch in {0, epoch} else "new_stream")
        passed = []
        if frames is not None:
            self._next_number = number
            passed = self._passed(frames)
        if self.end is None and feed.ledger_version > max(self._version, feed.n):
            passed += self._lose("gap")
        return passed

    def _lose(self, reason: Reason) -> list[Frame]:
        self._show(reason)
        shown, self._ready = self._ready, []
        return shown

    def _passed(self, frames: list[Frame]) -> list[Frame]:
        """Drop what the client has, and end after the terminal event, unless the job was replayed since."""
        passed = []
        for frame in frames:
            if self._seen is not None and frame.cursor.epoch == self._seen.epoch and frame.cursor.seq <= self._seen.seq:
                continue
            self._seen = frame.cursor
            if 0 < frame.n <= self._version:
                continue
            self._version = max(self._version, frame.n)
            passed.append(frame)
            if frame.is_terminal and not 0 < frame.n < self._newest_version:
                self.end = End.COMPLETE
                break
        return passed


def _lost(job: Job, position: Position, after: Cursor) -> Reason | None:
    """Say why the client cannot simply go on after its cursor; None when it can."""
    lacks_end = job.state.is_terminal and position.n < job.version
    if after == OLDEST:
        return "gap" if lacks_end else None
    if position.newest is None or position.oldest_id is None:
        return "new_stream"
    newest, oldest = Cursor.of(position.newest.id), Cursor.of(position.oldest_id)
    if after.epoch != newest.epoch:
        return "new_stream"
    return None if oldest.seq - 1 <= after.seq <= newest.seq and not lacks_end else "gap"
