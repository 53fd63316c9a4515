"""Pages taken in: new, changed, gone. Each call is one transaction of a job that still owns what it writes."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.core.clock import now
from tasks.core.errors import InputRejected
from tasks.knowledge.records import Crawl, Model, OpenSite, Origin, PageWrite, Source, Written
from tasks.knowledge.store.sites import JobTransactions, within_bounds
from tasks.knowledge.store.tables import chunks, embeddings, pages, sites

MISSES_ALLOWED = 1
"""A crawled page that one more crawl does not find goes."""

# Pages of one statement, and of one transaction that lets them go: no database takes any number of values, and nobody
# is to wait for the ledger.
_AT_A_TIME = 500


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
        hashes = [hash_of(key) for key in keys]
        return sum(self._bury(site, pages.c.key_hash.in_(some)) for some in _slices(hashes))

    def remove_unseen(self, site: OpenSite, source: Source) -> int:
        """See ``records.Keeper``."""
        return self._bury(site, (pages.c.origin == source.origin) & (pages.c.seen_by != source.id))

    def _bury(self, site: OpenSite, which: sa.ColumnElement[bool]) -> int:
        """Let these pages go, so many in a transaction; return how many."""
        wanted = sa.select(pages.c.id).where(_within_turn(site), which).order_by(pages.c.id).limit(_AT_A_TIME)
        count = 0
        while True:
            self.checkpoint()
            with self.on_site(site) as change:
                found = change.connection.execute(wanted).scalars().all()
                ids = within_bounds(change.connection, found)
                change.connection.execute(chunks.delete().where(chunks.c.page_id.in_(ids)))
                gone = pages.update().where(pages.c.id.in_(ids))
                change.connection.execute(gone.values(gone_at=now(), text="", hash="", turn=site.turn))
                change.is_changed = bool(ids)
            count += len(ids)
            if len(ids) == len(found) < _AT_A_TIME:
                return count

    def note_crawl(self, site: OpenSite, crawl: Crawl, *, force: bool) -> None:
        """See ``records.Keeper``."""
        with self.on_site(site) as change:
            row = change.connection.execute(sites.select().where(sites.c.id == site.id)).one()
            if not force and row.crawled_at is not None and row.crawled_at > crawl.finished_at:
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
        unseen = (pages.c.origin == Origin.CRAWL) & (pages.c.seen_by != crawl.job_id)
        spared = frozenset(map(hash_of, crawl.failed or ()))
        went = self._bury_of(site, unseen, frozenset(map(hash_of, crawl.gone)))
        with self.on_site(site) as change:
            columns = (pages.c.id, pages.c.key_hash, pages.c.missed_by)
            rows = change.connection.execute(sa.select(*columns).where(_within_turn(site), unseen)).all()
            # The same crawl, taken in twice, is one miss.
            missed = {row.id for row in rows if row.missed_by == crawl.job_id}
            if crawl.tells_misses:
                counted = [row.id for row in rows if row.id not in missed and row.key_hash not in spared]
                missed.update(counted)
                for some in _slices(counted):
                    again = pages.update().where(pages.c.id.in_(some))
                    change.connection.execute(again.values(misses=pages.c.misses + 1, missed_by=crawl.job_id))
        if not crawl.tells_misses:
            return len(missed), went
        lost = self._bury(site, unseen & (pages.c.missed_by == crawl.job_id) & (pages.c.misses > MISSES_ALLOWED))
        return len(missed) - lost, went + lost

    def _bury_of(self, site: OpenSite, which: sa.ColumnElement[bool], hashes: Collection[str]) -> int:
        return sum(self._bury(site, which & pages.c.key_hash.in_(some)) for some in _slices(list(hashes)))


def _within_turn(site: OpenSite) -> sa.ColumnElement[bool]:
    """Return the pages that are there, and that no update had which began later."""
    return (pages.c.site_id == site.id) & pages.c.gone_at.is_(None) & (pages.c.turn <= site.turn)


def _slices(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[at : at + _AT_A_TIME] for at in range(0, len(values), _AT_A_TIME))


def hash_of(key: str) -> str:
    """Return what a page is looked up by."""
    return hashlib.sha256(key.encode()).hexdigest()


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
        names = ("id", "key_hash", "hash", "recipe", "gone_at", "turn")  # a text may be of megabytes
        there = sa.select(*(pages.c[name] for name in names)).where(
            pages.c.site_id == self._site.id, pages.c.key_hash.in_(list(hashes.values()))
        )
        known = {row.key_hash: row for row in self._connection.execute(there)}
        same: list[int] = []
        to_cut: list[str] = []
        cut: list[tuple[int, PageWrite]] = []
        added = passed = 0
        for page in found:
            row = known.get(hashes[page.key])
            if row is not None and row.turn > self._site.turn:
                passed += 1
            elif row is not None and not force and self._is_same(row, page):
                same.append(row.id)
            elif page.chunks is None:
                to_cut.append(page.key)
            else:
                added += row is None or row.gone_at is not None
                cut.append((self._put(row, page, hashes[page.key]), page))
        self._see(same)
        count = write_chunks(self._connection, self._site, self._site.model, cut)
        return Written(added, len(cut) - added, len(same) + passed, count, tuple(to_cut))

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
        return {"seen_by": self._source.id, "misses": 0, "missed_by": None, "turn": self._site.turn}


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
