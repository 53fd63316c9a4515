"""What a person and a machine read of a run: raw counts, never only "ok"."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.chaos.verdict import Verdict, percentile

_COLUMNS = (
    "id",
    "seed",
    "accepted",
    "started",
    "effects",
    "refused",
    "terminal",
    "lost",
    "duplicated",
    "again p50",
    "p99",
    "took",
    "passed",
)


def print_table(console: Console, verdicts: Sequence[Verdict]) -> None:
    """Print a row per scenario."""
    table = Table(title="Chaos: raw counts")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in {"id", "passed"} else "right")
    for verdict in verdicts:
        table.add_row(*_cells(verdict))
    console.print(table)


def print_claims(console: Console, verdict: Verdict) -> None:
    """Print every claim of one scenario with the value that was found, and its raw counts."""
    name = verdict.scenario + (f" without {verdict.mutant}" if verdict.mutant else "")
    for claim in verdict.claims:
        mark = "[green]holds[/]" if claim.holds else "[red]fails[/]"
        console.print(f"{name}  {mark}  {claim.text}: {claim.found}", highlight=False, soft_wrap=True)
    for violation in verdict.findings.violations:
        console.print(f"{name}  [red]fails[/]  {violation}", highlight=False, soft_wrap=True)
    console.print(f"{name}  {_counts(verdict)}", highlight=False, soft_wrap=True)
    for note in verdict.notes:
        console.print(f"{name}  [dim]{note}[/]", highlight=False, soft_wrap=True)


def _counts(verdict: Verdict) -> str:
    cells = dict(zip(_COLUMNS, _cells(verdict), strict=True))
    return ", ".join(f"{cells[column]} {column}" for column in _COLUMNS[2:9])


def _cells(verdict: Verdict) -> list[str]:
    found = verdict.findings
    p50, p99 = (percentile(verdict.recoveries_s, share) for share in (50, 99))
    return [
        verdict.scenario + (f" ({verdict.mutant})" if verdict.mutant else ""),
        str(verdict.seed),
        *(str(count) for count in (found.accepted, found.started, found.effects, found.refused)),
        *(str(count) for count in (found.terminal, found.lost, found.duplicated)),
        *("–" if seconds is None else f"{seconds:.1f} s" for seconds in (p50, p99)),
        f"{verdict.took_s:.0f} s",
        "[green]yes[/]" if verdict.passed else "[red]no[/]",
    ]


def as_markdown(verdicts: Sequence[Verdict]) -> str:
    """Return the table of ``docs/reliability.md``."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|---" + "|--:" * (len(_COLUMNS) - 2) + "|---|"]
    for verdict in verdicts:
        cells = [cell.replace("[green]", "").replace("[red]", "").replace("[/]", "") for cell in _cells(verdict)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_line(verdicts: Sequence[Verdict]) -> str:
    """Return the report as one line of JSON."""
    return json.dumps({"scenarios": [verdict.as_json() for verdict in verdicts]})
