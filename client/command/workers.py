"""``switchyard workers``: those that the server knows, and the processes that run on this machine."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from client.command.exits import Exit
from client.command.jobs import pass_session
from client.command.plain import clean, seconds, size
from client.command.session import F, Session, json_flag
from client.errors import SwitchyardError
from client.worker_processes import WorkerProcess, WorkerProcesses
from client.worker_programs import counts_of

# For the counts of a server that may not be there.
_SOON_S = 2.0


@click.group(invoke_without_command=True)
@json_flag
@pass_session
@click.pass_context
def workers(context: click.Context, session: Session) -> Exit | None:
    """List the live workers, wherever they run; or start, stop and scale those of this machine."""
    if context.invoked_subcommand is not None:
        return None
    with session.client() as client:
        rows = client.workers()
    session.table("workers", rows, _WORKER_COLUMNS)
    return Exit.OK


_WORKER_COLUMNS: dict[str, Callable[[Any], object]] = {
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


def _state_option(function: F) -> F:
    return click.option(
        "--state",
        "state_dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="The stack's state folder; else SWITCHYARD_STATE_DIR, else var here.",
    )(function)


@workers.command()
@click.argument("counts", metavar="[QUEUE[=N]]...", nargs=-1)
@_state_option
@json_flag
@pass_session
def start(session: Session, *, counts: tuple[str, ...], state_dir: Path | None) -> Exit:
    """Start workers here, with this shell's settings: what ran last, or one for each queue. What runs is left alone."""
    return _show(session, _processes(state_dir).start(counts_of(counts)))


@workers.command()
@click.argument("counts", metavar="QUEUE=N...", nargs=-1, required=True)
@_state_option
@json_flag
@pass_session
def scale(session: Session, *, counts: tuple[str, ...], state_dir: Path | None) -> Exit:
    """Let N workers of each QUEUE run here. Those that go finish their jobs first, or give them back."""
    return _show(session, _processes(state_dir).scale(counts_of(counts)))


@workers.command()
@_state_option
@json_flag
@pass_session
def status(session: Session, *, state_dir: Path | None) -> Exit:
    """List the processes that were started here, with how many jobs of their queue wait and run."""
    return _show(session, _counted(session, _processes(state_dir).status()))


@workers.command()
@_state_option
@json_flag
@pass_session
def stop(session: Session, *, state_dir: Path | None) -> Exit:
    """End what was started here, each after its jobs' grace."""
    has_run = _processes(state_dir).stop()
    click.echo(json.dumps({"stopped": has_run}) if session.as_json else "stopped" if has_run else "nothing ran")
    return Exit.OK


def _processes(state_dir: Path | None) -> WorkerProcesses:
    return WorkerProcesses(state_dir or Path(os.environ.get("SWITCHYARD_STATE_DIR") or "var"))


def _counted(session: Session, found: Sequence[WorkerProcess]) -> Sequence[WorkerProcess]:
    """Add the counts of the queues where a server answers soon; the processes are told of all the same."""
    if not found:
        return found
    session.limits = replace(session.limits, connect_s=_SOON_S, status_s=_SOON_S, reconnects=0)
    try:
        with session.client() as client:
            queues = {one.queue: one for one in client.queues()}
    except SwitchyardError:
        return found
    counts = {name: {"waiting": one.waiting, "running": one.running} for name, one in queues.items()}
    return [one.model_copy(update=counts.get(one.queue, {})) for one in found]


def _show(session: Session, found: Sequence[WorkerProcess]) -> Exit:
    if found or session.as_json:
        session.table("workers", found, _PROCESS_COLUMNS)
    else:
        click.echo("no workers run here")
    return Exit.OK


_PROCESS_COLUMNS: dict[str, Callable[[Any], object]] = {
    "name": lambda row: row.name,
    "state": lambda row: row.state,
    "pid": lambda row: row.pid or "-",
    "uptime": lambda row: seconds(row.uptime_s),
    "memory": lambda row: size(row.rss_bytes),
    "waiting": lambda row: "-" if row.waiting is None else row.waiting,
    "running": lambda row: "-" if row.running is None else row.running,
    "last line of its log": lambda row: clean(row.last_line),
}
