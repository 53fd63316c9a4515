"""``switchyard publish``, ``rollback``, ``releases``, ``preview`` and ``sites``."""

from typing import Any

import click

from client.command.exits import Exit
from client.command.follow import follow, wait
from client.command.jobs import pass_session, wait_option
from client.command.plain import moment, size
from client.command.published import differing, told
from client.command.sending import bar
from client.command.session import Session, json_flag
from client.models import Job

site_option = click.option("--site", required=True, help="What the site is called: small letters, digits and dashes.")
refresh_option = click.option(
    "--refresh",
    "is_refreshed",
    is_flag=True,
    help="Then crawl exactly the pages that changed, keep them for searches, and find the tools of changed forms.",
)
follow_option = click.option("--follow", "is_followed", is_flag=True, help="Show progress and logs until the end.")


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False))
@site_option
@click.option("--git", help="Instead of FOLDER: a git repository's address, https://…, which workers fetch.")
@click.option("--commit", help="With --git: the commit's whole id, as `git rev-parse` prints it.")
@click.option("--recipe", help="How the site is made of these files: copy (the default), or mkdocs.")
@click.option("--subfolder", help="Of these files: the folder that is the site, or that the recipe is used in.")
@click.option("--address", "url", help="Where visitors find it; then it is verified there, and gets a sitemap.")
@click.option("--preview", "is_preview", is_flag=True, help="Keep it, and make it live later (switchyard rollback).")
@click.option("--browser", "is_opened", is_flag=True, help="Once live, open it in a browser; take it back on errors.")
@click.option("--images", "has_images", is_flag=True, help="Offer pictures in several widths, as AVIF and WebP, too.")
@click.option(
    "--refuse",
    "refused",
    multiple=True,
    metavar="FAULT",
    help="Do not publish where this is found, such as broken_link (repeatable; else: secret).",
)
@click.option("--note", help="What it is, such as a commit.")
@click.option("--by", help="Who or what publishes.")
@refresh_option
@follow_option
@wait_option
@json_flag
@pass_session
def publish(
    session: Session,
    /,
    folder: str | None,
    *,
    site: str,
    git: str | None,
    commit: str | None,
    recipe: str | None,
    subfolder: str | None,
    url: str | None,
    is_preview: bool,
    is_opened: bool,
    has_images: bool,
    refused: tuple[str, ...],
    note: str | None,
    by: str | None,
    is_refreshed: bool,
    is_followed: bool,
    wait_s: float | None,
) -> Exit:
    """Publish FOLDER, or a commit of a git repository, as a site: checked, made smaller, live in one step.

    What .gitignore files name stays out, and only what the server lacks is sent. Without --follow or --wait it prints
    the job's id.
    """
    if (folder is None) == (git is None):
        raise click.UsageError("Give either FOLDER or --git.")
    if (git is None) != (commit is None):
        raise click.UsageError("--git and --commit belong together.")
    given: dict[str, Any] = {"url": url, "note": note, "by": by, "intent": "preview" if is_preview else None}
    given |= {"smoke": "browser" if is_opened else None, "recipe": recipe, "subfolder": subfolder}
    given["options"] = (({"images": {}} if has_images else {}) | ({"refuse": refused} if refused else {})) or None
    params = {name: value for name, value in given.items() if value is not None}
    if git is not None and commit is not None:
        with session.client() as client:
            job = client.sites.publish_commit(git, commit, site, refresh=is_refreshed, **params)
    else:
        assert folder is not None  # noqa: S101  # one of both is given
        job = _sent(session, folder, site, params, is_refreshed=is_refreshed)
    return _finish(session, job, is_followed=is_followed, wait_s=wait_s)


@click.command()
@click.argument("site")
@click.option("--to", "release", help="A release by the beginning of its name; else the one that was live before.")
@click.option("--by", help="Who or what asks.")
@refresh_option
@follow_option
@wait_option
@json_flag
@pass_session
def rollback(
    session: Session,
    /,
    site: str,
    *,
    release: str | None,
    by: str | None,
    is_refreshed: bool,
    is_followed: bool,
    wait_s: float | None,
) -> Exit:
    """Make an earlier release of SITE live again, or a preview."""
    params: dict[str, Any] = {} if by is None else {"by": by}
    with session.client() as client:
        job = client.sites.roll_back(site, release, refresh=is_refreshed, **params)
    return _finish(session, job, is_followed=is_followed, wait_s=wait_s)


@click.command()
@click.argument("site")
@click.option("--diff", "compared", nargs=2, metavar="OLD NEW", help="Tell what differs between two of them instead.")
@json_flag
@pass_session
def releases(session: Session, /, site: str, *, compared: tuple[str, str] | None) -> Exit:
    """List the releases of SITE that can be made live again, newest first."""
    with session.client() as client:
        if compared is not None:
            diff = client.sites.diff(site, *compared)
            session.show(diff, "\n".join(differing(diff)))
            return Exit.OK
        found = client.sites.releases(site)
    columns = {
        "release": lambda one: one.release[:12],
        "marks": lambda one: " ".join(one.marks) or "-",
        "made": lambda one: moment(one.created_at),
        "live since": lambda one: moment(one.activated_at),
        "files": lambda one: one.files,
        "size": lambda one: size(one.size_bytes),
        "target": lambda one: one.target,
        "changes": lambda one: f"+{one.added} ~{one.changed} -{one.removed}",
        "by": lambda one: one.by or "-",
        "note": lambda one: one.note or "-",
    }
    session.table("releases", found, columns)
    return Exit.OK


@click.command()
@click.argument("site")
@click.argument("release")
@click.option("--hours", type=click.FloatRange(1 / 60, 720), default=24, show_default=True, help="Until it ends.")
@json_flag
@pass_session
def preview(session: Session, /, site: str, release: str, *, hours: float) -> Exit:
    """Print a link that shows RELEASE of SITE to whoever has it.

    The release is named as `releases` shows it. Who has the link needs no key.
    """
    with session.client() as client:
        made = client.sites.preview(site, release, expires_s=round(hours * 3600))
        link = client.url.rstrip("/") + made.path
    session.show(made, link)
    return Exit.OK


@click.command()
@json_flag
@pass_session
def sites(session: Session, /) -> Exit:
    """List your published sites."""
    with session.client() as client:
        found = client.sites.list()
    columns = {
        "site": lambda one: one.name,
        "live": lambda one: one.live.release[:12] if one.live else "-",
        "releases": lambda one: one.releases,
        "target": lambda one: one.target,
        "updated": lambda one: moment(one.updated_at),
        "address": lambda one: one.url or "-",
    }
    session.table("sites", found, columns)
    return Exit.OK


def _sent(session: Session, folder: str, site: str, params: dict[str, Any], *, is_refreshed: bool) -> Job:
    """Send a folder and submit its publication."""
    with session.client() as client, bar(site) as tell:
        sent = client.sites.publish(folder, site, on_progress=tell, refresh=is_refreshed, **params)
    if not session.as_json:
        click.echo(f"{sent.files} files, {sent.missing} to send, {size(sent.sent_bytes)} packed", err=True)
    return sent.job


def _finish(session: Session, job: Job, *, is_followed: bool, wait_s: float | None) -> Exit:
    if not is_followed and wait_s is None:
        session.show(job, job.id)
        return Exit.OK
    code = (follow if is_followed else wait)(session, job.id, limit_s=wait_s)
    if code is Exit.OK and not session.as_json:
        with session.client() as client:
            result = client.job(job.id).result
        click.echo("\n".join(told(result or {})))
    return code
