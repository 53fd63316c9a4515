"""Commands about what the server offers and how busy it is."""

import json

import click

from client.calls import Needs
from client.command.exits import Exit
from client.command.jobs import pass_session
from client.command.plain import clean, domain_event_line, seconds, size
from client.command.session import Session, json_flag
from client.models import Kind


@click.command()
@click.argument("name", metavar="[KIND]", required=False)
@json_flag
@pass_session
def kinds(session: Session, name: str | None) -> Exit:
    """List the kinds of job, or show one KIND with its schema and an example."""
    with session.client() as client:
        if name:
            kind = client.kind(name)
            session.show(kind, _described(kind))
            return Exit.OK
        rows = client.kinds()
    session.table("kinds", rows, _KIND_COLUMNS)
    return Exit.OK


def _described(kind: Kind) -> str:
    example = json.dumps(kind.example, indent=2, ensure_ascii=False)
    schema = json.dumps(kind.request_schema, indent=2, ensure_ascii=False)
    facts = f"queue {kind.queue}, at most {seconds(kind.hard_limit_s)} and {kind.max_attempts} attempts"
    runs = "" if kind.runnable else f"\nno live worker offers {clean(kind.waiting_for)}"
    head = f"{clean(kind.kind)}: {clean(kind.summary)}\n{clean(facts)}{runs}"
    return f"{head}\n\nexample params:\n{example}\n\nrequest schema:\n{schema}"


_KIND_COLUMNS = {
    "kind": lambda row: row.kind,
    "queue": lambda row: row.queue,
    "runs now": lambda row: "yes" if row.runnable else f"no: {row.waiting_for}",
    "summary": lambda row: row.summary,
}


@click.command()
@json_flag
@pass_session
def queues(session: Session) -> Exit:
    """List the queues and how busy they are."""
    with session.client() as client:
        rows = client.queues()
    session.table("queues", rows, _QUEUE_COLUMNS)
    return Exit.OK


_QUEUE_COLUMNS = {
    "queue": lambda row: row.queue,
    "waiting": lambda row: row.waiting,
    "delayed": lambda row: row.delayed,
    "paused": lambda row: f"{row.paused} held" if row.pauses else "-",
    "running": lambda row: row.running,
    "oldest": lambda row: seconds(row.oldest_waiting_s),
    "workers": lambda row: row.workers,
    "slots": lambda row: row.slots,
    "unmatched": lambda row: ", ".join(f"{count} {what}" for what, count in row.unmatched.items()) or "-",
    "succeeded 1h": lambda row: row.succeeded_1h,
    "failed 1h": lambda row: row.failed_1h,
}


@click.command()
@json_flag
@pass_session
def backends(session: Session) -> Exit:
    """List what runs jobs, which of it is live, and what each is good for."""
    with session.client() as client:
        rows = client.backends()
    session.table("backends", rows, _BACKEND_COLUMNS)
    return Exit.OK


_BACKEND_COLUMNS = {
    "backend": lambda row: row.name,
    "live": lambda row: "yes" if row.live else f"no: {', '.join(row.missing)}",
    "workers": lambda row: row.workers,
    "slots": lambda row: row.slots,
    "kinds": lambda row: len(row.kinds),
    "good for": lambda row: row.good_for,
}


@click.command()
@click.option("--sites", type=click.IntRange(0), help="Sites whose tools are to be known.")
@click.option("--jobs-per-day", type=click.IntRange(0), help="Discoveries and runs of tools.")
@click.option("--job-s", type=click.FloatRange(0, min_open=True), help="How long one takes, in seconds (30).")
@click.option("--people", type=click.IntRange(0), help="Who rely on it.")
@click.option("--must-survive", is_flag=True, help="Jobs are to go on at once when a machine dies.")
@click.option("--no-redis", is_flag=True, help="Redis may not be run.")
@json_flag
@pass_session
def advise(
    session: Session,
    /,
    *,
    sites: int | None,
    jobs_per_day: int | None,
    job_s: float | None,
    people: int | None,
    must_survive: bool,
    no_redis: bool,
) -> Exit:
    """Tell which backend, how many workers and which ledger a purpose needs, and why."""
    needs: Needs = {
        "sites": sites,
        "jobs_per_day": jobs_per_day,
        "job_s": job_s,
        "people": people,
        "must_survive": must_survive,
        "has_redis": not no_redis,
    }
    with session.client() as client:
        found = client.advice(**needs)
    count = "-".join(map(str, dict.fromkeys([found.least_workers, found.most_workers])))
    workers = f"{count} workers" if found.backend == "queue" else "one runner"
    head = f"{found.backend}: {workers}, {found.slots} jobs at a time, {found.ledger}"
    marked = [*(f"- {one}" for one in found.reasons), *(f"! {one}" for one in found.warnings)]
    session.show(found, "\n".join(map(clean, [head, *marked, *(f"  {one}" for one in found.commands)])))
    return Exit.OK


@click.command()
@json_flag
@pass_session
def workers(session: Session) -> Exit:
    """List the live workers."""
    with session.client() as client:
        rows = client.workers()
    session.table("workers", rows, _WORKER_COLUMNS)
    return Exit.OK


@click.command()
@click.option("--type", "types", multiple=True, metavar="TYPE", help="site.crawled, or site.*; repeatable.")
@click.option("--job", "job_id", metavar="ID", help="Only what this job has brought about.")
@click.option("--after", metavar="EVENT", help="Only what came after this event's id.")
@click.option("--follow", "is_followed", is_flag=True, help="Go on for ever; without --after or --job, from now.")
@json_flag
@pass_session
def events(
    session: Session, *, types: tuple[str, ...], job_id: str | None, after: str | None, is_followed: bool
) -> Exit:
    """Print your domain events, oldest first: what your jobs have brought about."""
    with session.client() as client:
        for event in client.domain_events(types, job_id=job_id, after=after, follow=is_followed):
            session.show(event, domain_event_line(event))
    return Exit.OK


_WORKER_COLUMNS = {
    "name": lambda row: row.name,
    "state": lambda row: row.state,
    "pid": lambda row: row.pid if row.pid is not None else "-",
    "queues": lambda row: ",".join(row.queues),
    "slots": lambda row: row.slots,
    "jobs": lambda row: len(row.jobs),
    "uptime": lambda row: seconds(row.uptime_s),
    "memory": lambda row: size(row.rss_bytes),
    "offers": lambda row: ",".join(row.capabilities),
    "labels": lambda row: ",".join(row.labels) or "-",
    "per job": lambda row: size(row.memory_mb << 20) if row.memory_mb else "-",
    "takes yours": lambda row: "yes" if row.serves_you else "no",
}
