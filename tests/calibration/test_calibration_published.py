"""The engine ``vacalibration``: our adapter on stand-ins that have the package's interfaces and its known defects.

The real package cannot be installed here, so nothing in this file says what it answers.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from pydantic import ValidationError

from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.engine.calibrate import Calibrator
from tasks.calibration.engine.calls import Calls
from tasks.calibration.results import CalibrationResult
from tasks.core.errors import EngineUnavailable, JobCancelled, Permanent
from tests.calibration.published_library import library_with
from tests.calibration.r_library import built_library
from tests.fakes import FakeJob

CAUSES = ("a", "b", "other")
COUNTS = (150, 90, 60)
ROWS = [[30.0, 6.0, 4.0], [5.0, 20.0, 10.0], [3.0, 7.0, 25.0]]
DRAWS = 400

Run = Callable[..., CalibrationResult]


@pytest.fixture(scope="module", params=["2.1", "2.2"])
def interface(request: pytest.FixtureRequest) -> str:
    """Whose names the arguments have."""
    return str(request.param)


@pytest.fixture(scope="module")
def library(interface: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with a stand-in of that interface."""
    built_library()
    return library_with(interface, tmp_path_factory.mktemp("published"))


@pytest.fixture
def run(library: Path, tmp_path: Path) -> Run:
    """Calibrate with the stand-in, each time on a job of its own."""
    numbers = iter(range(1000))

    def calibrate(job: FakeJob | None = None, **more: Any) -> CalibrationResult:
        if job is None:
            folder = tmp_path / str(next(numbers))
            folder.mkdir()
            job = FakeJob(folder, None)  # type: ignore[arg-type]  # nothing goes out
        request = {"engine": "vacalibration", "draws": DRAWS, "warmup": 100, **one(), **more}
        return Calibrator("rpy2", library)(CalibrationRequest.model_validate(request), job)

    return calibrate


def one(*names: str, **counts: tuple[int, ...]) -> dict[str, Any]:
    """Deaths and matrices of the algorithms ``names``, all with the same counts, or with those given."""
    deaths = dict.fromkeys(names or ("one",), COUNTS) | counts
    return {
        "va_data": {name: {"counts": dict(zip(CAUSES, row, strict=True))} for name, row in deaths.items()},
        "missmat": {name: {"causes": list(CAUSES), "rows": ROWS} for name in deaths},
    }


def test_the_result_has_the_same_shape(run: Run, job: FakeJob, interface: str) -> None:
    """Engine, versions, interface and seed are told; R runs as a process, whatever the setting says; draws are kept."""
    result = run(job, donotcalib={"one": []}, seed=5)
    told = result.provenance
    assert ("vacalibration", "stan", "rscript", 5) == (told.engine, told.sampler, told.bridge, told.seed)
    assert {"vacalibration": interface, "rstan": "2.21.7"} == told.packages
    assert interface == told.parameters["interface"]
    assert [(150 + 1) / 303, (90 + 1) / 303, (60 + 1) / 303] == pytest.approx(
        [cause.mean for cause in result.algorithms["one"].causes], abs=0.01
    )
    assert 300 == sum(cause.deaths for cause in result.algorithms["one"].causes)
    rows = parquet.read_table(io.BytesIO(job.saved["draws.parquet"])).to_pylist()
    assert 4 * DRAWS == len(rows)
    assert all(abs(sum(row[cause] for cause in CAUSES) - 1) < 1e-5 for row in rows)


def test_numbers_of_draws_are_always_said(run: Run) -> None:
    """So that another version's defaults change nothing: 4 chains x 100 draws are what was asked for."""
    result = run(draws=100, chains=4)
    assert 100 == result.provenance.parameters["draws"]
    assert 4 * 100 * 7 == result.algorithms["one"].diagnostics.gradients


def test_the_same_seed_gives_the_same_answer(run: Run) -> None:
    """Defect 1: the package's seed does not reach R's generator, on which lambda depends; ours reaches both."""
    first, second, other = (run(seed=seed) for seed in (3, 3, 4))
    assert first.algorithms["one"].causes == second.algorithms["one"].causes
    assert first.algorithms["one"].path_lambda == second.algorithms["one"].path_lambda
    assert first.algorithms["one"].causes != other.algorithms["one"].causes


def test_several_chains_work_and_their_diagnostics_mean_something(run: Run) -> None:
    """Defects 2 and 3: one call a chain, and draws in their own order, which know that every fourth only is new."""
    diagnostics = run(chains=4).algorithms["one"].diagnostics
    assert diagnostics.ess_bulk_min is not None
    assert 0.6 * DRAWS < diagnostics.ess_bulk_min < 1.6 * DRAWS, "a quarter of 4 x DRAWS"
    assert diagnostics.rhat_max is not None
    assert 1.0 < diagnostics.rhat_max < 1.1
    assert 4 == diagnostics.divergences


def test_an_algorithm_that_cannot_be_calibrated_stays_as_observed(run: Run) -> None:
    """Defects 4 and 5: its draws are no distribution, and the ensemble fails with it; so the package never sees it."""
    result = run(**one("one", "two", "three"), donotcalib={"two": ["a", "b"]})
    two = result.algorithms["two"]
    assert not two.is_calibrated
    assert list(COUNTS) == [cause.deaths for cause in two.causes]
    assert 1.0 == pytest.approx(sum(cause.mean for cause in two.causes), abs=1e-9)
    assert result.ensemble is not None
    assert {"one", "three"} == set(result.ensemble.deaths)
    assert any(note.startswith("two is no part of the ensemble") for note in result.notes)
    alone = run(**one("one", "two"), donotcalib={"two": ["a", "b"]})
    assert alone.ensemble is None


def test_an_empty_error_gets_its_explanation(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defect 6: what was only told as a message comes with the error."""
    monkeypatch.setenv("STAND_IN_EMPTY_ERROR", "1")
    with pytest.raises(Permanent, match=r"vacalibration: .*The explanation is only told"):
        run()


def test_names_and_countries_are_settled_before(run: Run) -> None:
    """Defects 7 and 8: labels, blanks, duplicates, zero and negative deaths never reach the package."""
    table = "ID,cause\n1, Birth asphyxia \n2,Pneumonia\n3,ipre\n4,Unspecified\n"
    matrix = {"causes": ["ipre", "pneumonia"], "rows": [[20, 3], [4, 18]]}
    result = run(va_data={"eava": {"csv": table}}, missmat={"eava": matrix}, age_group="neonate")
    assert [("ipre", 2), ("pneumonia", 1)] == [
        (cause.cause, cause.observed) for cause in result.algorithms["eava"].causes
    ]
    assert {"eava": {"unspecified": 1}} == result.provenance.dropped
    with pytest.raises(ValidationError, match="All counts are 0"):
        run(**one(one=(0, 0, 0)))


def test_only_what_was_asked_for_is_left_out(run: Run) -> None:
    """Defect 9: the package leaves out a cause named other by itself; we say which, in any spelling."""
    kept = run(donotcalib={"one": []}).algorithms["one"].causes[2]
    assert "calibrated" == kept.status
    default = run().algorithms["one"].causes[2]
    assert ("default", 60, None) == (default.status, default.deaths, default.lower)
    renamed = one()
    renamed["va_data"]["one"]["counts"] = {"a": 150, "b": 90, "Other": 60}
    renamed["missmat"]["one"]["causes"] = ["a", "b", "Other"]
    assert "default" == run(**renamed).algorithms["one"].causes[2].status


def test_no_weight_is_above_one(run: Run) -> None:
    """Defect 10: a fixed matrix can get a lambda of 1.01, which is 1 and stalled."""
    fixed = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]
    result = run(missmat={"one": {"causes": list(CAUSES), "rows": fixed}}, missmat_type="fixed")
    told = result.algorithms["one"]
    assert (1.0, True) == (told.path_lambda, told.is_stalled)
    assert {None} == {cause.lower for cause in told.causes}


def test_samples_and_study_causes_are_prepared_by_us(run: Run) -> None:
    """The package gets Dirichlet rows over the study's own causes, so both work with either interface."""
    samples = [[[0.7, 0.2, 0.1], [0.2, 0.6, 0.2], [0.1, 0.2, 0.7]], [[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.1, 0.1, 0.8]]]
    sampled = run(missmat={"one": {"causes": list(CAUSES), "samples": samples}}, missmat_type="samples")
    assert sampled.algorithms["one"].is_calibrated
    counts = {"a1": 90, "a2": 60, "b": 90, "other": 60}
    names = {"a1": "a", "a2": "a", "b": "b", "other": "other"}
    mapped = run(va_data={"one": {"counts": counts}}, studycause_map=names, donotcalib_type="fixed")
    assert ("a1", "a2", "b", "other") == mapped.causes


def test_a_cancel_ends_it(run: Run, job: FakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process is gone when the job is."""
    monkeypatch.setenv("STAND_IN_SLEEP", "100")
    job.cancel_after = 2
    with pytest.raises(JobCancelled):
        run(job)
    folder = str(job.workdir).encode()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert folder not in process.read_bytes()
        except OSError:  # it has just ended
            continue


def test_progress_comes_from_stan(run: Run, job: FakeJob) -> None:
    """Each chain's iterations count."""
    run(job, chains=2)
    done = [report.done for report in job.reports]
    assert sorted(done) == done
    assert {"chain 1 of 2", "chain 2 of 2"} <= {report.message for report in job.reports}
    assert any("Iteration: 500 / 500" in line for line in job.lines)


def test_progress_counts_chains_fits_and_iterations() -> None:
    """Two chains of two fits: half of the second fit of the first chain is 3/8 of all."""
    calls = Calls(2)
    calls.begin(0, 2)
    for line in ("Chain 1: Iteration:   1 / 100 [  1%]", "Chain 1: Iteration: 100 / 100 [100%]"):
        assert calls.hear(line)
    assert calls.hear("Chain 1: Iteration:  50 / 100 [ 50%]  (Warmup)")
    assert not calls.hear("Chain 1: Gradient evaluation took 0 seconds")
    assert (0.375, "chain 1 of 2") == (calls.share, calls.message)
    calls.begin(2, 2)
    assert (1.0, "chain 2 of 2") == (calls.share, calls.message)


def test_a_version_that_is_not_what_its_number_says(tmp_path: Path, job: FakeJob) -> None:
    """The interface is asked of the function: one that calls itself 2.1 may have the arguments of 2.2."""
    built_library()
    library = library_with("2.2", tmp_path, version="2.1")
    request = CalibrationRequest.model_validate({"engine": "vacalibration", "draws": 100, "warmup": 100, **one()})
    told = Calibrator("rscript", library)(request, job).provenance
    assert ("2.1", "2.2") == (told.packages["vacalibration"], told.parameters["interface"])


def test_an_unknown_interface_is_refused(tmp_path: Path, job: FakeJob) -> None:
    """It is not guessed at."""
    built_library()
    library = library_with("1.0", tmp_path)
    request = CalibrationRequest.model_validate({"engine": "vacalibration", **one()})
    with pytest.raises(EngineUnavailable, match=r"vacalibration 1\.0 has neither the arguments of 2\.2 nor"):
        Calibrator("rscript", library)(request, job)


def test_a_missing_package_is_named(job: FakeJob) -> None:
    """With where it was looked for and what helps; never another engine in its place."""
    if (built_library() / "vacalibration").exists():
        pytest.skip("the package is installed")
    request = CalibrationRequest.model_validate({"engine": "vacalibration", **one()})
    with pytest.raises(EngineUnavailable, match=r"vacalibration cannot be loaded from .*switchyard-r"):
        Calibrator("rscript", built_library())(request, job)


def test_the_plain_r_sampler_belongs_to_the_other_engine() -> None:
    """Refused before it is queued."""
    with pytest.raises(ValidationError, match="samples with Stan"):
        CalibrationRequest.model_validate({"engine": "vacalibration", "sampler": "r", **one()})


def test_the_result_fits_its_schema(run: Run) -> None:
    """Also where nothing is known, such as a seed's other engine: it survives JSON."""
    result = run()
    assert result == CalibrationResult.model_validate(json.loads(result.model_dump_json()))
