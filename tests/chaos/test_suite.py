"""The suite's own parts: what it counts with must itself be right."""

import io
import json

import pytest

from tests.chaos.oracle import Claim, Findings
from tests.chaos.registry import load_scenarios
from tests.chaos.report import as_line
from tests.chaos.sink import Book
from tests.chaos.trial import OutOfTime, Trial
from tests.chaos.verdict import Verdict, percentile
from tests.chaos.viewer import Continuity


@pytest.fixture
def book() -> Book:
    """An empty sink."""
    return Book(io.StringIO())


def enter(book: Book, fence: int, phase: str) -> tuple[bool, int | None]:
    answer = book.enter({"job": "a", "attempt": fence, "fence": fence, "phase": phase})
    return answer["accepted"], answer["effect"]


def test_sink_refuses_an_effect_after_a_newer_start(book: Book) -> None:
    """A late writer's fence is older than the start that took its place."""
    enter(book, 1, "start")
    enter(book, 2, "start")
    assert (False, None) == enter(book, 1, "effect")
    assert (True, 2) == enter(book, 2, "effect")


def test_sink_tells_a_new_attempt_of_the_effect_that_stands(book: Book) -> None:
    """An attempt that died right after its effect must not lead to a second one."""
    enter(book, 1, "start")
    enter(book, 1, "effect")
    assert (True, 1) == enter(book, 2, "start")


def test_sink_accepts_a_second_effect_of_the_same_fence(book: Book) -> None:
    """That is for the oracle to find: the sink's rule is about age alone."""
    enter(book, 1, "effect")
    assert (True, 1) == enter(book, 1, "effect")


@pytest.mark.parametrize(
    ("frames", "faults"),
    [
        (["9-1", "9-2", "9-3"], 0),
        (["9-1", "9-2", "9-2"], 2),
        (["9-1", "9-3"], 1),
        (["9-1", "8-2"], 1),
        (["9-1", "snapshot 9-4", "9-5"], 0),
        (["9-1", "snapshot 9-4", "9-4"], 1),
        (["snapshot 0-0", "9-1"], 0),
        (["9-1", "9-2", "0-4"], 0),
        (["9-1", "snapshot 7-1", "7-2"], 0),
    ],
)
def test_viewer_sees_repeats_and_gaps(frames: list[str], faults: int) -> None:
    """A repeat is a fault, and so is a gap or a change of stream that no snapshot announced."""
    seen = Continuity()
    for frame in frames:
        seen.take(frame.removeprefix("snapshot "), is_snapshot=frame.startswith("snapshot"), is_end=False)
    assert faults == len(seen.faults), seen.faults


def test_percentiles_are_nearest_rank() -> None:
    """The value returned is one that was measured."""
    assert (None, 1.0, 3.0, 5.0) == (
        percentile([], 50),
        percentile([1.0], 99),
        percentile([5.0, 3.0, 1.0], 50),
        percentile([5.0, 3.0, 1.0], 99),
    )


def a_verdict(**changes: object) -> Verdict:
    values: dict[str, object] = {"scenario": "F1", "seed": 7, "findings": Findings(accepted=3, started=4)}
    return Verdict(**(values | changes))  # type: ignore[arg-type]


def test_report_ends_with_the_agreed_line() -> None:
    """The machine-readable report has exactly the fields that were agreed."""
    told = {"id": "F1", "seed": 7, "accepted": 3, "started": 4, "effects": 0, "terminal": 0, "lost": 0, "duplicated": 0}
    expected = {"scenarios": [told | {"recovery_s": {"p50": 1.5, "p99": 2.5}, "passed": True}]}
    assert expected == json.loads(as_line([a_verdict(recoveries_s=[1.5, 2.5])]))


@pytest.mark.parametrize(
    "changes",
    [
        {"claims": [Claim("it holds", "no", holds=False)]},
        {"findings": Findings(violations=["I1: one"])},
        {"is_complete": False},
    ],
)
def test_verdict_fails_on_any_contradiction(changes: dict[str, object]) -> None:
    """One claim or invariant that does not hold is enough, and so is a run that the oracle never saw."""
    assert a_verdict().passed
    assert not a_verdict(**changes).passed


def test_every_mutant_has_a_scenario_that_must_fail() -> None:
    """Each of the three guards is needed by a row of the table."""
    assert {"claim", "fence", "rescue"} == {name for one in load_scenarios().values() for name in one.mutants}


def test_no_wait_outlasts_the_bound(tmp_path: object) -> None:
    """A scenario that waits for what never comes is over at its bound."""
    trial = Trial("F0", 1, tmp_path, bound_s=0.1)  # type: ignore[arg-type]
    with pytest.raises(OutOfTime):
        trial.await_true(lambda: False, "the impossible", within_s=600)
    with pytest.raises(OutOfTime):
        trial.sleep(5)
