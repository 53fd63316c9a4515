"""The pages kept so far, one JSON object a line, written as they come."""

import hashlib
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tasks.crawling.contract import PAGES_NAME
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.records import CrawledPage

_BLOCK_BYTES = 1 << 20


class PagesFile:
    """One file of each attempt, of which the state knows how much counts; use as ``with``.

    An attempt appends to its own file only, so that one that was superseded spoils nothing.
    """

    def __init__(self, state: CrawlState) -> None:
        self._state = state
        self._resources = ExitStack()
        self._size_bytes = 0

    def __enter__(self) -> Self:
        self._stream = self._resources.enter_context(self._state.pages_path(self._state.fence).open("wb"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def is_new(self, page: CrawledPage) -> bool:
        """Note the page; False where one with the same text and the same canonical address was noted.

        The text counts too because many sites name their home page as the canonical address of every page.
        """
        identity = hashlib.sha256(f"{page.canonical or page.url}\n{page.hash}".encode()).digest()
        with self._state.writing() as db:
            return db.execute("INSERT OR IGNORE INTO pages VALUES (?)", (identity,)).rowcount == 1

    def append(self, page: CrawledPage) -> None:
        """Write the page; it counts once the transaction around this does."""
        line = page.model_dump_json().encode() + b"\n"
        self._stream.write(line)
        # A kill takes what is not with the system yet, and the state would count it.
        self._stream.flush()
        self._size_bytes += len(line)
        with self._state.writing() as db:
            db.execute("INSERT OR REPLACE INTO files VALUES (?, ?)", (self._state.fence, self._size_bytes))

    def whole(self, folder: Path) -> Path:
        """Return a file of all pages: this attempt's own where there was no other, else a new one in ``folder``."""
        self._stream.flush()
        files = self._state.pages_files()
        if [fence for fence, _ in files] in ([], [self._state.fence]):
            return self._state.pages_path(self._state.fence)
        path = folder / PAGES_NAME
        with path.open("wb") as out:
            for fence, size_bytes in files:
                _copy_start(self._state.pages_path(fence), out, size_bytes)
        return path


def _copy_start(source: Path, out: BinaryIO, size_bytes: int) -> None:
    # An attempt that was superseded may have written on: what comes after is its own affair.
    with source.open("rb") as file:
        while size_bytes > 0:
            size_bytes -= out.write(file.read(min(size_bytes, _BLOCK_BYTES)))
