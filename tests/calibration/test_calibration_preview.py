"""What a calibration would do: the forecast in Python against R, and what it tells."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.calibration import QuietJob, request_of
from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.engine.calibrate import Calibrator
from tasks.calibration.engine.report import lambda_of
from tasks.calibration.preview import preview
from tests.calibration.r_library import built_library, shared_va

QUICK: dict[str, Any] = {"draws": 100, "warmup": 100, "chains": 1, "ensemble": False}


def in_r(request: CalibrationRequest, folder: Path) -> dict[str, tuple[float | None, dict[str, str]]]:
    """Lambda and what is left as observed, by algorithm, as R finds them."""
    answer = Calibrator("rscript", built_library()).run(request, request.take_in(), QuietJob(folder), cores=1)  # type: ignore[arg-type]
    # R is told which causes to leave, not that nobody asked for it.
    names = {"requested": "default"} if request.donotcalib is None else {}
    return {
        row["algorithm"]: (
            lambda_of(row),
            {
                one["cause"]: names.get(one["reason"], one["reason"])
                for one in answer.summary
                if one["fit"] == row["algorithm"] and one["reason"] not in {"", "not_calibrated"}
            },
        )
        for row in answer.prepared
    }


def in_python(request: CalibrationRequest) -> dict[str, tuple[float | None, dict[str, str]]]:
    return {name: (told.path_lambda, dict(told.left_as_observed)) for name, told in preview(request).algorithms.items()}


def test_lambda_is_rs_on_every_published_case(tmp_path: Path) -> None:
    """And so are the causes left as observed."""
    data = shared_va()
    for case in json.loads((data / "cases.json").read_text())["cases"]:
        folder = tmp_path / case["case"]
        folder.mkdir()
        request = request_of(case, data, **QUICK)
        assert in_r(request, folder) == in_python(request), case["case"]


@pytest.mark.parametrize("kind", ["prior", "fixed", "samples"])
def test_lambda_is_rs_on_drawn_matrices(tmp_path: Path, kind: str) -> None:
    """Ten algorithms at once, each with a matrix and deaths of its own; half of them over mapped study causes."""
    random = np.random.default_rng({"prior": 1, "fixed": 2, "samples": 3}[kind])
    for mapped in (False, True):
        causes = ["a1", "a2", "b", "c", "d"] if mapped else ["a", "b", "c", "d"]
        va_data: dict[str, Any] = {}
        missmat: dict[str, Any] = {}
        for number in range(10):
            name = f"x{number}"
            va_data[name] = {"counts": {cause: int(random.integers(0, 80)) for cause in causes}}
            rows = random.uniform(0.3, 4, (4, 4)) + np.diag(random.uniform(0, 25, 4))
            shares = rows / rows.sum(axis=1, keepdims=True)
            missmat[name] = {"causes": ["a", "b", "c", "d"]}
            if kind == "samples":
                missmat[name]["samples"] = [[random.dirichlet(40 * row).tolist() for row in shares] for _ in range(20)]
            else:
                missmat[name]["rows"] = (rows if kind == "prior" else shares).tolist()
        wanted: dict[str, Any] = {"va_data": va_data, "missmat": missmat, "missmat_type": kind, **QUICK}
        if mapped:
            wanted["studycause_map"] = {"a1": "a", "a2": "a", "b": "b", "c": "c", "d": "d"}
        request = CalibrationRequest.model_validate(wanted)
        folder = tmp_path / str(mapped)
        folder.mkdir()
        found = in_python(request)
        assert in_r(request, folder) == found
        assert len({weight for weight, _ in found.values()}) > 2


def test_a_stall_is_told_before_it_happens() -> None:
    """With its reason and both remedies."""
    told = preview(
        CalibrationRequest.model_validate(
            {
                "va_data": {"one": {"counts": {"a": 5, "b": 5, "c": 0, "Unspecified": 7}}},
                "missmat": {"one": {"causes": ["a", "b", "c"], "rows": [[9, 1, 1], [1, 9, 1], [1, 1, 9]]}},
            }
        )
    )
    one = told.algorithms["one"]
    assert (0.99, True, {"a": 5, "b": 5, "c": 0}, {"unspecified": 7}) == (
        one.path_lambda,
        one.is_stalled,
        one.counts,
        one.dropped,
    )
    assert any("without deaths (c): leave it out by donotcalib, or merge" in note for note in told.notes)
