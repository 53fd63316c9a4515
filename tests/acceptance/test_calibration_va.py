"""``calibration.va`` from one HTTP request to calibrated fractions: real Redis, real worker, real R."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from pyarrow import parquet

from client import Switchyard
from tests.acceptance.conftest import Yard
from tests.calibration.r_library import built_library

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("yard")]


@pytest.fixture(autouse=True)
def _r_package() -> None:
    built_library()


def test_the_example_is_calibrated(client: Switchyard, tmp_path: Path) -> None:
    """Fractions, deaths, draws and notes; progress comes from real work and R's end is the job's."""
    job = client.submit("calibration.va", {"use_example": True, "use_cache": False})
    events = list(client.events(job.id))
    percents = [event.data["percent"] for event in events if event.type == "progress"]
    record = client.wait(job.id, timeout_s=60)
    assert record.result is not None, record.error
    assert 100.0 == percents[-1]
    assert sorted(percents) == percents
    result = record.result
    assert result["is_example"]
    assert "rpy2" == result["provenance"]["bridge"]
    for fit in (*result["algorithms"].values(), result["ensemble"]):
        assert 1.0 == pytest.approx(sum(cause["mean"] for cause in fit["causes"]), abs=1e-9)
        assert fit["total"] == sum(cause["deaths"] for cause in fit["causes"])
        assert fit["diagnostics"]["converged"]
    names = {artifact.name for artifact in client.artifacts(job.id)}
    assert set(result["artifacts"]) <= names
    assert {"csmf.csv", "figures/csmf.svg", "figures/csmf.png", "draws.parquet", "report.html"} <= names
    draws = parquet.read_table(client.download(job.id, "draws.parquet", tmp_path / "draws"))
    assert 3 * 4 * 2500 == draws.num_rows
    assert client.download(job.id, "report.html", tmp_path / "report").read_bytes().startswith(b"<!DOCTYPE html>")


def test_a_bad_request_is_refused_before_it_is_queued(yard: Yard) -> None:
    """422 with the line and the nearest name, and no job."""
    params: dict[str, Any] = {
        "va_data": {"eava": {"csv": "ID,cause\n1,Pneumonia\n2,Birth asphyxa\n"}},
        "age_group": "neonate",
        "missmat": {"eava": {"causes": ["pneumonia", "ipre"], "rows": [[9, 1], [2, 8]]}},
    }
    answer = httpx.post(
        f"{yard.url}/api/jobs/calibration.va", json={"params": params}, headers={"Authorization": f"Bearer {yard.key}"}
    )
    assert 422 == answer.status_code
    (refusal,) = answer.json()["errors"]
    assert "params.va_data.eava" == refusal["field"]
    assert "line 3" in refusal["message"]
    assert "did you mean 'birth asphyxia'" in refusal["message"]


@pytest.mark.parametrize("sampler", ["c", "r"])
def test_a_fit_is_cancelled_and_the_next_job_is_right(client: Switchyard, sampler: str) -> None:
    """The interrupt reaches R within the grace time, and the same child works on."""
    before = client.wait(client.submit("calibration.va", {"use_example": True, "use_cache": False}).id, timeout_s=60)
    long = {"use_example": True, "sampler": sampler, "draws": 2500, "warmup": 20000, "thin": 70}
    job = client.submit("calibration.va", long)
    stages = (event.data["stage"] for event in client.events(job.id) if event.type == "progress")
    assert "fit" in stages, "R samples"
    client.cancel(job.id)
    assert "cancelled" == client.wait(job.id, timeout_s=30, check=False).state
    after = client.wait(client.submit("calibration.va", {"use_example": True, "use_cache": False}).id, timeout_s=60)
    assert before.result is not None
    assert after.result is not None, after.error
    assert before.result["algorithms"]["interva"]["causes"] == after.result["algorithms"]["interva"]["causes"]
