"""Sign-in states, one per tenant and site. What is kept is sealed: who reads the database learns nothing."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from tasks.core.clock import now
from tasks.core.errors import NotFound
from tasks.core.ledger import Ledger
from tasks.core.ledger.audit import AT_THE_MACHINE, Actor
from tasks.core.ledger.database import insert_if_new
from tasks.core.ledger.schema import jobs
from tasks.discovery.store.tables import sessions


@dataclass(frozen=True, slots=True)
class KeptSession:
    """That there is a sign-in state, not what it is."""

    site: str
    created_at: datetime
    updated_at: datetime


def keep_session(ledger: Ledger, tenant_id: str, site: str, sealed: bytes, *, by: Actor = AT_THE_MACHINE) -> bool:
    """Keep a sealed state for a site, in place of an earlier one; tell whether there was none."""
    key = (sessions.c.tenant_id == tenant_id) & (sessions.c.site == site)
    at = now()
    with ledger.write() as connection:
        row = {"tenant_id": tenant_id, "site": site, "sealed": sealed, "created_at": at, "updated_at": at}
        if insert_if_new(connection, sessions, **row):
            by.did(connection, "session.made", site, tenant_id=tenant_id)
            return True
        by.did(connection, "session.changed", site, tenant_id=tenant_id)
        connection.execute(sessions.update().where(key).values(sealed=sealed, updated_at=at))
        return False


def kept_session(ledger: Ledger, tenant_id: str, site: str) -> KeptSession:
    """Tell of the state that is kept for a site.

    Raises:
        NotFound: none is.
    """
    columns = (sessions.c.site, sessions.c.created_at, sessions.c.updated_at)
    key = (sessions.c.tenant_id == tenant_id) & (sessions.c.site == site)
    with ledger.read() as connection:
        row = connection.execute(sa.select(*columns).where(key)).one_or_none()
    if row is None:
        raise NotFound(f"No sign-in state is kept for {site[:300]}.")
    return KeptSession(row.site, row.created_at, row.updated_at)


@dataclass(frozen=True, slots=True)
class SealedSession:
    """A sealed state, and the tenant that it is sealed for."""

    tenant_id: str
    sealed: bytes


def list_sessions(ledger: Ledger, tenant_id: str) -> list[KeptSession]:
    """List the sites that a state is kept for."""
    columns = (sessions.c.site, sessions.c.created_at, sessions.c.updated_at)
    statement = sa.select(*columns).where(sessions.c.tenant_id == tenant_id).order_by(sessions.c.site)
    with ledger.read() as connection:
        return [KeptSession(row.site, row.created_at, row.updated_at) for row in connection.execute(statement)]


def sealed_session(ledger: Ledger, job_id: str, site: str) -> SealedSession | None:
    """Return the sealed state that a job's tenant has for a site; None where it has none."""
    statement = (
        sa.select(sessions.c.tenant_id, sessions.c.sealed)
        .join(jobs, jobs.c.tenant_id == sessions.c.tenant_id)
        .where(jobs.c.id == job_id, sessions.c.site == site)
    )
    with ledger.read() as connection:
        row = connection.execute(statement).one_or_none()
    return None if row is None else SealedSession(row.tenant_id, row.sealed)


def forget_session(ledger: Ledger, tenant_id: str, site: str, *, by: Actor = AT_THE_MACHINE) -> None:
    """Delete the state of a site.

    Raises:
        NotFound: none is kept.
    """
    key = (sessions.c.tenant_id == tenant_id) & (sessions.c.site == site)
    with ledger.write() as connection:
        if not connection.execute(sessions.delete().where(key)).rowcount:
            raise NotFound(f"No sign-in state is kept for {site[:300]}.")
        by.did(connection, "session.deleted", site, tenant_id=tenant_id)
