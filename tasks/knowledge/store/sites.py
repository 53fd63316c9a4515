"""Sites: found, made and locked, on behalf of a job that still owns what it writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.clock import now
from tasks.core.domain_events import Emission
from tasks.core.errors import JobSuperseded, Transient
from tasks.core.ids import new_id
from tasks.core.ledger import Ledger
from tasks.core.ledger.database import insert_if_new
from tasks.core.ledger.outbox import write_event
from tasks.core.ledger.schema import jobs
from tasks.core.records import JobState
from tasks.knowledge.contract import KNOWLEDGE_UPDATED
from tasks.knowledge.records import Model, OpenSite, unknown_site
from tasks.knowledge.store.tables import pages, sites

# Pages of one transaction, with all their chunks.
_ERASED_AT_A_TIME = 100


@dataclass(frozen=True, slots=True)
class JobTransactions:
    """Write transactions of one attempt of a job."""

    ledger: Ledger
    job_id: str
    fence: int

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
            Transient: the site's model is not ``model`` any more.
            JobSuperseded: as ``begin``.
        """
        with self.begin() as (connection, tenant_id):
            row = connection.execute(sites.select().where(sites.c.id == site.id).with_for_update()).one_or_none()
            if row is None:
                raise Transient(f"The site {site.site} was deleted meanwhile.")
            if model is not None and model != Model(row.model, row.dimensions):
                raise Transient(
                    f"The model of {site.site} has become {row.model} with {row.dimensions} numbers meanwhile.",
                    code="model_changed",
                )
            change = SiteChange(connection, tenant_id, site, row.version)
            yield change
            change.settle(self.job_id)

    def open_site(self, site: str, model: Model) -> OpenSite:
        """See ``records.Keeper``."""
        with self.begin() as (connection, tenant_id):
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
            named = (sites.c.tenant_id == tenant_id) & (sites.c.site == site)
            connection.execute(sites.update().where(named).values(turn=sites.c.turn + 1))
            row = connection.execute(sites.select().where(named)).one()
            return OpenSite(row.id, row.site, row.version, Model(row.model, row.dimensions), row.turn)

    def erase(self, name: str) -> tuple[OpenSite, int]:
        """See ``records.Keeper``."""
        with self.begin() as (connection, tenant_id):
            row = connection.execute(
                sites.select().where(sites.c.tenant_id == tenant_id, sites.c.site == name)
            ).one_or_none()
        if row is None:
            raise unknown_site(name)
        site = OpenSite(row.id, row.site, row.version, Model(row.model, row.dimensions), row.turn)
        some = sa.select(pages.c.id, pages.c.gone_at).where(pages.c.site_id == site.id).limit(_ERASED_AT_A_TIME)
        count, is_left = 0, True
        while is_left:
            with self.on_site(site) as change:
                found = change.connection.execute(some).all()
                # Chunks and vectors go with their pages, and tombstones with the site.
                change.connection.execute(pages.delete().where(pages.c.id.in_([one.id for one in found])))
                is_left = bool(found)
                if not is_left:
                    change.connection.execute(sites.delete().where(sites.c.id == site.id))
                change.is_changed = True
            count += sum(one.gone_at is None for one in found)
        return replace(site, version=change.version), count


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
