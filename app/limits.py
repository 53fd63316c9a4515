"""``python -m app limits``: what tenants and kinds may use."""

import click

from app.keys import opened_ledger
from tasks.core.errors import InputRejected
from tasks.core.ledger import Ledger, limits, tenants
from tasks.core.ledger.limits import ALL, Limit

_TENANT = click.option("--tenant", default=ALL, show_default=True, help="Whose jobs; * for those of all together.")
_KIND = click.option("--kind", default=ALL, show_default=True, help="Of which kind; * for all together.")
_COUNT = click.IntRange(min=0)


@click.group(name="limits")
def commands() -> None:
    """Set, list and remove what tenants and kinds may use."""


@commands.command(name="set")
@_TENANT
@_KIND
@click.option("--at-once", "most_at_once", type=_COUNT, help="Jobs under way at a time; others wait.")
@click.option("--rate", "rate_per_s", type=click.FloatRange(min=0, min_open=True), help="Jobs that begin in a second.")
@click.option("--burst", type=click.IntRange(min=1), help="How many of these may begin together; 1 if not given.")
@click.option("--weight", type=click.IntRange(1, 1000), help="A tenant's share of a queue; 1 if not given.")
@click.option("--queued", "most_queued", type=_COUNT, help="A tenant's queued jobs; further ones are refused.")
@click.option(
    "--running", "most_running", type=_COUNT, help="A tenant's running jobs; with so many, others are refused."
)
@click.option("--a-day", "most_a_day", type=_COUNT, help="A tenant's jobs of a day (UTC).")
@click.option("--artifact-bytes", "most_artifact_bytes", type=_COUNT, help="What a tenant's artifacts may take up.")
def set_(tenant: str, kind: str, **values: float | None) -> None:
    """Set the limits of a tenant, of a kind, or of a tenant's jobs of a kind, in place of those it had."""
    try:
        limits.check(Limit(tenant, kind, **values))  # type: ignore[arg-type]  # as named above
    except InputRejected as exc:
        raise click.UsageError(exc.message) from exc
    with opened_ledger() as ledger:
        limits.set_limit(ledger, Limit(_id_of(ledger, tenant), kind, **values))  # type: ignore[arg-type]  # as named above
    click.echo(f"set for tenant {tenant}, kind {kind}")


@commands.command(name="list")
def list_() -> None:
    """List the limits."""
    with opened_ledger() as ledger:
        for limit in limits.all_limits(ledger):
            name = limit.tenant_id if limit.tenant_id == ALL else tenants.name_of(ledger, limit.tenant_id)
            shown = "  ".join(f"{name} {value:g}" for name, value in limit.set_ones().items())
            click.echo(f"tenant {name}  kind {limit.kind}  {shown}")


@commands.command()
@_TENANT
@_KIND
def remove(tenant: str, kind: str) -> None:
    """Remove a limit; what it kept back goes on."""
    with opened_ledger() as ledger:
        limits.remove_limit(ledger, _id_of(ledger, tenant), kind)
    click.echo(f"removed for tenant {tenant}, kind {kind}")


def _id_of(ledger: Ledger, tenant: str) -> str:
    if not 0 < len(tenant) <= 100:
        raise click.UsageError("Names of tenants have 1 to 100 characters.")
    return ALL if tenant == ALL else tenants.named(ledger, tenant).id
