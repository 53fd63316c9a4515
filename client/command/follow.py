"""Following one job to its end, and what Ctrl-C and a time limit mean there."""

import asyncio
import json
from collections.abc import AsyncIterator

import click

from client.command.exits import Exit, exit_of_job
from client.command.plain import job_line, seconds
from client.command.screens import Screen, screen_for
from client.command.session import Session, dumped
from client.errors import WaitTimedOut
from client.models import TERMINAL, Event, Job
from client.switchyard import Switchyard


def follow(session: Session, job_id: str, *, limit_s: float | None) -> Exit:
    """Show a job's events until its end; return the exit code of that end.

    Asyncio, because its timeout ends a silent stream at once and leaves nothing open.
    """
    try:
        job = asyncio.run(_followed(session, job_id, limit_s))
    except KeyboardInterrupt:
        return left_alone(job_id)
    if session.as_json:
        click.echo(f'{{"type":"record","record":{dumped(job)}}}')
    else:
        click.echo(summary(job))
    return exit_of_job(job)


async def _followed(session: Session, job_id: str, limit_s: float | None) -> Job:
    async with session.async_client() as client:
        with screen_for(as_json=session.as_json) as screen:
            try:
                async with asyncio.timeout(limit_s), client.events(job_id) as stream:
                    await _show_all(stream, screen, is_end_told=not session.as_json)
            except TimeoutError:
                raise WaitTimedOut(job_id, limit_s or 0.0) from None
        return await client.job(job_id)


async def _show_all(stream: AsyncIterator[Event], screen: Screen, *, is_end_told: bool) -> None:
    """Show the events; not the end itself where the job's record is told after it, with how long it took."""
    end: Event | None = None
    async for event in stream:
        if is_end_told and event.state in TERMINAL:
            end = event
            continue
        if end is not None:  # it was retried meanwhile
            screen.show(end)
            end = None
        screen.show(event)


def wait(session: Session, job_id: str, *, limit_s: float | None) -> Exit:
    """Wait for a job's end and show its record; return the exit code of that end."""
    with session.client() as client:
        job = await_end(client, job_id, limit_s)
    session.show(job, summary(job))
    return exit_of_job(job)


def await_end(client: Switchyard, job_id: str, limit_s: float | None) -> Job:
    """Wait for a job's end; Ctrl-C leaves it alone and ends the command."""
    try:
        return client.wait(job_id, limit_s, check=False)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(left_alone(job_id)) from None


def result(session: Session, job_id: str, *, limit_s: float | None) -> Exit:
    """Wait for a job's end and write its result as JSON; the typed errors of another end are the caller's."""
    with session.client() as client:
        try:
            value = client.result(job_id, timeout_s=limit_s)
        except KeyboardInterrupt:
            return left_alone(job_id)
    click.echo(json.dumps(value, indent=None if session.as_json else 2, ensure_ascii=False))
    return Exit.OK


def left_alone(job_id: str) -> Exit:
    """Say that the job goes on."""
    click.echo(f"stopped waiting; job {job_id} goes on. To stop it: switchyard cancel {job_id}", err=True)
    return Exit.INTERRUPTED


def summary(job: Job) -> str:
    """Return a job's end as one line."""
    took = f" in {seconds(job.timings.total_s)}" if job.timings else ""
    return job_line(job) + took
