"""What a calibration leaves behind: result, tables, draws, pictures and report say the same, and withhold the same."""

import base64
import csv
import io
import json
import re
import subprocess
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.engine import outputs
from tasks.calibration.engine.calibrate import Calibrator
from tasks.calibration.engine.exchange import Answer, Draws
from tasks.calibration.engine.html_report import html_report
from tasks.calibration.engine.methods import methods
from tasks.calibration.engine.pictures import picture_names, pictures_of
from tasks.calibration.results import CalibrationResult
from tasks.calibration.shelf import MatrixPin
from tasks.core.errors import EngineUnavailable
from tests.calibration.r_library import built_library
from tests.fakes import FakeJob

CAUSES = ("a", "b", "c")
ROWS = ((30.0, 6.0, 4.0), (5.0, 20.0, 10.0), (3.0, 7.0, 25.0))
# `one` leaves b as observed, `two` stalls, `flat` has one cause left: the ensemble has all of it.
COUNTS = {"one": (150, 90, 60), "two": (200, 100, 0), "flat": (200, 100, 60)}


def request(**more: Any) -> dict[str, Any]:
    return {
        "va_data": {name: {"counts": dict(zip(CAUSES, counts, strict=True))} for name, counts in COUNTS.items()},
        "missmat": {name: {"causes": CAUSES, "rows": ROWS} for name in COUNTS},
        "donotcalib": {"one": ["b"], "flat": ["a", "b"]},
        "draws": 400,
        "warmup": 300,
        **more,
    }


@dataclass
class Done:
    """A calibration that ran, with everything it left."""

    result: CalibrationResult
    job: FakeJob

    def rows(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.job.saved[name].decode(), newline="")))

    @property
    def fits(self) -> dict[str, Any]:
        return {**self.result.algorithms, "ensemble": self.result.ensemble}


def run(folder: Path, **asked: Any) -> Done:
    job = FakeJob(folder, None)  # type: ignore[arg-type]  # nothing goes out
    asked = asked or request()
    return Done(Calibrator("rscript", built_library())(CalibrationRequest.model_validate(asked), job), job)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return run(tmp_path_factory.mktemp("done"))


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return run(tmp_path_factory.mktemp("example"), use_example=True, draws=400, warmup=300)


def test_every_artifact_that_is_named_is_there(done: Done, example: Done) -> None:
    """The result lists what was saved, each with a media type."""
    for one in (done, example):
        assert set(one.result.artifacts) == set(one.job.saved)
    endings = {name.rpartition(".")[2]: kind for name, kind in done.job.media_types.items()}
    assert endings == {
        "csv": "text/csv",
        "json": "application/json",
        "parquet": "application/vnd.apache.parquet",
        "svg": "image/svg+xml",
        "png": "image/png",
        "html": "text/html",
    }


def test_the_table_of_fractions_is_the_result(done: Done) -> None:
    """Number for number; where the result has no interval the table has a reason."""
    told = {(row["fit"], row["cause"]): row for row in done.rows("csmf.csv")}
    assert len(told) == sum(len(fit.causes) for fit in done.fits.values())
    for name, fit in done.fits.items():
        for cause in fit.causes:
            row = told[name, cause.cause]
            numbers = [float(row[column]) if row[column] else None for column in ("mean", "lower", "upper")]
            assert [cause.mean, cause.lower, cause.upper] == numbers
            assert (cause.observed, cause.deaths) == (int(row["observed"]), int(row["deaths"]))
            assert (cause.status, cause.reason or "") == (row["status"], row["reason"])


def test_what_is_withheld_is_withheld_everywhere_and_says_why(done: Done) -> None:
    """Result, table, picture and report: no interval for what stalled, for its ensemble, and for what was left."""
    withheld = {("one", "b"), *((fit, cause) for fit in ("two", "flat", "ensemble") for cause in CAUSES)}
    for name, fit in done.fits.items():
        for cause in fit.causes:
            expected = (True, True) if (name, cause.cause) in withheld else (False, False)
            assert expected == (cause.lower is None, bool(cause.reason))
    assert {"one": 2} == {
        name: count
        for name in done.fits
        if (count := sum(1 for r in done.rows("csmf.csv") if r["fit"] == name and r["lower"]))
    }
    # Two lines for each of the two whiskers (a rim and the line itself), and one in the key.
    svg = etree.fromstring(done.job.saved["figures/csmf.svg"])
    whiskers = [path for path in svg.iter("{*}path") if path.get("d", "").count("L") == 5]
    assert 2 * 2 + 1 == len(whiskers)
    assert {"λ = 0.99: stalled, no intervals", "not calibrated", "no intervals: a member stalled"} <= set(texts(svg))
    page = done.job.saved["report.html"].decode()
    assert 2 == len(re.findall(r"\(\d+\.\d, \d+\.\d\)", page))
    assert all(cause.reason in page for fit in done.fits.values() for cause in fit.causes if cause.reason)


def texts(svg: Any) -> list[str]:
    return ["".join(node.itertext()) for node in svg.iter("{*}text")]


def test_deaths_keep_totals_and_excluded_causes_keep_theirs(done: Done) -> None:
    """In the result as in the table, by each fit."""
    for name, fit in done.result.algorithms.items():
        assert sum(COUNTS[name]) == fit.total == sum(cause.deaths for cause in fit.causes)
        assert all(cause.deaths == cause.observed for cause in fit.causes if cause.status != "calibrated")
    assert done.result.ensemble is not None
    assert {name: sum(counts) for name, counts in COUNTS.items()} == {
        name: sum(deaths.values()) for name, deaths in done.result.ensemble.deaths.items()
    }
    told = {(row["fit"], row["algorithm"], row["cause"]): int(row["calibrated"]) for row in done.rows("deaths.csv")}
    ours = {
        (name, name, cause.cause): cause.deaths for name, fit in done.result.algorithms.items() for cause in fit.causes
    }
    theirs = {
        ("ensemble", name, cause): deaths
        for name, by_cause in done.result.ensemble.deaths.items()
        for cause, deaths in by_cause.items()
    }
    assert told == ours | theirs


def test_rows_of_matrices_sum_to_one(done: Done) -> None:
    """As shares, at each stage; what is not calibrated has no matrix in use."""
    sums: dict[tuple[str, str, str], float] = {}
    for row in done.rows("matrices.csv"):
        key = (row["algorithm"], row["stage"], row["true_cause"])
        sums[key] = sums.get(key, 0) + float(row["share"])
    assert all(total == pytest.approx(1, abs=1e-8) for total in sums.values())
    assert {"given", "study"} == {stage for name, stage, _ in sums if name == "flat"}
    assert {"a", "c"} == {true for name, stage, true in sums if (name, stage) == ("one", "used")}


def test_draws_are_kept_as_they_came(done: Done) -> None:
    """One row for each fit, chain and draw; fractions sum to 1, and their means are the result's."""
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(done.job.saved["draws.parquet"]))
    assert ["fit", "chain", "draw", "log_density", *CAUSES] == table.column_names
    assert 3 * 4 * 400 == table.num_rows
    told = json.loads(table.schema.metadata[b"intervals_withheld"])
    assert ["two", "ensemble"] == told
    rows = table.to_pylist()
    assert all(abs(sum(row[cause] for cause in CAUSES) - 1) < 1e-9 for row in rows)
    for name in ("one", "two", "ensemble"):
        mine = [row for row in rows if row["fit"] == name]
        assert {(chain, draw) for chain in range(1, 5) for draw in range(1, 401)} == {
            (row["chain"], row["draw"]) for row in mine
        }
        for cause in done.fits[name].causes:
            assert cause.mean == pytest.approx(sum(row[cause.cause] for row in mine) / len(mine), abs=1e-9)


def test_a_cause_named_like_a_column_of_the_draws_is_told_apart(tmp_path: Path) -> None:
    """Names of causes are anybody's."""
    parquet = pytest.importorskip("pyarrow.parquet")
    causes = ("chain", "b", "c")
    asked = {
        "va_data": {"one": {"counts": dict(zip(causes, COUNTS["one"], strict=True))}},
        "missmat": {"one": {"causes": causes, "rows": ROWS}},
        "draw_figures": False,
        "draws": 100,
        "warmup": 100,
    }
    table = parquet.read_table(io.BytesIO(run(tmp_path, **asked).job.saved["draws.parquet"]))
    assert ["fit", "chain", "draw", "log_density", "chain (cause)", "b", "c"] == table.column_names


def test_nothing_calibrated_leaves_empty_draws(tmp_path: Path) -> None:
    """Then the observed fractions are the result, and the files say so."""
    parquet = pytest.importorskip("pyarrow.parquet")
    asked = request(donotcalib={name: ["a", "b"] for name in COUNTS}, ensemble=False)
    done = run(tmp_path, **asked)
    assert 0 == parquet.read_table(io.BytesIO(done.job.saved["draws.parquet"])).num_rows
    assert not any(name.startswith("figures/chains") for name in done.job.saved)
    assert b"not calibrated, so nothing was drawn" in done.job.saved["report.html"]


def test_diagnostics_are_the_same_in_every_place(done: Done) -> None:
    """The table's worst is what the result and the JSON file tell of the fit."""
    told = json.loads(done.job.saved["diagnostics.json"])["fits"]
    assert list(done.fits) == list(told)
    for name in ("one", "two", "ensemble"):
        rows = [row for row in done.rows("diagnostics.csv") if row["fit"] == name]
        known = done.fits[name].diagnostics
        assert known.rhat_max == max(float(row["rhat"]) for row in rows) == told[name]["rhat_max"]
        assert known.ess_bulk_min == min(float(row["ess_bulk"]) for row in rows) == told[name]["ess_bulk_min"]
        assert (4, 400) == (told[name]["chains"], told[name]["draws_per_chain"])
    assert {"a", "c"} == set(told["one"]["causes"])
    assert {} == told["flat"]["causes"]


def test_provenance_tells_what_took_effect(done: Done) -> None:
    """Every knob, what was left out and why, and hashes that change with what they stand for."""
    provenance = done.result.provenance
    assert {"one": ("b",), "two": (), "flat": ("a", "b")} == provenance.donotcalib
    assert {"one": ("b",), "two": (), "flat": ("a", "b", "c")} == provenance.excluded
    knobs = {"missmat_type", "donotcalib_type", "nocalib_threshold", "path_correction", "pshrink_strength", "ensemble"}
    knobs |= {"draws", "warmup", "thin", "chains", "cores", "adapt_delta", "age_group"}
    assert knobs <= set(provenance.parameters)
    assert (400, 300, 0.0) == tuple(provenance.parameters[name] for name in ("draws", "warmup", "pshrink_strength"))
    assert 1 == len(set(provenance.matrix_sha256.values()))
    assert re.fullmatch(r"\d+\.\d+\.\d+", provenance.r_version)


def test_pictures_are_there_in_both_forms_and_name_what_they_show(example: Done) -> None:
    """Bars and matrices for each algorithm, chains for each fit, every cause by its name."""
    names = {name.removeprefix("figures/") for name in example.job.saved if name.startswith("figures/")}
    shown = ["csmf", *(f"misclassification-{name}" for name in ("insilicova", "interva"))]
    shown += [f"chains-{name}" for name in ("insilicova", "interva", "ensemble")]
    assert {f"{name}.{form}" for name in shown for form in ("svg", "png")} == names
    for name in shown:
        told = " ".join(texts(etree.fromstring(example.job.saved[f"figures/{name}.svg"])))
        causes = [cause for cause in example.result.causes if cause != "other" or not name.startswith("chains")]
        assert [] == [cause for cause in causes if cause.split("_")[0] not in told]
        assert example.job.saved[f"figures/{name}.png"].startswith(b"\x89PNG")
    bars = texts(etree.fromstring(example.job.saved["figures/csmf.svg"]))
    assert [3] * 5 == [bars.count(tick) for tick in ("0", "25", "50", "75", "100")]
    assert {"insilicova", "interva", "ensemble", "observed", "calibrated", "left as observed", "95 % interval"} <= set(
        bars
    )


class Reader(HTMLParser):
    """Remembers what a page loads, its ids and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.alts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "data", "poster", "srcset", "action"}:
                self.loads.append(value or "")
            if name == "alt":
                self.alts.append(value or "")


def test_the_report_loads_nothing(example: Done) -> None:
    """Pictures are inside the page, which has no script, and forbids itself to load anything."""
    page = example.job.saved["report.html"].decode()
    reader = Reader()
    reader.feed(page)
    assert 6 == len(reader.loads) == len([alt for alt in reader.alts if alt])
    assert all(load.startswith("data:image/svg+xml;base64,") for load in reader.loads)
    assert not {"script", "link", "iframe", "object"} & set(reader.tags)
    assert "default-src 'none'" in page
    assert "url(" not in page
    assert "@import" not in page
    inside = base64.b64decode(reader.loads[0].partition(",")[2])
    assert example.job.saved["figures/csmf.svg"] == inside
    svg = etree.fromstring(inside)
    assert not list(svg.iter("{*}image", "{*}script", "{*}foreignObject"))


def test_the_report_tells_methods_tables_warnings_and_provenance(example: Done) -> None:
    """What an appendix needs; its numbers are the result's."""
    page = example.job.saved["report.html"].decode()
    assert all(note in page for note in example.result.notes)
    for heading in ("Methods", "Results", "Matrices and path correction", "Diagnostics", "Provenance", "References"):
        assert f"<h2>{heading}</h2>" in page
    provenance = example.result.provenance
    assert provenance.input_sha256 in page
    assert all(digest in page for digest in provenance.matrix_sha256.values())
    assert "4 chains of 400 kept draws each after 300 iterations of warm-up" in page
    for fit in example.fits.values():
        for cause in fit.causes:
            assert f'<td class="n">{cause.mean * 100:.1f}</td>' in page
            if cause.lower is not None:
                assert f"({cause.lower * 100:.1f}, {cause.upper * 100:.1f})" in page


@pytest.mark.parametrize(
    ("country", "told"),
    [
        ("Kenya", "The matrices are those of Kenya in the set a, version 2030."),
        ("other", "The matrices are those pooled over countries in the set a, version 2030."),
        (None, "The matrices came with the request."),
    ],
)
def test_the_report_tells_whose_matrices_were_used(done: Done, country: str | None, told: str) -> None:
    """In its methods, and the country below its title."""
    pin = MatrixPin(id="1", name="a", version="2030", sha256="0" * 64) if country else None
    provenance = done.result.provenance.model_copy(update={"country": country, "matrices": pin})
    result = done.result.model_copy(update={"provenance": provenance})
    answer = Answer(summary=(), fits=(), deaths=(), prepared=(), matrices=(), versions={}, draws={})
    page = html_report(result, answer, []).decode()
    assert told in page
    assert (f" · {country} · " in page) == (country is not None)


def test_names_cannot_change_the_page(tmp_path: Path) -> None:
    """Causes come from whoever asks."""
    causes = ("<script>alert(1)</script>", "b&amp;\"'", "{{ 7 * 7 }}")
    asked = {
        "va_data": {"one": {"counts": dict(zip(causes, COUNTS["one"], strict=True))}},
        "missmat": {"one": {"causes": causes, "rows": ROWS}},
        "draws": 100,
        "warmup": 100,
        "save_draws": False,
    }
    done = run(tmp_path, **asked)
    page = done.job.saved["report.html"].decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "{{ 7 * 7 }}" in page
    assert "draws.parquet" not in done.job.saved
    shown = " ".join(texts(etree.fromstring(done.job.saved["figures/misclassification-one.svg"])))
    assert "{{ 7 * 7 }}" in shown


def test_the_same_seed_leaves_the_same_files(tmp_path: Path, done: Done) -> None:
    """Byte for byte: tables, draws, pictures and report."""
    again = run(tmp_path)
    assert done.job.saved == again.job.saved


def test_figures_and_draws_can_be_turned_off(tmp_path: Path) -> None:
    """The tables and a report without pictures remain."""
    done = run(tmp_path, **request(draw_figures=False, save_draws=False))
    assert {"csmf.csv", "deaths.csv", "matrices.csv", "diagnostics.csv", "diagnostics.json", "report.html"} == set(
        done.job.saved
    )
    assert b"<img" not in done.job.saved["report.html"]


@pytest.mark.parametrize(("library", "field"), [("matplotlib", "draw_figures"), ("pyarrow", "save_draws")])
def test_a_missing_library_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, field: str
) -> None:
    """The error names the way out, and R has not begun."""
    monkeypatch.setattr(outputs, "find_spec", lambda name: None if name == library else find_spec(name))
    job = FakeJob(tmp_path, None)  # type: ignore[arg-type]  # nothing goes out
    calibrator = Calibrator("rscript", built_library())
    with pytest.raises(EngineUnavailable, match=f"{library} is missing.*{field}=false"):
        calibrator(CalibrationRequest.model_validate(request()), job)
    assert [] == job.reports
    outputs.check_outputs(CalibrationRequest.model_validate(request(**{field: False})))


def test_progress_names_the_work(done: Done) -> None:
    """From preparing to the report, in this order, each figure by its name."""
    stages = list(dict.fromkeys(report.stage for report in done.job.reports))
    assert ["prepare", "path_correction", "fit", "ensemble", "summarise", "figures", "report", "done"] == stages
    percents = [report.done for report in done.job.reports]
    assert sorted(percents) == percents
    assert (0.0, 100.0) == (percents[0], percents[-1])
    messages = {report.message for report in done.job.reports}
    assert {"path correction: two", "fit 2 of 4: two", "all algorithms together", "figure 1 of 7: csmf"} <= messages


def test_draws_in_no_known_order_have_no_traces_and_no_judgement(done: Done) -> None:
    """An engine that cannot tell how its chains ran says so, in place of a picture that shows nothing."""
    blank = {"rhat": "", "ess_bulk": "", "ess_tail": ""}
    answer = Answer(
        summary=tuple({**row, **blank} for row in summary_rows(done)),
        fits=(),
        deaths=(),
        prepared=(),
        matrices=(),
        versions={},
        draws={"one": Draws(np.full((10, 3, 2), 1 / 3), np.zeros((10, 2)))},
    )
    assert ("csmf", "misclassification-one") == picture_names(("one",), answer)
    assert not [picture for picture in pictures_of(done.result, answer) if picture.name.startswith("chains")]
    told = done.result.algorithms["one"]
    unknown = told.model_copy(update={"diagnostics": told.diagnostics.model_copy(update={"rhat_max": None})})
    result = done.result.model_copy(update={"algorithms": {"one": unknown}, "ensemble": None})
    assert any("could not be judged" in paragraph for paragraph in methods(result))
    assert b"<td>not known</td>" in html_report(result, answer, [])


def summary_rows(done: Done) -> list[dict[str, str]]:
    return [{"fit": row["fit"], "cause": row["cause"]} for row in done.rows("csmf.csv")]


def test_a_cause_that_only_the_ensemble_calibrates_is_told(done: Done) -> None:
    """A member that leaves it as observed enters there as if it made no errors."""
    assert any("one leaves b as observed" in note for note in done.result.notes)


_CASE = st.tuples(st.lists(st.floats(1e-9, 1, allow_subnormal=False), min_size=2, max_size=25), st.integers(0, 200_000))


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_CASE, min_size=60, max_size=60))
def test_largest_remainder_keeps_totals(cases: list[tuple[list[float], int]]) -> None:
    """Whole deaths, none more than one away from its exact share, and their sum is the total."""
    library = built_library()
    code = (
        f"loadNamespace('switchyardcalib', lib.loc = '{library}');"
        "for (line in readLines('stdin')) { x <- as.numeric(strsplit(line, ' ')[[1]]); f <- x[-1] / sum(x[-1]);"
        "cat(switchyardcalib:::largest_remainder(f, x[1]), '\\n') }"
    )
    text = "\n".join(" ".join([str(total), *map(repr, weights)]) for weights, total in cases)
    command = ["Rscript", "--vanilla", "-e", code]
    told = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout.splitlines()
    for (weights, total), line in zip(cases, told[-len(cases) :], strict=True):
        whole = [float(number) for number in line.split()]
        assert total == sum(whole)
        assert all(number == int(number) >= 0 for number in whole)
        exact = [weight / sum(weights) * total for weight in weights]
        assert all(abs(number - share) < 1 + 1e-6 for number, share in zip(whole, exact, strict=True))
