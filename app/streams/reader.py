"""The one thread that reads the streams for everybody in this process, and the ledger where they may lack a state."""

import time
from threading import Lock

import structlog

from app.streams.feed import Bell
from app.streams.watchlist import Inquiry, Round, Watchlist
from tasks.core.errors import LedgerUnavailable
from tasks.core.event_reader import EventReader, Question
from tasks.core.events import EventsUnavailable
from tasks.core.ledger import Ledger, queries

log = structlog.get_logger()

# While Redis is away, the ledger is all that viewers have.
_AWAY_S = 1.0
# With Redis there, the ledger only has to catch what was never appended.
_SAFETY_S = 5.0
# One transaction in Redis asks about no more jobs than this, so that it delays others little.
_MOST_QUESTIONS = 200


class Reader:
    """Opens feeds, answers inquiries and follows streams, until ``stop``."""

    def __init__(self, watchlist: Watchlist, ledger: Ledger, stream: EventReader) -> None:
        self._watchlist = watchlist
        self._ledger = ledger
        self._stream = stream
        self._bell = Bell()
        self._lock = Lock()
        self._follows = False
        self._polled_at = time.monotonic()
        self._stopping = False
        self.is_away = False

    def wake(self) -> None:
        """Have the watchlist looked at now."""
        self._bell.ring()
        with self._lock:
            blocks, self._follows = self._follows, False
        if blocks:
            self._stream.wake()

    def stop(self) -> None:
        """End ``run`` soon."""
        self._stopping = True
        self.wake()

    def run(self) -> None:
        """Work until stopped."""
        try:
            while not self._stopping:
                self._turn()
        finally:
            self._stream.close()

    def _turn(self) -> None:
        work = self._watchlist.next_round()
        try:
            self._open(work)
            self._answer(work.inquiries)
            self._follow(work)
            self.is_away = False
        except EventsUnavailable:
            self._be_away(work)
        self._poll_ledger()

    def _open(self, work: Round) -> None:
        for start in range(0, len(work.feeds), _MOST_QUESTIONS):
            feeds = work.feeds[start : start + _MOST_QUESTIONS]
            positions = self._stream.positions([Question(feed.job_id) for feed in feeds])
            for feed, position in zip(feeds, positions, strict=True):
                feed.open(position)
                work.followed[feed.job_id] = feed

    def _answer(self, inquiries: list[Inquiry]) -> None:
        for start in range(0, len(inquiries), _MOST_QUESTIONS):
            some = inquiries[start : start + _MOST_QUESTIONS]
            positions = self._stream.positions([inquiry.question() for inquiry in some])
            for inquiry, position in zip(some, positions, strict=True):
                inquiry.next_number = inquiry.feed.end
                inquiry.position = position
                inquiry.bell.ring()

    def _follow(self, work: Round) -> None:
        if work.feeds or work.inquiries or not work.followed:
            self.is_away = False
        if not work.followed:
            self._bell.wait(_SAFETY_S)
            return
        with self._lock:
            self._follows = True
        try:
            # Whoever came before the flag was set could not wake us.
            if not self._watchlist.has_news and not self._stopping:
                self._read(work)
        finally:
            with self._lock:
                self._follows = False

    def _read(self, work: Round) -> None:
        found = self._stream.follow({job_id: str(feed.cursor) for job_id, feed in work.followed.items()})
        for job_id, events in found.items():
            work.followed[job_id].push(events)

    def _be_away(self, work: Round) -> None:
        if not self.is_away:
            log.warning("event_stream_lost", watched=len(work.feeds) + len(work.followed))
        self.is_away = True
        for feed in work.feeds:
            feed.ring()
        for inquiry in work.inquiries:
            inquiry.bell.ring()
        self._bell.wait(_AWAY_S)

    def _poll_ledger(self) -> None:
        now = time.monotonic()
        if now - self._polled_at < (_AWAY_S if self.is_away else _SAFETY_S):
            return
        self._polled_at = now
        feeds = self._watchlist.feeds()
        if not feeds:
            return
        try:
            versions = queries.versions(self._ledger, [feed.job_id for feed in feeds])
        except LedgerUnavailable as exc:
            log.warning("watched_jobs_unknown", code=exc.code)
            return
        for feed in feeds:
            feed.compare(versions.get(feed.job_id), at_once=self.is_away)
