"""What any calibration must do, on invented populations: each is drawn, seen through an algorithm's errors, calibrated.

Intervals and means are Monte Carlo, so they are held to six standard errors, from the effective sizes of the runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.engine.calibrate import Calibrator
from tasks.calibration.results import CalibrationResult, FitResult
from tests.calibration.r_library import built_library
from tests.fakes import FakeJob

# R runs once in a process, so tests that embed it share one.
pytestmark = [pytest.mark.xdist_group("r")]

Run = Callable[..., CalibrationResult]
few = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@dataclass(frozen=True)
class Population:
    """Deaths as an algorithm sees them, and how it errs (rows true causes)."""

    causes: tuple[str, ...]
    counts: tuple[int, ...]
    rows: tuple[tuple[float, ...], ...]

    def request(self, *, times: int = 1, order: Sequence[int] | None = None, copies: int = 1) -> dict[str, Any]:
        """Return a request without path correction, so that every fit has intervals."""
        order = range(len(self.causes)) if order is None else order
        names = [self.causes[i] for i in order]
        counts = {self.causes[i]: self.counts[i] * times for i in order}
        matrix = {"causes": names, "rows": [[self.rows[i][j] for j in order] for i in order]}
        algorithms = [f"algorithm{number}" for number in range(copies)]
        return {
            "va_data": {name: {"counts": counts} for name in algorithms},
            "missmat": dict.fromkeys(algorithms, matrix),
            "missmat_type": "fixed",
            "path_correction": False,
            "pshrink_strength": 0,
            "donotcalib": {name: [] for name in algorithms},
            "donotcalib_type": "fixed",
        }


@st.composite
def populations(draw: st.DrawFn) -> Population:
    """Between 2 and 5 causes, none of them rare, and an algorithm that is right more often than not."""
    size = draw(st.integers(2, 5))
    weights = np.array(draw(st.lists(st.integers(2, 9), min_size=size, max_size=size)), dtype=float)
    rows = []
    for true in range(size):
        errors = np.array(draw(st.lists(st.integers(1, 9), min_size=size, max_size=size)), dtype=float)
        errors[true] = 0
        right = draw(st.integers(60, 90)) / 100
        row = errors / errors.sum() * (1 - right)
        row[true] = right
        rows.append(row)
    seen = np.round(400 * (weights / weights.sum()) @ np.array(rows)).astype(int)
    return Population(
        tuple(f"cause {number}" for number in range(size)),
        tuple(int(n) for n in seen),
        tuple(tuple(float(value) for value in row) for row in rows),
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Calibrate in this process."""
    library, numbers = built_library(), count()

    def calibrate(**request: Any) -> CalibrationResult:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        knobs: dict[str, Any] = {"draws": 1000, "warmup": 500, **request}
        job = FakeJob(folder, None)  # type: ignore[arg-type]  # nothing goes out
        return Calibrator("rpy2", library)(CalibrationRequest.model_validate(knobs), job)

    return calibrate


def of(result: CalibrationResult) -> FitResult:
    return result.algorithms["algorithm0"]


def widths(fit: FitResult) -> dict[str, float]:
    return {cause.cause: (cause.upper or 0) - (cause.lower or 0) for cause in fit.causes}


def errors(fit: FitResult) -> dict[str, float]:
    """Return six standard errors of each mean."""
    size = fit.diagnostics.ess_bulk_min
    assert size is not None
    return {cause: 6 * width / 3.92 / sqrt(size) for cause, width in widths(fit).items()}


@few
@given(population=populations(), data=st.data())
def test_permuting_causes_permutes_the_answer(run: Run, population: Population, data: st.DataObject) -> None:
    """No cause is special."""
    order = data.draw(st.permutations(range(len(population.causes))))
    straight, turned = of(run(**population.request())), of(run(**population.request(order=order)))
    assert [population.causes[i] for i in order] == [cause.cause for cause in turned.causes]
    means = {cause.cause: cause.mean for cause in turned.causes}
    off, off_turned = errors(straight), errors(turned)
    for cause in straight.causes:
        assert abs(cause.mean - means[cause.cause]) <= off[cause.cause] + off_turned[cause.cause]


@few
@given(population=populations(), times=st.integers(9, 25))
def test_more_deaths_narrow_every_interval(run: Run, population: Population, times: int) -> None:
    """About as the square root of their number."""
    before, after = (widths(of(run(**population.request(times=many)))) for many in (1, times))
    for cause, width in before.items():
        assert after[cause] < width
    total = sum(before.values()) / sum(after.values())
    assert 0.5 * sqrt(times) < total < 2 * sqrt(times)


@few
@given(population=populations())
def test_an_algorithm_without_errors_is_left_as_it_is(run: Run, population: Population) -> None:
    """The posterior is Dirichlet(1 + deaths), whose mean is known exactly."""
    size = len(population.causes)
    exact = tuple(tuple(float(i == j) for j in range(size)) for i in range(size))
    fit = of(run(**Population(population.causes, population.counts, exact).request()))
    total = sum(population.counts)
    off = errors(fit)
    for cause, deaths in zip(fit.causes, population.counts, strict=True):
        assert abs(cause.mean - (deaths + 1) / (total + size)) <= off[cause.cause]


@few
@given(population=populations())
def test_two_equal_algorithms_know_more_than_one(run: Run, population: Population) -> None:
    """Together they have twice the deaths, so their intervals are narrower."""
    result = run(**population.request(copies=2))
    assert result.ensemble is not None
    alone, together = widths(of(result)), widths(result.ensemble)
    for cause, width in alone.items():
        assert together[cause] < width


@few
@given(population=populations())
def test_fractions_sum_to_one(run: Run, population: Population) -> None:
    """In every fit, and the deaths to what they were."""
    result = run(**population.request(copies=2))
    for fit in (*result.algorithms.values(), result.ensemble):
        assert fit is not None
        assert abs(sum(cause.mean for cause in fit.causes) - 1) <= 1e-9
        assert fit.total == sum(cause.deaths for cause in fit.causes)
