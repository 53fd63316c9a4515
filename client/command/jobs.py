"""Commands about single jobs."""

import click

from client.calls import SubmitOptions
from client.command import params
from client.command.exits import Exit
from client.command.filters import chosen, filter_options
from client.command.follow import follow, result, wait
from client.command.plain import clean, job_line, log_line, moment, progress_line, seconds, size
from client.command.sending import send
from client.command.session import Session, backend_option, dumped, json_flag, output_option
from client.models import Artifact, ChainJob, Job

pass_session = click.make_pass_decorator(Session)
wait_option = click.option(
    "--wait", "wait_s", type=click.FloatRange(min=0), metavar="S", help="Wait at most S seconds."
)


@click.command()
@click.argument("kind")
@click.option("--param", "pairs", multiple=True, metavar="K=V", help="One input; JSON if it parses; a.b=1 nests.")
@click.option("--json", "file", metavar="FILE", help="All input from a JSON file, or - for stdin.")
@click.option("--file", "files", multiple=True, metavar="PATH=FILE", help="A file to upload as the input's a.b.")
@click.option("--follow", "is_followed", is_flag=True, help="Show progress and logs until the end.")
@wait_option
@click.option("--priority", type=click.IntRange(0, 100), help="Higher goes first.")
@click.option("--timeout", "timeout_s", type=float, metavar="S", help="Limit of one attempt.")
@click.option("--max-attempts", type=click.IntRange(min=1), help="How often to try.")
@click.option("--expires-in", "expires_in_s", type=float, metavar="S", help="Fail it if nobody starts it by then.")
@click.option("--not-before", metavar="TIME", help="Let it wait until then: 2027-01-31T12:00:00Z.")
@click.option("--expires-at", metavar="TIME", help="As --expires-in, at a time.")
@click.option("--reference", help="Your own name for it.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="A label to find it by.")
@click.option("--site", help="The site it belongs to.")
@click.option("--requires", "needs", multiple=True, metavar="K=V", help="What its worker must offer: chromium=true.")
@click.option("--idempotency-key", help="The same key makes the same job once.")
@click.option("--then", "on_success", metavar="JSON", help="What follows its success: {kind, params}, or @FILE.")
@click.option("--or-else", "on_failure", metavar="JSON", help="What follows its failure, likewise.")
@backend_option
@output_option
@pass_session
def submit(
    session: Session,
    /,
    kind: str,
    *,
    pairs: tuple[str, ...],
    file: str | None,
    files: tuple[str, ...],
    is_followed: bool,
    wait_s: float | None,
    labels: tuple[str, ...],
    needs: tuple[str, ...],
    on_success: str | None,
    on_failure: str | None,
    **options: str | float | None,
) -> Exit:
    """Submit a job of KIND and print its id. Here --json names the input; use -o json for JSON output."""
    if pairs and file is not None:
        raise click.UsageError("give the input with --param or with --json FILE, not both")
    given = params.from_file(file) if file is not None else params.from_pairs(pairs)
    chosen: SubmitOptions = {name: value for name, value in options.items() if value is not None}  # type: ignore[assignment]  # click's names are the keys of SubmitOptions
    if labels:
        chosen["labels"] = params.labels(labels)
    if needs:
        chosen["requires"] = params.from_pairs(needs)
    if on_success is not None:
        chosen["on_success"] = params.inline(on_success, hint="--then")
    if on_failure is not None:
        chosen["on_failure"] = params.inline(on_failure, hint="--or-else")
    with session.client() as client:
        sent = {path: send(client, name) for path, name in params.files(files).items()}
        job = client.submit(kind, given, files=sent, **chosen)
    if is_followed:
        return follow(session, job.id, limit_s=wait_s)
    if wait_s is not None:
        return wait(session, job.id, limit_s=wait_s)
    session.show(job, job.id)
    return Exit.OK


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.option("--name", help="What to call it; else its own name.")
@json_flag
@pass_session
def upload(session: Session, path: str, *, name: str | None) -> Exit:
    """Send FILE, or go on sending it, and print the upload's id. What the server has is not sent again."""
    with session.client() as client:
        sent = send(client, path, name=name)
    session.show(sent, sent.id)
    return Exit.OK


@click.command()
@click.argument("job_id", metavar="ID")
@json_flag
@pass_session
def status(session: Session, job_id: str) -> Exit:
    """Print a job's record. Ends with 0 whatever the job's state is."""
    with session.client() as client:
        job = client.job(job_id)
    session.show(job, "\n".join(_described(job)))
    return Exit.OK


def _described(job: Job) -> list[str]:
    lines = {
        "job": job.id,
        "kind": job.kind,
        "queue": job.queue,
        "state": job_line(job).removeprefix(job.id + " "),
        "attempt": f"{job.attempt} of {job.max_attempts}",
        "progress": progress_line(job.progress) if job.progress else None,
        "worker": job.worker,
        "backend": job.backend,
        "waiting for": job.waiting_for,
        "blocked": job.blocked,
        "not before": moment(job.not_before) if job.not_before and not job.is_terminal else None,
        "expires": moment(job.expires_at) if job.expires_at and not job.is_terminal else None,
        "reference": job.reference,
        "created": moment(job.created_at),
        "finished": moment(job.finished_at) if job.finished_at else None,
        "took": seconds(job.timings.total_s) if job.timings else None,
        "artifacts": ", ".join(artifact.name for artifact in job.artifacts) or None,
    }
    return [clean(f"{name:<12}{value}") for name, value in lines.items() if value]


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--cancel", "is_cancelled", is_flag=True, help="Cancel all of it.")
@json_flag
@pass_session
def chain(session: Session, job_id: str, *, is_cancelled: bool) -> Exit:
    """Print a job with what it follows and what followed it."""
    with session.client() as client:
        found = client.cancel_chain(job_id) if is_cancelled else client.chain(job_id)
    lines = [clean(f"{'  ' * one.depth}{one.id}  {one.kind}  {one.state}{_followed(one)}") for one in found.jobs]
    session.show(found, "\n".join(lines))
    return Exit.OK


def _followed(job: ChainJob) -> str:
    if job.follow_up is None or job.follow_up.state == "started":
        return ""
    error = job.follow_up.error
    return f"  (what follows: {job.follow_up.state}{f': {error.field}: {error.message}' if error else ''})"


@click.command()
@click.argument("job_id", metavar="ID")
@wait_option
@json_flag
@pass_session
def watch(session: Session, job_id: str, *, wait_s: float | None) -> Exit:
    """Show a job's progress and logs until its end."""
    return follow(session, job_id, limit_s=wait_s)


@click.command(name="result")
@click.argument("job_id", metavar="ID")
@wait_option
@json_flag
@pass_session
def print_result(session: Session, job_id: str, *, wait_s: float | None) -> Exit:
    """Wait for a job's end and print its result as JSON. With --wait 0 it does not wait."""
    return result(session, job_id, limit_s=wait_s)


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--follow", "is_followed", is_flag=True, help="Go on until the job ends.")
@click.option("--level", type=click.Choice(["debug", "info", "warning", "error"]), help="The least level shown.")
@json_flag
@pass_session
def logs(session: Session, job_id: str, *, is_followed: bool, level: str | None) -> Exit:
    """Print a job's log lines."""
    with session.client() as client:
        for line in client.logs(job_id, level=level, follow=is_followed):
            session.show(line, log_line(line))
    return Exit.OK


@click.command()
@click.argument("job_id", metavar="ID")
@json_flag
@pass_session
def delete(session: Session, job_id: str) -> Exit:
    """Erase a finished job with its files, logs and events; an active one is cancelled instead."""
    with session.client() as client:
        job = client.delete(job_id)
    session.show(job, f"{job_id} was told to stop" if job else f"{job_id} erased")
    return Exit.OK


@click.command()
@click.argument("job_id", metavar="ID")
@json_flag
@pass_session
def artifacts(session: Session, job_id: str) -> Exit:
    """List the files that a job left."""
    with session.client() as client:
        rows = client.artifacts(job_id)
    session.table("artifacts", rows, _ARTIFACT_COLUMNS)
    return Exit.OK


_ARTIFACT_COLUMNS = {
    "name": lambda row: row.name,
    "size": lambda row: size(row.size_bytes),
    "type": lambda row: row.media_type,
    "attempt": lambda row: row.attempt,
}


@click.command()
@click.argument("job_id", metavar="ID")
@click.argument("name")
@click.option("--to", "path", type=click.Path(), help="A file or a folder; else the current folder.")
@json_flag
@pass_session
def download(session: Session, job_id: str, name: str, path: str | None) -> Exit:
    """Fetch one file that a job left; print where it is."""
    with session.client() as client:
        target = client.download(job_id, name, path)
    artifact = Artifact(name=name, size_bytes=target.stat().st_size)
    click.echo(dumped(artifact.model_copy(update={"path": str(target)})) if session.as_json else str(target))
    return Exit.OK


@click.command(name="list")
@filter_options
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@click.option("--cursor", help="Where the page before ended.")
@json_flag
@pass_session
def list_jobs(session: Session, /, *, limit: int, cursor: str | None, **filters: object) -> Exit:
    """List jobs, newest first."""
    with session.client() as client:
        page = client.page(limit=limit, cursor=cursor, **chosen(filters))
    if session.as_json:
        click.echo(page.model_dump_json())
        return Exit.OK
    session.table("jobs", page.jobs, _JOB_COLUMNS)
    if page.next_cursor:
        click.echo(f"{len(page.jobs)} of {page.total}; more with --cursor {clean(page.next_cursor)}", err=True)
    return Exit.OK


_JOB_COLUMNS = {
    "id": lambda job: job.id,
    "kind": lambda job: job.kind,
    "state": lambda job: job.state,
    "attempt": lambda job: f"{job.attempt}/{job.max_attempts}",
    "created": lambda job: moment(job.created_at),
    "took": lambda job: seconds(job.timings.total_s if job.timings else None),
    "progress": lambda job: progress_line(job.progress) if job.progress and not job.is_terminal else "",
}
