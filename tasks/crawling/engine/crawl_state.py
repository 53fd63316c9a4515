"""What a crawl must remember of itself: one SQLite file that the job's attempts hand on.

What a page changes is written as one transaction, so that a killed attempt has either dealt with a page or not begun
it. Each transaction asks first whether the file still belongs to its attempt: one that was thought dead and was not
cannot write into what the next one works on.
"""

import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tasks.core.errors import JobSuperseded, Transient
from tasks.core.job import JobContext
from tasks.crawling.records import PageError

_TABLES = """
CREATE TABLE IF NOT EXISTS owner (fence INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known (url TEXT PRIMARY KEY, is_wanted INTEGER NOT NULL, claimed_by INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS found
  (url TEXT PRIMARY KEY, found_by INTEGER NOT NULL, place INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS visits (number INTEGER PRIMARY KEY, url TEXT NOT NULL, depth INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS pages (identity BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (fence INTEGER PRIMARY KEY, size_bytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS errors (number INTEGER PRIMARY KEY, error TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS earlier (url TEXT PRIMARY KEY, etag TEXT NOT NULL, last_modified TEXT NOT NULL,
  body_hash TEXT NOT NULL, content_hash TEXT NOT NULL, title TEXT NOT NULL, watch TEXT NOT NULL,
  requested_url TEXT NOT NULL, place INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS earlier_requested ON earlier (requested_url);
CREATE TABLE IF NOT EXISTS changes (url TEXT PRIMARY KEY, change TEXT NOT NULL, cost TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lastmods (url TEXT PRIMARY KEY, lastmod TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS watched (url TEXT PRIMARY KEY, every_s INTEGER NOT NULL, due_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fingerprints (url TEXT PRIMARY KEY, fingerprint INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leaders (number INTEGER PRIMARY KEY, url TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS similar (leader TEXT NOT NULL, url TEXT NOT NULL, PRIMARY KEY (leader, url)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS links (url TEXT PRIMARY KEY, number INTEGER NOT NULL, pages INTEGER NOT NULL,
  found_on TEXT NOT NULL) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS links_in_order ON links (number);
CREATE TABLE IF NOT EXISTS checked (url TEXT PRIMARY KEY, is_asked INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS broken (url TEXT PRIMARY KEY, reason TEXT NOT NULL, error TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS addresses (number INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, day TEXT NOT NULL);
"""
# Grows when a table changes: what another version has begun is begun again.
_VERSION = 3
# Of the file, in KiB: what most pages link to stays in memory; the rest is on disk, mostly in the system's cache.
_CACHE_KIB = 4 * 1024
# Nobody else writes but an attempt that was superseded, and that not for long.
_BUSY_S = 30.0
_KEY = "frontier"


class CrawlState:
    """Owns the file; use as ``with``. Everything happens in one thread."""

    def __init__(self, path: Path, *, fence: int) -> None:
        """Open the file, or make it, and take it over from every older attempt.

        Raises:
            JobSuperseded: a newer attempt has it.
            sqlite3.DatabaseError: it is no such file, or another version of this code has made it.
        """
        self.path = path
        self.fence = fence
        self._is_writing = False
        self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            # A kill loses nothing. A loss of power may lose the last pages, and never leaves half of one.
            for setting in ("journal_mode=WAL", "synchronous=NORMAL", f"cache_size=-{_CACHE_KIB}"):
                self._db.execute(f"PRAGMA {setting}")
            self._make_tables()
            self._take_over()
        except BaseException:
            self._db.close()
            raise

    @classmethod
    def of(cls, job: JobContext) -> Self:
        """Open the state that the job's newest attempt left, or a new one where it is not (whole) on this machine.

        Raises:
            JobSuperseded: another claim owns the job.
        """
        name = (job.resume.load() or {}).get(_KEY)
        if isinstance(name, str) and (path := job.keepdir / f"{name}.sqlite").is_file():
            # Broken by a loss of power or a full disk, or of another version: the crawl begins again.
            with suppress(sqlite3.DatabaseError):
                state = cls(path, fence=job.fence)
                if state._is_whole():
                    return state
                state.close()
        name = secrets.token_hex(8)
        # Told first: a file that nobody was told of is never found.
        job.resume.save({_KEY: name})
        return cls(job.keepdir / f"{name}.sqlite", fence=job.fence)

    def _is_whole(self) -> bool:
        """Tell whether the pages that count are there; a loss of power may have taken them."""
        files = ((self.pages_path(fence), size_bytes) for fence, size_bytes in self.pages_files())
        return all(path.is_file() and path.stat().st_size >= size_bytes for path, size_bytes in files)

    def pages_path(self, fence: int) -> Path:
        """Return the file to which the attempt of this fence appends its pages."""
        return self.path.with_suffix(f".{fence}.jsonl")

    def pages_files(self) -> list[tuple[int, int]]:
        """List the fences of the attempts that kept pages, with how many bytes of each one's file count."""
        return [(int(fence), int(size)) for fence, size in self.read("SELECT * FROM files ORDER BY fence")]

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make_tables(self) -> None:
        version = self.number("PRAGMA user_version")
        if version != _VERSION and self.number("SELECT count(*) FROM sqlite_master"):
            raise sqlite3.DatabaseError(f"its tables are of version {version}")
        self._db.executescript(f"{_TABLES}PRAGMA user_version = {_VERSION};")

    def _take_over(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            owner = self._owner()
            if owner is not None and owner > self.fence:
                raise JobSuperseded
            self._db.execute("DELETE FROM owner")
            self._db.execute("INSERT INTO owner VALUES (?)", (self.fence,))
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _owner(self) -> int | None:
        row = self._db.execute("SELECT fence FROM owner").fetchone()
        return None if row is None else int(row[0])

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Make what is written meanwhile one transaction; one within another is part of it.

        Raises:
            JobSuperseded: a newer attempt has taken the file over; nothing was written.
            Transient: the disk is full, or the like; nothing was written.
        """
        if self._is_writing:
            yield self._db
            return
        self._is_writing = True
        try:
            self._db.execute("BEGIN IMMEDIATE")
            if self._owner() != self.fence:
                raise JobSuperseded
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.Error as exc:
            raise Transient(f"the crawl's state cannot be written: {exc}"[:300]) from exc
        finally:
            self._is_writing = False
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def read(self, statement: str, *values: object) -> list[Any]:
        """Return the rows of a SELECT."""
        return self._db.execute(statement, values).fetchall()

    def rows(self, statement: str, *values: object) -> Iterator[Any]:
        """Give the rows of a SELECT one after another, for those that are many; their tables stand still meanwhile."""
        return self._db.execute(statement, values)

    def number(self, statement: str, *values: object) -> int:
        """Return the one number that a SELECT finds."""
        return int(self._db.execute(statement, values).fetchone()[0])

    def note_error(self, error: PageError) -> None:
        """Keep what is to be said of a page that failed."""
        with self.writing() as db:
            db.execute("INSERT INTO errors (error) VALUES (?)", (error.model_dump_json(),))

    def errors(self, limit: int = -1) -> list[PageError]:
        """Return the pages that failed, in order; at most ``limit``, where it is not negative."""
        rows = self.read("SELECT error FROM errors ORDER BY number LIMIT ?", limit)
        return [PageError.model_validate_json(error) for (error,) in rows]

    def write_errors(self, path: Path) -> None:
        """Write the pages that failed, one JSON object a line, in order."""
        with path.open("w", encoding="utf-8") as out:
            out.writelines(f"{error}\n" for (error,) in self.rows("SELECT error FROM errors ORDER BY number"))

    def fact(self, name: str) -> Any:
        """Return what was kept under this name, or None."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def keep_fact(self, name: str, value: Any) -> None:
        """Keep something small under this name, instead of what was kept before."""
        with self.writing() as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))
