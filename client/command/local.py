"""``switchyard local``: the server that this client has started for itself."""

import json
from collections.abc import Mapping

import click

from client.command.exits import Exit
from client.command.jobs import pass_session
from client.command.plain import clean
from client.command.session import Session, json_flag
from client.local_server import LocalServer, default_folder


@click.command()
@click.option("--stop", is_flag=True, help="End it; what it has not finished goes on when it is started again.")
@json_flag
@pass_session
def local(session: Session, /, *, stop: bool) -> Exit:
    """Show or stop the server that `--backend auto` or `--backend local` has started here."""
    server = LocalServer(default_folder(), session.limits)
    if stop:
        has_run = server.stop()
        _show(session, {"stopped": has_run}, "stopped" if has_run else "it did not run")
        return Exit.OK
    found = server.running()
    facts = {"running": found is not None, "url": found.url if found else None, "folder": str(server.folder)}
    _show(session, facts, f"runs at {found.url}, in {server.folder}" if found else f"does not run; {server.folder}")
    return Exit.OK


def _show(session: Session, facts: Mapping[str, object], text: str) -> None:
    click.echo(json.dumps(facts) if session.as_json else clean(text))
