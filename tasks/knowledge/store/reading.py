"""What a search reads: chunks as an index wants them, the texts of those that were found, and how sites stand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tasks.core.ledger import Ledger
from tasks.core.ledger.schema import jobs
from tasks.knowledge.records import Model
from tasks.knowledge.search.passages import Filters, IndexRow, Passage, Standing
from tasks.knowledge.store.tables import chunks, embeddings, made_by, pages, sites

_AT_A_TIME = 2000


@dataclass(frozen=True, slots=True)
class SiteStanding:
    """How a site stands, for its status."""

    site: str
    version: int
    model: Model
    pages: int
    tombstones: int
    chunks: int
    without_vector: int
    created_at: datetime
    updated_at: datetime
    crawl_job_id: str | None
    crawled_at: datetime | None
    crawl_is_flagged: bool
    revisit: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class LedgerLibrary:
    """Implements ``tasks.knowledge.search.passages.Library``."""

    ledger: Ledger

    def standing(self, tenant_id: str, site: str) -> Standing | None:
        """See ``Library``."""
        statement = sites.select().where(sites.c.tenant_id == tenant_id, sites.c.site == site)
        with self.ledger.read() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else Standing(row.id, row.version, Model(row.model, row.dimensions))

    def survey(self, site_id: str) -> tuple[Standing, list[int]] | None:
        """See ``Library``."""
        with self.ledger.read() as connection:
            row = connection.execute(sites.select().where(sites.c.id == site_id)).one_or_none()
            if row is None:
                return None
            ids = sa.select(chunks.c.id).where(chunks.c.site_id == site_id).order_by(chunks.c.id)
            found = list(connection.execute(ids).scalars())
        return Standing(row.id, row.version, Model(row.model, row.dimensions)), found

    def rows(self, site_id: str, model: Model, ids: Sequence[int]) -> Iterator[IndexRow]:
        """See ``Library``."""
        columns = (chunks.c.id, chunks.c.page_id, chunks.c.words, chunks.c.length, embeddings.c.vector)
        made = (embeddings.c.chunk_id == chunks.c.id) & made_by(model)
        whole = sa.select(*columns).join(embeddings, made).where(chunks.c.site_id == site_id).order_by(chunks.c.id)
        for at in range(0, len(ids), _AT_A_TIME):
            wanted = set(ids[at : at + _AT_A_TIME])
            span = chunks.c.id.between(min(wanted), max(wanted))
            with self.ledger.read() as connection:
                rows = connection.execute(whole.where(span)).all()
            yield from (IndexRow(*row) for row in rows if row.id in wanted)

    def passages(self, site_id: str, ids: Sequence[int]) -> dict[int, Passage]:
        """See ``Library``."""
        text = sa.func.substr(pages.c.text, chunks.c.begin + 1, chunks.c.end - chunks.c.begin).label("text")
        statement = (
            sa.select(
                *(chunks.c.id, chunks.c.begin, chunks.c.end, chunks.c.heading, text),
                *(pages.c.key, pages.c.url, pages.c.title, pages.c.language, pages.c.updated_at),
            )
            .join(pages, pages.c.id == chunks.c.page_id)
            .where(chunks.c.site_id == site_id, chunks.c.id.in_(ids))
        )
        with self.ledger.read() as connection:
            return {row.id: Passage(**row._mapping) for row in connection.execute(statement)}

    def pages_like(self, site_id: str, filters: Filters) -> list[int]:
        """See ``Library``."""
        statement = sa.select(pages.c.id).where(pages.c.site_id == site_id, pages.c.gone_at.is_(None))
        if filters.url_prefix is not None:
            statement = statement.where(pages.c.url.startswith(filters.url_prefix, autoescape=True))
        if filters.language is not None:
            statement = statement.where(_is_of_language(filters.language))
        if filters.document_ids:
            statement = statement.where(pages.c.key.in_(filters.document_ids))
        if filters.updated_after is not None:
            statement = statement.where(pages.c.updated_at > filters.updated_after)
        with self.ledger.read() as connection:
            return list(connection.execute(statement).scalars())


def _is_of_language(range_: str) -> sa.ColumnElement[bool]:
    """Return which pages a language range names: itself and what is narrower (RFC 4647, 3.3.1, basic filtering)."""
    kept, wanted = sa.func.lower(pages.c.language), range_.lower()
    return (kept == wanted) | kept.startswith(f"{wanted}-", autoescape=True)


def standings(ledger: Ledger, tenant_id: str, *, site: str | None = None) -> list[SiteStanding]:
    """Tell how the tenant's sites stand, or one of them."""
    statement = sites.select().where(sites.c.tenant_id == tenant_id)
    if site is not None:
        statement = statement.where(sites.c.site == site)
    with ledger.read() as connection:
        return [_standing_of(connection, row) for row in connection.execute(statement.order_by(sites.c.site)).all()]


def _standing_of(connection: sa.Connection, row: sa.Row[Any]) -> SiteStanding:
    of_site = pages.c.site_id == row.id
    there, gone = connection.execute(
        sa.select(sa.func.count(), sa.func.count(pages.c.gone_at)).select_from(pages).where(of_site)
    ).one()
    of_chunks = chunks.c.site_id == row.id
    count = connection.execute(sa.select(sa.func.count()).select_from(chunks).where(of_chunks)).scalar_one()
    model = Model(row.model, row.dimensions)
    made = (embeddings.c.chunk_id == chunks.c.id) & made_by(model)
    embedded = sa.select(sa.func.count()).select_from(chunks).join(embeddings, made).where(of_chunks)
    return SiteStanding(
        site=row.site,
        version=row.version,
        model=model,
        pages=there - gone,
        tombstones=gone,
        chunks=count,
        without_vector=count - connection.execute(embedded).scalar_one(),
        created_at=row.created_at,
        updated_at=row.updated_at,
        crawl_job_id=row.crawl_job_id,
        crawled_at=row.crawled_at,
        crawl_is_flagged=bool(row.crawl_is_flagged),
        revisit=row.revisit,
    )


def tenant_of_job(ledger: Ledger, job_id: str) -> str:
    """Return whose the job is."""
    with ledger.read() as connection:
        return str(connection.execute(sa.select(jobs.c.tenant_id).where(jobs.c.id == job_id)).scalar_one())
