"""Pages as what is kept of them: chunks with their words and vectors."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tasks.core.text.postings import packed_counts
from tasks.core.text.words import stems
from tasks.knowledge.engine.chunking import Chunk, chunks_of
from tasks.knowledge.engine.embedding import Embedder
from tasks.knowledge.records import ChunkWrite, PageWrite

# A word of the headings above a chunk says more of it than one in its midst.
_OF_HEADING = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk's text with what stands above it."""

    title: str
    heading: str
    text: str

    @property
    def stems(self) -> list[str]:
        """What it is found by, the words of headings twice."""
        above = f"{self.title}\n{self.heading}" if self.title not in self.heading else self.heading
        return [*stems(self.text), *(list(stems(above)) * _OF_HEADING)]

    @property
    def whole(self) -> str:
        """What a model reads of it."""
        return "\n".join(part for part in (self.title, self.heading, self.text) if part)


def with_chunks(pages: Sequence[PageWrite], embedder: Embedder) -> list[PageWrite]:
    """Return these pages cut into chunks, which are embedded."""
    cut = [(page, chunk, _piece(page, chunk)) for page in pages for chunk in chunks_of(page.text)]
    vectors = embedder.embed([piece for _, _, piece in cut])
    made: dict[str, list[ChunkWrite]] = {page.key: [] for page in pages}
    for (page, chunk, piece), vector in zip(cut, vectors, strict=True):
        words, length = packed_counts(piece.stems)
        made[page.key].append(ChunkWrite(chunk.start, chunk.end, chunk.heading, words, length, vector))
    return [replace(page, chunks=tuple(made[page.key])) for page in pages]


def _piece(page: PageWrite, chunk: Chunk) -> Piece:
    return Piece(page.title, chunk.heading, page.text[chunk.start : chunk.end])


def content_hash(title: str, text: str, language: str | None) -> str:
    """Return what tells whether a page has changed."""
    return hashlib.sha256("\0".join((title, language or "", text)).encode()).hexdigest()


def in_batches(pages: Iterator[PageWrite], *, most: int, most_chars: int) -> Iterator[list[PageWrite]]:
    """Give pages in lists of at most so many, and of about so many characters."""
    batch: list[PageWrite] = []
    size = 0
    for page in pages:
        if batch and (len(batch) == most or size + len(page.text) > most_chars):
            yield batch
            batch, size = [], 0
        batch.append(page)
        size += len(page.text)
    if batch:
        yield batch
