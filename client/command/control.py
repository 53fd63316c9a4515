"""Commands for operators: pausing, purging, limits, and who changed what."""

import json
from collections.abc import Callable
from typing import Any

import click

from client.command.exits import Exit
from client.command.filters import chosen, filter_options
from client.command.jobs import pass_session
from client.command.plain import clean
from client.command.session import Session, json_flag
from client.control import AuditFilters, LimitValues, Pause, PauseOptions, PurgeOptions

_WHOSE = (
    click.option("--kind", help="Jobs of this kind."),
    click.option("--tenant", help="Jobs of this tenant, by its name."),
)


def _whose(function: Any) -> Any:
    for option in reversed(_WHOSE):
        function = option(function)
    return function


@click.command()
@click.argument("queue", metavar="[QUEUE]", required=False)
@_whose
@click.option("--reason", help="Why; for people.")
@click.option("--until", metavar="TIME", help="It ends by itself then (RFC 3339).")
@click.option("--for", "for_s", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Or after S seconds.")
@json_flag
@pass_session
def pause(session: Session, /, **options: Any) -> Exit:
    """Let no job of the QUEUE, a kind or a tenant begin. What runs runs on; submissions are accepted."""
    asked: PauseOptions = _given(options)
    with session.client() as client:
        made = client.control.pause(**asked)
    session.show(made, f"{made.id}  {clean(_scope(made))} paused; `switchyard resume {made.id}` ends it")
    return Exit.OK


@click.command()
@click.argument("pause_or_queue", metavar="ID|QUEUE")
@json_flag
@pass_session
def resume(session: Session, pause_or_queue: str) -> Exit:
    """End the pause ID, or that of the whole QUEUE: what it held goes on at once."""
    with session.client() as client:
        found = [one for one in client.control.pauses() if _is_of_queue(one, pause_or_queue)]
        client.control.resume(found[0].id if found else pause_or_queue)
    session.show(found[0] if found else None, f"{clean(pause_or_queue)} goes on")
    return Exit.OK


def _is_of_queue(one: Pause, queue: str) -> bool:
    return (one.queue, one.kind, one.tenant) == (queue, None, None)


@click.command()
@json_flag
@pass_session
def pauses(session: Session) -> Exit:
    """List the pauses that hold."""
    with session.client() as client:
        rows = client.control.pauses()
    session.table("pauses", rows, _PAUSE_COLUMNS)
    return Exit.OK


_PAUSE_COLUMNS = {
    "id": lambda row: row.id,
    "paused": lambda row: _scope(row) or "-",
    "held": lambda row: row.held,
    "since": lambda row: row.since,
    "until": lambda row: row.until or "-",
    "by": lambda row: row.made_by or "-",
    "reason": lambda row: row.reason or "",
}


@click.command()
@filter_options
@click.option("--tenant", help="Jobs of this tenant, by its name; without it, of all.")
@click.option("--all", "takes_all", is_flag=True, help="All queued jobs; instead of filters.")
@click.option("--limit", type=click.IntRange(1, 10_000), help="At most so many, the oldest first (1000).")
@click.option("--yes", "confirm", is_flag=True, help="Do it. Without it, only say which they would be.")
@json_flag
@pass_session
def purge(session: Session, /, **options: Any) -> Exit:
    """Cancel the queued jobs that match, whosever they are; without --yes, count and show them."""
    acts = {name: options.pop(name) for name in ("takes_all", "confirm", "limit", "tenant")}
    filters = chosen(options)
    if bool(filters or acts["tenant"]) == bool(acts["takes_all"]):
        raise click.UsageError("choose some by filters such as --queue ai, or take --all")
    how = "confirm" if acts["confirm"] else "dry_run"
    asked: PurgeOptions = _given({**filters, "limit": acts["limit"], "tenant": acts["tenant"], how: True})
    with session.client() as client:
        done = client.control.purge(**asked)
    if done.dry_run:
        lines = [f"{one.id}  {one.kind}  {one.reference or ''}".rstrip() for one in done.sample]
        head = f"{done.matched - done.skipped} queued jobs would be cancelled; add --yes to do it"
        session.show(done, "\n".join(map(clean, [head, *lines])))
        return Exit.OK
    more = "; there are more: repeat it" if done.more else ""
    session.show(done, f"{done.changed} of {done.matched} purged{more}")
    return Exit.OK


@click.group()
def limits() -> None:
    """List, set and remove what tenants and kinds may use."""


@limits.command("list")
@json_flag
@pass_session
def list_limits(session: Session) -> Exit:
    """List the limits."""
    with session.client() as client:
        rows = client.control.limits()
    session.table("limits", rows, _LIMIT_COLUMNS)
    return Exit.OK


def _limited(row: Any) -> str:
    values = row.model_dump(exclude={"tenant", "kind"}, exclude_none=True)
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


_LIMIT_COLUMNS: dict[str, Callable[[Any], object]] = {
    "tenant": lambda row: row.tenant or "*",
    "kind": lambda row: row.kind or "*",
    "limits": _limited,
}


@limits.command("set")
@_whose
@click.option("--at-once", "most_at_once", type=int, help="Jobs under way at a time; others wait.")
@click.option("--rate", "rate_per_s", type=float, help="Jobs that begin in a second.")
@click.option("--burst", type=int, help="How many of these may begin together; 1 if not given.")
@click.option("--weight", type=int, help="A tenant's share of a queue; 1 if not given.")
@click.option("--queued", "most_queued", type=int, help="A tenant's queued jobs; further ones are refused.")
@click.option("--running", "most_running", type=int, help="A tenant's running jobs; with so many, others are refused.")
@click.option("--a-day", "most_a_day", type=int, help="A tenant's jobs of a day (UTC).")
@click.option("--artifact-bytes", "most_artifact_bytes", type=int, help="What a tenant's artifacts may take up.")
@json_flag
@pass_session
def set_limit(session: Session, /, **options: Any) -> Exit:
    """Set the limits of a tenant, of a kind, or of a tenant's jobs of a kind, in place of those it had."""
    values: LimitValues = _given(options)
    with session.client() as client:
        made = client.control.set_limit(**values)
    session.show(made, clean(f"tenant {made.tenant or '*'}, kind {made.kind or '*'}: {_limited(made)}"))
    return Exit.OK


@limits.command("remove")
@_whose
@json_flag
@pass_session
def remove_limit(session: Session, *, kind: str | None, tenant: str | None) -> Exit:
    """Remove a limit; what it kept back goes on."""
    with session.client() as client:
        client.control.remove_limit(tenant=tenant, kind=kind)
    session.show(None, clean(f"tenant {tenant or '*'}, kind {kind or '*'}: no limit"))
    return Exit.OK


@click.command()
@click.option("--tenant", help="What concerned this tenant, by its name.")
@click.option("--who", help="The id of a key, or `command line`.")
@click.option("--what", help="Such as limit.set.")
@click.option("--subject")
@click.option("--since", metavar="TIME", help="At or after (RFC 3339).")
@click.option("--until", metavar="TIME", help="Before.")
@click.option("--limit", type=click.IntRange(1, 200), help="At most so many (50).")
@click.option("--cursor", help="Go on after a page: what it named as next.")
@json_flag
@pass_session
def audit(session: Session, /, **filters: Any) -> Exit:
    """List who changed what, newest first."""
    asked: AuditFilters = _given(filters)
    with session.client() as client:
        page = client.control.audit(**asked)
    if session.as_json:
        session.show(page, "")
        return Exit.OK
    session.table("entries", page.entries, _AUDIT_COLUMNS)
    if page.next_cursor:
        click.echo(f"more: --cursor {clean(page.next_cursor)}", err=True)
    return Exit.OK


_AUDIT_COLUMNS = {
    "at": lambda row: row.at,
    "who": lambda row: row.who,
    "what": lambda row: row.what,
    "subject": lambda row: row.subject,
    "tenant": lambda row: row.tenant or "-",
    "details": lambda row: json.dumps(row.details, ensure_ascii=False),
}


def _scope(one: Pause) -> str:
    given = {"queue": one.queue, "kind": one.kind, "tenant": one.tenant}
    return ", ".join(f"{name} {value}" for name, value in given.items() if value)


def _given(values: dict[str, Any]) -> Any:
    return {name: value for name, value in values.items() if value is not None}
