"""``python -m tests.chaos``: play scenarios, print raw counts, exit 0 only when all of them passed."""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Mapping
from types import FrameType

from rich.console import Console

from tests.chaos.mutants.guards import MUTANTS
from tests.chaos.registry import Scenario, load_scenarios
from tests.chaos.report import as_line, as_markdown, print_claims, print_table
from tests.chaos.running import play
from tests.chaos.verdict import Verdict

_ALL = "all"
# Of the report where it goes to a file or a pipe.
_WIDTH = 130


def main() -> int:
    """Run the command line."""
    scenarios = load_scenarios()
    arguments = _arguments(scenarios)
    _stop_in_order()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # progress is to be seen in a pipe, too
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_WIDTH)
    only = [part for part in arguments.only.split(",") if part]
    runner = Runner(console, scenarios, arguments)
    if arguments.mutant == _ALL:
        return 0 if runner.play_mutants() else 1
    if arguments.mutant:
        chosen = only or [one.id for one in scenarios.values() if arguments.mutant in one.mutants]
        verdicts = [runner.play(scenarios[name], mutant=arguments.mutant) for name in chosen]
    else:
        verdicts = [runner.play(scenarios[name]) for name in only or scenarios]
    print_table(console, verdicts)
    passed = bool(verdicts) and all(verdict.passed for verdict in verdicts)
    if passed and not only and not arguments.mutant:
        passed = runner.play_mutants()
    if arguments.markdown:
        print(as_markdown(verdicts), flush=True)
    if arguments.json:
        print(as_line(verdicts), flush=True)
    return 0 if passed else 1


class Runner:
    """Plays scenarios one after another and shows what goes on."""

    def __init__(self, console: Console, scenarios: Mapping[str, Scenario], arguments: argparse.Namespace) -> None:
        self._console = console
        self._scenarios = scenarios
        self._arguments = arguments

    def play(self, scenario: Scenario, *, mutant: str | None = None) -> Verdict:
        """Play one scenario and show its claims; with a guard switched off it is scaled down."""
        name = scenario.id + (f" without {mutant}" if mutant else "")
        self._console.print(f"[bold]{name}[/]  {scenario.title}")
        verdict = play(
            scenario,
            seed=self._arguments.seed,
            quick=self._arguments.quick or mutant is not None,
            ledger=self._arguments.ledger,
            mutant=mutant,
            say=_teller(self._console, name),
            keep=self._arguments.keep,
        )
        print_claims(self._console, verdict)
        return verdict

    def play_mutants(self) -> bool:
        """Play every mutant's scenarios; return whether each mutant turned each of them red."""
        verdicts = [
            self.play(scenario, mutant=mutant)
            for mutant in MUTANTS
            for scenario in self._scenarios.values()
            if mutant in scenario.mutants
        ]
        print_table(self._console, verdicts)
        caught = [f"{one.scenario} without {one.mutant}" for one in verdicts if one.is_complete and not one.passed]
        self._console.print(f"{len(caught)} of {len(verdicts)} mutant runs turned red: {', '.join(caught)}")
        return len(caught) == len(verdicts)


def _teller(console: Console, name: str) -> Callable[[str], None]:
    began = time.monotonic()
    return lambda text: console.print(f"{name}  [dim]{time.monotonic() - began:6.1f} s[/]  {text}", soft_wrap=True)


def _arguments(scenarios: Mapping[str, Scenario]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--only", default="", help="comma-separated scenario ids")
    parser.add_argument("--seed", type=int, default=1, help="what is drawn by chance follows from it")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--markdown", action="store_true", help="print the table as docs/reliability.md has it")
    parser.add_argument("--mutant", choices=["", *MUTANTS, _ALL], default="", help="switch a guard off")
    parser.add_argument("--ledger", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--quick", action="store_true", help="few jobs, short leases: what `make test` runs")
    parser.add_argument("--keep", action="store_true", help="keep every run's folder with its logs")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.only.split(",") if name and name not in scenarios]
    if unknown:
        parser.error(f"unknown scenarios {unknown}; there are {list(scenarios)}")
    return arguments


def _stop_in_order() -> None:
    """Turn the first SIGINT or SIGTERM into an exception, so that every process is ended; ignore those that follow."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for other in (signal.SIGINT, signal.SIGTERM):
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


if __name__ == "__main__":
    sys.exit(main())
