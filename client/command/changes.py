"""Commands that change jobs: one by its id, or many by the filters of the list."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from client.calls import JobFilters
from client.command.exits import Exit
from client.command.filters import chosen, filter_options
from client.command.follow import summary, wait
from client.command.session import Session, json_flag
from client.errors import InputRejected
from client.models import Change

F = TypeVar("F", bound=Callable[..., Any])

pass_session = click.make_pass_decorator(Session)
wait_option = click.option(
    "--wait", "wait_s", type=click.FloatRange(min=0), metavar="S", help="With an ID: wait at most S seconds."
)


def _many_options(function: F) -> F:
    """Add what chooses many jobs."""
    options = (
        filter_options,
        click.option("--all", "takes_all", is_flag=True, help="All of your jobs; instead of an ID or filters."),
        click.option("--limit", type=click.IntRange(1, 10_000), help="At most so many, the oldest first (1000)."),
        click.option("--yes", "confirm", is_flag=True, help="Do it. Without it, only say how many it would be."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@click.argument("job_id", metavar="[ID]", required=False)
@wait_option
@_many_options
@json_flag
@pass_session
def retry(session: Session, /, job_id: str | None, *, wait_s: float | None, **many: Any) -> Exit:
    """Run failed or cancelled jobs again: the job ID, or with --yes all that match the filters."""
    wanted = _wanted(job_id, many)
    if job_id is None:
        with session.client() as client:
            return _report(session, "retried", lambda: client.retry_many(**wanted))
    with session.client() as client:
        job = client.retry(job_id)
    if wait_s is not None:
        return wait(session, job_id, limit_s=wait_s)
    session.show(job, f"{job.id} is queued again")
    return Exit.OK


@click.command()
@click.argument("job_id", metavar="[ID]", required=False)
@wait_option
@_many_options
@json_flag
@pass_session
def cancel(session: Session, /, job_id: str | None, *, wait_s: float | None, **many: Any) -> Exit:
    """Ask for jobs to be cancelled: the job ID (with --wait, until it has stopped), or with --yes all that match."""
    wanted = _wanted(job_id, many)
    with session.client() as client:
        if job_id is None:
            return _report(session, "cancelled or told to stop", lambda: client.cancel_many(**wanted))
        job = client.cancel(job_id)
        if wait_s is not None and not job.is_terminal:
            job = client.wait(job_id, wait_s, check=False)
    session.show(job, summary(job) if job.is_terminal else f"{job.id} was told to stop")
    return Exit.OK


@click.command()
@_many_options
@json_flag
@pass_session
def erase(session: Session, /, **many: Any) -> Exit:
    """Erase the finished jobs that match, with their files, logs and events. For one job: delete."""
    wanted = _wanted(None, many)
    with session.client() as client:
        return _report(session, "erased", lambda: client.erase_many(**wanted))


def _wanted(job_id: str | None, many: Mapping[str, Any]) -> Any:
    act = {name: many[name] for name in ("confirm", "limit")}
    filters: JobFilters = chosen({name: value for name, value in many.items() if name not in {*act, "takes_all"}})
    ways = [job_id is not None, bool(filters), bool(many["takes_all"])]
    if ways.count(True) != 1:
        raise click.UsageError("name one job, or choose some by filters such as --state failed, or take --all")
    return {**act, **filters}


def _report(session: Session, done: str, act: Callable[[], Change]) -> Exit:
    try:
        change = act()
    except InputRejected as exc:
        if exc.code == "confirmation_required" and not session.as_json:
            click.echo("add --yes to do it", err=True)
        raise
    skipped = f", {change.skipped} skipped" if change.skipped else ""
    more = "; there are more: repeat it" if change.more else ""
    session.show(change, f"{change.changed} of {change.matched} {done}{skipped}{more}")
    return Exit.OK
