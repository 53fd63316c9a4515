"""A crawl's pages as a file to keep: JSON Lines as they come, Markdown files in a zip, or a table of SQLite."""

import json
import re
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PAGES = "pages.jsonl"
_MAX_PART_CHARS = 80
_UNSAFE = re.compile(r"[^\w.-]+")
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
    """What a crawl's pages are written as."""

    JSONL = "jsonl"
    """One page a line, with every field."""
    MARKDOWN = "markdown"
    """A zip with one file a page, named after its address; title and address are its first lines."""
    SQLITE = "sqlite"
    """A database with the table ``pages``; its column ``record`` has every field as JSON."""


_OF_SUFFIX = {
    ".jsonl": PagesFormat.JSONL,
    ".ndjson": PagesFormat.JSONL,
    ".zip": PagesFormat.MARKDOWN,
    ".sqlite": PagesFormat.SQLITE,
    ".sqlite3": PagesFormat.SQLITE,
    ".db": PagesFormat.SQLITE,
}


def format_of(target: Path) -> PagesFormat:
    """Return the format that a file's name asks for.

    Raises:
        ValueError: its ending is none of ``.jsonl``, ``.zip`` and ``.sqlite``.
    """
    try:
        return _OF_SUFFIX[target.suffix.lower()]
    except KeyError:
        raise ValueError(f"{target.name} ends with none of {', '.join(_OF_SUFFIX)}") from None


def write_pages(source: Path, target: Path, form: PagesFormat) -> None:
    """Write the pages of ``source`` (``pages.jsonl``) to ``target``, which gets its name only when it is whole."""
    partial = target.with_name(f".{target.name}.part")
    partial.unlink(missing_ok=True)
    try:
        if form is PagesFormat.JSONL:
            shutil.copyfile(source, partial)
        elif form is PagesFormat.MARKDOWN:
            _write_zip(_pages_in(source), partial)
        else:
            _write_database(_pages_in(source), partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _pages_in(source: Path) -> Iterator[dict[str, Any]]:
    with source.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _write_zip(pages: Iterator[dict[str, Any]], target: Path) -> None:
    used: set[str] = set()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for page in pages:
            name = _name_of(page["url"], used)
            title = " ".join(str(page.get("title") or "").split())
            head = f"---\ntitle: {json.dumps(title, ensure_ascii=False)}\nurl: {json.dumps(page['url'])}\n---\n\n"
            archive.writestr(name, head + str(page.get("text") or "") + "\n")


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


def _write_database(pages: Iterator[dict[str, Any]], target: Path) -> None:
    with closing(sqlite3.connect(target)) as database, database:
        columns = ", ".join(f"{name} {'INTEGER' if name in {'status', 'depth'} else 'TEXT'}" for name in _COLUMNS[1:])
        database.execute(f"CREATE TABLE pages (url TEXT PRIMARY KEY, {columns}, record TEXT NOT NULL)")
        marks = ", ".join("?" * (len(_COLUMNS) + 1))
        rows = ((*(page.get(name) for name in _COLUMNS), json.dumps(page, ensure_ascii=False)) for page in pages)
        database.executemany(f"INSERT INTO pages VALUES ({marks})", rows)  # noqa: S608  # only question marks
