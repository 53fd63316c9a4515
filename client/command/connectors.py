"""``switchyard connectors``: how services of others are spoken to, and whether they are well."""

import json
from collections.abc import Sequence

import click

from client.command import params
from client.command.exits import Exit
from client.command.jobs import pass_session
from client.command.plain import clean, moment
from client.command.session import Session, dumped, json_flag


@click.group()
def connectors() -> None:
    """List, show, store, check and delete how services of others are spoken to."""


@connectors.command(name="list")
@json_flag
@pass_session
def list_(session: Session) -> Exit:
    """List your connectors by name."""
    with session.client() as client:
        found = client.connectors.list()
    columns = {
        "connector": lambda one: one.name,
        "type": lambda one: one.service.get("type", "-"),
        "address": lambda one: one.service.get("base_url", "-"),
        "secrets": lambda one: " ".join(one.secrets) or "-",
        "updated": lambda one: moment(one.updated_at),
    }
    session.table("connectors", found, columns)
    return Exit.OK


@connectors.command()
@click.argument("name")
@json_flag
@pass_session
def show(session: Session, name: str) -> Exit:
    """Show a connector's service, which `put` takes as it is; secrets are named, never shown."""
    with session.client() as client:
        found = client.connectors.get(name)
    session.show(found, json.dumps(found.service, ensure_ascii=False, indent=2))
    return Exit.OK


@connectors.command()
@click.argument("name")
@click.argument("service", metavar="FILE")
@click.option("--secrets", "secrets", metavar="FILE", help="A JSON object of them, - for stdin; else they stay.")
@json_flag
@pass_session
def put(session: Session, /, name: str, service: str, *, secrets: str | None) -> Exit:
    """Store the service that FILE describes (JSON, - for stdin) as NAME, in place of an earlier one."""
    if service == secrets == "-":
        raise click.UsageError("stdin is either the service or the secrets")
    given = None if secrets is None else {key: str(value) for key, value in params.from_file(secrets).items()}
    with session.client() as client:
        found = client.connectors.create(name, params.from_file(service), given)
    session.show(found, f"{clean(found.name)} stored")
    return Exit.OK


@connectors.command()
@click.argument("name")
@click.option("--param", "pairs", multiple=True, metavar="KEY=VALUE", help="One of an input; asks whether it fits.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), help="Wait no longer than this.")
@json_flag
@pass_session
def check(session: Session, /, name: str, *, pairs: Sequence[str], timeout_s: float | None) -> Exit:
    """Let a worker ask whether a service is well. Ends with 1 if it is not, or the input does not fit."""
    given = params.from_pairs(pairs) if pairs else None
    with session.client() as client:
        found = client.connectors.check(name, given, timeout_s=timeout_s)
    if session.as_json:
        click.echo(dumped(found))
    else:
        click.echo(f"well: {_word(found.healthy)}, takes the input: {_word(found.can_process)}")
        for reason in found.reasons:
            click.echo(clean(reason))
    return Exit.OK if found.is_fine else Exit.JOB_FAILED


@connectors.command()
@click.argument("name")
@json_flag
@pass_session
def rm(session: Session, name: str) -> Exit:
    """Delete a connector with its secrets."""
    with session.client() as client:
        client.connectors.delete(name)
    session.show(None, f"{clean(name)} deleted")
    return Exit.OK


def _word(found: bool | None) -> str:
    return "not asked" if found is None else "yes" if found else "no"
