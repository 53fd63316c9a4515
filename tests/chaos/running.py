"""Plays one scenario: gives it a folder and a bound, and turns a crash of the suite into a verdict that fails."""

import shutil
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.chaos.oracle import Claim, Findings
from tests.chaos.registry import Scenario
from tests.chaos.trial import OutOfTime, Trial
from tests.chaos.verdict import Verdict


def play(
    scenario: Scenario,
    *,
    seed: int,
    quick: bool = False,
    ledger: str = "sqlite",
    mutant: str | None = None,
    say: Callable[[str], None] = print,
    keep: bool = False,
) -> Verdict:
    """Play ``scenario`` once; its folder is removed, unless it fails or ``keep`` is set."""
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{scenario.id}-"))
    bound_s = scenario.quick_bound_s if quick else scenario.bound_s
    trial = Trial(scenario.id, seed, folder, bound_s, quick=quick, ledger=ledger, mutant=mutant, say=say)
    try:
        verdict = scenario.play(trial)
    except (KeyboardInterrupt, SystemExit):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except Exception as broken:  # noqa: BLE001  # whatever a fault brings about in the suite itself, the next row is played
        asked = "it ended within its bounds" if isinstance(broken, OutOfTime) else "the suite itself works"
        claim = Claim(asked, f"{type(broken).__name__}: {broken}", holds=False)
        say(traceback.format_exc())
        verdict = Verdict(scenario.id, seed, Findings(), [claim], mutant=mutant, is_complete=False)
    verdict.took_s = time.monotonic() - trial.began_at
    if keep or not verdict.passed:
        verdict.notes.append(f"logs and ledger: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return verdict
