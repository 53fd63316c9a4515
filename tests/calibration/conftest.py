"""Calibrators on a job that records what is done to it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.engine.calibrate import Bridge, Calibrator
from tasks.calibration.results import CalibrationResult
from tasks.core.egress import Egress, EgressPolicy
from tests.calibration.r_library import built_library
from tests.calibration.results import a_result
from tests.fakes import FakeJob

Calibrate = Callable[..., CalibrationResult]


@pytest.fixture
def job(tmp_path: Path) -> FakeJob:
    """A job without a worker."""
    folder = tmp_path / "work"
    folder.mkdir()
    return FakeJob(folder, Egress(EgressPolicy()))


@pytest.fixture
def calibrate(tmp_path: Path) -> Calibrate:
    """Run a calibration in an Rscript of its own; ``bridge`` chooses the other way."""
    library = built_library()
    numbers = iter(range(1000))

    def run(bridge: Bridge = "rscript", job: FakeJob | None = None, **request: object) -> CalibrationResult:
        if job is None:
            folder = tmp_path / f"run-{next(numbers)}"
            folder.mkdir()
            job = FakeJob(folder, Egress(EgressPolicy()))
        return Calibrator(bridge, library)(CalibrationRequest.model_validate(request), job)

    return run


@pytest.fixture
def example_result() -> dict[str, Any]:
    """A result as the ledger keeps it, of one algorithm and two causes."""
    return a_result()
