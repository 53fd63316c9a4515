"""The promise in the first minute: ``make demo`` crawls a real site, kills the worker half way, and loses nothing.

Starts a whole stack of its own on free ports, serves Debian's Python documentation on loopback (or crawls ``--url``),
submits ``crawling.site`` over HTTP, shows it live, prints a summary, asks the site three questions, calibrates an
invented data set, and stops everything it started.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from client import Event, Job, Switchyard
from client.calibration import fractions, percent
from deploy.demo_questions import ask
from deploy.ports import free_port
from deploy.redis_server import NoRedisServer
from deploy.stack import Running, Stack, StackFailed

_DOCUMENTATION = Path("/usr/share/doc/python3-doc/html")
_PAGES = 150
# Megabytes of links each, and no text: they would be half of the demo.
_INDEXES = ["/genindex*", "/contents.html", "/py-modindex.html", "/whatsnew/changelog.html"]


@dataclass(slots=True)
class Viewer:
    """Shows a crawl as it goes; kills its worker once, half way."""

    client: Switchyard
    console: Console
    calm: bool
    killed_pid: int | None = None
    killed_at: float | None = None
    recovered_s: float | None = None
    _attempt: int = 1
    _began: float = field(default_factory=time.monotonic)

    def follow(self, job: Job) -> Job:
        """Watch until the job's end and return its final record."""
        columns = (
            SpinnerColumn(),
            TextColumn("[bold]{task.fields[stage]}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} pages  {task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[url]}"),
        )
        with Progress(*columns, console=self.console, transient=False) as progress:
            bar = progress.add_task("crawl", total=_PAGES, stage="waiting", rate="", url="")
            for event in self.client.events(job.id):
                if event.type == "progress":
                    self._show(progress, bar, event)
                elif event.type == "state":
                    self._note(progress, event)
        return self.client.job(job.id)

    def _show(self, progress: Progress, bar: int, event: Event) -> None:
        data = event.data
        done, total = float(data["step"]), data["total"]
        rate = done / max(0.1, time.monotonic() - self._began)
        shown = str(data["message"])[-60:]
        progress.update(bar, completed=done, total=total, stage=data["stage"], rate=f"{rate:.1f}/s", url=shown)  # type: ignore[arg-type]
        if total and done >= total / 2 and not self.calm and self.killed_pid is None:
            self._kill(progress, event.job_id)

    def _note(self, progress: Progress, event: Event) -> None:
        if event.data["state"] == "running":
            self._began = time.monotonic()
            if self.killed_at is not None and self.recovered_s is None:
                self.recovered_s = time.monotonic() - self.killed_at
                progress.console.print(
                    f"[green]another attempt began after {self.recovered_s:.1f} s[/] (attempt {event.attempt})"
                )
        elif event.data["state"] == "queued" and event.data["cause"] != "accepted":
            progress.console.print(f"[yellow]the job is queued again[/]: {event.data['cause']}")

    def _kill(self, progress: Progress, job_id: str) -> None:
        holder = next((worker for worker in self.client.workers() if job_id in worker.jobs), None)
        if holder is None or holder.pid is None:
            return
        self.killed_pid = holder.pid
        self.killed_at = time.monotonic()
        os.kill(self.killed_pid, signal.SIGKILL)
        progress.console.print(f"[red]killed the crawler worker with SIGKILL[/] (pid {self.killed_pid})")


def main() -> int:
    """Run the demo; return 0 when the job succeeded and nothing was lost."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument("--url", help="crawl this site instead of the Python documentation")
    parser.add_argument("--calm", action="store_true", help="do not kill the worker half way")
    parser.add_argument("--state", type=Path, default=Path("var/demo"), help="where results and logs are kept")
    parser.add_argument("--pages", type=int, default=_PAGES, help="page cap")
    parser.add_argument("--picture", type=Path, help="save what the terminal showed as an SVG")
    arguments = parser.parse_args()
    console = Console(record=arguments.picture is not None, width=110 if arguments.picture else None)
    code = _run(arguments, console)
    if arguments.picture:
        console.save_svg(str(arguments.picture), title="make demo")
    return code


def _run(arguments: argparse.Namespace, console: Console) -> int:
    try:
        with _site(arguments.url) as (url, allow), _stack(arguments.state, allow, console) as running:
            crawled = _crawl(running, url, arguments, console)
            if crawled is None:
                return 1
            asked = ask(running, crawled, console, is_documentation=not arguments.url)
            return asked or _calibrate(running, console)
    except (StackFailed, NoRedisServer, FileNotFoundError) as exc:
        console.print(f"[red]{exc}[/]", soft_wrap=True)
        return 1


@contextmanager
def _site(url: str | None) -> Iterator[tuple[str, str]]:
    """Give the site to crawl, and what the egress guard must allow for it."""
    if url:
        yield url, ""
        return
    if not (_DOCUMENTATION / "index.html").is_file():
        raise FileNotFoundError(f"No site to crawl: {_DOCUMENTATION} is missing (make setup), and no URL= was given.")
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "deploy.site", str(_DOCUMENTATION), str(port)])
    try:
        yield f"http://127.0.0.1:{port}/index.html", f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@contextmanager
def _stack(state: Path, allow: str, console: Console) -> Iterator[Running]:
    environment = {"SWITCHYARD_EGRESS_ALLOW": allow, "SWITCHYARD_DRAIN_GRACE_S": "2"}
    with console.status("starting Redis, ledger, web, dispatcher, workers and Flower …") as status:
        stack = Stack(state, environment=environment, say=lambda text: status.update(f"{text} …"))
        began = time.monotonic()
        running = stack.up()
    console.print(f"started in {time.monotonic() - began:.1f} s: API {running.url}, Flower {running.flower_url}")
    try:
        yield running
    finally:
        with console.status("stopping everything …"):
            stack.down()


def _crawl(running: Running, url: str, arguments: argparse.Namespace, console: Console) -> Job | None:
    """Crawl, and show it; return the job if it succeeded."""
    with Switchyard(running.url, api_key=running.api_key) as client:
        params = {"url": url, "max_pages": arguments.pages, "depth": 5}
        if not arguments.url:
            params |= {"delay_s": 0.0, "exclude": _INDEXES}
        job = client.submit("crawling.site", params, labels={"from": "demo"})
        console.print(f"accepted crawling.site as {job.id}: {url}")
        began = time.monotonic()
        viewer = Viewer(client, console, calm=arguments.calm)
        final = viewer.follow(job)
        seconds = time.monotonic() - began
        folder = _folder_of(running, job)
        files = [client.download(job.id, kept.name, folder / kept.name) for kept in client.artifacts(job.id)]
        lost = 0 if final.is_terminal else 1
        _summary(console, final, viewer, seconds=seconds, lost=lost, files=files)
    return final if final.state == "succeeded" else None


def _folder_of(running: Running, job: Job) -> Path:
    folder = Path(running.state_dir) / "results" / job.id
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _calibrate(running: Running, console: Console) -> int:
    """Run the other family's job, on data that are invented and say so."""
    with Switchyard(running.url, api_key=running.api_key) as client:
        with console.status("calibration.va: starting R, and calibrating an invented data set …"):
            job = client.run("calibration.va", {"use_example": True}, labels={"from": "demo"}, check=False)
        if job.result is None:
            console.print(f"[red]calibration.va {job.state}: {job.error.message if job.error else job.cause}[/]")
            return 1
        report = client.download(job.id, "report.html", _folder_of(running, job))
    table = Table(title="calibration.va, invented data: % of deaths (95 % interval)", title_justify="left")
    rows = [row for row in fractions(job.result) if row.fit == "ensemble"] or list(fractions(job.result))
    for name in ("cause", "observed", "calibrated"):
        table.add_column(name, justify="left" if name == "cause" else "right")
    for row in rows:
        table.add_row(row.cause, f"{100 * row.uncalibrated:.1f}", percent(row))
    console.print(table)
    console.print(f"report: {os.path.relpath(report)}", soft_wrap=True)
    return 0


def _summary(console: Console, job: Job, viewer: Viewer, *, seconds: float, lost: int, files: list[Path]) -> None:
    result = job.result or {}
    pages = int(result.get("pages_ok", 0))
    running_s = float(result.get("duration_s", 0.0)) or seconds
    table = Table(title="summary", show_header=False, title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("job", job.id)
    table.add_row("state", f"[{'green' if job.state == 'succeeded' else 'red'}]{job.state}[/]")
    if job.error is not None:
        table.add_row("error", f"{job.error.code}: {job.error.message}")
    table.add_row("pages", f"{pages} pages")
    table.add_row("seconds", f"{seconds:.1f} in all, {running_s:.1f} in the last attempt")
    table.add_row("pages a second", f"{pages / running_s:.1f} in the last attempt")
    killed = (
        ""
        if viewer.killed_pid is None
        else f" (its worker was killed once, back after {viewer.recovered_s or 0:.1f} s)"
    )
    table.add_row("attempts", f"{job.attempt}{killed}")
    table.add_row("lost", f"lost {lost}")
    for path in files:
        table.add_row("result file", os.path.relpath(path))
    console.print(table, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
