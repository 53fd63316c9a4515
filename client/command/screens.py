"""What a followed job looks like: a live bar on a terminal, plain lines in a pipe, JSON lines for machines."""

import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from client.command.plain import clean, count, event_line, seconds
from client.models import Event
from client.models import Progress as Report

# A log of a pipe needs no more than one progress line a second.
_PLAIN_GAP_S = 1.0


class Screen(Protocol):
    """Shows events as they come."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, event: Event) -> None:
        """Show one event."""
        ...


def screen_for(*, as_json: bool) -> Screen:
    """Choose by who reads stdout."""
    if as_json:
        return JSONScreen()
    return BarScreen() if sys.stdout.isatty() else PlainScreen()


class JSONScreen:
    """Each event as one line of JSON."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, event: Event) -> None:
        """Write the event."""
        click.echo(event.model_dump_json())


class PlainScreen(JSONScreen):
    """Each event as one line of text; progress at most once a second, the last report always."""

    def __init__(self) -> None:
        self._held: Event | None = None
        self._wrote_progress_at = float("-inf")

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._held:
            click.echo(event_line(self._held))

    def show(self, event: Event) -> None:
        """Write the event, now or with the next one that may be written."""
        if event.type == "progress" and time.monotonic() - self._wrote_progress_at < _PLAIN_GAP_S:
            self._held = event
            return
        if event.type == "progress":
            self._wrote_progress_at = time.monotonic()
        elif self._held:
            click.echo(event_line(self._held))
        self._held = None
        click.echo(event_line(event))


class BarScreen:
    """One live line: stage, bar, done and total, rate, time left, message; logs and states scroll above it."""

    def __init__(self, console: Console | None = None) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            _Done(),
            _Rate(),
            TimeElapsedColumn(),
            _Left(),
            _Message(),
            console=console or Console(),
            transient=True,
        )
        self._task = self._bar.add_task("waiting", total=None, message="", eta_s=None)
        self._stage = ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, event: Event) -> None:
        """Move the bar, or print a line above it."""
        report = event.progress
        if report:
            self._move(report)
        if event.type != "progress":
            self._bar.console.print(event_line(event), markup=False, highlight=False, soft_wrap=True)
        if event.state and not report:
            self._bar.update(self._task, description=clean(event.state))

    def _move(self, report: Report) -> None:
        has_steps = report.total is not None or report.percent is None
        done = (report.step or 0) if has_steps else (report.percent or 0)
        total = report.total if has_steps else 100
        told: dict[str, Any] = {
            "description": clean(report.stage or "running"),
            "message": clean(report.message),
            "eta_s": report.eta_s,
        }
        task = self._bar.tasks[0]
        if report.stage != self._stage and (total != task.total or done < task.completed):
            # Another count: rate and time of the last one say nothing about it.
            self._bar.reset(self._task, completed=int(done), total=total, **told)
        self._stage = report.stage
        self._bar.update(self._task, completed=done, total=total, **told)


class _Done(ProgressColumn):
    def render(self, task: Task) -> Text:
        of = f"/{count(task.total)}" if task.total is not None else ""
        return Text(f"{count(task.completed)}{of}", style="progress.download")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "-/s", style="progress.data.speed")


class _Left(ProgressColumn):
    def render(self, task: Task) -> Text:
        left_s = task.fields.get("eta_s")
        left_s = task.time_remaining if left_s is None else left_s
        return Text(f"eta {seconds(left_s)}", style="progress.remaining")


class _Message(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("message", "")), no_wrap=True, overflow="ellipsis")
