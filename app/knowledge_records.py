"""What the paths of knowledge are asked and what they answer."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field

from app.inputs import Input, Moment, Text
from tasks.knowledge.contract import ReindexMode, Site
from tasks.knowledge.search.searching import Mode

_DocumentId = Annotated[Text, Field(min_length=1, max_length=500)]


class SearchFilters(Input):
    """Which pages count; all that is given must hold."""

    url_prefix: Annotated[Text, Field(min_length=1, max_length=2048)] | None = None
    language: Annotated[Text, Field(min_length=2, max_length=12)] | None = Field(
        None, description="A range of languages: `en` is `en-GB`, too; `en-GB` is not `en` (RFC 4647, 3.3.1)."
    )
    document_ids: tuple[_DocumentId, ...] = Field((), max_length=100)
    updated_after: Moment | None = Field(None, description="Pages that changed after this time.")


class SearchBody(Input):
    """What is looked for, and where."""

    site: Site
    query: Annotated[Text, Field(min_length=1, max_length=1000)]
    top_k: int = Field(10, ge=1, le=50)
    mode: Mode = Field(Mode.HYBRID, description="Which retrievers are asked.")
    filters: SearchFilters = SearchFilters()
    threshold: float = Field(0.0, ge=0, le=1, description="The least `score`.")
    rerank: bool = Field(False, description="Put first what has the query's words close together.")
    include_meta: bool = Field(False, description="Tell language, time of change and the chunk's number, too.")


class SearchResult(BaseModel):
    """A passage that was found."""

    score: float = Field(description="0 to 1: 1 is the first place of every retriever.")
    similarity: float | None = Field(description="Cosine of its vector and the query's; null without vectors.")
    places: dict[str, int] = Field(description="Its place in the ranking of each retriever that has it.")
    document_id: str
    url: str | None = Field(description="Where a person reads it.")
    title: str
    heading: str = Field(description="The headings above it, outermost first.")
    text: str
    start: int = Field(description="Where it begins in the document's text, in characters.")
    end: int
    highlights: list[tuple[int, int]] = Field(description="Begin and end, in `text`, of words that were asked for.")
    meta: dict[str, Any] | None = None


class FailedRetriever(BaseModel):
    """A retriever that could not help; the others answered."""

    retriever: str
    reason: str


class SearchAnswer(BaseModel):
    """What was found, best first."""

    site: str
    query: str
    version: int = Field(description="Of the site, when this was found.")
    model: str = Field(description="What made the vectors.")
    mode: Mode
    results: list[SearchResult]
    failed: list[FailedRetriever]
    is_cached: bool
    took_ms: float


class StatusQuery(Input):
    """Which site."""

    site: Site | None = Field(None, description="All if absent.")


class SiteRevisit(BaseModel):
    """How often a site's pages are asked for, from as often as they were seen to change."""

    pages: int = Field(description="Pages that are watched.")
    next_due_at: datetime | None = Field(description="When the first of them is due.")
    shortest_s: int = Field(description="Seconds between two looks at the page that changes most often.")
    median_s: int
    longest_s: int


class SiteStatus(BaseModel):
    """How a site stands."""

    site: str
    version: int = Field(description="Grows with each change of what is found.")
    model: str
    dimensions: int
    pages: int
    tombstones: int = Field(description="Pages that are gone, and still known to have been there.")
    chunks: int
    pending: int = Field(description="Chunks that the model has not embedded yet.")
    created_at: datetime
    updated_at: datetime
    crawl_job_id: str | None = Field(description="The crawl that was taken in last.")
    crawled_at: datetime | None
    revisit: SiteRevisit | None = Field(
        description="How often that crawl's pages are asked for; null where its request did not name `revisit`."
    )
    flags: list[str] = Field(
        description="`empty`; `vectors_pending`; `crawl_mostly_failed`; `other_model`: the settings name another."
    )


class SearchTimes(BaseModel):
    """How long the last searches took that this process did not answer from its cache."""

    count: int
    p50_ms: float | None
    p95_ms: float | None


class KnowledgeStatus(BaseModel):
    """What is known, and how searches go."""

    sites: list[SiteStatus]
    jobs: dict[str, dict[str, int]] = Field(description="How many jobs of each kind are in each state.")
    searches: SearchTimes


class ReindexPriority(StrEnum):
    """How soon."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class ReindexBody(Input):
    """Which site, and how much of it."""

    site: Site
    mode: ReindexMode = Field(ReindexMode.DELTA, description="`full`: everything; `delta`: what is not up to date.")
    priority: ReindexPriority = ReindexPriority.NORMAL
