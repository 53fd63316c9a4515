"""What fans a job's events out to every viewer in this process, over one Redis connection and one thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Thread

from app.streams.feed import Bell, Feed
from app.streams.reader import Reader
from app.streams.watchlist import Inquiry, Watchlist
from tasks.core.kernel import Kernel

# Frames kept per watched job; a viewer that falls further behind gets a new snapshot.
_RING_SIZE = 512
# A viewer waits no longer for Redis than this before it is served from the ledger.
_OPEN_LIMIT_S = 1.0


class Hub:
    """One per web process. The thread and its connection start with the first watcher, hence after any fork."""

    def __init__(self, kernel: Kernel, *, ring_size: int = _RING_SIZE) -> None:
        self._kernel = kernel
        self._watchlist = Watchlist(ring_size=ring_size)
        self._lock = Lock()
        self._reader: Reader | None = None
        self._thread: Thread | None = None
        self.is_draining = False

    @property
    def watched(self) -> int:
        """How many jobs are watched."""
        return len(self._watchlist.feeds())

    @property
    def watchers(self) -> int:
        """How many viewers and waiters there are."""
        return sum(feed.watchers for feed in self._watchlist.feeds())

    def join(self, job_id: str, bell: Bell, *, states_only: bool = False) -> Feed:
        """Watch the job: ``bell`` is rung at whatever happens. Every ``join`` needs its ``leave``."""
        feed = self._watchlist.join(job_id, bell, states_only=states_only)
        if not self.is_draining:
            reader = self._running_reader()
            if feed.cursor is None:
                reader.wake()
        return feed

    def leave(self, feed: Feed, bell: Bell) -> None:
        """Stop watching; again is harmless."""
        self._watchlist.leave(feed, bell)

    @contextmanager
    def watching(self, job_id: str, bell: Bell, *, states_only: bool) -> Iterator[Feed]:
        """Watch the job for as long as the block lasts."""
        feed = self.join(job_id, bell, states_only=states_only)
        try:
            yield feed
        finally:
            self.leave(feed, bell)

    def wait_until_open(self, feed: Feed, bell: Bell) -> bool:
        """Wait until the reader knows where the job's stream stands; False when Redis does not say."""
        while feed.cursor is None and not self.is_draining:
            if self._running_reader().is_away or not bell.wait(_OPEN_LIMIT_S):
                break
        return feed.cursor is not None

    def inquire(self, inquiry: Inquiry) -> bool:
        """Have the inquiry answered; False when Redis does not answer."""
        reader = self._running_reader()
        if not reader.is_away:
            self._watchlist.ask(inquiry)
            reader.wake()
            while inquiry.position is None and not reader.is_away and not self.is_draining:
                if not inquiry.bell.wait(_OPEN_LIMIT_S):
                    break
        inquiry.is_closed = True
        return inquiry.position is not None

    def keep_running(self) -> None:
        """Start the reader again, should it have died; waiters call this in idle moments."""
        if not self.is_draining:
            self._running_reader()

    def drain(self) -> None:
        """End every stream and wait. Safe in a signal handler: it takes no lock on the calling thread."""
        self.is_draining = True
        Thread(target=self._wake_all, name="stream-drain", daemon=True).start()

    def close(self) -> None:
        """Drain, then stop the reader and close its connection."""
        self.is_draining = True
        self._wake_all()
        with self._lock:
            reader, thread = self._reader, self._thread
        if reader is not None and thread is not None:
            reader.stop()
            thread.join(timeout=3)

    def _wake_all(self) -> None:
        for feed in self._watchlist.feeds():
            feed.ring()

    def _running_reader(self) -> Reader:
        with self._lock:
            if self._reader is None or self._thread is None or not self._thread.is_alive():
                self._reader = self._new_reader()
                self._thread = Thread(target=self._reader.run, name="stream-reader", daemon=True)
                self._thread.start()
            return self._reader

    def _new_reader(self) -> Reader:
        return Reader(self._watchlist, self._kernel.ledger, self._kernel.events.reader())
