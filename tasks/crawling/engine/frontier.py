"""What is still to be fetched: breadth first, every URL once."""

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.core.web_address import is_page_like
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.engine.scope import SiteScope
from tasks.crawling.engine.tally import Tally
from tasks.crawling.engine.traps import Traps, without_session

# Distinct URLs remembered per crawl: about 100 MB on disk at the usual lengths.
MAX_KNOWN_URLS = 500_000
# Visits read from the disk at a time.
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Visit:
    """One URL to fetch."""

    url: str
    depth: int
    order: int


class Frontier:
    """Levels of one depth each, kept in the crawl's state.

    The links of a whole level are found before the next begins, which is ordered by the pages that linked to it.
    So a URL's depth is the shortest way to it, and a capped crawl of an unchanged site keeps the same pages however
    its requests overlap (save for which of two duplicates is kept).

    A visit stays in the state until ``done`` is told of it: what an attempt had given out when it was killed, the next
    one gives out again, first of all.
    """

    def __init__(self, scope: SiteScope, *, max_depth: int, tally: Tally, state: CrawlState) -> None:
        self._scope = scope
        self._max_depth = max_depth
        self._tally = tally
        self._state = state
        level: tuple[int, int] = state.fact("level") or (0, 0)
        self._depth, self._given = level
        self._release_claims()
        self._known = state.number("SELECT count(*) FROM known")
        self._found = state.number("SELECT count(*) FROM found")
        self._waiting = state.number("SELECT count(*) FROM visits")
        self._next: deque[Visit] = deque()
        self._last_read = -1
        self._traps = Traps()
        for (url,) in state.rows("SELECT url FROM known WHERE is_wanted"):
            self._traps.is_trap(url)

    def _release_claims(self) -> None:
        # The visits that led there are made again, and are to find their targets free.
        with self._state.writing() as db:
            db.execute("DELETE FROM known WHERE claimed_by IN (SELECT number FROM visits)")

    @property
    def is_level_given_out(self) -> bool:
        """Whether every visit of this level was taken."""
        return self._waiting == 0

    @property
    def is_deepest(self) -> bool:
        """Whether nothing was found, so far, for the next level."""
        return self._found == 0

    def __len__(self) -> int:
        return self._waiting + self._found

    def claim(self, url: str, *, by: Visit) -> bool:
        """Take a URL that a redirect led ``by`` to, so that it is not given out as well; False where it was taken."""
        url = without_session(url)
        with self._state.writing() as db:
            if db.execute("DELETE FROM found WHERE url = ?", (url,)).rowcount == 1:
                self._found -= 1
                db.execute("UPDATE known SET claimed_by = ? WHERE url = ?", (by.order, url))
                return True
            is_new = db.execute("INSERT OR IGNORE INTO known VALUES (?, 0, ?)", (url, by.order)).rowcount == 1
        self._known += is_new
        return is_new

    def add(self, urls: Iterable[str], *, found_by: int) -> None:
        """Put canonical URLs one level below the current one; ``found_by`` is the order of the visit they are from."""
        if self._depth >= self._max_depth:
            return
        places: dict[str, int] = {}
        for place, url in enumerate(map(without_session, urls)):
            places.setdefault(url, place)
        with self._state.writing() as db:
            known = dict.fromkeys(places, False)
            # Pages end in any order: the earliest visit decides the place, not the first to answer.
            for url, by, place in db.execute(_KNOWN, (json.dumps(list(places)),)):
                known[url] = True
                if by is not None and (by, place) > (found_by, places[url]):
                    db.execute("UPDATE found SET found_by = ?, place = ? WHERE url = ?", (found_by, places[url], url))
            fresh = [url for url, is_known in known.items() if not is_known]
            room = max(0, MAX_KNOWN_URLS - self._known)
            for _ in fresh[room:]:
                self._tally.skip("overflow")
            judged = [(url, self._is_wanted(url)) for url in fresh[:room]]
            wanted = [(url, found_by, places[url]) for url, is_wanted in judged if is_wanted]
            db.executemany("INSERT INTO known VALUES (?, ?, NULL)", judged)
            db.executemany("INSERT INTO found VALUES (?, ?, ?)", wanted)
        self._known += len(judged)
        self._found += len(wanted)

    def take(self) -> Visit | None:
        """Return the next visit of this level, or None where the level is used up."""
        if self._waiting == 0:
            return None
        if not self._next:
            rows = self._state.read(_NEXT, self._last_read, _BATCH)
            self._next.extend(Visit(url, depth, number) for number, url, depth in rows)
            self._last_read = self._next[-1].order
        self._waiting -= 1
        return self._next.popleft()

    def done(self, visit: Visit) -> None:
        """Note that the visit has been made, whatever came of it."""
        with self._state.writing() as db:
            db.execute("DELETE FROM visits WHERE number = ?", (visit.order,))

    def descend(self) -> None:
        """Go one level deeper, once the links of every page of this level were added."""
        with self._state.writing() as db:
            db.execute(_DESCEND, (self._given, self._depth + 1))
            db.execute("DELETE FROM found")
            self._depth += 1
            self._given += self._found
            self._state.keep_fact("level", (self._depth, self._given))
        self._waiting, self._found = self._found, 0

    def _is_wanted(self, url: str) -> bool:
        if not self._scope.covers(url):
            self._tally.skip("scope")
            return False
        if not is_page_like(url):
            self._tally.skip("type")
            return False
        if self._traps.is_trap(url):
            self._tally.skip("trap")
            return False
        return True


# The cross join keeps the order of the tables: each URL of the list is looked up, and no table is read through.
_KNOWN = """
SELECT known.url, found.found_by, found.place
FROM json_each(?) AS asked CROSS JOIN known ON known.url = asked.value LEFT JOIN found ON found.url = known.url
"""
_NEXT = "SELECT number, url, depth FROM visits WHERE number > ? ORDER BY number LIMIT ?"
_DESCEND = """
INSERT INTO visits SELECT ?1 + row_number() OVER (ORDER BY found_by, place), url, ?2 FROM found
"""
