"""``switchyard crawl`` and ``switchyard pages``: a site's pages, to keep as a file and to ask."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from client.command.exits import Exit, exit_of_job
from client.command.follow import await_end, follow, summary
from client.command.jobs import pass_session, wait_option
from client.command.plain import clean
from client.command.session import Session, backend_option, json_flag
from client.command.site_names import how_to_ask
from client.models import Job
from client.pages import PAGES, SUFFIXES, PagesFormat, format_of
from client.switchyard import Switchyard

_CRAWL, _UPDATE = "crawling.site", "knowledge.update"


_format_option = click.option(
    "--format",
    "form",
    type=click.Choice(list(SUFFIXES)),
    help="What the pages are kept as; as the file's ending says if absent.",
)


def _kept_as(target: Path | None, form: PagesFormat | None) -> PagesFormat:
    """Return the format of a file that is asked for by name, by format or by both."""
    if form is not None or target is None:
        return form or "jsonl"
    try:
        return format_of(target)
    except ValueError as exc:
        raise click.BadParameter(f"{exc}; or say --format", param_hint="FILE") from exc


@click.command()
@click.argument("url")
@click.option("--follow", "is_followed", is_flag=True, help="Show progress and logs until the end.")
@click.option("--max-pages", type=click.IntRange(1, 50_000), help="At most so many pages (100).")
@click.option("--depth", type=click.IntRange(0, 10), help="Links followed from URL (3).")
@click.option("--include", multiple=True, metavar="GLOB", help="Only addresses like one of these.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No addresses like one of these.")
@click.option("--include-regex", multiple=True, metavar="REGEX", help="As --include, by regular expression.")
@click.option("--exclude-regex", multiple=True, metavar="REGEX", help="As --exclude, by regular expression.")
@click.option(
    "--scope",
    type=click.Choice(["host", "path", "subdomains", "any"]),
    help="Which addresses belong to the site (host): path, those below the folder of URL.",
)
@click.option(
    "--render", type=click.Choice(["auto", "always", "never"]), help="Whether pages are opened in the browser (auto)."
)
@click.option(
    "--delay", "delay_s", type=click.FloatRange(0, 60), metavar="S", help="Least seconds between two requests (0.5)."
)
@click.option("--concurrency", type=click.IntRange(1, 32), help="Pages fetched or read at the same time (8).")
@click.option(
    "--max-duration",
    "max_duration_s",
    type=click.IntRange(1, 14_000),
    metavar="S",
    help="End with what there is after so many seconds (3600).",
)
@click.option(
    "--sitemap/--no-sitemap", "use_sitemap", default=None, help="Also take addresses from sitemaps (default)."
)
@click.option("--user-agent", metavar="TEXT", help="The name that the site sees, and its robots.txt is asked for.")
@click.option("--max-page-bytes", type=click.IntRange(1024, 20 * 2**20), help="Larger pages fail (4194304).")
@click.option("--max-total-bytes", type=click.IntRange(1024, 2**40), help="End before all pages are more (no limit).")
@click.option(
    "--revisit",
    "revisit_s",
    nargs=2,
    type=click.IntRange(1, 366 * 24 * 3600),
    metavar="MIN MAX",
    help="Look at each page as often as it changes, MIN to MAX seconds apart; takes effect with --since.",
)
@click.option("--screenshots", type=click.IntRange(0, 50), help="Also keep pictures of so many pages (0).")
@click.option("--since", metavar="JOB", help="Tell what has changed since that crawl; `last`: since the last one.")
@click.option("--save", metavar="FILE", type=click.Path(path_type=Path), help="Keep the pages in this file.")
@_format_option
@click.option("--know/--no-know", "is_known", default=True, help="Make the site searchable afterwards (default).")
@backend_option
@wait_option
@json_flag
@pass_session
def crawl(
    session: Session,
    /,
    url: str,
    *,
    is_followed: bool,
    save: Path | None,
    form: PagesFormat | None,
    is_known: bool,
    wait_s: float | None,
    revisit_s: tuple[int, int] | None,
    **params: Any,
) -> Exit:
    """Crawl the site at URL, make it searchable, and say how to ask it."""
    kept_as = _kept_as(save, form) if save or form else None
    given = {name: value for name, value in params.items() if value not in (None, ())}
    if revisit_s:
        given["revisit"] = dict(zip(("min_s", "max_s"), revisit_s, strict=True))
    with session.client() as client:
        job = client.submit(_CRAWL, {"url": url, **given})
        if is_followed:
            code = follow(session, job.id, limit_s=wait_s)
            if code is not Exit.OK:
                return code
            job = client.job(job.id)
        else:
            job = await_end(client, job.id, wait_s)
            session.show(job, summary(job))
        if job.state != "succeeded":
            return exit_of_job(job)
        if (told := job.result or {}).get("pages_ok", 0) == told.get("pages_without_text", -1):
            click.echo(clean(f"no text was found: {_pages(job)}; why is in: switchyard logs {job.id}"), err=True)
        if kept_as is not None:
            target = save or Path(f"{urlsplit(url).hostname or 'pages'}{SUFFIXES[kept_as]}")
            client.download(job.id, PAGES, target, as_format=kept_as)
            click.echo(clean(f"{_pages(job)} in {target}"), err=session.as_json)
        return _know(session, client, job, wait_s, is_followed=is_followed) if is_known else Exit.OK


def _pages(job: Job) -> str:
    """Return how many pages a crawl kept, and how many it could not have and why."""
    told = job.result or {}
    kept, failed = told.get("pages_ok", 0), told.get("pages_failed", 0)
    reasons = ", ".join(f"{name} {count}" for name, count in told.get("failed_by_reason", {}).items())
    return f"{kept} page{'' if kept == 1 else 's'}" + (f" ({failed} failed: {reasons})" if failed else "")


def _know(session: Session, client: Switchyard, crawled: Job, wait_s: float | None, *, is_followed: bool) -> Exit:
    job = client.submit(_UPDATE, {"crawl_job_id": crawled.id})
    if is_followed and not session.as_json:
        code = follow(session, job.id, limit_s=wait_s)
        if code is not Exit.OK:
            return code
        job = client.job(job.id)
    else:
        job = await_end(client, job.id, wait_s)
    if job.result is None:
        session.show(job, summary(job))
        return exit_of_job(job)
    told = job.result
    counts = ", ".join(f"{told[name]} {name}" for name in ("added", "changed", "unchanged", "deleted"))
    if told["is_flagged"]:
        click.echo("over half of the pages failed: nothing that was not found is taken for gone", err=True)
    session.show(job, clean(f"{counts}. Ask it: {how_to_ask(told['site'])}"))
    return Exit.OK


@click.command()
@click.argument("job_id", metavar="ID")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@_format_option
@pass_session
def pages(session: Session, /, job_id: str, file: Path, *, form: PagesFormat | None) -> Exit:
    """Write the pages of the crawl ID to FILE: .jsonl, .zip (one Markdown file a page) or .sqlite."""
    kept_as = _kept_as(file, form)
    with session.client() as client:
        client.download(job_id, PAGES, file, as_format=kept_as)
    return Exit.OK
