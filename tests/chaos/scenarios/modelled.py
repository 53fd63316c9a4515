"""F18: the ledger's functions in any order that may happen, against a reference in plain Python."""

import os
import shutil
from collections.abc import Callable
from itertools import count

import sqlalchemy as sa

from tasks.core.ledger import Ledger
from tasks.core.ledger.schema import metadata
from tests.chaos.oracle import Claim, Findings
from tests.chaos.registry import Scenario
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict
from tests.core.ledger.machine import run
from tests.servers import PostgreSQL

_STEPS = 10_000
_QUICK_STEPS = 2_000


def play(trial: Trial) -> Verdict:
    """Run the state machine from the trial's seed on; no process is started, so nothing but steps is counted."""
    steps = int(os.environ.get("MODEL_STEPS", trial.pick(quick=_QUICK_STEPS, full=_STEPS)))
    made, counterexample = 0, ""
    try:
        made = _on_postgresql(trial, steps) if trial.ledger == "postgresql" else _on_sqlite(trial, steps)
    except AssertionError as disagreement:
        counterexample = "\n".join([str(disagreement), *getattr(disagreement, "__notes__", [])])
    claims = [
        Claim("ledger and model agree after every step", counterexample or "no counterexample", not counterexample),
        Claim(f"it made {steps} steps", f"{made}", made >= steps),
    ]
    return Verdict(trial.scenario, trial.seed, Findings(), claims, notes=[f"ledger: {trial.ledger}"])


def _on_sqlite(trial: Trial, steps: int) -> int:
    template = trial.folder / "template.db"
    ledger = Ledger(f"sqlite:///{template}")
    ledger.prepare()
    ledger.close()
    numbers = count()

    def fresh() -> str:
        return f"sqlite:///{shutil.copy(template, trial.folder / f'{next(numbers)}.db')}"

    return _run(trial, fresh, steps)


def _on_postgresql(trial: Trial, steps: int) -> int:
    server = PostgreSQL()
    try:
        ledger = Ledger(server.create("model"))
        ledger.prepare()

        def emptied() -> str:
            with ledger.write() as connection:
                connection.execute(sa.text("TRUNCATE " + ", ".join(metadata.tables) + " CASCADE"))
            return ledger.url

        made = _run(trial, emptied, steps)
        ledger.close()
        return made
    finally:
        server.close()


def _run(trial: Trial, fresh: Callable[[], str], steps: int) -> int:
    trial.say(f"{steps} steps from seed {trial.seed}")
    return run(fresh, steps=steps, first_seed=trial.seed)


SCENARIOS = (
    Scenario("F18", "model test: the ledger against a reference in plain Python", play, bound_s=900, quick_bound_s=300),
)
