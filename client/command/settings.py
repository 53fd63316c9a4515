"""``switchyard settings``: the server's settings as this environment gives them.

The one place where the client touches the server's code, lazily, because only that code knows its settings.
"""

import json

import click

from client.command.exits import Exit
from client.command.jobs import pass_session
from client.command.session import Session, json_flag


@click.command()
@json_flag
@pass_session
def settings(session: Session) -> Exit:
    """Print every setting of the server, secrets masked; refuse with every reason if one is bad."""
    try:
        from tasks.core.errors import ConfigurationRefused  # noqa: PLC0415  # see the module's docstring
        from tasks.core.settings import describe, load_settings  # noqa: PLC0415  # as above
    except ImportError as exc:
        raise click.ClickException(f"the server is not installed here: {exc}") from exc
    try:
        rows = describe(load_settings())
    except ConfigurationRefused as exc:
        for reason in exc.message.splitlines():
            click.echo(f"refused: {reason}", err=True)
        return Exit.REFUSED
    if session.as_json:
        click.echo(json.dumps({"settings": rows}))
        return Exit.OK
    for row in rows:
        mark = "" if row["value"] == row["default"] else "  # set"
        click.echo(f"{row['name']}={row['value']}{mark}")
    return Exit.OK
