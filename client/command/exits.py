"""Exit codes that scripts can use, and one clear line for whoever reads stderr."""

import json
from enum import IntEnum

import click

from client.command.plain import clean
from client.errors import (
    ConfigurationRefused,
    Conflict,
    ConnectionFailed,
    InputRejected,
    JobCancelled,
    JobEnded,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NotSupported,
    ServerFailed,
    SwitchyardError,
    TooLarge,
    Unavailable,
    WaitTimedOut,
)
from client.models import Job


class Exit(IntEnum):
    """What the process ends with."""

    OK = 0
    """Done; where the command waits for a job, the job succeeded."""
    JOB_FAILED = 1
    """The job failed."""
    REFUSED = 2
    """Wrong usage, or a request that the server refused: input, size, state of the job."""
    JOB_CANCELLED = 3
    """The job was cancelled."""
    NOT_FOUND = 4
    """No such job, kind or artifact for this key."""
    NOT_ALLOWED = 5
    """The key is missing, unknown, or may not do this."""
    UNAVAILABLE = 6
    """The server cannot be reached, cannot serve now, or failed."""
    TIMED_OUT = 7
    """The time to wait is over; the job goes on."""
    INTERRUPTED = 130
    """Ctrl-C; a job that was watched goes on."""


_BY_CLASS: tuple[tuple[type[SwitchyardError], Exit], ...] = (
    (WaitTimedOut, Exit.TIMED_OUT),
    (JobCancelled, Exit.JOB_CANCELLED),
    (JobEnded, Exit.JOB_FAILED),
    (NotAuthenticated, Exit.NOT_ALLOWED),
    (NotAllowed, Exit.NOT_ALLOWED),
    (NotFound, Exit.NOT_FOUND),
    (InputRejected, Exit.REFUSED),
    (Conflict, Exit.REFUSED),
    (TooLarge, Exit.REFUSED),
    (NotSupported, Exit.REFUSED),
    (ConfigurationRefused, Exit.REFUSED),
    (ConnectionFailed, Exit.UNAVAILABLE),
    (Unavailable, Exit.UNAVAILABLE),
    (ServerFailed, Exit.UNAVAILABLE),
)


def exit_of(error: SwitchyardError) -> Exit:
    """Return the exit code of an error."""
    return next((code for cls, code in _BY_CLASS if isinstance(error, cls)), Exit.REFUSED)


def exit_of_job(job: Job) -> Exit:
    """Return the exit code of a job's end."""
    return {"failed": Exit.JOB_FAILED, "cancelled": Exit.JOB_CANCELLED}.get(job.state, Exit.OK)


def report(error: SwitchyardError, *, as_json: bool) -> None:
    """Write the error to stderr: one line, and a line for each refused field; or one JSON object."""
    if as_json:
        click.echo(json.dumps({"error": _described(error)}, default=str), err=True)
        return
    trace = f" (correlation id {error.correlation_id})" if error.correlation_id and (error.status or 0) >= 500 else ""
    click.echo(clean(f"error: {error.code}: {error.detail}{trace}"), err=True)
    for field in error.errors:
        value = "" if field.value is None else f" (got {json.dumps(field.value, default=str)})"
        click.echo(clean(f"  {field.field}: {field.message}{value}"), err=True)
    if isinstance(error, NotAuthenticated):
        click.echo("  give a key with SWITCHYARD_API_KEY or --key", err=True)


def _described(error: SwitchyardError) -> dict[str, object]:
    fields = [{"field": one.field, "message": one.message, "value": one.value} for one in error.errors]
    return {
        "code": error.code,
        "detail": error.detail,
        "status": error.status,
        "errors": fields,
        "correlation_id": error.correlation_id,
        "exit": int(exit_of(error)),
    }
