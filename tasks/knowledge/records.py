"""What engines and the store hand each other. Light: knows neither."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from tasks.core.errors import NotFound

NGRAMS = "ngrams"
MINILM = "minilm"
MINILM_NAME = "all-MiniLM-L6-v2"
ENDPOINT = "endpoint:"
"""Before the name of a model that an endpoint serves."""


class Origin(StrEnum):
    """Where a page came from."""

    CRAWL = "crawl"
    CALLER = "caller"


@dataclass(frozen=True, slots=True)
class Model:
    """What made vectors; those of another are never compared with them."""

    name: str
    dimensions: int


@dataclass(frozen=True, slots=True)
class ChunkWrite:
    """A chunk with what its search needs: its words (``tasks.core.text.postings``) and its vector, a byte a number."""

    begin: int
    end: int
    heading: str
    words: bytes
    length: int
    vector: bytes


@dataclass(frozen=True, slots=True)
class PageWrite:
    """A page to keep. Without chunks it is known to be unchanged, and only noted as seen."""

    key: str
    url: str | None
    title: str
    language: str | None
    text: str
    hash: str
    chunks: tuple[ChunkWrite, ...] | None


@dataclass(frozen=True, slots=True)
class Source:
    """What pages are taken from: a job's documents, or a crawl, under whose id they are seen."""

    origin: Origin
    id: str
    finished_at: datetime | None = None
    """When the crawl ended."""


@dataclass(frozen=True, slots=True)
class OpenSite:
    """A site as a job finds it."""

    id: str
    site: str
    version: int
    model: Model
    turn: int = 0
    """Grows with each update that begins: pages that one which began later has had are not touched."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write has changed."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    chunks: int = 0
    to_cut: tuple[str, ...] = ()
    """Pages that came without chunks, and are not as they were any more: they are to come again, with chunks."""


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A page to cut anew."""

    id: int
    origin: Origin
    page: PageWrite


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk to embed anew."""

    id: int
    title: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Crawl:
    """A crawl that has succeeded."""

    job_id: str
    site: str
    finished_at: datetime
    is_whole: bool
    """It ended because nothing was left, so that a page that it did not see was not to be seen."""
    is_mostly_failed: bool
    failed: frozenset[str] | None
    """Addresses that failed; None where not all are told."""
    gone: frozenset[str]
    """Those among them that are gone, says the site."""
    revisit: Mapping[str, Any] | None = None
    """How often its pages are asked for, where the crawl has noted that."""

    @property
    def tells_misses(self) -> bool:
        """Whether it says of a page that it did not see that this is missing: it was not cut short, and all failures
        are told."""
        return self.is_whole and self.failed is not None


class Keeper(Protocol):
    """The store, for one attempt of a job: every write is refused once another claim owns the job (JobSuperseded).

    Each transaction that changes what is found tells the tenant so (``knowledge.updated``). Where the site was erased
    meanwhile, every call that names it raises ``Permanent`` (``site_erased``). What takes many transactions passes the
    job's checkpoint between them.
    """

    def open_site(self, site: str, model: Model, *, known_as: str | None = None) -> OpenSite:
        """Return the site with a turn of its own, made with this model where there is none.

        Args:
            known_as: the site's id, as an earlier attempt of the job knew it.

        Raises:
            Permanent: the site that the earlier attempt knew was erased meanwhile (``site_erased``).
        """

    def known(self, site: OpenSite, keys: Sequence[str], *, recipe: int) -> dict[str, str]:
        """Return the hashes of those of these pages that are there and were cut by this recipe."""

    def write(self, site: OpenSite, source: Source, pages: Sequence[PageWrite], *, recipe: int, force: bool) -> Written:
        """Keep pages in one transaction; those that an update which began later has had stay as they are.

        Raises:
            Transient: another job has changed the site's model.
        """

    def rewrite(self, site: OpenSite, pages: Sequence[StoredPage], *, recipe: int) -> int:
        """Keep the new chunks of stored pages that have not changed meanwhile; return how many chunks."""

    def remove(self, site: OpenSite, keys: Sequence[str]) -> int:
        """Let these pages go; return how many were there."""

    def remove_unseen(self, site: OpenSite, source: Source) -> int:
        """Let the pages of this origin go that the source did not have; return how many."""

    def note_crawl(self, site: OpenSite, crawl: Crawl, *, force: bool) -> None:
        """Remember which crawl was taken in last.

        Raises:
            InputRejected: a newer one was, and ``force`` is not said.
        """

    def miss(self, site: OpenSite, crawl: Crawl) -> tuple[int, int]:
        """Let crawled pages go that are gone, says the site, and count those that the crawl misses, if it tells that.

        Returns:
            How many are missed, and how many went.
        """

    def pages_after(self, site: OpenSite, after: int, *, recipe: int | None, limit: int) -> list[StoredPage]:
        """List pages by id; with a recipe, those that were cut by another one."""

    def chunks_without(self, site: OpenSite, model: Model, *, limit: int) -> list[StoredChunk]:
        """List chunks that this model has not embedded."""

    def add_vectors(self, site: OpenSite, model: Model, vectors: Sequence[tuple[int, bytes]]) -> None:
        """Keep vectors of chunks; those of chunks that are gone meanwhile are left out."""

    def switch_model(self, site: OpenSite, model: Model) -> bool:
        """Search with this model's vectors from now on; False where a chunk has none yet."""

    def find_whole(self, name: str) -> tuple[OpenSite, int]:
        """Return a site as it stands, and how many pages it has.

        Raises:
            NotFound: the tenant has no such site.
        """

    def empty(self, site: OpenSite) -> int:
        """Let all pages of the site go, tombstones too; return the site's version then."""

    def drop(self, site: OpenSite) -> bool:
        """Let the site go; False where it has pages (again)."""

    def version(self, site: OpenSite) -> int:
        """Return the site's version now."""


def unknown_site(site: str) -> NotFound:
    """Make the error for a site that the tenant has not."""
    return NotFound(
        f"No site {site!r} is known. A site is made of a crawl (`crawling.site`, then `knowledge.update`) or of "
        "documents of yours; `GET /api/knowledge/status` names those that there are.",
        field="site",
    )
