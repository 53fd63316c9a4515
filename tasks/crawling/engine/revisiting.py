"""Which pages are due, and when they are due next: the policy of ``revisit``."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from tasks.core.clock import now
from tasks.crawling.contract import Revisit
from tasks.crawling.engine.change_rate import Look, next_look_s
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.records import (
    MAX_LOOKS,
    MAX_REVISIT_S,
    CrawledPage,
    PageChange,
    PageWatch,
    RevisitSummary,
)


class Revisiting:
    """Keeps what the sitemaps say, and what was decided, in the crawl's state."""

    def __init__(self, state: CrawlState, bounds: Revisit) -> None:
        self._state = state
        self._bounds = bounds
        # Decided for the whole crawl at once: a page does not become due while others are fetched.
        begun: str | None = state.fact("begun_at")
        self._begun_at = now() if begun is None else datetime.fromisoformat(begun)
        if begun is None:
            state.keep_fact("begun_at", self._begun_at.isoformat())

    def note_listed(self, lastmods: Mapping[str, str]) -> None:
        """Note what the sitemaps say of pages, as part of the transaction around this."""
        with self._state.writing() as db:
            db.executemany("INSERT OR REPLACE INTO lastmods VALUES (?, ?)", [one for one in lastmods.items() if one[1]])

    def is_due(self, url: str, watch: PageWatch) -> bool:
        """Tell whether a page is to be asked for: its time has come, or the sitemap says that it has changed.

        ``min_s`` holds in any case, and ``max_s`` too, whatever an earlier crawl was asked.
        """
        rested_s = (self._begun_at - watch.checked_at).total_seconds()
        if not self._bounds.min_s <= rested_s < self._bounds.max_s:
            return rested_s >= self._bounds.max_s
        is_told = watch.is_lastmod_believed and self._lastmod(url) not in {"", watch.lastmod}
        return is_told or self._begun_at >= watch.due_at

    def watched(self, page: CrawledPage, before: PageWatch | None) -> CrawledPage:
        """Return a page that was asked for with what is known of its changes, and when it is due.

        Args:
            before: what the earlier crawl knew; the page's ``change`` is since then.
        """
        at = now()
        looks: tuple[tuple[int, bool], ...] = ()
        if before is not None and page.change in {PageChange.CHANGED, PageChange.UNCHANGED}:
            # Another machine's clock may be behind.
            after_s = min(max(1, round((at - before.checked_at).total_seconds())), MAX_REVISIT_S)
            looks = (*before.looks, (after_s, page.change is PageChange.CHANGED))[-MAX_LOOKS:]
        lastmod = self._lastmod(page.url)
        every_s = next_look_s([Look(*look) for look in looks], min_s=self._bounds.min_s, max_s=self._bounds.max_s)
        watch = PageWatch(
            checked_at=at,
            due_at=at + timedelta(seconds=every_s),
            every_s=every_s,
            looks=looks,
            lastmod=lastmod,
            is_lastmod_believed=_is_believed(before, lastmod, page),
        )
        return page.model_copy(update={"watch": watch})

    def settle(self, watch: PageWatch, url: str) -> None:
        """Note when a page that was kept is due, as part of the transaction around this."""
        with self._state.writing() as db:
            row = (url, watch.every_s, watch.due_at.timestamp())
            db.execute("INSERT OR REPLACE INTO watched VALUES (?, ?, ?)", row)

    def summary(self) -> RevisitSummary:
        """Return when the site is due next, and how far apart the looks are."""
        ((count, due, shortest, longest),) = self._state.read(_SUMMARY)
        if not count:
            return RevisitSummary(pages=0, next_due_at=None)
        return RevisitSummary(
            pages=count,
            next_due_at=datetime.fromtimestamp(due, self._begun_at.tzinfo),
            shortest_s=shortest,
            median_s=self._state.number(_MEDIAN, count // 2),
            longest_s=longest,
        )

    def _lastmod(self, url: str) -> str:
        rows = self._state.read("SELECT lastmod FROM lastmods WHERE url = ?", url)
        return str(rows[0][0]) if rows else ""


def _is_believed(before: PageWatch | None, lastmod: str, page: CrawledPage) -> bool:
    if before is None:
        return True
    if lastmod == before.lastmod:
        return before.is_lastmod_believed
    return page.change is PageChange.CHANGED


_SUMMARY = "SELECT count(*), min(due_at), min(every_s), max(every_s) FROM watched"
_MEDIAN = "SELECT every_s FROM watched ORDER BY every_s LIMIT 1 OFFSET ?"
