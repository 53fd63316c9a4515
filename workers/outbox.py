"""``python -m workers outbox``: what Redis refused of the domain events, and trying it again."""

import click

from tasks.core.ledger import Ledger
from tasks.core.ledger import outbox as events
from tasks.core.settings import load_settings


@click.group()
def outbox() -> None:
    """Look after domain events that Redis refused."""


@outbox.command("list")
def list_dead() -> None:
    """List the dead ones, newest first: number, tenant, type, job, tries, error."""
    ledger = _open()
    try:
        for letter in events.dead_letters(ledger):
            event = letter.event
            columns = (event.seq, event.tenant_id, event.type, event.job_id or "-", letter.tries, letter.error)
            click.echo("\t".join(str(column) for column in columns))
    finally:
        ledger.close()


@outbox.command()
@click.argument("numbers", metavar="[NUMBER]...", type=int, nargs=-1)
def retry(numbers: tuple[int, ...]) -> None:
    """Have the dispatcher try dead ones again: those of the numbers, or all."""
    ledger = _open()
    try:
        click.echo(f"{events.revive(ledger, numbers or None)} will be tried again.")
    finally:
        ledger.close()


def _open() -> Ledger:
    return Ledger(load_settings().resolved_ledger_url, auto_migrate=False, pool_size=1)
