"""The pages kept so far, one JSON object a line, written as they come."""

from pathlib import Path
from types import TracebackType
from typing import Self

from tasks.crawling.contract import PAGES_NAME, CrawledPage


class PagesFile:
    """Owns ``pages.jsonl`` in the attempt's folder; use as ``with``. Refuses a page that it holds already."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / PAGES_NAME
        self._stream = self.path.open("wb")
        self._identities: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def add(self, page: CrawledPage) -> bool:
        """Append the page; False where one with the same text and the same canonical address is there.

        The text counts too because many sites name their home page as the canonical address of every page.
        """
        identity = (page.canonical or page.url, page.hash)
        if identity in self._identities:
            return False
        self._identities.add(identity)
        self._stream.write(page.model_dump_json().encode() + b"\n")
        return True
