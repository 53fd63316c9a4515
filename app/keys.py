"""``python -m app keys``: make, list and revoke API keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import click

from tasks.core.clock import rfc3339
from tasks.core.errors import AppError
from tasks.core.kernel import open_kernel
from tasks.core.ledger import Ledger, tenants
from tasks.core.settings import load_settings


@click.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command()
@click.option("--tenant", required=True, help="Who the key belongs to; made when new.")
@click.option("--name", required=True, help="What the key is for.")
def create(tenant: str, name: str) -> None:
    """Make a key and print it; it cannot be shown again."""
    if not 0 < len(tenant) <= 100 or not 0 < len(name) <= 100:
        raise click.UsageError("Names of tenants and keys have 1 to 100 characters.")
    with opened_ledger() as ledger:
        click.echo(tenants.create_key(ledger, tenant=tenant, name=name))


@keys.command(name="list")
def list_() -> None:
    """List the keys, oldest first; never the keys themselves."""
    with opened_ledger() as ledger:
        for key in tenants.list_keys(ledger):
            state = "live" if key.revoked_at is None else f"revoked {rfc3339(key.revoked_at)}"
            used = _shown(key.last_used_at)
            click.echo(f"{key.id}  {key.tenant.name}  {key.name}  made {rfc3339(key.created_at)}  used {used}  {state}")


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Make a key useless, within seconds."""
    with opened_ledger() as ledger:
        tenants.revoke_key(ledger, key_id)
    click.echo(f"revoked {key_id}")


@contextmanager
def opened_ledger() -> Iterator[Ledger]:
    """Open this machine's ledger for a command; errors of ours end it with their message."""
    try:
        kernel = open_kernel(load_settings())
        try:
            yield kernel.ledger
        finally:
            kernel.close()
    except AppError as exc:
        raise click.ClickException(exc.message) from exc


def _shown(at: datetime | None) -> str:
    return "never" if at is None else rfc3339(at)
