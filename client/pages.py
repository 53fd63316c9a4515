"""What a crawl's pages are kept as: the server makes the file."""

from pathlib import Path
from typing import Literal

PAGES = "pages.jsonl"
PagesFormat = Literal["jsonl", "markdown", "sqlite"]
"""One page a line; a zip with a Markdown file a page; a database of SQLite with the table ``pages``."""

SUFFIXES: dict[PagesFormat, str] = {"jsonl": ".jsonl", "markdown": ".zip", "sqlite": ".sqlite"}
_OF_SUFFIX: dict[str, PagesFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".zip": "markdown",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".db": "sqlite",
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
