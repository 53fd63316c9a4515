"""Sending a file, with a bar where a person looks on."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from client.command.plain import clean
from client.models import Upload
from client.switchyard import Switchyard


def send(client: Switchyard, path: str, *, name: str | None = None) -> Upload:
    """Send the file; the bar goes to stderr, so that stdout has only what was asked for."""
    with bar(name or Path(path).name) as tell:
        return client.upload(path, name=name, on_progress=tell)


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], object] | None]:
    """Show a bar while something is sent; None where nobody looks on."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(clean(title), total=None)
        yield lambda sent, size: shown.update(task, completed=sent, total=size)
