"""What is still to be fetched: breadth first, every URL once."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.core.web_address import is_page_like
from tasks.crawling.engine.scope import SiteScope
from tasks.crawling.engine.tally import Tally
from tasks.crawling.engine.traps import Traps, without_session

# Distinct URLs remembered per crawl: about 100 MB of strings at the usual lengths.
MAX_KNOWN_URLS = 500_000


@dataclass(frozen=True, slots=True)
class Visit:
    """One URL to fetch."""

    url: str
    depth: int
    order: int


class Frontier:
    """Levels of one depth each.

    The links of a whole level are found before the next begins, which is ordered by the pages that linked to it.
    So a URL's depth is the shortest way to it, and a capped crawl of an unchanged site keeps the same pages however
    its requests overlap (save for which of two duplicates is kept). The state is plain strings and numbers, fit to be
    kept on disk between attempts.
    """

    def __init__(self, scope: SiteScope, *, max_depth: int, tally: Tally) -> None:
        self._scope = scope
        self._max_depth = max_depth
        self._tally = tally
        self._traps = Traps()
        self._known: set[str] = set()
        self._level: deque[Visit] = deque()
        self._found: dict[str, tuple[int, int]] = {}
        self._depth = 0
        self._given = 0

    @property
    def is_level_given_out(self) -> bool:
        """Whether every visit of this level was taken."""
        return not self._level

    @property
    def is_deepest(self) -> bool:
        """Whether nothing was found, so far, for the next level."""
        return not self._found

    def __len__(self) -> int:
        return len(self._level) + len(self._found)

    def claim(self, url: str) -> bool:
        """Take a URL that a redirect led to, so that it is not given out as well; False where it was taken before."""
        url = without_session(url)
        if self._found.pop(url, None) is None and url in self._known:
            return False
        self._known.add(url)
        return True

    def add(self, urls: Iterable[str], *, found_by: int) -> None:
        """Put canonical URLs one level below the current one; ``found_by`` is the order of the visit they are from."""
        if self._depth >= self._max_depth:
            return
        for index, url in enumerate(map(without_session, urls)):
            place = (found_by, index)
            # Pages end in any order: the earliest visit decides the place, not the first to answer.
            if self._found.get(url, place) > place or self._is_new_and_wanted(url):
                self._found[url] = place

    def take(self) -> Visit | None:
        """Return the next visit of this level, or None where the level is used up."""
        return self._level.popleft() if self._level else None

    def descend(self) -> None:
        """Go one level deeper, once the links of every page of this level were added."""
        waiting = sorted(self._found, key=self._found.__getitem__)
        self._found.clear()
        self._depth += 1
        self._level.extend(Visit(url, self._depth, self._given + index) for index, url in enumerate(waiting, 1))
        self._given += len(waiting)

    def _is_new_and_wanted(self, url: str) -> bool:
        if url in self._known:
            return False
        if len(self._known) >= MAX_KNOWN_URLS:
            self._tally.skip("overflow")
            return False
        self._known.add(url)
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
