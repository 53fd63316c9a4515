"""The part of the chaos suite that runs in `make test`: few jobs and short leases, on real processes."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos.registry import load_scenarios
from tests.chaos.running import play

# Two houses at a time: most of a scenario is waiting. In F8 the quick run wipes Redis.
FAST = (("F1", "F12"), ("F2", "F4"), ("F5", "F8"))


@pytest.mark.slow
@pytest.mark.timeout(290)
@pytest.mark.xdist_group("chaos")
@pytest.mark.parametrize("scenarios", FAST, ids="-".join)
def test_nothing_is_lost_or_done_twice(scenarios: tuple[str, ...]) -> None:
    """After the fault every accepted job has ended, took effect once, and the row's own claims hold."""
    known = load_scenarios()
    with ThreadPoolExecutor(len(scenarios)) as pool:
        verdicts = list(pool.map(lambda name: play(known[name], seed=1, quick=True), scenarios))

    assert {} == {one.scenario: one.contradictions for one in verdicts if not one.passed}


@pytest.mark.slow
@pytest.mark.parametrize("ledger", ["sqlite", "postgresql"])
def test_model_test_is_played(ledger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps: more are made by the ledger's own tests."""
    monkeypatch.setenv("MODEL_STEPS", "40")
    verdict = play(load_scenarios()["F18"], seed=1, quick=True, ledger=ledger)
    assert [] == verdict.contradictions
