"""What came of a trial: raw counts, recovery times, claims, and whether all of it holds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.house import House
from tests.chaos.oracle import Claim, Findings, examine


@dataclass(slots=True)
class Verdict:
    """One scenario's line of the report."""

    scenario: str
    seed: int
    findings: Findings
    claims: list[Claim] = field(default_factory=list)
    recoveries_s: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    took_s: float = 0.0
    mutant: str | None = None
    is_complete: bool = True
    """Whether the oracle came to look: not where a wait outlasted its limit before that."""

    @property
    def passed(self) -> bool:
        """Whether every invariant and every claim holds."""
        return self.is_complete and not self.findings.violations and all(claim.holds for claim in self.claims)

    @property
    def contradictions(self) -> list[str]:
        """What does not hold, in words."""
        failed = [f"{claim.text}: {claim.found}" for claim in self.claims if not claim.holds]
        return self.findings.violations + failed

    def as_json(self) -> dict[str, Any]:
        """Return the scenario's entry of the machine-readable report."""
        found = self.findings
        return {
            "id": self.scenario,
            "seed": self.seed,
            "accepted": found.accepted,
            "started": found.started,
            "effects": found.effects,
            "terminal": found.terminal,
            "lost": found.lost,
            "duplicated": found.duplicated,
            "recovery_s": {"p50": percentile(self.recoveries_s, 50), "p99": percentile(self.recoveries_s, 99)},
            "passed": self.passed,
        }


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile, to a hundredth; None of nothing."""
    if not values:
        return None
    ranked = sorted(values)
    return round(ranked[max(0, math.ceil(share / 100 * len(ranked)) - 1)], 2)


def judge(
    house: House,
    *claims: Claim,
    recoveries_s: Iterable[float] = (),
    notes: Iterable[str] = (),
    all_succeed: bool = True,
) -> Verdict:
    """Let the oracle examine the house, and add what the scenario claims.

    Args:
        all_succeed: claim also that every accepted job succeeded.
    """
    trial = house.trial
    trial.say("comparing what was told, what happened, and what the ledger says")
    found = examine(house)
    asked = list(claims)
    if all_succeed:
        others = {state: count for state, count in found.states.items() if state != "succeeded"}
        asked.append(Claim("every accepted job succeeded", f"{others or 'all'}", not others))
    refusals = {reason: count for submitter in house.submitters for reason, count in submitter.refusals.items()}
    told = [f"answers other than 202: {refusals}"] if refusals else []
    said = [*notes, *found.notes, *told]
    return Verdict(trial.scenario, trial.seed, found, asked, list(recoveries_s), said, mutant=trial.mutant)


def recovered_within(recoveries_s: Sequence[float], limit_s: float, *, expected: int, what: str) -> Claim:
    """Claim that each of the ``expected`` disturbed jobs came back, and 99 % of them within ``limit_s``."""
    p99 = percentile(recoveries_s, 99)
    holds = len(recoveries_s) == expected and expected > 0 and p99 is not None and p99 <= limit_s
    return Claim(f"{what} within {limit_s:g} s (p99)", f"{len(recoveries_s)} of {expected}, p99 {p99} s", holds)


def next_starts(house: House, disturbed: Iterable[tuple[str, float]]) -> list[float]:
    """Return, for each ``(job, at)``, how many seconds later the sink saw the job start again; none if it never did."""
    starts = house.sink.starts()
    later = (
        min((start.at - at for start in starts if start.job == job and start.at > at), default=None)
        for job, at in disturbed
    )
    return [seconds for seconds in later if seconds is not None]
