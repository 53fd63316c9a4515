"""``switchyard schedules``: jobs that come again and again."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from client.command import params
from client.command.exits import Exit
from client.command.jobs import pass_session
from client.command.plain import clean, moment
from client.command.session import Session, json_flag, output_option
from client.schedules import Schedule, ScheduleFilters

F = TypeVar("F", bound=Callable[..., Any])

_TIMING = ("cron", "time_zone", "every_s", "catch_up", "name", "enabled")
_OF_JOB = (
    "priority",
    "timeout_s",
    "max_attempts",
    "expires_in_s",
    "reference",
    "site",
    "unique_key",
    "concurrency_key",
)


@click.group()
def schedules() -> None:
    """Make, list, change, run and delete schedules: jobs that come again and again."""


def _timing_options(command: F) -> F:
    options = (
        click.option("--cron", help="Minute, hour, day of month, month, day of week: '30 2 * * MON-FRI'."),
        click.option("--time-zone", help="What --cron is meant in: Africa/Maputo; else UTC."),
        click.option("--every", "every_s", type=click.IntRange(min=1), metavar="S", help="Every S seconds instead."),
        click.option("--catch-up", type=click.Choice(["skip", "one", "all"]), help="What to do about missed ticks."),
        click.option("--name", help="What to call it."),
        click.option("--enable/--disable", "enabled", default=None, help="Switch it on or off."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _job_options(command: F) -> F:
    options = (
        click.option("--param", "pairs", multiple=True, metavar="K=V", help="One input; JSON if it parses."),
        click.option("--json", "file", metavar="FILE", help="All input from a JSON file, or - for stdin."),
        click.option("--priority", type=click.IntRange(0, 100), help="Higher goes first."),
        click.option("--timeout", "timeout_s", type=float, metavar="S", help="Limit of one attempt."),
        click.option("--max-attempts", type=click.IntRange(min=1), help="How often to try."),
        click.option("--expires-in", "expires_in_s", type=float, metavar="S", help="Counted from each tick."),
        click.option("--reference", help="Your own name for the jobs."),
        click.option("--label", "labels", multiple=True, metavar="K=V", help="A label to find them by."),
        click.option("--site", help="The site they belong to."),
        click.option("--unique-key", help="No job while one with this key has not ended."),
        click.option("--concurrency-key", help="One job with this key at a time."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _when(schedule: Schedule) -> str:
    return f"every {schedule.every_s} s" if schedule.every_s else f"{schedule.cron} {schedule.time_zone}"


@schedules.command(name="list")
@click.option("--enabled/--disabled", "enabled", default=None, help="Only those.")
@click.option("--limit", type=click.IntRange(min=1), default=50, help="At most so many.")
@json_flag
@pass_session
def list_(session: Session, /, *, enabled: bool | None, limit: int) -> Exit:
    """List schedules, newest first."""
    found: list[Schedule] = []
    filters: ScheduleFilters = {} if enabled is None else {"enabled": enabled}
    with session.client() as client:
        while len(found) < limit:
            filters["limit"] = min(200, limit - len(found))
            page = client.schedules.list(**filters)
            found += page.schedules
            if page.next_cursor is None:
                break
            filters["cursor"] = page.next_cursor
    session.table("schedules", found, _COLUMNS)
    return Exit.OK


_COLUMNS: dict[str, Callable[[Schedule], object]] = {
    "id": lambda one: one.id,
    "name": lambda one: one.name or "-",
    "kind": lambda one: one.job.get("kind", "-"),
    "when": _when,
    "next": lambda one: moment(one.next_at) if one.enabled else "disabled",
    "last": lambda one: moment(one.last_at),
    "outcome": lambda one: one.last_error.code if one.last_error else one.last_outcome or "-",
    "jobs": lambda one: one.jobs_made,
}


@schedules.command()
@click.argument("kind")
@_timing_options
@_job_options
@output_option
@pass_session
def create(session: Session, /, kind: str, **options: Any) -> Exit:
    """Make a schedule of jobs of KIND and print its id. Here --json names the input; use -o json for JSON output."""
    job = {"kind": kind, **_job_changes(options, {})}
    with session.client() as client:
        made = client.schedules.create(job, **_timing(options))
    session.show(made, made.id)
    return Exit.OK


@schedules.command()
@click.argument("schedule_id", metavar="ID")
@_timing_options
@_job_options
@output_option
@pass_session
def edit(session: Session, /, schedule_id: str, **options: Any) -> Exit:
    """Change what is given of a schedule; --param adds to its input, --json replaces it."""
    changes = _timing(options)
    with session.client() as client:
        if any(options[name] not in (None, ()) for name in (*_OF_JOB, "pairs", "file", "labels")):
            job = client.schedules.get(schedule_id).job
            changes["job"] = {**job, **_job_changes(options, job)}
        if not changes:
            raise click.UsageError("say what is to be otherwise")
        changed = client.schedules.edit(schedule_id, **changes)
    session.show(changed, _described(changed))
    return Exit.OK


@schedules.command()
@click.argument("schedule_id", metavar="ID")
@json_flag
@pass_session
def show(session: Session, /, schedule_id: str) -> Exit:
    """Show a schedule."""
    with session.client() as client:
        found = client.schedules.get(schedule_id)
    session.show(found, _described(found))
    return Exit.OK


@schedules.command()
@click.argument("schedule_id", metavar="ID")
@json_flag
@pass_session
def run(session: Session, /, schedule_id: str) -> Exit:
    """Submit a schedule's job now and print the job's id."""
    with session.client() as client:
        job = client.schedules.run_now(schedule_id)
    session.show(job, job.id)
    return Exit.OK


@schedules.command()
@click.argument("schedule_id", metavar="ID")
@json_flag
@pass_session
def delete(session: Session, /, schedule_id: str) -> Exit:
    """Delete a schedule; its jobs stay."""
    with session.client() as client:
        client.schedules.delete(schedule_id)
    session.show(None, f"{clean(schedule_id)} deleted")
    return Exit.OK


def _described(schedule: Schedule) -> str:
    skipped = schedule.skipped
    lines = {
        "schedule": schedule.id,
        "name": schedule.name,
        "kind": schedule.job.get("kind"),
        "when": _when(schedule),
        "catch up": schedule.catch_up,
        "next": moment(schedule.next_at) if schedule.enabled else "disabled",
        "last": moment(schedule.last_at) if schedule.last_at else None,
        "outcome": schedule.last_outcome,
        "last job": schedule.last_job_id,
        "error": f"{schedule.last_error.code}: {schedule.last_error.message}" if schedule.last_error else None,
        "skipped": f"{moment(skipped.first)} to {moment(skipped.last)}" if skipped else None,
        "jobs": schedule.jobs_made,
    }
    return "\n".join(clean(f"{name:<12}{value}") for name, value in lines.items() if value is not None)


def _timing(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in _TIMING if options[name] is not None}


def _job_changes(options: Mapping[str, Any], job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request that the options set, where it was ``job`` before."""
    pairs, file = options["pairs"], options["file"]
    if pairs and file is not None:
        raise click.UsageError("give the input with --param or with --json FILE, not both")
    changes: dict[str, Any] = {name: options[name] for name in _OF_JOB if options[name] is not None}
    if file is not None:
        changes["params"] = params.from_file(file)
    elif pairs:
        changes["params"] = {**job.get("params", {}), **params.from_pairs(pairs)}
    if options["labels"]:
        changes["labels"] = {**job.get("labels", {}), **params.labels(options["labels"])}
    return changes
