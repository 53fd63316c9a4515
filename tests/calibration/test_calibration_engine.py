"""The engine: published numbers, properties that any calibration must have, seeds, stops and both ways to R."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from bench.calibration import run_case
from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.engine.calibrate import Calibrator
from tasks.calibration.results import CalibrationResult
from tasks.core.errors import EngineUnavailable, JobCancelled, Permanent
from tests.calibration.conftest import Calibrate
from tests.calibration.r_library import built_library, shared_va
from tests.fakes import FakeJob

# R runs once in a process, so tests that embed it share one.
pytestmark = [pytest.mark.xdist_group("r")]

CAUSES = ("a", "b", "c")
ROWS = ((30.0, 6.0, 4.0), (5.0, 20.0, 10.0), (3.0, 7.0, 25.0))
SHORT: dict[str, Any] = {"draws": 500, "warmup": 400}


def matrix(rows: Sequence[Sequence[float]] = ROWS, causes: Sequence[str] = CAUSES) -> dict[str, Any]:
    return {"causes": list(causes), "rows": [list(row) for row in rows]}


def one(counts: Sequence[int] = (150, 90, 60), **more: Any) -> dict[str, Any]:
    return {
        "va_data": {"one": {"counts": dict(zip(CAUSES, counts, strict=True))}},
        "missmat": {"one": matrix()},
        **more,
    }


def means(result: CalibrationResult, name: str = "one") -> dict[str, float]:
    return {cause.cause: cause.mean for cause in result.algorithms[name].causes}


def width(result: CalibrationResult, index: int = 0) -> float:
    cause = result.algorithms["one"].causes[index]
    assert cause.lower is not None
    assert cause.upper is not None
    return cause.upper - cause.lower


@pytest.mark.parametrize("bridge", ["rpy2", "rscript"])
def test_published_numbers_are_met(bridge: Any) -> None:
    """Every oracle case lies within its tolerances, by either way to R."""
    data = shared_va()
    calibrator = Calibrator(bridge, built_library())
    cases = json.loads((data / "cases.json").read_text())["cases"]
    told = [run_case(case, data, calibrator) for case in cases]
    assert {} == {case["case"]: case["worst_ratio"] for case in told if case["worst_ratio"] > 1}
    assert all(case["ess_min"] > 4000 and case["rhat_max"] < 1.01 for case in told)


def test_the_same_seed_gives_the_same_bytes(calibrate: Calibrate, tmp_path: Path) -> None:
    """In R inside this process as in a process of its own, whatever ran before."""
    saved = []
    for number, bridge in enumerate(("rpy2", "rscript", "rpy2")):
        folder = tmp_path / str(number)
        folder.mkdir()
        job = FakeJob(folder, None)  # type: ignore[arg-type]  # nothing goes out
        calibrate(bridge, job, **one(seed=7, **SHORT))
        saved.append(job.saved["draws.parquet"])
    assert saved[0] == saved[1] == saved[2]


def test_another_seed_differs_within_monte_carlo_error(calibrate: Calibrate) -> None:
    """Different draws, the same answer."""
    first, second = (means(calibrate(**one(seed=seed, draws=2000))) for seed in (1, 2))
    assert first != second
    assert all(first[cause] == pytest.approx(second[cause], abs=0.01) for cause in CAUSES)


def test_plain_r_agrees_with_c(calibrate: Calibrate) -> None:
    """Another seed in the other sampler lands on the same answer."""
    in_c = calibrate(**one(draws=1000))
    in_r = calibrate(**one(sampler="r", seed=2, draws=300, warmup=200, chains=1))
    assert ("c", "r") == (in_c.provenance.sampler, in_r.provenance.sampler)
    assert all(means(in_c)[cause] == pytest.approx(means(in_r)[cause], abs=0.04) for cause in CAUSES)


def test_permuting_causes_permutes_the_answer(calibrate: Calibrate) -> None:
    """No cause is special."""
    order = [2, 0, 1]
    permuted = {
        "va_data": {"one": {"counts": {CAUSES[i]: (150, 90, 60)[i] for i in order}}},
        "missmat": {"one": matrix([[ROWS[i][j] for j in order] for i in order], [CAUSES[i] for i in order])},
    }
    straight, turned = calibrate(**one(draws=2000)), calibrate(**permuted, draws=2000)
    assert all(means(straight)[cause] == pytest.approx(means(turned)[cause], abs=0.01) for cause in CAUSES)
    assert straight.algorithms["one"].path_lambda == turned.algorithms["one"].path_lambda


def test_more_deaths_narrow_the_interval(calibrate: Calibrate) -> None:
    """Ten times the deaths know more, with a matrix that is exact."""
    exact = {"missmat_type": "fixed", "missmat": {"one": matrix([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])}}
    few = calibrate(**(one((150, 90, 60)) | exact | SHORT))
    many = calibrate(**(one((1500, 900, 600)) | exact | SHORT))
    assert 2 * width(many) < width(few)


def test_an_algorithm_without_errors_is_left_as_it_is(calibrate: Calibrate) -> None:
    """The identity changes nothing but for the prior's pull."""
    identity = {"missmat_type": "fixed", "missmat": {"one": matrix([[1, 0, 0], [0, 1, 0], [0, 0, 1]])}}
    result = calibrate(**(one((1500, 900, 600)) | identity | SHORT))
    assert 0.0 == result.algorithms["one"].path_lambda
    assert all(cause.mean == pytest.approx(cause.uncalibrated, abs=0.005) for cause in result.algorithms["one"].causes)


def test_two_equal_algorithms_know_more_than_one(calibrate: Calibrate) -> None:
    """The ensemble's interval is the narrower; each fit keeps the totals."""
    both = one()
    both["va_data"]["two"] = both["va_data"]["one"]
    both["missmat"]["two"] = both["missmat"]["one"]
    result = calibrate(**both, draws=2000)
    assert result.ensemble is not None
    cause = result.ensemble.causes[0]
    assert cause.lower is not None
    assert cause.upper is not None
    assert cause.upper - cause.lower < width(result)
    assert {"one": 300, "two": 300} == {name: sum(rows.values()) for name, rows in result.ensemble.deaths.items()}


def test_fractions_sum_to_one_in_every_draw(calibrate: Calibrate, job: FakeJob) -> None:
    """Excluded causes keep their share and their deaths exactly."""
    result = calibrate(job=job, **one(donotcalib={"one": ["b"]}, **SHORT))
    kept = result.algorithms["one"].causes[1]
    assert (90, 90, "requested", None) == (kept.observed, kept.deaths, kept.status, kept.lower)
    assert 0.3 == kept.mean
    rows = parquet.read_table(io.BytesIO(job.saved["draws.parquet"])).to_pylist()
    assert 2000 == len(rows)
    assert all(abs(sum(row[cause] for cause in CAUSES) - 1) < 1e-9 for row in rows)


def test_a_stalled_fit_has_no_interval_anywhere(calibrate: Calibrate, job: FakeJob) -> None:
    """A calibrated cause without deaths stalls; the result says so, why, and what helps; the ensemble names it."""
    both = one((150, 90, 60), **SHORT)
    both["va_data"]["two"] = {"counts": {"a": 200, "b": 100, "c": 0}}
    both["missmat"]["two"] = matrix()
    result = calibrate(job=job, **both)
    stalled = result.algorithms["two"]
    assert (0.99, True, False) == (stalled.path_lambda, stalled.is_stalled, result.algorithms["one"].is_stalled)
    assert result.ensemble is not None
    assert ("two",) == result.ensemble.stalled_members
    for cause in (*stalled.causes, *result.ensemble.causes):
        assert (None, None) == (cause.lower, cause.upper)
        assert "stalled" in (cause.reason or "")
    assert any("without deaths (c)" in note for note in result.notes)
    rows = list(csv.DictReader(job.saved["csmf.csv"].decode().splitlines()))
    assert {""} == {row["lower"] for row in rows if row["fit"] in {"two", "ensemble"}}
    assert "" not in {row["lower"] for row in rows if row["fit"] == "one"}


def test_an_algorithm_with_one_cause_left_is_not_calibrated(calibrate: Calibrate) -> None:
    """It reports what was observed, and the ensemble still stands, with a note."""
    both = one(**SHORT)
    both["va_data"]["two"] = both["va_data"]["one"]
    both["missmat"]["two"] = both["missmat"]["one"]
    result = calibrate(**both, donotcalib={"two": ["a", "b"]})
    two = result.algorithms["two"]
    assert not two.is_calibrated
    assert [(150, 150), (90, 90), (60, 60)] == [(cause.observed, cause.deaths) for cause in two.causes]
    assert 1.0 == pytest.approx(sum(cause.mean for cause in two.causes), abs=1e-9)
    assert result.ensemble is not None
    assert result.ensemble.is_calibrated
    assert any("as if it made no errors" in note for note in result.notes)


def test_a_run_too_short_is_extended_then_flagged(calibrate: Calibrate) -> None:
    """What has not converged says so."""
    diagnostics = calibrate(**one(draws=100, warmup=100, chains=8)).algorithms["one"].diagnostics
    assert diagnostics.extended
    result = calibrate(**one(draws=2000))
    assert (False, True) == (
        result.algorithms["one"].diagnostics.extended,
        result.algorithms["one"].diagnostics.converged,
    )


def test_sampled_matrices_are_reduced_to_dirichlet_rows(calibrate: Calibrate) -> None:
    """Samples of a matrix answer about as its own parameters do."""
    import numpy as np

    random = np.random.default_rng(1)
    samples = [[random.dirichlet(row).tolist() for row in ROWS] for _ in range(300)]
    sampled = calibrate(
        **(one(draws=1500) | {"missmat_type": "samples", "missmat": {"one": {"causes": CAUSES, "samples": samples}}})
    )
    given = calibrate(**one(draws=1500))
    assert all(means(sampled)[cause] == pytest.approx(means(given)[cause], abs=0.03) for cause in CAUSES)


def test_study_causes_are_mapped_to_broad_ones(calibrate: Calibrate, job: FakeJob) -> None:
    """Two study causes share one broad cause; rows of the matrix they use still sum as the broad ones did."""
    request = {
        "va_data": {"one": {"counts": {"a1": 90, "a2": 60, "b": 90, "c": 60}}},
        "missmat": {"one": matrix()},
        "studycause_map": {"a1": "a", "a2": "a", "b": "b", "c": "c"},
        "path_correction": False,
        **SHORT,
    }
    result = calibrate(job=job, **request)
    assert ("a1", "a2", "b", "c") == result.causes
    rows = [row for row in csv.DictReader(job.saved["matrices.csv"].decode().splitlines()) if row["stage"] == "study"]
    sums: dict[str, float] = {}
    for row in rows:
        sums[row["true_cause"]] = sums.get(row["true_cause"], 0) + float(row["value"])
    assert {"a1": 40, "a2": 40, "b": 35, "c": 35} == pytest.approx(sums)


@pytest.mark.parametrize("bridge", ["rpy2", "rscript"])
@pytest.mark.parametrize("sampler", ["c", "r"])
def test_a_cancel_stops_r_and_the_next_run_is_right(
    calibrate: Calibrate, job: FakeJob, tmp_path: Path, bridge: Any, sampler: str
) -> None:
    """R stops within the grace time, wherever the samples are drawn, and works on as before."""
    before = calibrate(bridge, **one(**SHORT))
    timer = threading.Timer(1.0, lambda: setattr(job, "is_cancelled", True))
    timer.start()
    began = time.monotonic()
    with pytest.raises(JobCancelled):
        calibrate(bridge, job, **one(sampler=sampler, draws=2500, warmup=20000, thin=70))
    assert time.monotonic() - began < 30
    after = calibrate(bridge, **one(**SHORT))
    assert before.algorithms["one"].causes == after.algorithms["one"].causes


def test_the_soft_limit_reaches_r(calibrate: Calibrate) -> None:
    """The signal's own handler raises once R has stopped, and is in place again."""

    class OverLimit(Exception):
        pass

    def handler(*_: object) -> None:
        raise OverLimit

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(OverLimit):
            calibrate("rpy2", **one(draws=2500, warmup=20000, thin=70))
        assert handler is signal.getsignal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_r_works_in_the_jobs_folder_only(calibrate: Calibrate, tmp_path: Path) -> None:
    """R's temporary files lie there too, also when the folder of the job before is gone."""
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        calibrate("rpy2", FakeJob(folder, None), **one(**SHORT))  # type: ignore[arg-type]  # nothing goes out
        from rpy2 import rinterface

        assert ["r"] == [path.name for path in folder.iterdir()]
        assert Path(rinterface.evalr("tempdir()")[0]).is_relative_to(folder)
        shutil.rmtree(folder)


def test_r_leaves_the_environment_of_other_programs_alone(calibrate: Calibrate) -> None:
    """What R's launcher sets, its library path above all, would reach every process that this one starts."""
    before = {name: value for name, value in os.environ.items() if not name.startswith("R_")}
    calibrate("rpy2", **one(**SHORT))
    shown = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert not [line for line in shown if line.startswith("LD_LIBRARY_PATH=") and "LD_LIBRARY_PATH" not in before]
    assert before == {name: value for name, value in os.environ.items() if not name.startswith("R_")}


@pytest.mark.parametrize("bridge", ["rpy2", "rscript"])
def test_progress_never_goes_back(calibrate: Calibrate, job: FakeJob, bridge: Any) -> None:
    """Reports rise from preparing to 100 percent."""
    calibrate(bridge, job, **one(**SHORT))
    done = [report.done for report in job.reports]
    assert sorted(done) == done
    assert ("prepare", "done", 100.0) == (job.reports[0].stage, job.reports[-1].stage, done[-1])
    assert any(report.message == "fit 1 of 1: one" for report in job.reports)


@pytest.mark.parametrize("bridge", ["rpy2", "rscript"])
def test_a_missing_package_is_named(job: FakeJob, tmp_path: Path, bridge: Any) -> None:
    """The error says where it was looked for, and what installs it."""
    with pytest.raises(EngineUnavailable, match=r"install\.sh"):
        Calibrator(bridge, tmp_path / "nothing")(CalibrationRequest.model_validate(one()), job)


@pytest.mark.parametrize("bridge", ["rpy2", "rscript"])
def test_an_error_in_r_ends_the_job_with_rs_words(job: FakeJob, bridge: Any) -> None:
    """Whatever R says comes with the error; the next run is not touched."""
    request = CalibrationRequest.model_validate(one(**SHORT))
    calibrator = Calibrator(bridge, built_library())
    broken = request.model_copy(update={"nocalib_threshold": "much"})
    with pytest.raises(Permanent, match=r"R stopped: .*threshold is no number"):
        calibrator(broken, job)
