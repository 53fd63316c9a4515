"""Sending a file, with a bar where a person looks on."""

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from client.command.plain import clean
from client.models import Upload
from client.switchyard import Switchyard


def send(client: Switchyard, path: str, *, name: str | None = None) -> Upload:
    """Send the file; the bar goes to stderr, so that stdout has only what was asked for."""
    if not sys.stderr.isatty():
        return client.upload(path, name=name)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(clean(name or Path(path).name), total=None)
        return client.upload(
            path, name=name, on_progress=lambda sent, size: bar.update(task, completed=sent, total=size)
        )
