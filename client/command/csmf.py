"""Calibrated fractions and previews as text: a table with marks and footnotes on a terminal, tabs in a pipe."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from client.calibration import Fraction, fractions, percent
from client.command.plain import clean

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WHY_LEFT = {
    "requested": "left as observed, as asked for",
    "default": "left as observed: the default for a cause named other; donotcalib says otherwise",
    "indistinct": "left as observed: the algorithm names it about as often whatever the true cause",
}


def show_fractions(result: Mapping[str, Any]) -> None:
    """Write a result: mean % (low, high) of each cause, with a mark where there is no interval, and why."""
    rows = list(fractions(result))
    if not sys.stdout.isatty():
        _write_lines(_COLUMNS, [_line(row) for row in rows])
        _write_notes(_notes(result), to_stderr=True)
        return
    notes = _Footnotes()
    fits = list(dict.fromkeys(row.fit for row in rows))
    cells = {(row.fit, row.cause): f"{percent(row)}{notes.mark(row.reason)}" for row in rows}
    first = [row for row in rows if row.fit == fits[0]] if fits else []
    # A single fit leaves room for what it was before.
    more = {"observed %": [f"{100 * row.uncalibrated:.1f}" for row in first]} if len(fits) == 1 else {}
    last = {"deaths": [f"{row.deaths:,}" for row in first]} if len(fits) == 1 else {}
    columns: dict[str, Sequence[str]] = {"cause": [row.cause for row in first], **more}
    for fit in fits:
        title = "calibrated % (95 % interval)" if len(fits) == 1 else fit
        columns[title] = [cells.get((fit, row.cause), "") for row in first]
    _show_table(columns | last, title=None if len(fits) == 1 else "calibrated % (95 % interval)")
    notes.write()
    lambdas = {name: fit.get("path_lambda") for name, fit in (result.get("algorithms") or {}).items()}
    _write_lambdas(lambdas)
    _write_notes(_notes(result))


def _notes(result: Mapping[str, Any]) -> list[str]:
    notes = [str(note) for note in result.get("notes", ())]
    cache = result.get("cache") or {}
    if cache.get("hit"):
        notes.append(f"answered from job {cache.get('job')}; --param use_cache=false computes it again.")
    return notes


def show_preview(preview: Mapping[str, Any]) -> None:
    """Write what a calibration would do: deaths by cause, what stays as it is, and warnings."""
    algorithms: Mapping[str, Any] = preview["algorithms"]
    notes = _Footnotes()
    columns: dict[str, Sequence[str]] = {"cause": list(preview["causes"])}
    for name, one in algorithms.items():
        left = one["left_as_observed"]
        columns[f"{name}, deaths"] = [
            f"{one['counts'][cause]:,}{notes.mark(_WHY_LEFT.get(left.get(cause)))}" for cause in preview["causes"]
        ]
    _show_table(columns)
    notes.write()
    for name, one in algorithms.items():
        click.echo(clean(f"{name}: {one['total']:,} deaths with a cause"))
    _write_lambdas({name: one["path_lambda"] for name, one in algorithms.items()})
    _write_notes(preview["notes"])


_COLUMNS = (
    *("fit", "cause", "observed", "uncalibrated_percent", "mean_percent", "lower_percent", "upper_percent"),
    *("deaths", "status", "reason"),
)


def _line(row: Fraction) -> tuple[str, ...]:
    shares = (row.uncalibrated, row.mean, row.lower, row.upper)
    numbers = tuple("" if share is None else f"{100 * share:.2f}" for share in shares)
    return (row.fit, row.cause, str(row.observed), *numbers, str(row.deaths), row.status, row.reason or "")


class _Footnotes:
    """Gives each reason a letter, and says below what it stands for."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def mark(self, reason: str | None) -> str:
        """Return what to put behind a number that has a reason."""
        if not reason:
            return ""
        letter = self._letters.setdefault(reason, _LETTERS[len(self._letters) % len(_LETTERS)])
        return f" [{letter}]"

    def write(self) -> None:
        """Write what the letters stand for."""
        for reason, letter in self._letters.items():
            click.echo(clean(f"[{letter}] {reason}"))


def _show_table(columns: Mapping[str, Sequence[str]], *, title: str | None = None) -> None:
    lines = list(zip(*columns.values(), strict=True))
    if not sys.stdout.isatty():
        _write_lines(tuple(columns), lines)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="")
    for number, name in enumerate(columns):
        table.add_column(clean(name), justify="right" if number else "left", overflow="fold")
    for line in lines:
        table.add_row(*(clean(cell).replace("[", r"\[") for cell in line))
    Console().print(table)


def _write_lines(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    for line in (columns, *lines):
        click.echo("\t".join(clean(cell).replace("\t", " ") for cell in line))


def _write_lambdas(lambdas: Mapping[str, float | None]) -> None:
    told = [f"{name} {value:.2f}" for name, value in lambdas.items() if value is not None]
    if told:
        click.echo(clean(f"lambda (weight of the identity in the matrix used): {', '.join(told)}"))


def _write_notes(notes: Iterable[object], *, to_stderr: bool = False) -> None:
    for note in notes:
        click.echo(clean(f"note: {note}"), err=to_stderr)
