"""Which pages link where, and what of it is broken: kept in the crawl's state, so that memory does not grow with it."""

import json
from collections.abc import Iterator

from tasks.crawling.contract import BrokenLink
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.engine.traps import without_session
from tasks.crawling.records import CrawledPage, FailureReason, PageError

MAX_PLACES = 10
_TRIED = "tried_links"


class LinkBook:
    """What an attempt notes, the next one knows. Each call is part of the transaction around it, or one of its own."""

    def __init__(self, state: CrawlState) -> None:
        self._state = state
        self._links = state.number("SELECT count(*) FROM links")
        self.tried = int(state.fact(_TRIED) or 0)
        """How often ``check`` was told of an address, by earlier attempts too."""

    def add(self, page: CrawledPage) -> bool:
        """Note where a page links to; True: it is kept."""
        with self._state.writing() as db:
            db.executemany("INSERT OR REPLACE INTO checked VALUES (?, 1)", {(page.url,), (page.requested_url,)})
            for url in map(without_session, page.links):
                row = db.execute("SELECT pages, found_on FROM links WHERE url = ?", (url,)).fetchone()
                if row is None:
                    db.execute("INSERT INTO links VALUES (?, ?, 1, ?)", (url, self._links, json.dumps([page.url])))
                    self._links += 1
                    continue
                places = json.loads(row[1])
                if len(places) < MAX_PLACES:
                    places.append(page.url)
                values = (row[0] + 1, json.dumps(places), url)
                db.execute("UPDATE links SET pages = ?, found_on = ? WHERE url = ?", values)
        return True

    def fail(self, error: PageError) -> None:
        """Note an address that could not be had, and where it led to, which nobody asks for again."""
        final = error.model_copy(update={"url": error.final_url, "final_url": None})
        with self._state.writing() as db:
            for one in (error,) if error.final_url is None else (error, final):
                row = (one.url, one.reason.value, one.model_dump_json())
                db.execute("INSERT OR REPLACE INTO broken VALUES (?, ?, ?)", row)
                db.execute("INSERT OR REPLACE INTO checked VALUES (?, 1)", (one.url,))

    def check(self, url: str, error: PageError | None, *, is_asked: bool) -> None:
        """Note that an address was dealt with, whether it was asked for, and why it could not be had, if so."""
        with self._state.writing() as db:
            db.execute("INSERT OR REPLACE INTO checked VALUES (?, ?)", (url, is_asked))
            if error is not None:
                self.fail(error)
            self.tried += 1
            self._state.keep_fact(_TRIED, self.tried)

    def unchecked(self, after: int, limit: int) -> list[tuple[int, str]]:
        """List addresses that are linked and were not dealt with, with their numbers, in the order they were found."""
        return [(int(number), str(url)) for number, url in self._state.read(_UNCHECKED, after, limit)]

    def broken(self) -> Iterator[BrokenLink]:
        """Give what is linked and cannot be had, most linked first."""
        for error, pages, found_on in self._state.rows(_BROKEN):
            yield BrokenLink(**json.loads(error), found_on=tuple(json.loads(found_on)), pages=pages)

    def counts(self) -> tuple[int, int, dict[FailureReason, int]]:
        """Return how many addresses are linked, how many of these were asked for, and how many are broken, by why."""
        broken = {FailureReason(reason): int(count) for reason, count in self._state.read(_BROKEN_BY_REASON)}
        return self._links, self._state.number(_CHECKED), broken


_UNCHECKED = """
SELECT number, url FROM links
WHERE number > ? AND url NOT IN (SELECT url FROM checked) ORDER BY number LIMIT ?
"""
_BROKEN = """
SELECT broken.error, links.pages, links.found_on FROM broken JOIN links ON links.url = broken.url
ORDER BY links.pages DESC, links.url
"""
_BROKEN_BY_REASON = """
SELECT broken.reason, count(*) FROM broken JOIN links ON links.url = broken.url GROUP BY 1
"""
_CHECKED = "SELECT count(*) FROM links JOIN checked ON checked.url = links.url WHERE checked.is_asked"
