"""The part of the chaos suite that runs in `make test`: few jobs and short leases, on real processes."""

import pytest

from tests.chaos.registry import load_scenarios
from tests.chaos.running import play

# In F8 the quick run wipes Redis.
FAST = ("F1", "F2", "F4", "F5", "F8", "F12")


@pytest.mark.slow
@pytest.mark.timeout(290)
@pytest.mark.xdist_group("chaos")
@pytest.mark.parametrize("scenario", FAST)
def test_nothing_is_lost_or_done_twice(scenario: str) -> None:
    """After the fault every accepted job has ended, took effect once, and the row's own claims hold."""
    verdict = play(load_scenarios()[scenario], seed=1, quick=True)

    assert verdict.passed, verdict.contradictions
