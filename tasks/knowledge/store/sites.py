"""Sites: found, made and locked, on behalf of a job that still owns what it writes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.core.clock import now
from tasks.core.domain_events import Emission
from tasks.core.errors import JobSuperseded, Permanent, Transient
from tasks.core.ids import new_id
from tasks.core.ledger import Ledger
from tasks.core.ledger.database import insert_if_new
from tasks.core.ledger.outbox import write_event
from tasks.core.ledger.schema import jobs
from tasks.core.records import JobState
from tasks.knowledge.contract import KNOWLEDGE_UPDATED
from tasks.knowledge.records import Model, OpenSite, unknown_site
from tasks.knowledge.store.tables import chunks, pages, sites

# Pages, and chunks of them, that one transaction deletes: nobody is to wait for the ledger. One page always goes whole.
_PAGES_AT_A_TIME, _CHUNKS_AT_A_TIME = 500, 10_000


@dataclass(frozen=True, slots=True)
class JobTransactions:
    """Write transactions of one attempt of a job.

    Args:
        checkpoint: the job's, called before each transaction of what takes many.
    """

    ledger: Ledger
    job_id: str
    fence: int
    checkpoint: Callable[[], None]

    @contextmanager
    def begin(self) -> Iterator[tuple[Connection, str]]:
        """Open one, and give the tenant, too; the job stays this attempt's until its end.

        Raises:
            JobSuperseded: another claim owns the job, or it has ended.
        """
        owned = sa.select(jobs.c.tenant_id).where(
            jobs.c.id == self.job_id, jobs.c.state == JobState.RUNNING, jobs.c.fence == self.fence
        )
        with self.ledger.write() as connection:
            tenant_id: str | None = connection.execute(owned.with_for_update()).scalar_one_or_none()
            if tenant_id is None:
                raise JobSuperseded
            yield connection, tenant_id

    @contextmanager
    def on_site(self, site: OpenSite, *, model: Model | None = None) -> Iterator["SiteChange"]:
        """Open one that has the site to itself; its version grows where the change says so.

        Raises:
            Permanent: the site was erased meanwhile (``site_erased``).
            Transient: the site's model is not ``model`` any more.
            JobSuperseded: as ``begin``.
        """
        with self.begin() as (connection, tenant_id):
            row = connection.execute(sites.select().where(sites.c.id == site.id).with_for_update()).one_or_none()
            if row is None:
                raise erased_meanwhile(site.site)
            if model is not None and model != Model(row.model, row.dimensions):
                raise Transient(
                    f"The model of {site.site} has become {row.model} with {row.dimensions} numbers meanwhile.",
                    code="model_changed",
                )
            change = SiteChange(connection, tenant_id, site, row.version)
            yield change
            change.settle(self.job_id)

    def open_site(self, site: str, model: Model, *, known_as: str | None = None) -> OpenSite:
        """See ``records.Keeper``."""
        with self.begin() as (connection, tenant_id):
            named = (sites.c.tenant_id == tenant_id) & (sites.c.site == site)
            begun = sites.update().where(named).values(turn=sites.c.turn + 1).returning(*sites.c)
            row = None
            # Between the two statements another job may erase it.
            while row is None:
                if known_as is None:
                    self._make(connection, tenant_id, site, model)
                row = connection.execute(begun).one_or_none()
                if known_as is not None and (row is None or row.id != known_as):
                    raise erased_meanwhile(site)
            return _open(row)

    def _make(self, connection: Connection, tenant_id: str, site: str, model: Model) -> None:
        at = now()
        insert_if_new(
            connection,
            sites,
            id=new_id(),
            tenant_id=tenant_id,
            site=site,
            version=0,
            model=model.name,
            dimensions=model.dimensions,
            created_at=at,
            updated_at=at,
        )

    def find_whole(self, name: str) -> tuple[OpenSite, int]:
        """See ``records.Keeper``."""
        with self.begin() as (connection, tenant_id):
            named = sites.select().where(sites.c.tenant_id == tenant_id, sites.c.site == name)
            row = connection.execute(named).one_or_none()
            if row is None:
                raise unknown_site(name)
            there = (pages.c.site_id == row.id) & pages.c.gone_at.is_(None)
            count = connection.execute(sa.select(sa.func.count()).select_from(pages).where(there)).scalar_one()
        return _open(row), count

    def empty(self, site: OpenSite) -> int:
        """See ``records.Keeper``."""
        some = sa.select(pages.c.id).where(pages.c.site_id == site.id).order_by(pages.c.id).limit(_PAGES_AT_A_TIME)
        while True:
            self.checkpoint()
            with self.on_site(site) as change:
                ids = within_bounds(change.connection, change.connection.execute(some).scalars().all())
                # Chunks and vectors go with their pages.
                change.connection.execute(pages.delete().where(pages.c.id.in_(ids)))
                change.is_changed = bool(ids)
            if not ids:
                return change.version

    def drop(self, site: OpenSite) -> bool:
        """See ``records.Keeper``."""
        with self.on_site(site) as change:
            if change.connection.execute(sa.select(pages.c.id).where(pages.c.site_id == site.id).limit(1)).first():
                return False
            change.connection.execute(sites.delete().where(sites.c.id == site.id))
            change.is_changed = True
        return True


@dataclass(slots=True)
class SiteChange:
    """One transaction's work on a site."""

    connection: Connection
    tenant_id: str
    site: OpenSite
    version: int
    is_changed: bool = False

    def settle(self, job_id: str) -> None:
        """Let the version grow where something has changed, and tell of it: the job may never come to its end."""
        if not self.is_changed:
            return
        self.version += 1
        values = {"version": self.version, "updated_at": now()}
        self.connection.execute(sites.update().where(sites.c.id == self.site.id).values(**values))
        data = {"site": self.site.site, "version": self.version, "job_id": job_id}
        write_event(self.connection, self.tenant_id, Emission(KNOWLEDGE_UPDATED, data), job_id=job_id)


def erased_meanwhile(site: str) -> Permanent:
    """Make the error for a site that somebody erased under a job: another try would undo that."""
    return Permanent(
        f"The site {site} was erased while this job worked on it, with what it had done. To have the site again, "
        "submit an update again.",
        code="site_erased",
    )


def within_bounds(connection: Connection, page_ids: Sequence[int]) -> Sequence[int]:
    """Return the first of these pages: as many as one transaction may delete with their chunks, or let go of them."""
    counted = sa.select(chunks.c.page_id, sa.func.count().label("size")).where(chunks.c.page_id.in_(page_ids))
    counts = {row.page_id: row.size for row in connection.execute(counted.group_by(chunks.c.page_id))}
    total = 0
    for place, page_id in enumerate(page_ids):
        total += counts.get(page_id, 0)
        if total > _CHUNKS_AT_A_TIME:
            return page_ids[: max(place, 1)]
    return page_ids


def _open(row: Row[Any]) -> OpenSite:
    return OpenSite(row.id, row.site, row.version, Model(row.model, row.dimensions), row.turn)
