"""Tenants and their API keys. A key is shown once, when it is made; only its SHA-256 is kept.

A plain digest is enough because a key is 256 random bits, not a password a person chose.
"""

import hashlib
import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from tasks.core.clock import now
from tasks.core.errors import Conflict, LedgerUnavailable, NotFound
from tasks.core.ids import new_id
from tasks.core.ledger.audit import AT_THE_MACHINE, Actor
from tasks.core.ledger.database import Ledger, insert_if_new
from tasks.core.ledger.schema import api_keys, tenants

# Whom the work belongs to that Switchyard gives itself. Nobody has a key for it, unless an operator makes one.
SYSTEM = "system"

# Writing `last_used_at` at every request would cost a commit each; a minute is exact enough for an operator.
_LAST_USED_STEP = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who a job belongs to. ``key_id``: the key that was shown, where it was by one that the tenant was known."""

    id: str
    name: str
    key_id: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class APIKey:
    """What is known of a key, except the key."""

    id: str
    tenant: Tenant
    name: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def digest(key: str) -> str:
    """Return the form in which a key is stored."""
    return hashlib.sha256(key.encode()).hexdigest()


def create_key(ledger: Ledger, *, tenant: str, name: str, key: str | None = None, by: Actor = AT_THE_MACHINE) -> str:
    """Make a key for ``tenant`` (created when new) and return it; it cannot be shown again.

    Raises:
        Conflict: ``key`` was given and exists already.
    """
    key = key or f"sy_{secrets.token_urlsafe(32)}"
    with ledger.write() as connection:
        # Of two that make the first key of a tenant together, one makes the tenant and the other finds it.
        is_new = insert_if_new(connection, tenants, id=new_id(), name=tenant, created_at=now())
        tenant_id = connection.execute(sa.select(tenants.c.id).where(tenants.c.name == tenant)).scalar_one()
        row = {"id": new_id(), "tenant_id": tenant_id, "name": name, "sha256": digest(key), "created_at": now()}
        if not insert_if_new(connection, api_keys, **row):
            raise Conflict("This key exists already.")
        if is_new:
            by.did(connection, "tenant.made", tenant, tenant_id=tenant_id)
        by.did(connection, "key.made", name, tenant_id=tenant_id, key_id=row["id"])
    return key


def named(ledger: Ledger, name: str, *, by: Actor = AT_THE_MACHINE) -> Tenant:
    """Return the tenant of this name, which is made if there is none."""
    statement = sa.select(tenants.c.id).where(tenants.c.name == name)
    with ledger.read() as connection:
        found = connection.execute(statement).scalar_one_or_none()
    if found is None:
        # Somebody else may be making it now; then theirs is the one.
        with suppress(IntegrityError), ledger.write() as connection:
            row = {"id": new_id(), "name": name, "created_at": now()}
            connection.execute(tenants.insert().values(row))
            by.did(connection, "tenant.made", name, tenant_id=str(row["id"]))
        with ledger.read() as connection:
            found = connection.execute(statement).scalar_one()
    return Tenant(found, name)


def ids_of(ledger: Ledger, names: Collection[str]) -> dict[str, str]:
    """Return the id of each tenant of these names that exists."""
    with ledger.read() as connection:
        rows = connection.execute(sa.select(tenants.c.name, tenants.c.id).where(tenants.c.name.in_(names)))
        return {row.name: row.id for row in rows}


def find(ledger: Ledger, name: str) -> Tenant | None:
    """Return the tenant of this name; None when there is none."""
    with ledger.read() as connection:
        row = connection.execute(sa.select(tenants.c.id, tenants.c.name).where(tenants.c.name == name)).one_or_none()
    return None if row is None else Tenant(*row)


def names(ledger: Ledger) -> dict[str, str]:
    """Return every tenant's name, by its id."""
    with ledger.read() as connection:
        return {row.id: row.name for row in connection.execute(sa.select(tenants.c.id, tenants.c.name))}


def name_of(ledger: Ledger, tenant_id: str) -> str | None:
    """Return the tenant's name; None when there is no such tenant."""
    with ledger.read() as connection:
        return connection.execute(sa.select(tenants.c.name).where(tenants.c.id == tenant_id)).scalar_one_or_none()


def first_made_at(ledger: Ledger) -> datetime:
    """Return when the first tenant was made, and with it the ledger; now, when there is none yet."""
    with ledger.read() as connection:
        return connection.execute(sa.select(sa.func.min(tenants.c.created_at))).scalar_one() or now()


def tenant_of(ledger: Ledger, key: str) -> Tenant | None:
    """Return the tenant that a live key belongs to, noting its use; None for an unknown or revoked key."""
    statement = (
        sa.select(tenants.c.id, tenants.c.name, api_keys.c.id.label("key_id"), api_keys.c.last_used_at)
        .join(api_keys, api_keys.c.tenant_id == tenants.c.id)
        .where(api_keys.c.sha256 == digest(key), api_keys.c.revoked_at.is_(None))
    )
    with ledger.read() as connection:
        row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    if row.last_used_at is None or row.last_used_at < now() - _LAST_USED_STEP:
        # A ledger that cannot take a write now may still answer this request.
        with suppress(LedgerUnavailable), ledger.write() as connection:
            connection.execute(api_keys.update().where(api_keys.c.id == row.key_id).values(last_used_at=now()))
    return Tenant(row.id, row.name, row.key_id)


def list_keys(ledger: Ledger) -> list[APIKey]:
    """List every key, oldest first."""
    statement = sa.select(api_keys, tenants.c.name.label("tenant_name")).join(tenants).order_by(api_keys.c.created_at)
    with ledger.read() as connection:
        return [
            APIKey(
                row.id,
                Tenant(row.tenant_id, row.tenant_name),
                row.name,
                row.created_at,
                row.last_used_at,
                row.revoked_at,
            )
            for row in connection.execute(statement)
        ]


def revoke_key(ledger: Ledger, key_id: str, *, by: Actor = AT_THE_MACHINE) -> None:
    """Make a key useless from the next request on.

    Raises:
        NotFound: no live key has this id.
    """
    with ledger.write() as connection:
        live = (api_keys.c.id == key_id) & api_keys.c.revoked_at.is_(None)
        revoked = (
            api_keys.update().where(live).values(revoked_at=now()).returning(api_keys.c.tenant_id, api_keys.c.name)
        )
        row = connection.execute(revoked).one_or_none()
        if row is None:
            raise NotFound(f"No live key {key_id}.")
        by.did(connection, "key.revoked", row.name, tenant_id=row.tenant_id, key_id=key_id)


def any_live_key(ledger: Ledger) -> bool:
    """Tell whether anybody could sign in."""
    with ledger.read() as connection:
        statement = sa.select(api_keys.c.id).where(api_keys.c.revoked_at.is_(None)).limit(1)
        return connection.execute(statement).first() is not None
