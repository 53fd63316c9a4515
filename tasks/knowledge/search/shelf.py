"""The indexes that this process has read, the ones used longest ago making room."""

import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import structlog

from tasks.core.errors import LedgerUnavailable, NotFound
from tasks.knowledge.search.passages import Library, Standing
from tasks.knowledge.search.site_index import SiteIndex, load_index

log = structlog.get_logger()

# How long a search waits for the newest index where an older one could answer.
PATIENCE_S = 1.0
# And where none could.
LONGEST_READ_S = 60.0


@dataclass(slots=True)
class _Place:
    index: SiteIndex | None = None
    reading: "Future[SiteIndex | None] | None" = None


class IndexShelf:
    """For many threads. Each index is read by one thread at a time, and searched while a newer one is read.

    Args:
        most_bytes: what all indexes may take together; the one that was asked for last stays in any case.
    """

    def __init__(self, library: Library, *, most_bytes: int) -> None:
        self._library = library
        self._most_bytes = most_bytes
        self._lock = Lock()
        self._places: OrderedDict[str, _Place] = OrderedDict()
        # Its threads start with the first index, hence after any fork.
        self._readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="knowledge-index")

    def index(self, standing: Standing) -> SiteIndex:
        """Return the index of the site at this version or a newer one; an older one if reading it takes long.

        Raises:
            LedgerUnavailable: it cannot be read.
            NotFound: the site is gone.
        """
        until = time.monotonic() + PATIENCE_S
        while True:
            with self._lock:
                place = self._places.setdefault(standing.site_id, _Place())
                self._places.move_to_end(standing.site_id)
                earlier = place.index
                if earlier is not None and earlier.standing.version >= standing.version:
                    return earlier
                reading = place.reading or self._begin(standing.site_id, place)
            try:
                found = reading.result(LONGEST_READ_S if earlier is None else max(0.0, until - time.monotonic()))
            except TimeoutError as exc:
                if earlier is None:
                    raise LedgerUnavailable("The site's index is still being read: try again in a minute.") from exc
                return earlier
            if found is None:
                raise NotFound("The site is gone.")
            # Else it was under way already, for a search that came before the site changed: once more.
            if found.standing.version >= standing.version or time.monotonic() >= until:
                return found

    def _begin(self, site_id: str, place: _Place) -> "Future[SiteIndex | None]":
        place.reading = reading = self._readers.submit(self._read, site_id, place)
        return reading

    def _read(self, site_id: str, place: _Place) -> SiteIndex | None:
        began = time.monotonic()
        found = place.index
        try:
            found = load_index(self._library, site_id, place.index)
        finally:
            with self._lock:
                place.reading = None
                place.index = found
                self._make_room(site_id)
        if found is not None:
            took_ms = round((time.monotonic() - began) * 1000)
            log.info(
                "knowledge_index_read", version=found.standing.version, chunks=found.postings.size, took_ms=took_ms
            )
        return found

    def _make_room(self, used: str) -> None:
        while len(self._places) > 1 and self.size_bytes > self._most_bytes:
            oldest = next(site_id for site_id in self._places if site_id != used)
            del self._places[oldest]

    @property
    def size_bytes(self) -> int:
        """What the indexes take in memory."""
        return sum(place.index.size_bytes for place in self._places.values() if place.index is not None)

    def close(self) -> None:
        """Let every index go."""
        self._readers.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._places.clear()
