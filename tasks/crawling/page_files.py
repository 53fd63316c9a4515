"""A crawl's pages as files for people: Markdown files in a zip, or a table of SQLite. Light: the web process has it."""

import io
import json
import re
import sqlite3
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_MAX_PART_CHARS = 80
_UNSAFE = re.compile(r"[^\w.-]+")
# Of what a zip's writer has made, sent at a time.
_PIECE_BYTES = 64 * 1024
_NUMBERS = frozenset({"status", "depth"})
_COLUMNS = (
    "url",
    "title",
    "language",
    "status",
    "depth",
    "canonical",
    "page_type",
    "author",
    "published",
    "modified",
    "hash",
    "text",
)


class PagesFormat(StrEnum):
    """What a crawl's pages are given as."""

    JSONL = "jsonl"
    """One page a line, with every field: the artifact as it is."""
    MARKDOWN = "markdown"
    """A zip with one file a page, named after its address; title and address are its first lines."""
    SQLITE = "sqlite"
    """A database with the table ``pages``; its column ``record`` has every field as JSON."""


MEDIA_TYPES = {
    PagesFormat.JSONL: "application/x-ndjson",
    PagesFormat.MARKDOWN: "application/zip",
    PagesFormat.SQLITE: "application/vnd.sqlite3",
}
SUFFIXES = {PagesFormat.JSONL: ".jsonl", PagesFormat.MARKDOWN: ".zip", PagesFormat.SQLITE: ".sqlite"}


def pages_in(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Read the lines of ``pages.jsonl``."""
    for line in lines:
        yield json.loads(line)


def zipped(pages: Iterator[dict[str, Any]], *, at: datetime) -> Iterator[bytes]:
    """Give a zip of Markdown files piece by piece, while the pages are read; ``at`` is the time that its files bear."""
    used: set[str] = set()
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:
        for page in pages:
            entry = zipfile.ZipInfo(_name_of(page["url"], used), at.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, _markdown(page))
            if sink.size_bytes >= _PIECE_BYTES:
                yield sink.take()
    yield sink.take()


def write_database(pages: Iterator[dict[str, Any]], target: Path) -> None:
    """Write the table ``pages`` to a new file."""
    with closing(sqlite3.connect(target, isolation_level=None)) as database:
        # Who is interrupted writes another file.
        for setting in ("journal_mode=OFF", "synchronous=OFF"):
            database.execute(f"PRAGMA {setting}")
        columns = ", ".join(f"{name} {'INTEGER' if name in _NUMBERS else 'TEXT'}" for name in _COLUMNS[1:])
        database.execute(f"CREATE TABLE pages (url TEXT PRIMARY KEY, {columns}, record TEXT NOT NULL)")
        marks = ", ".join("?" * (len(_COLUMNS) + 1))
        rows = ((*(page.get(name) for name in _COLUMNS), json.dumps(page, ensure_ascii=False)) for page in pages)
        database.execute("BEGIN")
        database.executemany(f"INSERT INTO pages VALUES ({marks})", rows)  # noqa: S608  # only question marks
        database.execute("COMMIT")


class _Sink(io.RawIOBase):
    """Where a zip's writer writes to; it cannot go back, so that what was written can be sent."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._parts.append(bytes(data))
        self.size_bytes += len(data)
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken = b"".join(self._parts)
        self._parts, self.size_bytes = [], 0
        return taken


def _markdown(page: dict[str, Any]) -> str:
    title = " ".join(str(page.get("title") or "").split())
    head = f"---\ntitle: {json.dumps(title, ensure_ascii=False)}\nurl: {json.dumps(page['url'])}\n---\n\n"
    return head + str(page.get("text") or "") + "\n"


def _name_of(url: str, used: set[str]) -> str:
    """Return a name for a page's file: of safe parts below the host's folder, and no other page's."""
    address = urlsplit(url)
    path = address.path + ("index" if address.path.endswith("/") or not address.path else "")
    if address.query:
        path += f"-{address.query}"
    parts = [_UNSAFE.sub("-", part)[:_MAX_PART_CHARS].strip(".") for part in [address.netloc, *path.split("/")]]
    stem = "/".join(part for part in parts if part).removesuffix(".html").removesuffix(".htm")
    # Some file systems do not tell capital letters from small ones.
    name, count = f"{stem}.md", 1
    while name.casefold() in used:
        count += 1
        name = f"{stem}-{count}.md"
    used.add(name.casefold())
    return name
