"""Watching everything that goes on, line by line."""

from typing import Any

import click

from client.command.exits import Exit
from client.command.jobs import pass_session
from client.command.plain import clean, count, moment, size
from client.command.session import Session, json_flag
from client.monitoring import MonitorEvent, MonitorFilters


@click.command()
@click.option(
    "--topic", "topics", multiple=True, type=click.Choice(["job", "queue", "worker", "system"]), help="Repeatable."
)
@click.option("--queue", "queues", multiple=True, metavar="QUEUE", help="Only this queue's; repeatable.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only jobs of this kind; repeatable.")
@click.option("--tenant", "tenants", multiple=True, metavar="NAME", help="Only this tenant's jobs; for operators.")
@click.option("--job", "jobs", multiple=True, metavar="ID", help="Only this job; repeatable.")
@click.option("--worker", "workers", multiple=True, metavar="NAME", help="Only this worker; repeatable.")
@json_flag
@pass_session
def monitor(session: Session, /, **chosen: tuple[str, ...]) -> Exit:
    """Show what goes on, a line each, until Ctrl-C."""
    wanted: Any = {name: values for name, values in chosen.items() if values}
    _show(session, wanted)
    return Exit.OK


def _show(session: Session, wanted: MonitorFilters) -> None:
    try:
        with session.client() as client, client.monitor(**wanted) as stream:
            for event in stream:
                session.show(event, monitor_line(event))
    except KeyboardInterrupt:
        pass  # that is how one leaves it


def monitor_line(event: MonitorEvent) -> str:
    """Return an event as one line."""
    described = {
        "snapshot": _snapshot,
        "resumed": lambda data: f"{data.get('events', 0)} events were missed and follow",
        "job.state": _job,
        "job.progress": _report,
        "queue.changed": _queue,
        "system.changed": _system,
    }.get(event.type, _worker if event.topic == "worker" else str)
    return clean(f"{moment(event.at)} {event.type:<19} {described(event.data)}")


def _snapshot(data: dict[str, Any]) -> str:
    counts = data.get("counts") or {}
    workers = data.get("workers")
    parts = [f"{counts[state]} {state}" for state in counts]
    if workers is not None:
        parts.append(f"{len(workers)} workers")
    return f"({data.get('reason')}) {', '.join(parts)}"


def _job(data: dict[str, Any]) -> str:
    error = data.get("error") or {}
    why = f": {error.get('message')}" if error else ""
    attempt = f" attempt {data['attempt']}" if data.get("attempt") else ""
    return f"{data.get('id')} {data.get('kind')} {data.get('state')}{attempt} ({data.get('cause')}) {_of(data)}{why}"


def _report(data: dict[str, Any]) -> str:
    report = data.get("progress") or {}
    percent = "" if report.get("percent") is None else f" {count(report['percent'])}%"
    words = report.get("message") or report.get("stage") or ""
    return f"{data.get('id')} {data.get('kind')}{percent} {words} {_of(data)}"


def _of(data: dict[str, Any]) -> str:
    return f"{data.get('tenant')} @ {data.get('worker')}" if data.get("worker") else str(data.get("tenant"))


def _queue(data: dict[str, Any]) -> str:
    names = ("waiting", "delayed", "running", "workers", "slots")
    return f"{data.get('queue')} " + ", ".join(f"{data.get(name)} {name}" for name in names)


def _worker(data: dict[str, Any]) -> str:
    jobs = f"{data.get('running')}/{data.get('slots')} jobs"
    return f"{data.get('name')} {data.get('state')}, {jobs}, {size(data.get('rss_bytes'))}"


def _system(data: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in data.items() if value is not None)
