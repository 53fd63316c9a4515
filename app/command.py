"""``python -m app``: serve, or look after keys and limits."""

import sys

import click

from app.keys import keys
from app.limits import commands as limits
from app.server import serve as run
from tasks.core.errors import AppError, ConfigurationRefused
from tasks.core.settings import load_settings


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Switchyard's front door; serves when no command is given."""
    if context.invoked_subcommand is None:
        context.invoke(serve)


@main.command()
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Server processes.")
def serve(workers: int) -> None:
    """Serve HTTP until told to stop."""
    try:
        run(load_settings(), workers=workers)
    except AppError as exc:
        click.echo(exc.message, err=True)
        sys.exit(2 if isinstance(exc, ConfigurationRefused) else 1)


main.add_command(keys)
main.add_command(limits)
