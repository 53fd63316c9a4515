"""``Switchyard.calibrate``: input of every kind, and the object that a notebook works with."""

import base64
import builtins
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from client import JobFailed, NotFound, Switchyard
from client.deaths import INLINE_BYTES, calibration_params, large_files
from tests.client.results import RESULT
from tests.client.scripted_server import ScriptedServer

COUNTS = {"malaria": 3, "other": 2}


def test_deaths_of_one_algorithm_in_every_form(tmp_path: Path) -> None:
    """Files travel as their bytes, tables as text."""
    file = tmp_path / "deaths.csv"
    file.write_bytes(b"ID,cause\n1,fi\xe8vre\n")
    frame = pd.DataFrame({"ID": [1], "cause": ["malaria"]})
    given: list[tuple[object, dict[str, Any]]] = [
        (file, {"csv_base64": base64.b64encode(file.read_bytes()).decode()}),
        (str(file), {"csv_base64": base64.b64encode(file.read_bytes()).decode()}),
        (frame, {"csv": "ID,cause\n1,malaria\n"}),
        (pd.Series(COUNTS), {"counts": COUNTS}),
        (COUNTS, {"counts": COUNTS}),
        ({"csv": "a"}, {"csv": "a"}),
        ([{"id": 1, "cause": "malaria"}], {"records": [{"id": 1, "cause": "malaria"}]}),
    ]
    for data, shape in given:
        assert {"va_data": {"eava": shape}, "age_group": "child"} == calibration_params(
            data, algorithm="eava", age_group="child"
        )


def test_large_files_are_uploaded(tmp_path: Path) -> None:
    """Where there is somebody to send them; small ones travel in the request."""
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    small.write_bytes(b"x")
    large.write_bytes(b"x" * (INLINE_BYTES + 1))
    sent: list[Path] = []

    def send(path: Path) -> dict[str, str]:
        sent.append(path)
        return {"upload": "u1"}

    params = calibration_params({"eava": small, "interva": large}, send=send)
    assert {"eava": {"csv_base64": "eA=="}, "interva": {"upload": "u1"}} == params["va_data"]
    assert [large] == sent
    assert [large] == large_files({"eava": small, "interva": large})
    assert [large] == large_files(large, algorithm="eava")


def test_deaths_of_several_algorithms_or_whole_params() -> None:
    """By algorithm, or as the server wants them, with what is given beside."""
    several = calibration_params({"eava": COUNTS, "interva": COUNTS}, country="Mali", draws=500)
    assert {
        "va_data": {"eava": {"counts": COUNTS}, "interva": {"counts": COUNTS}},
        "country": "Mali",
        "draws": 500,
    } == several
    whole = {"va_data": {"eava": {"counts": COUNTS}}, "age_group": "child"}
    assert whole | {"seed": 2} == calibration_params(whole, seed=2)
    assert {"use_example": True} == calibration_params({"use_example": True})


@pytest.mark.parametrize(("data", "algorithm"), [(Path("a.csv"), None), ([], None), (3, "eava"), (None, "eava")])
def test_what_is_no_deaths_is_refused(data: object, algorithm: str | None) -> None:
    """Before anything is sent."""
    with pytest.raises(TypeError, match=r"which algorithm|deaths are a path"):
        calibration_params(data, algorithm=algorithm)


@pytest.fixture
def server(server: ScriptedServer) -> ScriptedServer:
    """A server whose calibrations are done at once."""
    server.on_submit = lambda job: job.run().succeed(**RESULT)
    return server


def test_the_table_is_a_data_frame(server: ScriptedServer, client: Switchyard) -> None:
    """A row for each fit and cause; no interval is NaN, with its reason."""
    frame = client.calibrate(COUNTS, algorithm="eava", age_group="child", country="Mali").csmf()
    assert [("eava", "malaria"), ("eava", "other"), ("interva", "malaria"), ("interva", "other")] == list(
        zip(frame["fit"], frame["cause"], strict=True)
    )[:4]
    assert "ensemble" == frame["fit"].iloc[-1]
    assert 0.55 == pytest.approx(frame.set_index(["fit", "cause"]).loc[("eava", "malaria"), "lower"])
    stalled = frame[frame["fit"] == "interva"]
    assert stalled[["lower", "upper"]].isna().all().all()
    assert stalled["reason"].str.contains("stalled").all()
    ((_, body),) = server.submits
    assert {"va_data": {"eava": {"counts": COUNTS}}, "age_group": "child", "country": "Mali"} == body["params"]


def test_rows_need_no_pandas(server: ScriptedServer, client: Switchyard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the frame asks for it, and says so."""
    original: Callable[..., object] = builtins.__import__

    def without_pandas(name: str, *arguments: Any, **options: Any) -> object:
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'")
        return original(name, *arguments, **options)

    calibration = client.calibrate(COUNTS, algorithm="eava")
    monkeypatch.setattr(builtins, "__import__", without_pandas)
    with pytest.raises(ModuleNotFoundError, match="pandas"):
        calibration.csmf()
    rows = calibration.rows()
    assert (0.6, None) == (rows[0].mean, rows[2].lower)
    assert not math.isnan(rows[0].mean)
    assert ("something a reader must know",) == calibration.notes


def test_a_notebook_shows_the_table_and_never_waits(server: ScriptedServer, client: Switchyard) -> None:
    """Before the end it shows the state."""
    server.on_submit = lambda job: job
    calibration = client.calibrate(COUNTS, algorithm="eava")
    assert "queued" in calibration._repr_html_()
    server.jobs["job-1"].succeed(**RESULT)
    html = calibration.wait(5)._repr_html_()
    assert "<td>60.0 (55.0, 65.0)</td>" in html
    assert "path correction stalled" in html
    assert "something a reader must know" in html


def test_report_and_figures_are_saved(server: ScriptedServer, client: Switchyard, tmp_path: Path) -> None:
    """Each figure in both forms; other files stay where they are."""
    calibration = client.calibrate(COUNTS, algorithm="eava")
    with pytest.raises(NotFound, match="left no figures"):
        calibration.figures(tmp_path / "none")
    for name in ("report.html", "figures/csmf.svg", "figures/csmf.png", "csmf.csv"):
        server.files["job-1", name] = name.encode()
    assert b"report.html" == calibration.report(tmp_path / "out.html").read_bytes()
    saved = calibration.figures(tmp_path / "pictures")
    assert ["csmf.png", "csmf.svg"] == sorted(path.name for path in saved)
    assert {tmp_path / "pictures"} == {path.parent for path in saved}


def test_a_failed_calibration_raises_where_its_outcome_is_asked_for(server: ScriptedServer, client: Switchyard) -> None:
    """Submitting it does not."""
    server.on_submit = lambda job: job.run().fail()
    calibration = client.calibrate(COUNTS, algorithm="eava")
    with pytest.raises(JobFailed):
        calibration.rows()
