"""The same calibration again: answered from the earlier job, files included, and only when it is the same."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.engine.caching import CachingCalibrator, engine_stamp, key_of
from tasks.calibration.results import CalibrationResult
from tasks.core.clock import now
from tasks.core.known_results import KnownFile, KnownResult
from tests.calibration.r_library import built_library
from tests.fakes import FakeJob

ROWS = [[30.0, 6.0], [5.0, 20.0]]
CAUSES = ["pneumonia", "ipre"]
FIRST = "01890000-0000-7000-8000-000000000001"


def one(deaths: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "va_data": {"one": deaths},
        "missmat": {"one": {"causes": CAUSES, "rows": ROWS}},
        "age_group": "neonate",
        **more,
    }


COUNTS = one({"counts": {"pneumonia": 2, "ipre": 1}})


def key(request: dict[str, Any], engine: str = "e") -> str:
    read = CalibrationRequest.model_validate(request)
    return key_of(read, read.take_in(), engine=engine)


@pytest.mark.parametrize(
    "deaths",
    [
        {"csv": "ID,cause\n1,Neonatal pneumonia\n2,Birth asphyxia\n3,pneumonia\n"},
        {"csv": "cause;count\nipre;1\npneumonia;2\n"},
        {"records": [{"id": "x", "cause": "IPRE"}, {"id": 2, "cause": "pneumonia"}, {"id": 3, "cause": "Pneumonia"}]},
        {"matrix": {"causes": ["ipre", "pneumonia"], "rows": [[1, 0], [0, 1], [0.2, 0.8]]}},
    ],
    ids=["csv", "csv of counts", "records", "matrix"],
)
def test_the_same_deaths_have_one_key_however_they_are_spelled(deaths: dict[str, Any]) -> None:
    """What was parsed counts."""
    assert key(COUNTS) == key(one(deaths))


def test_what_changes_no_number_is_not_in_the_key() -> None:
    """Cores, the opt-out, an ensemble of one, the shrinkage that is the default."""
    for more in ({"cores": 1}, {"use_cache": False}, {"ensemble": False}):
        assert key(COUNTS) == key(COUNTS | more)
    free = COUNTS | {"path_correction": False}
    assert key(free) == key(free | {"pshrink_strength": 4.0})


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"draws": 2400},
        {"path_correction": False},
        {"sampler": "r"},
        {"missmat_type": "fixed", "missmat": {"one": {"causes": CAUSES, "rows": [[0.9, 0.1], [0.2, 0.8]]}}},
        {"missmat": {"one": {"causes": CAUSES, "rows": [[30.0, 6.0], [5.0, 21.0]]}}},
        {"va_data": {"one": {"counts": {"pneumonia": 2, "ipre": 2}}}},
        {"va_data": {"one": {"counts": {"pneumonia": 2, "ipre": 1, "unknown": 1}}}},
        {"donotcalib": {"one": ["ipre"]}},
        {"cause_map": {"gout": "ipre"}},
    ],
    ids=str,
)
def test_what_changes_the_answer_changes_the_key(other: dict[str, Any]) -> None:
    """Parameters, seed, deaths, matrices, what was left out."""
    assert key(COUNTS) != key(COUNTS | other)


def test_another_engine_has_other_keys(tmp_path: Path) -> None:
    """Another version, another way to R, a package built anew."""
    folder = tmp_path / "switchyardcalib"
    folder.mkdir()
    request = CalibrationRequest.model_validate(COUNTS)
    stamps = {engine_stamp(tmp_path, request, bridge=bridge) for bridge in ("rpy2", "rscript")}
    for version in ("1.0.0", "1.0.1"):
        (folder / "DESCRIPTION").write_text(f"Version: {version}")
        stamps.add(engine_stamp(tmp_path, request, bridge="rpy2"))
    assert 4 == len(stamps)
    assert len(stamps) == len({key(COUNTS, stamp) for stamp in stamps})


def test_another_published_package_has_other_keys(tmp_path: Path) -> None:
    """Its version is asked of R, which looks into our library first."""
    built_library()
    request = CalibrationRequest.model_validate(COUNTS | {"engine": "vacalibration"})
    package = tmp_path / "vacalibration"
    package.mkdir()
    (package / "DESCRIPTION").write_text("Package: vacalibration\nVersion: 2.2\n")
    assert "vacalibration 2.2" in engine_stamp(tmp_path, request, bridge="rscript")


@dataclass
class Known:
    """Remembers in memory, as a cache whose jobs all succeed."""

    answer: KnownResult | None = None
    keys: list[str] = field(default_factory=list)
    remembered: list[str] = field(default_factory=list)
    counted: list[bool] = field(default_factory=list)

    def find(self, job_id: str, *, key: str) -> KnownResult | None:  # the protocol's signature
        self.keys.append(key)
        return self.answer

    def count(self, job_id: str, *, key: str, hit: bool) -> None:
        self.counted.append(hit)

    def remember(self, job_id: str, *, fence: int, key: str) -> None:
        self.remembered.append(key)


@pytest.fixture
def answer(example_result: dict[str, Any], tmp_path: Path) -> KnownResult:
    """An earlier result with its file."""
    (tmp_path / "csmf.csv").write_text("fit,cause\n")
    files = (KnownFile("csmf.csv", tmp_path / "csmf.csv", "text/csv"),)
    return KnownResult(FIRST, now(), example_result, files)


@pytest.fixture
def run(job: FakeJob, example_result: dict[str, Any]) -> Callable[..., CalibrationResult]:
    """Run a request against what is known; whoever computes says so in the log."""

    def calibrate(_request: CalibrationRequest, job: FakeJob) -> CalibrationResult:
        job.log("computed")
        return CalibrationResult.model_validate(example_result)

    def call(known: Known, **request: Any) -> CalibrationResult:
        engine = CachingCalibrator(calibrate, known, lambda _: "e")  # type: ignore[arg-type]  # a fake of the job's context
        return engine(CalibrationRequest.model_validate(COUNTS | request), job)

    return call


def test_a_miss_computes_and_remembers(run: Callable[..., CalibrationResult], job: FakeJob) -> None:
    """And says that nothing was served."""
    known = Known()
    assert not run(known).cache.hit
    assert (["info computed"], [False], known.keys) == (job.lines, known.counted, known.remembered)


def test_a_hit_is_marked_and_carries_the_files_over(
    run: Callable[..., CalibrationResult], job: FakeJob, answer: KnownResult
) -> None:
    """No engine runs; the result names the job that computed it, and when."""
    known = Known(answer)
    result = run(known)
    assert (True, FIRST, answer.at) == (result.cache.hit, result.cache.job, result.cache.at)
    assert {"csmf.csv": b"fit,cause\n"} == job.saved
    assert "info computed" not in job.lines
    assert FIRST in job.lines[0]
    assert 100.0 == job.reports[-1].done
    assert ([True], []) == (known.counted, known.remembered)


def test_opting_out_computes_again_and_is_remembered(
    run: Callable[..., CalibrationResult], job: FakeJob, answer: KnownResult
) -> None:
    """It neither looks nor counts."""
    known = Known(answer)
    assert not run(known, use_cache=False).cache.hit
    assert (["info computed"], [], []) == (job.lines, known.counted, known.keys)
    assert 1 == len(known.remembered)


@pytest.mark.parametrize("damage", ["result", "file gone", "file unnamed"])
def test_an_answer_that_is_not_whole_is_a_miss(
    run: Callable[..., CalibrationResult], job: FakeJob, answer: KnownResult, damage: str
) -> None:
    """Of another version, erased just now, or swept."""
    if damage == "result":
        answer = KnownResult(FIRST, answer.at, {"causes": []}, answer.files)
    elif damage == "file gone":
        answer.files[0].path.unlink()
    else:
        answer = KnownResult(FIRST, answer.at, answer.result, ())
    known = Known(answer)
    assert not run(known).cache.hit
    assert (["info computed"], [False]) == (job.lines, known.counted)
    assert 1 == len(known.remembered)


def test_a_result_keeps_its_mark_in_the_ledger(example_result: dict[str, Any]) -> None:
    """It is JSON there."""
    mark = {"hit": True, "job": FIRST, "at": "2026-01-01T00:00:00Z"}
    result = CalibrationResult.model_validate(example_result | {"cache": mark})
    assert mark == json.loads(result.model_dump_json())["cache"]
