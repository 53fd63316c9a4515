"""Recommendations: of the active tools that fit, those that are good, work, and are used."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.core.ledger import Ledger
from tasks.discovery.store.notes import HELPFUL
from tasks.discovery.store.records import Status, ToolFacts
from tasks.discovery.store.tools import Wanted, listing

MOST_RECOMMENDED = 5
_CANDIDATES = 200
_OFTEN_USED = 100


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A tool and the score that it is recommended for, in [0, 1]."""

    facts: ToolFacts
    score: float


def recommended(ledger: Ledger, wanted: Wanted, *, limit: int = MOST_RECOMMENDED) -> Sequence[Recommendation]:
    """Return the best of the active tools that are wanted, at most ``limit``.

    With a text these are among the 200 that fit it best.
    """
    page = listing(ledger, replace(wanted, statuses=(Status.ACTIVE,)), limit=_CANDIDATES)
    scored = [Recommendation(facts, score_of(facts)) for facts in page.tools]
    # Of equally good ones that first of which runs have shown more good; then the order of the list: best fitting, or
    # newest, first.
    return sorted(scored, key=lambda one: (-one.score, -_balance(one.facts)))[:limit]


def _balance(facts: ToolFacts) -> float:
    """Return what the notes say together: from -1, all harmful, to 1, all helpful."""
    verdicts = [1 if note.verdict == HELPFUL else -1 for note in facts.notes]
    return sum(verdicts) / len(verdicts) if verdicts else 0.0


def score_of(facts: ToolFacts) -> float:
    """Return 0.4 quality + 0.4 success + 0.2 use.

    Quality is the confidence, success the rate of the run log, use reaches 1 with 100 runs. What is not known yet
    counts 0: a tool that was never run is not recommended above one that works.
    """
    quality = facts.stored.tool.confidence or 0.0
    success = facts.statistics.success_rate or 0.0
    return 0.4 * quality + 0.4 * success + 0.2 * min(facts.stored.uses / _OFTEN_USED, 1.0)
