"""What every command shares: the server, the limits, and how to write its output."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import click
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from client.async_switchyard import AsyncSwitchyard
from client.choosing import Backend
from client.command.plain import clean
from client.limits import Limits
from client.steps import Notice
from client.switchyard import Switchyard

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Session:
    """One run of the command."""

    url: str | None = None
    api_key: str | None = None
    limits: Limits = field(default_factory=Limits)
    as_json: bool = False
    backend: Backend | None = None
    _has_local: bool = False

    def client(self) -> Switchyard:
        """Return a blocking client."""
        backend = self._take_choice()
        return Switchyard(self.url, self.api_key, limits=self.limits, on_notice=self._tell, backend=backend)

    def async_client(self) -> AsyncSwitchyard:
        """Return an asyncio client."""
        backend = self._take_choice()
        return AsyncSwitchyard(self.url, self.api_key, limits=self.limits, on_notice=self._tell, backend=backend)

    def _take_choice(self) -> Backend | None:
        """Let the first client choose the server: the next ones of the same command ask for jobs of that one."""
        chosen = self.backend
        if chosen == "auto":
            self.backend = None
        return chosen

    def _tell(self, notice: Notice) -> None:
        if notice.name == "local":
            self.backend = "local"
            if not self._has_local:
                click.echo(clean(notice.detail), err=True)
            self._has_local = True
        # Who reads the output by machine finds the outcome in the exit code; a person wants to know why it takes long.
        elif sys.stderr.isatty() and notice.name in ("retrying", "disconnected", "refused", "reconnected"):
            click.echo(clean(f"{notice.name}{': ' if notice.detail else ''}{notice.detail}"), err=True)

    def use(self, *, reconnects: int | None) -> None:
        """Take a limit from the command line."""
        if reconnects is not None:
            self.limits = replace(self.limits, reconnects=reconnects)

    def show(self, record: BaseModel | None, text: str) -> None:
        """Write one record: as JSON, or as the given text."""
        click.echo(dumped(record) if self.as_json else text)

    def table(self, key: str, rows: Sequence[BaseModel], columns: dict[str, Callable[[Any], object]]) -> None:
        """Write records: a JSON object, a table on a terminal, tab-separated lines in a pipe."""
        if self.as_json:
            click.echo(json.dumps({key: [row.model_dump(mode="json") for row in rows]}))
            return
        cells = [[clean(read(row)) for read in columns.values()] for row in rows]
        if not sys.stdout.isatty():
            for line in [list(columns), *cells]:
                click.echo("\t".join(cell.replace("\t", " ") for cell in line))
            return
        table = Table(box=None, pad_edge=False)
        for name in columns:
            table.add_column(name, overflow="fold")
        for line in cells:
            table.add_row(*(cell.replace("[", r"\[") for cell in line))
        Console().print(table)


def dumped(record: BaseModel | None) -> str:
    """Return a record as one line of JSON."""
    return record.model_dump_json() if record else "null"


def json_flag(function: F) -> F:
    """Add ``--json`` and ``-o``: write for machines."""
    flag = click.option("--json", "json_output", is_flag=True, expose_value=False, callback=_switch, help=_JSON_HELP)
    return output_option(flag(function))


def output_option(function: F) -> F:
    """Add ``-o json``."""
    return click.option(
        "-o", "--output", type=click.Choice(["text", "json"]), expose_value=False, callback=_switch, help=_JSON_HELP
    )(function)


_JSON_HELP = "Write JSON: one object, or one a line for streams."


def _switch(context: click.Context, _parameter: click.Parameter, value: bool | str | None) -> None:
    if value is True or value == "json":
        context.ensure_object(Session).as_json = True


def backend_option(function: F) -> F:
    """Add ``--backend``, which also may stand before the command."""
    return click.option(
        "--backend",
        type=click.Choice(["auto", "queue", "local"]),
        expose_value=False,
        callback=_choose,
        help="auto: a server of this client's own where none answers; local: that one at once; queue: only workers.",
    )(function)


def _choose(context: click.Context, _parameter: click.Parameter, value: Backend | None) -> None:
    if value is not None:
        context.ensure_object(Session).backend = value
