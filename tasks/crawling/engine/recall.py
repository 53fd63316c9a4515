"""What an earlier crawl knew of a site's pages: asked for conditionally, and compared.

Its records stay in its own file; the crawl's state holds where each one lies and what to compare.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from tasks.core.job import JobContext
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.engine.reading_version import reading_version
from tasks.crawling.engine.revisiting import Revisiting
from tasks.crawling.records import (
    ChangedPage,
    CrawlDelta,
    CrawledPage,
    EarlierCrawl,
    PageChange,
    PageError,
    PageWatch,
)

GONE = frozenset({404, 410})
_LOADED = "earlier"
# Lines between two looks at whether the job goes on.
_LINES_AT_A_TIME = 500

Cost = Literal["read", "same_bytes", "not_modified", "not_due"]
_CHEAP = ("not_modified", "same_bytes", "not_due")


# What `earlier` holds of a page, and last where its record lies.
_Row = tuple[str, str, str, str, str, str, str, str, int]


class _Known(NamedTuple):
    etag: str
    last_modified: str
    body_hash: str
    content_hash: str
    title: str
    watch: str
    place: int


class Recall:
    """The pages of an earlier crawl, by address. Everything happens in one thread."""

    def __init__(
        self, state: CrawlState, earlier: EarlierCrawl, job: JobContext, *, revisiting: Revisiting | None = None
    ) -> None:
        """Read through the earlier crawl's pages, unless an earlier attempt has.

        Args:
            revisiting: says which of them are due; None where all are.
        """
        self._state = state
        self._revisiting = revisiting
        self._earlier = earlier
        # What another reader made of a page is not what this one would: then each page is fetched and read.
        self._is_read_alike = earlier.reader == reading_version()
        self._costs: dict[str, Cost] = {}
        if state.fact(_LOADED) is None:
            with state.writing() as db:
                for number, row in enumerate(self._rows()):
                    if number % _LINES_AT_A_TIME == 0:
                        job.checkpoint()
                    db.execute("INSERT OR REPLACE INTO earlier VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
                state.keep_fact(_LOADED, earlier.job_id)

    def _rows(self) -> Iterator[_Row]:
        # What it could not have is known from before it; what it had counts where both tell of a page.
        if self._earlier.unreached is not None:
            yield from ((*row[:-1], -1 - row[-1]) for row in _rows(self._earlier.unreached))
        yield from _rows(self._earlier.pages)

    def _line(self, place: int) -> bytes:
        """Return the record that lies there."""
        file = self._earlier.pages
        if place < 0:
            assert self._earlier.unreached is not None  # noqa: S101  # where else the place would be from
            file, place = self._earlier.unreached, -1 - place
        file.seek(place)
        return file.readline()

    def not_due(self, url: str) -> CrawledPage | None:
        """Return the earlier record of a page that this address led to and that is not to be asked for yet, or None."""
        if self._revisiting is None or not self._is_read_alike:
            return None
        rows = self._state.read(_WATCHED, url) or self._state.read(_WATCHED_FROM, url)
        if not rows:
            return None
        ((own, watch),) = rows
        if not watch or self._revisiting.is_due(own, PageWatch.model_validate_json(watch)):
            return None
        return self._again(own, "not_due")

    def watch_of(self, url: str) -> PageWatch | None:
        """Return what the earlier crawl knew of the page's changes."""
        known = self._known(url)
        return PageWatch.model_validate_json(known.watch) if known is not None and known.watch else None

    def was_asked_for(self, page: CrawledPage) -> bool:
        """Tell whether the page was asked for, before ``settle`` is told of it."""
        return self._costs.get(page.url) != "not_due"

    def conditions(self, url: str) -> dict[str, str]:
        """Return the headers that ask for the page only where it is another than before (RFC 9110, 13.1)."""
        known = self._known(url)
        if known is None or not self._is_read_alike:
            return {}
        headers = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
        return {name: value for name, value in headers.items() if value}

    def unmodified(self, url: str) -> CrawledPage | None:
        """Return the earlier record of a page of which the site says that it stands, or None where there is none."""
        return self._again(url, "not_modified")

    def same(self, url: str, body_hash: str) -> CrawledPage | None:
        """Return the earlier record of a page whose body is what it was, or None where it is not."""
        known = self._known(url)
        if known is None or not self._is_read_alike or known.body_hash != body_hash:
            return None
        return self._again(url, "same_bytes")

    def judged(self, page: CrawledPage) -> CrawledPage:
        """Return the page, which was read, with what became of it."""
        known = self._known(page.url)
        if known is None:
            change = PageChange.NEW
        elif (known.content_hash, known.title) == (page.content_hash, page.title):
            change = PageChange.UNCHANGED
        else:
            change = PageChange.CHANGED
        return page.model_copy(update={"change": change})

    def was_sent(self, page: CrawledPage) -> bool:
        """Tell whether the site was asked for the page and sent it."""
        return self._costs.get(page.url) not in {"not_modified", "not_due"}

    def settle(self, page: CrawledPage, *, is_kept: bool) -> None:
        """Note what became of the page, and what it cost to know, as part of the transaction around this.

        One that is not kept, as a duplicate, is nothing new; one that was known is not missed for it.
        """
        cost = self._costs.pop(page.url, "read")
        change = page.change or PageChange.NEW
        if is_kept or change is not PageChange.NEW:
            with self._state.writing() as db:
                db.execute("INSERT OR REPLACE INTO changes VALUES (?, ?, ?)", (page.url, change.value, cost))

    def fail(self, error: PageError) -> None:
        """Note that a page could not be had, where it was known, as part of the transaction around this."""
        change = PageChange.GONE if error.status in GONE else PageChange.FAILED
        for url in filter(self._known, error.addresses):
            with self._state.writing() as db:  # what was had by another address has not failed
                db.execute("INSERT OR IGNORE INTO changes VALUES (?, ?, 'read')", (url, change.value))

    def placed(self, error: PageError) -> PageError:
        """Return the error with where its address led to before, where it did and was not gone but failed itself."""
        if error.status in GONE or any(map(self._known, error.addresses)):
            return error
        rows = self._state.read(_WATCHED_FROM, error.url)
        return error.model_copy(update={"final_url": rows[0][0]}) if rows else error

    def knows(self, error: PageError) -> bool:
        """Tell whether the earlier crawl had the page."""
        return any(map(self._known, error.addresses))

    def links_of(self, error: PageError) -> tuple[str, ...]:
        """Return where a page linked to that cannot be had now: what it leads to is not gone for that."""
        found: list[str] = []
        for known in filter(None, map(self._known, error.addresses)):
            page = json.loads(self._line(known.place))
            left_out = frozenset(page.get("unfollowed") or ())
            found += (link for link in page["links"] if link not in left_out)
        return tuple(found)

    def finish(self, path: Path, *, is_whole: bool) -> CrawlDelta:
        """Write what has changed to ``path``, by address, and return the counts.

        Args:
            is_whole: nothing was left out for a cap, so that what was not come upon is missed.
        """
        if is_whole:
            with self._state.writing() as db:
                db.execute(_MISSED)
        counts = dict.fromkeys(_CHEAP, 0) | {change.value: 0 for change in PageChange}
        for change, cost, count in self._state.read("SELECT change, cost, count(*) FROM changes GROUP BY 1, 2"):
            counts[change] += count
            if cost in _CHEAP:
                counts[cost] += count
        with path.open("w", encoding="utf-8") as out:
            for url, change in self._state.rows(_CHANGED):
                out.write(ChangedPage(url=url, change=change).model_dump_json() + "\n")
        return CrawlDelta(since=self._earlier.job_id, **counts)

    def write_unreached(self, path: Path, job: JobContext) -> int:
        """Write what was known of the pages that could not be had, for the crawl after this; return how many."""
        count = 0
        with path.open("wb") as out:
            for count, (place,) in enumerate(self._state.rows(_UNREACHED), 1):
                if count % _LINES_AT_A_TIME == 0:
                    job.checkpoint()
                line = self._line(place)
                out.write(line if self._is_read_alike else _to_be_read(line))
        return count

    def _known(self, url: str) -> _Known | None:
        rows = self._state.read(_KNOWN, url)
        return _Known(*rows[0]) if rows else None

    def _again(self, url: str, cost: Cost) -> CrawledPage | None:
        known = self._known(url)
        if known is None:
            return None
        page = CrawledPage.model_validate_json(self._line(known.place))
        self._costs[url] = cost
        return page.model_copy(update={"change": PageChange.UNCHANGED})


def _rows(pages: BinaryIO) -> Iterator[_Row]:
    place = 0
    for line in pages:
        page = json.loads(line)
        told = (page.get(name) or "" for name in ("etag", "last_modified", "body_hash", "content_hash", "title"))
        watch = page.get("watch")
        yield page["url"], *told, json.dumps(watch) if watch else "", page["requested_url"], place
        place += len(line)


def _to_be_read(line: bytes) -> bytes:
    """Return a record by another reader without what would let it be taken over unread."""
    page = json.loads(line) | {"etag": "", "last_modified": "", "body_hash": "", "watch": None}
    return json.dumps(page).encode() + b"\n"


_KNOWN = "SELECT etag, last_modified, body_hash, content_hash, title, watch, place FROM earlier WHERE url = ?"
_WATCHED = "SELECT url, watch FROM earlier WHERE url = ?"
_WATCHED_FROM = "SELECT url, watch FROM earlier WHERE requested_url = ? LIMIT 1"
_MISSED = "INSERT OR IGNORE INTO changes SELECT url, 'missed', 'read' FROM earlier"
_UNREACHED = "SELECT place FROM changes JOIN earlier USING (url) WHERE change = 'failed' ORDER BY url"
_CHANGED = "SELECT url, change FROM changes WHERE change != 'unchanged' ORDER BY url"
