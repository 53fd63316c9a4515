"""What brings domain events to every viewer in this process: one thread and one Redis connection for all tenants.

Redis only says that there is something; the events come from the ledger. Where Redis is away, or there is none, the
ledger is looked into every second.
"""

import time
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Protocol

import structlog

from app.streams.feed import Bell
from app.streams.tenant_feed import TenantFeed, Told
from tasks.core.errors import LedgerUnavailable
from tasks.core.events import EventsUnavailable
from tasks.core.ledger import Ledger, outbox
from tasks.core.ledger.outbox import Wanted

log = structlog.get_logger()

# Events kept per watched tenant; a viewer that falls further behind reads the ledger by itself.
_RING_SIZE = 512
_PAGE = 200
# Without Redis, viewers see an event this late.
_AWAY_S = 1.0
# With Redis there, the ledger only has to catch what Redis was never told.
_SAFETY_S = 5.0


class Waiter(Protocol):
    """Where the news comes from: see ``tasks.core.tenant_streams.TenantReader``."""

    def wait(self, heard: dict[str, int]) -> dict[str, int]:
        """Wait for events after these numbers, by tenant."""

    def close(self) -> None:
        """Close the connection."""


class TenantHub:
    """One per web process. The thread starts with the first viewer, hence after any fork, and ends after the last.

    Args:
        open_waiter: opens the connection to Redis; None where there is no Redis.
    """

    def __init__(
        self, ledger: Ledger, open_waiter: Callable[[], Waiter] | None, *, ring_size: int = _RING_SIZE
    ) -> None:
        self._ledger = ledger
        self._open_waiter = open_waiter
        self._ring_size = ring_size
        self._lock = Lock()
        self._feeds: dict[str, TenantFeed] = {}
        self._thread: Thread | None = None
        self._stopping = Event()
        self.is_draining = False

    @property
    def is_reading(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def view(self, tenant_id: str, wanted: Wanted, *, after: int | None) -> "TenantViewer":
        """Return a new viewer, which its owner must ``close``.

        Args:
            after: the number of the last event that the client has; None to begin now.
        Raises:
            LedgerUnavailable: nothing can be shown without the ledger.
        """
        oldest, newest = outbox.kept(self._ledger)
        viewer = TenantViewer(self, self._ledger, tenant_id, wanted)
        viewer.begin(self._join(tenant_id, viewer.bell, newest=newest), after, oldest=oldest, newest=newest)
        return viewer

    def leave(self, feed: TenantFeed, bell: Bell) -> None:
        """Stop watching; again is harmless."""
        with self._lock:
            if not feed.remove(bell) and self._feeds.get(feed.tenant_id) is feed:
                del self._feeds[feed.tenant_id]

    def keep_running(self) -> None:
        """Start the thread again, should it have died; viewers call this in idle moments."""
        with self._lock:
            self._run_thread()

    def drain(self) -> None:
        """End every stream. Safe in a signal handler: it takes no lock on the calling thread."""
        self.is_draining = True
        Thread(target=self._wake_all, name="tenant-drain", daemon=True).start()

    def close(self) -> None:
        """End every stream, then the thread."""
        self.is_draining = True
        self._stopping.set()
        self._wake_all()
        thread = self._thread
        if thread is not None:
            thread.join(timeout=3)

    def _wake_all(self) -> None:
        with self._lock:
            feeds = list(self._feeds.values())
        for feed in feeds:
            feed.ring()

    def _join(self, tenant_id: str, bell: Bell, *, newest: int) -> TenantFeed:
        with self._lock:
            feed = self._feeds.get(tenant_id)
            if feed is None:
                feed = TenantFeed(tenant_id, position=newest, ring_size=self._ring_size)
                self._feeds[tenant_id] = feed
            feed.add(bell)
            self._run_thread()
            return feed

    def _run_thread(self) -> None:
        if self._feeds and not self.is_reading and not self.is_draining:
            self._thread = Thread(target=self._run, name="tenant-reader", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        waiter = None if self._open_waiter is None else self._open_waiter()
        reading = _Reading(self._ledger, waiter, self._stopping)
        try:
            while feeds := self._watched():
                reading.turn(feeds)
        finally:
            if waiter is not None:
                waiter.close()

    def _watched(self) -> list[TenantFeed]:
        with self._lock:
            if not self._feeds or self._stopping.is_set():
                # Within the lock, so that who joins next sees that it must start another.
                self._thread = None
                return []
            return list(self._feeds.values())


class _Reading:
    """What the thread remembers between its turns."""

    def __init__(self, ledger: Ledger, waiter: Waiter | None, stopping: Event) -> None:
        self._ledger = ledger
        self._waiter = waiter
        self._stopping = stopping
        # By feed, not by tenant: a feed that came during the wait has not been given what was heard in it.
        self._heard: dict[TenantFeed, int] = {}
        self._looked_at = time.monotonic()
        self._is_away = waiter is None

    def turn(self, feeds: list[TenantFeed]) -> None:
        news = self._await_news(feeds)
        at = time.monotonic()
        if at - self._looked_at >= (_AWAY_S if self._is_away else _SAFETY_S):
            self._looked_at = at
            news = {feed.tenant_id: news.get(feed.tenant_id, 0) for feed in feeds}
        try:
            for feed in feeds:
                if feed.tenant_id in news:
                    self._pull(feed)
                    self._heard[feed] = max(news[feed.tenant_id], feed.position)
        except LedgerUnavailable as exc:
            log.warning("domain_events_unknown", code=exc.code)
            self._stopping.wait(_AWAY_S)

    def _await_news(self, feeds: list[TenantFeed]) -> dict[str, int]:
        if self._waiter is None:
            self._stopping.wait(_AWAY_S)
            return {}
        self._heard = {feed: max(feed.position, self._heard.get(feed, 0)) for feed in feeds}
        try:
            news = self._waiter.wait({feed.tenant_id: seq for feed, seq in self._heard.items()})
        except EventsUnavailable:
            if not self._is_away:
                log.warning("domain_events_polled", tenants=len(feeds))
            self._is_away = True
            self._stopping.wait(_AWAY_S)
            return {}
        self._is_away = False
        return news

    def _pull(self, feed: TenantFeed) -> None:
        while events := outbox.events_after(self._ledger, feed.tenant_id, feed.position, limit=_PAGE):
            feed.push(events)


class TenantViewer:
    """One client's view: every wanted event after its cursor, once, in order. For one thread."""

    def __init__(self, hub: TenantHub, ledger: Ledger, tenant_id: str, wanted: Wanted) -> None:
        self._hub = hub
        self._ledger = ledger
        self._tenant_id = tenant_id
        self._wanted = wanted
        self._feed: TenantFeed
        self.bell = Bell()
        self.position = 0
        """The client has, or does not want, every event up to this number."""
        self.lost: tuple[int, int] | None = None
        """The cursor that the client came with and where it goes on instead, if events in between are not kept."""

    def begin(self, feed: TenantFeed, after: int | None, *, oldest: int, newest: int) -> None:
        """Take the place to go on from."""
        self._feed = feed
        self.position = newest if after is None else min(max(after, oldest - 1), newest)
        if after not in {None, self.position}:
            assert after is not None  # noqa: S101  # for the type checker
            self.lost = (after, self.position)

    @property
    def is_over(self) -> bool:
        """Whether this process drains, so that the client should go on elsewhere."""
        return self._hub.is_draining

    def wait(self, timeout_s: float) -> None:
        """Wait until there may be something to take, at most that long."""
        if not self.bell.wait(timeout_s):
            self._hub.keep_running()

    def take(self) -> list[Told]:
        """Return what is new and wanted, without waiting.

        Raises:
            LedgerUnavailable: the ring does not reach back to the client's place, and the ledger is away.
        """
        told = self._feed.after(self.position)
        if told is None:
            return self._backfill()
        if told:
            self.position = told[-1].seq
        return [one for one in told if self._wanted.matches(one.type, one.job_id)]

    def _backfill(self) -> list[Told]:
        reached = self._feed.position
        events = outbox.events_after(self._ledger, self._tenant_id, self.position, wanted=self._wanted, limit=_PAGE)
        if len(events) == _PAGE:
            self.position = events[-1].seq
            self.bell.ring()  # there is more
        else:
            self.position = max(reached, self.position, *(event.seq for event in events))
        return [Told.of(event) for event in events]

    def close(self) -> None:
        """Stop watching; again is harmless."""
        self._hub.leave(self._feed, self.bell)
