"""What a search reads, whoever keeps it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tasks.knowledge.records import Model


@dataclass(frozen=True, slots=True)
class Standing:
    """A site as it is now."""

    site_id: str
    version: int
    model: Model


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A chunk as an index wants it."""

    chunk_id: int
    page_id: int
    words: bytes
    length: int
    vector: bytes


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk as a person reads it: ``text`` is ``begin`` to ``end`` of its page's text."""

    id: int
    begin: int
    end: int
    heading: str
    text: str
    key: str
    url: str | None
    title: str
    language: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Filters:
    """Which pages count; all that is given must hold."""

    url_prefix: str | None = None
    language: str | None = None
    document_ids: tuple[str, ...] = ()
    updated_after: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every page counts."""
        return self == Filters()


class Library(Protocol):
    """Where chunks are kept.

    Raises (each): ``LedgerUnavailable`` when nothing can be read.
    """

    def standing(self, tenant_id: str, site: str) -> Standing | None:
        """Return how the tenant's site stands; None where there is none."""

    def survey(self, site_id: str) -> tuple[Standing, list[int]] | None:
        """Return how the site stands and the ids of all its chunks, in order; None where it is gone."""

    def rows(self, site_id: str, model: Model, ids: Sequence[int]) -> Iterator[IndexRow]:
        """Give these chunks, in order; those that are gone, or that the model has not embedded, are left out."""

    def passages(self, site_id: str, ids: Sequence[int]) -> dict[int, Passage]:
        """Return the texts of these chunks, by id; those that are gone are left out."""

    def pages_like(self, site_id: str, filters: Filters) -> list[int]:
        """Return the ids of the pages that count."""
