"""``switchyard tools``: what websites can do, as found by discoveries; ``switchyard mcp`` offers it to agents."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from client import address
from client.command.exits import Exit
from client.command.jobs import pass_session
from client.command.plain import clean, moment
from client.command.session import Session, dumped, json_flag
from client.errors import ConfigurationRefused
from client.tools import Tool, ToolFilters, value_of


@click.group()
def tools() -> None:
    """List, show, run, export and delete the tools that discoveries found on websites."""


@tools.command(name="list")
@click.argument("text", required=False)
@click.option("--site", help="Only of this site: https://example.org.")
@click.option("--status", help="Only of this status: active, testing, failed, deprecated or stale.")
@click.option("--recommended", is_flag=True, help="The best by confidence, success and use.")
@click.option("--limit", type=click.IntRange(1, 200), help="At most so many.")
@json_flag
@pass_session
def list_(
    session: Session, /, text: str | None, *, site: str | None, status: str | None, recommended: bool, limit: int | None
) -> Exit:
    """List tools, newest first, or those that the words of TEXT find, best fitting first."""
    filters: ToolFilters = {}
    if site is not None:
        filters["site"] = site
    if status is not None:
        filters["status"] = status
    with session.client() as client:
        if recommended:
            found: Sequence[Tool] = client.tools.recommended(text, limit=min(limit or 5, 50), **filters)
        else:
            found = client.tools.page(text, limit=limit or 50, **filters).tools
    session.table("tools", found, _COLUMNS)
    return Exit.OK


_COLUMNS = {
    "id": lambda one: one.id,
    "tool": lambda one: one.exported_name,
    "status": lambda one: one.status,
    "effect": lambda one: one.effect,
    "confidence": lambda one: _share(one.confidence),
    "success": lambda one: _share(one.statistics.success_rate),
    "uses": lambda one: one.uses,
    "seen": lambda one: moment(one.seen_at),
}


@tools.command()
@click.argument("tool_id", metavar="ID")
@json_flag
@pass_session
def show(session: Session, tool_id: str) -> Exit:
    """Show a tool: what it takes, and what its runs have shown."""
    with session.client() as client:
        found = client.tools.show(tool_id)
    if session.as_json:
        click.echo(dumped(found))
        return Exit.OK
    click.echo(clean(f"{found.name} of {found.site}, version {found.version}, {found.status}, {found.effect}"))
    click.echo(clean(str(found.tool.get("description", ""))))
    schema: dict[str, Any] = found.tool.get("inputSchema", {})
    for name, rules in schema.get("properties", {}).items():
        need = "required" if name in schema.get("required", ()) else "optional"
        click.echo(clean(f"  {name}: {json.dumps(rules, ensure_ascii=False)} ({need})"))
    figures = found.statistics
    click.echo(clean(f"runs: {figures.ok} ok, {figures.failed} failed, p95 {_ms(figures.p95_ms)}"))
    for note in found.notes:
        click.echo(clean(f"{note.get('verdict')}: {note.get('text')}"))
    if found.rediscover is not None:
        click.echo(clean(f"to look for it anew: switchyard discover {found.rediscover['params']['url']} --force"))
    return Exit.OK


@tools.command()
@click.argument("tool_id", metavar="ID")
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--json-arguments", help="The arguments as one JSON object instead.")
@click.option("--confirm", is_flag=True, help="Run it although it deletes something, or changes an account.")
@click.option("--prefer", type=click.Choice(["auto", "http", "browser"]), default="auto", help="How to run it.")
@click.option("--use-session", is_flag=True, help="With the sign-in state that is stored for the site.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), help="Wait no longer than this.")
@json_flag
@pass_session
def run(
    session: Session,
    /,
    tool_id: str,
    arguments: Sequence[str],
    *,
    json_arguments: str | None,
    confirm: bool,
    prefer: str,
    use_session: bool,
    timeout_s: float | None,
) -> Exit:
    """Run a tool and write what it answers, as JSON. A VALUE is JSON where the input is no text: 5, true, ["a"]."""
    with session.client() as client:
        properties = client.tools.show(tool_id).tool.get("inputSchema", {}).get("properties", {})
        given = _arguments(arguments, json_arguments, properties)
        job = client.tools.submit(tool_id, given, confirm=confirm, prefer=prefer, use_session=use_session)
        ended = client.wait(job.id, timeout_s)
    click.echo(dumped(ended) if session.as_json else json.dumps(value_of(ended), ensure_ascii=False, indent=2))
    return Exit.OK


@tools.command()
@click.argument("format_", metavar="FORMAT", type=click.Choice(["mcp", "openapi", "functions", "python"]))
@click.option("--site", help="Only of this site: https://example.org.")
@click.option("-o", "--out", type=click.Path(dir_okay=False), help="Write to this file.")
@pass_session
def export(
    session: Session,
    /,
    format_: Literal["mcp", "openapi", "functions", "python"],
    *,
    site: str | None,
    out: str | None,
) -> Exit:
    """Export active tools: for agents (mcp), generators (openapi), chat models (functions), or as a module (python)."""
    with session.client() as client:
        filters: ToolFilters = {} if site is None else {"site": site}
        text = client.tools.export(format_, **filters)
    if out is None:
        click.echo(text)
    else:
        Path(out).write_text(text, encoding="utf-8")
    return Exit.OK


@tools.command()
@click.argument("tool_id", metavar="ID", required=False)
@click.option("--site", help="Every tool of this site, and the sign-in state that is kept for it.")
@click.option("--yes", is_flag=True, help="With --site: do it.")
@json_flag
@pass_session
def rm(session: Session, /, tool_id: str | None, *, site: str | None, yes: bool) -> Exit:
    """Delete a tool with its history, or every tool of a site."""
    if (tool_id is None) == (site is None):
        raise click.UsageError("give an ID, or --site: one of the two")
    with session.client() as client:
        if site is not None:
            count = client.tools.delete_site(site, confirm=yes)
            session.show(None, f"{count} tools of {clean(site)} deleted")
        else:
            client.tools.delete(tool_id or "")
            session.show(None, f"{clean(tool_id)} deleted")
    return Exit.OK


@click.command()
@pass_session
def mcp(session: Session) -> Exit:
    """Offer your tools to an agent over stdin and stdout (Model Context Protocol)."""
    try:
        from client.mcp_bridge import serve  # noqa: PLC0415  # it is slow to load, and an extra
    except ModuleNotFoundError as exc:
        raise ConfigurationRefused(f"There is no {exc.name} here: install the extra `mcp`.") from exc
    serve(address.resolve(session.url, session.api_key))
    return Exit.OK


tools.add_command(mcp)


def _arguments(pairs: Sequence[str], text: str | None, properties: dict[str, Any]) -> dict[str, Any]:
    given: Any = {}
    if text is not None:
        try:
            given = json.loads(text)
        except ValueError as exc:
            raise click.UsageError(f"--json-arguments is not JSON: {exc}") from exc
        if not isinstance(given, dict):
            raise click.UsageError("--json-arguments must be an object")
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"{pair!r}: write NAME=VALUE")
        given[name] = _value(value, properties.get(name))
    return dict(given)


def _value(text: str, rules: Any) -> Any:
    if isinstance(rules, dict) and (rules.get("type") == "string" or text in rules.get("enum", ())):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
