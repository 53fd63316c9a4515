"""``switchyard knowledge``: how what is known stands, its index made anew, a site let go."""

from typing import Any, Literal

import click

from client.command.exits import Exit, exit_of_job
from client.command.follow import await_end, follow, summary
from client.command.jobs import pass_session, wait_option
from client.command.plain import clean
from client.command.session import Session, dumped, json_flag
from client.command.site_names import site_named
from client.models import Record


class _Site(Record):
    site: str
    pages: int
    chunks: int
    pending: int
    tombstones: int
    model: str
    updated_at: str
    crawled_at: str | None = None
    flags: tuple[str, ...] = ()


@click.group()
def knowledge() -> None:
    """Tell how what is known stands, have its index made anew, let a site go. To ask it: switchyard search."""


@knowledge.command()
@click.argument("site", required=False, callback=site_named)
@json_flag
@pass_session
def status(session: Session, /, *, site: str | None) -> Exit:
    """Tell how your sites stand, or SITE."""
    with session.client() as client:
        found = client.knowledge.status(site)
    if session.as_json:
        click.echo(dumped(found))
        return Exit.OK
    session.table("sites", [_Site.model_validate(one) for one in found.sites], _COLUMNS)
    return Exit.OK


@knowledge.command()
@click.argument("site", callback=site_named)
@click.option(
    "--mode",
    type=click.Choice(["delta", "full"]),
    default="delta",
    show_default=True,
    help="delta: what the present model has not made yet; full: everything.",
)
@click.option("--priority", type=click.Choice(["low", "normal", "high"]), default="normal", show_default=True)
@click.option("--follow", "is_followed", is_flag=True, help="Show progress and logs until the end.")
@wait_option
@json_flag
@pass_session
def reindex(
    session: Session,
    /,
    *,
    site: str,
    mode: Literal["delta", "full"],
    priority: Literal["low", "normal", "high"],
    is_followed: bool,
    wait_s: float | None,
) -> Exit:
    """Make the index of SITE with the server's present model; print the job's id. The old one is searched meanwhile."""
    with session.client() as client:
        job = client.knowledge.reindex(site, mode=mode, priority=priority)
    if is_followed or wait_s is not None:
        return follow(session, job.id, limit_s=wait_s)
    session.show(job, clean(job.id))
    return Exit.OK


@knowledge.command()
@click.argument("site", callback=site_named)
@click.option("--yes", is_flag=True, help="Do it; else it is only told how much that would be.")
@wait_option
@json_flag
@pass_session
def erase(session: Session, /, *, site: str, yes: bool, wait_s: float | None) -> Exit:
    """Let SITE go, with all that is known of it; the jobs that crawled it keep their pages as long as any."""
    with session.client() as client:
        if not yes:
            (there,) = client.knowledge.status(site).sites
            told = f"{site}: {there['pages']} pages, {there['chunks']} chunks. Say --yes to erase them."
            session.show(None, clean(told))
            return Exit.OK
        job = client.submit("knowledge.update", {"site": site, "erase": True})
        job = await_end(client, job.id, wait_s)
    if job.result is None:
        session.show(job, summary(job))
        return exit_of_job(job)
    session.show(job, clean(f"{site} erased: {job.result['deleted']} pages"))
    return Exit.OK


_COLUMNS: dict[str, Any] = {
    "site": lambda row: row.site,
    "pages": lambda row: row.pages,
    "chunks": lambda row: row.chunks,
    "pending": lambda row: row.pending,
    "gone": lambda row: row.tombstones,
    "model": lambda row: row.model,
    "changed": lambda row: row.updated_at,
    "crawled": lambda row: row.crawled_at or "-",
    "flags": lambda row: ", ".join(row.flags) or "-",
}
