"""What the knowledge kinds are asked and what they answer. Light to import: the web process loads this module."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from tasks.core.spec import HOST_CHARS, Aging, Contract, JobSpec, Queue
from tasks.core.uploads.references import UploadRef

UPDATE, EMBED, REINDEX = "knowledge.update", "knowledge.embed", "knowledge.reindex"
ANSWER = "knowledge.answer"
KNOWLEDGE_UPDATED = "knowledge.updated"
"""A domain event: what is found on a site has changed. Its data: site, version, and what a job changed."""

MAX_DOCUMENTS = 1000
MAX_TEXT_CHARS = 2_000_000
MAX_ITEMS = 100
_TOMBSTONES_KEPT_S = 30 * 24 * 3600

MAX_SITE_CHARS = 200
Site = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_SITE_CHARS,
        pattern=f"^[{HOST_CHARS}]+$",
        description="The collection: a site's host (with its port, where its address has one), or a name of your own, "
        "in lower case.",
    ),
]
DocumentId = Annotated[str, Field(min_length=1, max_length=500, description="Yours; a page's is its address.")]
Question = Annotated[str, Field(min_length=1, max_length=1000)]
JobId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
Count = Annotated[int, Field(ge=0, le=10_000_000)]


class Document(Contract):
    """One document to keep. Its text is Markdown; headings say where a part of it belongs."""

    id: DocumentId
    text: str = Field(max_length=MAX_TEXT_CHARS, description="Markdown; empty keeps the document and finds nothing.")
    url: str | None = Field(None, max_length=2048, description="Where a person reads it.")
    title: str = Field("", max_length=500)
    language: str | None = Field(None, pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})?$", description="Such as `en`.")


class UpdateRequest(Contract):
    """Keep documents of your own, or the pages of a crawl, so that they are found. One source, or only deletes."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"site": "handbook", "documents": [{"id": "holidays", "text": "# Holidays\n\nThirty days a year."}]}
            ]
        }
    )

    site: Site | None = Field(None, description="Required but for a crawl, whose host it is by default.")
    documents: tuple[Document, ...] = Field((), max_length=MAX_DOCUMENTS)
    file: UploadRef | None = Field(None, description="Documents as JSON Lines, one `Document` a line.")
    crawl_job_id: JobId | None = Field(None, description="Pages of this `crawling.site` job, which has succeeded.")
    delete: tuple[DocumentId, ...] = Field((), max_length=10_000, description="Documents that are to go.")
    replace: bool = Field(
        False,
        description="These are all of your documents, or of the site's pages; others of that sort are to go. "
        "By a crawl that was cut short, had a list of addresses, or mostly failed, only with `force`.",
    )
    force: bool = Field(
        False,
        description="Cut and embed anew what is unchanged, too; take an older crawl; replace by a partial one.",
    )
    erase: bool = Field(
        False, description="Let the whole site go: pages, tombstones, vectors. Alone, but for the name of the site."
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        sources = [bool(self.documents), self.file is not None, self.crawl_job_id is not None]
        if self.erase:
            if any(sources) or self.delete or self.replace or self.force or self.site is None:
                raise ValueError("erase takes a site and nothing else")
            return self
        if sum(sources) > 1 or not (any(sources) or self.delete):
            raise ValueError("name one of documents, file and crawl_job_id, or only what to delete")
        if self.replace and not any(sources):
            raise ValueError("replace needs documents, a file or a crawl")
        if self.site is None and self.crawl_job_id is None:
            raise ValueError("site is required, except with crawl_job_id")
        ids = [one.id for one in self.documents]
        if len(set(ids)) < len(ids) or set(ids) & set(self.delete):
            raise ValueError("an id may come once")
        return self


class UpdateResult(Contract):
    """What has changed."""

    site: str
    version: Count = Field(description="Grows with each change of the site.")
    model: str = Field(description="What made the vectors.")
    added: Count
    changed: Count
    unchanged: Count
    deleted: Count
    missed: Count = Field(0, description="Pages that this crawl did not find; they go when the next one does not, too.")
    chunks: Count = Field(description="Chunks that were cut and embedded.")
    is_flagged: bool = Field(False, description="Over half of the crawl's pages failed: nothing counted as missed.")


class EmbedItem(Contract):
    """A text, and what to call it in the answer."""

    content: str = Field(min_length=1, max_length=8000)
    hash: str | None = Field(None, max_length=128)
    chunk_index: int | None = Field(None, ge=0, le=1_000_000)
    document_id: DocumentId | None = None


class EmbedRequest(Contract):
    """Make vectors of texts, by the model of these settings."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [{"content": "How long is a holiday?"}]}]})

    items: tuple[EmbedItem, ...] = Field(min_length=1, max_length=MAX_ITEMS)
    model: str | None = Field(None, max_length=100, description="Refused where the worker's is another.")


class Embedded(Contract):
    """One vector."""

    hash: str | None
    chunk_index: int | None
    document_id: str | None
    vector: str = Field(description="Base64 of little-endian 32-bit floats, of length 1.")


class EmbedResult(Contract):
    """The vectors, in the order of the items."""

    model: str
    dimensions: Count
    vectors: tuple[Embedded, ...]


class ReindexMode(StrEnum):
    """How much is made anew."""

    DELTA = "delta"
    """What the present model and recipe have not made yet."""
    FULL = "full"
    """Everything."""


class ReindexRequest(Contract):
    """Make a site's index with the present model. What was there is searched until all of the new is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"site": "handbook", "mode": "delta"}]})

    site: Site
    mode: ReindexMode = ReindexMode.DELTA


class ReindexResult(Contract):
    """What was made."""

    site: str
    version: Count
    model: str
    previous_model: str
    pages: Count = Field(description="Pages that were cut anew.")
    chunks: Count = Field(description="Chunks that were embedded.")


class AnswerRequest(Contract):
    """Answer a question from a site, each sentence with its source."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"site": "handbook", "question": "How long is a holiday?"}]}
    )

    site: Site
    question: Question
    session_id: str | None = Field(None, max_length=200, description="Yours; it comes back with the answer.")
    max_sentences: int = Field(3, ge=1, le=10)
    least_confidence: float = Field(0.2, ge=0, le=1, description="Below it nothing is answered.")
    written: bool | None = Field(
        None, description="Whether a model writes the answer. Null: where the settings name one (`knowledge_writer`)."
    )


class Citation(Contract):
    """A sentence, and where it stands; a written one: where the passage stands that it rests on."""

    sentence: str
    document_id: str
    url: str | None
    title: str
    heading: str
    start: Count = Field(description="In the document's text, in characters.")
    end: Count


class AnswerResult(Contract):
    """The answer, each sentence of which is cited."""

    question: str
    session_id: str | None
    answer: str | None = Field(description="Null where nothing answers well enough.")
    confidence: float = Field(ge=0, le=1)
    citations: tuple[Citation, ...]
    model: str
    version: Count
    writer: str | None = Field(None, description="The model that wrote the answer; null where it is the site's own.")
    left_out: Count = Field(0, description="Sentences that the model wrote without a source: they are not told.")
    failed: tuple[str, ...] = Field((), description="Retrievers that could not help: `vector: <why>`.")


_TOMBSTONES = Aging(
    name="knowledge_tombstones", table="knowledge_pages", key="id", time="gone_at", keep_s=_TOMBSTONES_KEPT_S
)

SPECS = (
    JobSpec(
        kind=UPDATE,
        queue=Queue.AI,
        request=UpdateRequest,
        result=UpdateResult,
        summary="Keep documents, or a crawl's pages, so that they are found; only what changed is embedded.",
        soft_limit_s=7200,
        hard_limit_s=7260,
        silence_s=600,
        aging=(_TOMBSTONES,),
        example={"site": "handbook", "documents": [{"id": "holidays", "text": "# Holidays\n\nThirty days a year."}]},
    ),
    JobSpec(
        kind=EMBED,
        queue=Queue.AI,
        request=EmbedRequest,
        result=EmbedResult,
        summary="Make vectors of texts, by the model of the settings.",
        soft_limit_s=120,
        hard_limit_s=150,
        max_result_bytes=1024 * 1024,
        example={"items": [{"content": "How long is a holiday?"}]},
    ),
    JobSpec(
        kind=REINDEX,
        queue=Queue.AI,
        request=ReindexRequest,
        result=ReindexResult,
        summary="Make a site's index with the present model, while the old one is still searched.",
        soft_limit_s=14_400,
        hard_limit_s=14_460,
        silence_s=600,
        example={"site": "handbook", "mode": "delta"},
    ),
    JobSpec(
        kind=ANSWER,
        queue=Queue.AI,
        request=AnswerRequest,
        result=AnswerResult,
        summary="Answer a question in a site's own sentences, or a model's, each with its source.",
        # Three answers of a slow endpoint of vectors, and then a model that writes.
        soft_limit_s=90,
        hard_limit_s=120,
        example={"site": "handbook", "question": "How long is a holiday?"},
    ),
)
