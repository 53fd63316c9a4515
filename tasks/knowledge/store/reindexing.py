"""An index made anew beside the one that is searched, then put in its place in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from tasks.knowledge.records import Model, OpenSite, Origin, PageWrite, StoredChunk, StoredPage
from tasks.knowledge.store.sites import erased_meanwhile
from tasks.knowledge.store.tables import chunks, embeddings, made_by, pages, sites
from tasks.knowledge.store.writing import PageStore, write_chunks

# Vectors of another model that one transaction deletes.
_AT_A_TIME = 2000


@dataclass(frozen=True, slots=True)
class JobKeeper(PageStore):
    """Implements ``records.Keeper``."""

    def pages_after(self, site: OpenSite, after: int, *, recipe: int | None, limit: int) -> list[StoredPage]:
        """See ``records.Keeper``."""
        statement = pages.select().where(pages.c.site_id == site.id, pages.c.id > after, pages.c.gone_at.is_(None))
        if recipe is not None:
            statement = statement.where(pages.c.recipe != recipe)
        with self.ledger.read() as connection:
            return [_stored(row) for row in connection.execute(statement.order_by(pages.c.id).limit(limit))]

    def rewrite(self, site: OpenSite, found: Sequence[StoredPage], *, recipe: int) -> int:
        """See ``records.Keeper``."""
        hashes = {one.id: one.page.hash for one in found}
        with self.on_site(site, model=site.model) as change:
            there = sa.select(pages.c.id, pages.c.hash).where(pages.c.id.in_(hashes), pages.c.gone_at.is_(None))
            same = {row.id for row in change.connection.execute(there) if hashes[row.id] == row.hash}
            cut = [(one.id, one.page) for one in found if one.id in same]
            count = write_chunks(change.connection, site, site.model, cut)
            change.connection.execute(pages.update().where(pages.c.id.in_(same)).values(recipe=recipe))
            change.is_changed = bool(cut)
        return count

    def chunks_without(self, site: OpenSite, model: Model, *, limit: int) -> list[StoredChunk]:
        """See ``records.Keeper``."""
        statement = (
            sa.select(
                chunks.c.id,
                chunks.c.heading,
                pages.c.title,
                sa.func.substr(pages.c.text, chunks.c.begin + 1, chunks.c.end - chunks.c.begin).label("text"),
            )
            .join(pages, pages.c.id == chunks.c.page_id)
            .where(chunks.c.site_id == site.id, ~_has_vector(model))
        )
        with self.ledger.read() as connection:
            rows = connection.execute(statement.order_by(chunks.c.id).limit(limit)).all()
        return [StoredChunk(row.id, row.title, row.heading, row.text) for row in rows]

    def add_vectors(self, site: OpenSite, model: Model, vectors: Sequence[tuple[int, bytes]]) -> None:
        """See ``records.Keeper``."""
        by_id = dict(vectors)
        made = {"model": model.name, "dimensions": model.dimensions}
        with self.on_site(site) as change:
            wanting = sa.select(chunks.c.id).where(chunks.c.id.in_(by_id), ~_has_vector(model))
            ids = change.connection.execute(wanting).scalars().all()
            if ids:
                rows = [{"chunk_id": id_, "vector": by_id[id_], **made} for id_ in ids]
                change.connection.execute(embeddings.insert(), rows)

    def switch_model(self, site: OpenSite, model: Model) -> bool:
        """See ``records.Keeper``."""
        lacking = sa.select(chunks.c.id).where(chunks.c.site_id == site.id, ~_has_vector(model)).limit(1)
        with self.on_site(site) as change:
            if change.connection.execute(lacking).first() is not None:
                return False
            values = {"model": model.name, "dimensions": model.dimensions}
            change.connection.execute(sites.update().where(sites.c.id == site.id).values(**values))
            change.is_changed = True
        self._drop_others(site, model)
        return True

    def _drop_others(self, site: OpenSite, model: Model) -> None:
        others = (
            sa.select(embeddings.c.chunk_id)
            .join(chunks, chunks.c.id == embeddings.c.chunk_id)
            .where(chunks.c.site_id == site.id, ~made_by(model))
            .limit(_AT_A_TIME)
        )
        while True:
            self.checkpoint()
            with self.on_site(site, model=model) as change:
                ids = change.connection.execute(others).scalars().all()
                which = embeddings.c.chunk_id.in_(ids) & ~made_by(model)
                change.connection.execute(embeddings.delete().where(which))
            if len(ids) < _AT_A_TIME:
                return

    def version(self, site: OpenSite) -> int:
        """See ``records.Keeper``."""
        with self.ledger.read() as connection:
            found = connection.execute(sa.select(sites.c.version).where(sites.c.id == site.id)).scalar_one_or_none()
        if found is None:
            raise erased_meanwhile(site.site)
        return int(found)


def _has_vector(model: Model) -> sa.ColumnElement[bool]:
    return sa.exists().where(embeddings.c.chunk_id == chunks.c.id, made_by(model))


def _stored(row: Row[Any]) -> StoredPage:
    page = PageWrite(row.key, row.url, row.title, row.language, row.text, row.hash, None)
    return StoredPage(row.id, Origin(row.origin), page)
