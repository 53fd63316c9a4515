"""Configurations as rows. Secrets come and go sealed: who reads the database learns their names only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.connectors.store.tables import connectors
from tasks.core.clock import now
from tasks.core.errors import NotFound
from tasks.core.ledger import Ledger
from tasks.core.ledger.audit import AT_THE_MACHINE, Actor
from tasks.core.ledger.database import insert_if_new
from tasks.core.ledger.schema import jobs


@dataclass(frozen=True, slots=True)
class KeptConnector:
    """A configuration, and the names of its secrets."""

    name: str
    service: dict[str, Any]
    secret_names: tuple[str, ...]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SealedSecrets:
    """The names of secrets, and all of them sealed."""

    names: tuple[str, ...]
    sealed: bytes


@dataclass(frozen=True, slots=True)
class SealedConnector:
    """A configuration with its secrets sealed, and the tenant that they are sealed for."""

    tenant_id: str
    service: dict[str, Any]
    sealed: bytes


def keep_connector(
    ledger: Ledger,
    tenant_id: str,
    name: str,
    *,
    service: Mapping[str, Any],
    secrets: SealedSecrets,
    by: Actor = AT_THE_MACHINE,
) -> bool:
    """Keep a configuration, in place of an earlier one; tell whether there was none."""
    at = now()
    content = {"service": dict(service), "secret_names": list(secrets.names), "sealed": secrets.sealed}
    with ledger.write() as connection:
        row = {"tenant_id": tenant_id, "name": name, **content, "created_at": at, "updated_at": at}
        after = {"service": content["service"], "secrets": content["secret_names"]}
        if insert_if_new(connection, connectors, **row):
            by.did(connection, "connector.made", name, tenant_id=tenant_id, after=after)
            return True
        before = _told(connection, tenant_id, name)
        by.did(connection, "connector.changed", name, tenant_id=tenant_id, before=before, after=after)
        connection.execute(connectors.update().where(_key(tenant_id, name)).values(**content, updated_at=at))
        return False


def kept_connector(ledger: Ledger, tenant_id: str, name: str) -> KeptConnector:
    """Return a configuration.

    Raises:
        NotFound: the tenant has none of this name.
    """
    with ledger.read() as connection:
        row = connection.execute(sa.select(*_SHOWN).where(_key(tenant_id, name))).one_or_none()
    if row is None:
        raise _none(name)
    return _kept(row)


def list_connectors(ledger: Ledger, tenant_id: str) -> list[KeptConnector]:
    """List a tenant's configurations by name."""
    statement = sa.select(*_SHOWN).where(connectors.c.tenant_id == tenant_id).order_by(connectors.c.name)
    with ledger.read() as connection:
        return [_kept(row) for row in connection.execute(statement)]


def forget_connector(ledger: Ledger, tenant_id: str, name: str, *, by: Actor = AT_THE_MACHINE) -> None:
    """Delete a configuration with its secrets.

    Raises:
        NotFound: the tenant has none of this name.
    """
    with ledger.write() as connection:
        before = _told(connection, tenant_id, name)
        if not connection.execute(connectors.delete().where(_key(tenant_id, name))).rowcount:
            raise _none(name)
        by.did(connection, "connector.deleted", name, tenant_id=tenant_id, before=before)


def _told(connection: Connection, tenant_id: str, name: str) -> dict[str, Any] | None:
    """Say what the book of changes has of a configuration: of its secrets the names."""
    statement = sa.select(connectors.c.service, connectors.c.secret_names).where(_key(tenant_id, name))
    row = connection.execute(statement).one_or_none()
    return None if row is None else {"service": row.service, "secrets": row.secret_names}


def sealed_secrets(ledger: Ledger, tenant_id: str, name: str) -> SealedSecrets | None:
    """Return the secrets of a configuration as they are kept; None where there is no such configuration."""
    statement = sa.select(connectors.c.secret_names, connectors.c.sealed).where(_key(tenant_id, name))
    with ledger.read() as connection:
        row = connection.execute(statement).one_or_none()
    return None if row is None else SealedSecrets(tuple(row.secret_names), row.sealed)


def connector_of_job(ledger: Ledger, job_id: str, name: str) -> SealedConnector:
    """Return a configuration of a job's tenant.

    Raises:
        NotFound: the tenant has none of this name.
    """
    statement = (
        sa.select(connectors.c.tenant_id, connectors.c.service, connectors.c.sealed)
        .join(jobs, jobs.c.tenant_id == connectors.c.tenant_id)
        .where(jobs.c.id == job_id, connectors.c.name == name)
    )
    with ledger.read() as connection:
        row = connection.execute(statement).one_or_none()
    if row is None:
        raise _none(name)
    return SealedConnector(row.tenant_id, row.service, row.sealed)


_SHOWN = (*(connectors.c[name] for name in ("name", "service", "secret_names", "created_at", "updated_at")),)


def _key(tenant_id: str, name: str) -> sa.ColumnElement[bool]:
    return (connectors.c.tenant_id == tenant_id) & (connectors.c.name == name)


def _kept(row: sa.Row[Any]) -> KeptConnector:
    return KeptConnector(row.name, row.service, tuple(row.secret_names), row.created_at, row.updated_at)


def _none(name: str) -> NotFound:
    return NotFound(f"There is no connector {name[:100]}: PUT /api/connectors/{name[:100]} stores one.")
