"""Where pages come from: a request's documents, a file of them, a crawl's pages."""

import json
from collections.abc import Iterator
from typing import BinaryIO

from pydantic import ValidationError

from tasks.core.errors import InputRejected
from tasks.core.storable import storable
from tasks.knowledge.contract import MAX_TEXT_CHARS, Document
from tasks.knowledge.engine.indexing import content_hash
from tasks.knowledge.records import PageWrite

_MAX_LINE_BYTES = 32 * 1024 * 1024


def page_of(document: Document) -> PageWrite:
    """Return the page to keep for a document."""
    return _page(document.id, document.url, title=document.title, text=document.text, language=document.language)


def documents_in(stream: BinaryIO) -> Iterator[PageWrite]:
    """Read documents as JSON Lines.

    Raises:
        InputRejected: a line is none; its number is named.
    """
    for number, line in _lines(stream):
        try:
            yield page_of(Document.model_validate_json(line))
        except ValidationError as exc:
            where = ".".join(str(part) for part in exc.errors()[0]["loc"])
            raise InputRejected(
                f"Line {number} is no document: {where or 'the line'}: {exc.errors()[0]['msg']}.", field="file"
            ) from exc


def crawled_in(stream: BinaryIO) -> Iterator[PageWrite]:
    """Read a crawl's ``pages.jsonl``; a page is known by its canonical address."""
    for _, line in _lines(stream):
        page = json.loads(line)
        language = page.get("language")
        yield _page(
            page["url"],
            page["url"],
            title=page.get("title") or "",
            text=page.get("text") or "",
            language=(language[:12] or None) if isinstance(language, str) else None,
            # What only tells another time of day, or is spelled with other blanks, has not changed.
            words=page.get("content_hash") or None,
        )


def _page(
    key: str, url: str | None, *, title: str, text: str, language: str | None, words: str | None = None
) -> PageWrite:
    # Without NULs, not with a sign for each: that is how the hashes of the pages that are kept were made.
    key, text, title = (storable(one, nul="") for one in (key, text, title))
    text, title = text[:MAX_TEXT_CHARS], title[:500]
    return PageWrite(key, url, title, language, text, content_hash(title, words or text, language), None)


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := stream.readline(_MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > _MAX_LINE_BYTES:
            raise InputRejected(f"Line {number} is longer than {_MAX_LINE_BYTES} bytes.", field="file")
        if line.strip():
            yield number, line
