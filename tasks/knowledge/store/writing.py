"""Pages taken in: new, changed, gone. Each call is one transaction of a job that still owns what it writes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.core.clock import now
from tasks.core.errors import InputRejected
from tasks.knowledge.records import Crawl, Model, OpenSite, Origin, PageWrite, Source, Written
from tasks.knowledge.store.sites import JobTransactions
from tasks.knowledge.store.tables import chunks, embeddings, pages, sites

MISSES_ALLOWED = 1
"""A crawled page that one more crawl does not find goes."""


@dataclass(frozen=True, slots=True)
class PageStore(JobTransactions):
    """The part of ``records.Keeper`` that takes pages in."""

    def known(self, site: OpenSite, keys: Sequence[str], *, recipe: int) -> dict[str, str]:
        """See ``records.Keeper``."""
        statement = sa.select(pages.c.key, pages.c.hash).where(
            pages.c.site_id == site.id,
            pages.c.key_hash.in_([hash_of(key) for key in keys]),
            pages.c.recipe == recipe,
            pages.c.gone_at.is_(None),
        )
        with self.ledger.read() as connection:
            return {row.key: row.hash for row in connection.execute(statement)}

    def write(self, site: OpenSite, source: Source, pages: Sequence[PageWrite], *, recipe: int, force: bool) -> Written:
        """See ``records.Keeper``."""
        with self.on_site(site, model=site.model) as change:
            taking = _Taking(change.connection, site, source, recipe)
            written = taking.take_in(pages, force=force)
            change.is_changed = bool(written.added or written.changed)
        return written

    def remove(self, site: OpenSite, keys: Sequence[str]) -> int:
        """See ``records.Keeper``."""
        return self._bury(site, pages.c.key_hash.in_([hash_of(key) for key in keys]))

    def remove_unseen(self, site: OpenSite, source: Source) -> int:
        """See ``records.Keeper``."""
        return self._bury(site, (pages.c.origin == source.origin) & (pages.c.seen_by != source.id))

    def _bury(self, site: OpenSite, which: sa.ColumnElement[bool]) -> int:
        with self.on_site(site) as change:
            count = _bury(change.connection, (pages.c.site_id == site.id) & which)
            change.is_changed = count > 0
        return count

    def note_crawl(self, site: OpenSite, crawl: Crawl) -> None:
        """See ``records.Keeper``."""
        with self.on_site(site) as change:
            row = change.connection.execute(sites.select().where(sites.c.id == site.id)).one()
            if row.crawled_at is not None and row.crawled_at > crawl.finished_at:
                raise InputRejected(
                    f"A newer crawl of {site.site} was taken in: {row.crawl_job_id}. Say force to take this one.",
                    field="crawl_job_id",
                    code="older_crawl",
                )
            values = {
                "crawl_job_id": crawl.job_id,
                "crawled_at": crawl.finished_at,
                "crawl_is_flagged": crawl.is_mostly_failed,
                "revisit": None if crawl.revisit is None else dict(crawl.revisit),
            }
            change.connection.execute(sites.update().where(sites.c.id == site.id).values(**values))

    def miss(self, site: OpenSite, crawl: Crawl) -> tuple[int, int]:
        """See ``records.Keeper``."""
        unseen = (
            (pages.c.site_id == site.id)
            & (pages.c.origin == Origin.CRAWL)
            & (pages.c.seen_by != crawl.job_id)
            & pages.c.gone_at.is_(None)
        )
        spared = [hash_of(key) for key in crawl.failed or ()]
        gone = [hash_of(key) for key in crawl.gone]
        # The same crawl, taken in twice, is one miss.
        uncounted = pages.c.missed_by.is_distinct_from(crawl.job_id)
        with self.on_site(site) as change:
            went = _bury(change.connection, unseen & pages.c.key_hash.in_(gone))
            if crawl.tells_misses:
                counted = pages.update().where(unseen, uncounted, pages.c.key_hash.not_in(spared))
                change.connection.execute(counted.values(misses=pages.c.misses + 1, missed_by=crawl.job_id))
                went += _bury(change.connection, unseen & (pages.c.misses > MISSES_ALLOWED))
            missed = sa.select(sa.func.count()).select_from(pages).where(unseen, pages.c.missed_by == crawl.job_id)
            count = int(change.connection.execute(missed).scalar_one())
            change.is_changed = went > 0
        return count, went


def hash_of(key: str) -> str:
    """Return what a page is looked up by."""
    return hashlib.sha256(key.encode()).hexdigest()


def _bury(connection: Connection, which: sa.ColumnElement[bool]) -> int:
    there = which & pages.c.gone_at.is_(None)
    connection.execute(chunks.delete().where(chunks.c.page_id.in_(sa.select(pages.c.id).where(there))))
    return connection.execute(pages.update().where(there).values(gone_at=now(), text="", hash="")).rowcount


class _Taking:
    """Pages being taken in."""

    def __init__(self, connection: Connection, site: OpenSite, source: Source, recipe: int) -> None:
        self._connection = connection
        self._site = site
        self._source = source
        self._recipe = recipe
        self._at = now()

    def take_in(self, found: Sequence[PageWrite], *, force: bool) -> Written:
        hashes = {page.key: hash_of(page.key) for page in found}
        there = pages.select().where(pages.c.site_id == self._site.id, pages.c.key_hash.in_(list(hashes.values())))
        known = {row.key_hash: row for row in self._connection.execute(there)}
        same: list[int] = []
        cut: list[tuple[int, PageWrite]] = []
        added = 0
        for page in found:
            row = known.get(hashes[page.key])
            if row is not None and (page.chunks is None or (not force and self._is_same(row, page))):
                same.append(row.id)
                continue
            is_new = row is None or row.gone_at is not None
            added += is_new
            cut.append((self._put(row, page, hashes[page.key]), page))
        self._see(same)
        count = write_chunks(self._connection, self._site, self._site.model, cut)
        return Written(added, len(cut) - added, len(same), count)

    def _is_same(self, row: Row[Any], page: PageWrite) -> bool:
        return bool(row.hash == page.hash and row.recipe == self._recipe and row.gone_at is None)

    def _put(self, row: Row[Any] | None, page: PageWrite, key_hash: str) -> int:
        values: Mapping[str, Any] = self._seen() | {
            "origin": self._source.origin,
            "url": page.url,
            "title": page.title,
            "language": page.language,
            "text": page.text,
            "hash": page.hash,
            "recipe": self._recipe,
            "updated_at": self._at,
            "gone_at": None,
        }
        if row is None:
            identity = {"site_id": self._site.id, "key": page.key, "key_hash": key_hash}
            insert = pages.insert().values(**identity, **values).returning(pages.c.id)
            return int(self._connection.execute(insert).scalar_one())
        self._connection.execute(pages.update().where(pages.c.id == row.id).values(**values))
        return int(row.id)

    def _see(self, page_ids: Sequence[int]) -> None:
        if page_ids:
            self._connection.execute(pages.update().where(pages.c.id.in_(page_ids)).values(**self._seen()))

    def _seen(self) -> dict[str, Any]:
        return {"seen_by": self._source.id, "misses": 0, "missed_by": None}


def write_chunks(connection: Connection, site: OpenSite, model: Model, cut: Sequence[tuple[int, PageWrite]]) -> int:
    """Replace the chunks of these pages; return how many there are now."""
    if not cut:
        return 0
    connection.execute(chunks.delete().where(chunks.c.page_id.in_([page_id for page_id, _ in cut])))
    writes = [(page_id, chunk) for page_id, page in cut for chunk in page.chunks or ()]
    if not writes:
        return 0
    rows = [
        {
            "site_id": site.id,
            "page_id": page_id,
            "begin": chunk.begin,
            "end": chunk.end,
            "heading": chunk.heading,
            "words": chunk.words,
            "length": chunk.length,
        }
        for page_id, chunk in writes
    ]
    insert = chunks.insert().returning(chunks.c.id, sort_by_parameter_order=True)
    ids = connection.execute(insert, rows).scalars().all()
    made = {"model": model.name, "dimensions": model.dimensions}
    vectors = [
        {"chunk_id": chunk_id, "vector": chunk.vector, **made} for chunk_id, (_, chunk) in zip(ids, writes, strict=True)
    ]
    connection.execute(embeddings.insert(), vectors)
    return len(writes)
