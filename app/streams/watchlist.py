"""The jobs that this process watches, and what its reader is asked to find out about them."""

from dataclasses import dataclass, field
from threading import Lock

from app.streams.cursor import OLDEST, Cursor
from app.streams.feed import Bell, Feed
from tasks.core import event_reader
from tasks.core.event_reader import Position, Question


@dataclass(eq=False, slots=True)
class Inquiry:
    """A viewer's question about entries that only Redis still has.

    ``next_number`` is set with ``position``: from there on the feed has what comes next, and perhaps a few frames that
    are in ``position.since`` as well.
    """

    feed: Feed
    after: Cursor
    bell: Bell
    position: Position | None = None
    next_number: int = -1
    is_closed: bool = False

    def question(self) -> Question:
        """Put it to Redis."""
        return Question(self.feed.job_id, after=event_reader.OLDEST if self.after == OLDEST else str(self.after))


@dataclass(slots=True)
class Round:
    """What the reader does next: open ``feeds``, answer ``inquiries``, then follow ``cursors``."""

    feeds: list[Feed] = field(default_factory=list)
    inquiries: list[Inquiry] = field(default_factory=list)
    followed: dict[str, Feed] = field(default_factory=dict)


class Watchlist:
    """Feeds by job, made when the first watcher comes and dropped when the last one leaves."""

    def __init__(self, *, ring_size: int) -> None:
        self._ring_size = ring_size
        self._lock = Lock()
        self._feeds: dict[str, Feed] = {}
        self._inquiries: list[Inquiry] = []

    def join(self, job_id: str, bell: Bell, *, states_only: bool = False) -> Feed:
        """Return the job's feed, which rings ``bell`` from now on."""
        with self._lock:
            feed = self._feeds.get(job_id)
            if feed is None:
                feed = self._feeds[job_id] = Feed(job_id, ring_size=self._ring_size)
            feed.add(bell, states_only=states_only)
            return feed

    def leave(self, feed: Feed, bell: Bell) -> None:
        """Undo ``join``; again is harmless."""
        with self._lock:
            if not feed.remove(bell) and self._feeds.get(feed.job_id) is feed:
                del self._feeds[feed.job_id]

    def ask(self, inquiry: Inquiry) -> None:
        """Leave a question for the reader's next round."""
        with self._lock:
            self._inquiries.append(inquiry)

    def next_round(self) -> Round:
        """Take the questions and list the feeds."""
        with self._lock:
            inquiries, self._inquiries = self._inquiries, []
            feeds = list(self._feeds.values())
        unopened = [feed for feed in feeds if feed.cursor is None]
        followed = {feed.job_id: feed for feed in feeds if feed.cursor is not None}
        return Round(unopened, [inquiry for inquiry in inquiries if not inquiry.is_closed], followed)

    @property
    def has_news(self) -> bool:
        """Whether the reader has something to do before it follows on."""
        with self._lock:
            return bool(self._inquiries) or any(feed.cursor is None for feed in self._feeds.values())

    def feeds(self) -> list[Feed]:
        """List the feeds."""
        with self._lock:
            return list(self._feeds.values())
