"""Files from a client's disk to an engine in a worker, over HTTP: real Redis, real worker, real R."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from client import Switchyard
from tests.acceptance.conftest import Yard
from tests.calibration.r_library import built_library

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("yard")]

MATRIX = {"causes": ["malaria", "pneumonia"], "rows": [[30, 6], [4, 25]]}
SHORT: dict[str, Any] = {"draws": 500, "warmup": 400}
CSV = "ID,cause\n" + "".join(f"{n},{'malaria' if n % 3 else 'pneumonia'}\n" for n in range(300))


@pytest.fixture(autouse=True)
def _r_package() -> None:
    built_library()


def means(result: dict[str, Any] | None) -> dict[str, float]:
    assert result is not None
    return {cause["cause"]: cause["mean"] for cause in result["algorithms"]["a"]["causes"]}


def test_uploaded_deaths_are_calibrated_as_inline_ones(client: Switchyard, yard: Yard, tmp_path: Path) -> None:
    """The same numbers by each way in; and the file stays for as long as a job needs it."""
    path = tmp_path / "deaths.csv"
    path.write_text(CSV)
    params = {"missmat": {"a": MATRIX}, **SHORT}
    inline = client.submit("calibration.va", {**params, "va_data": {"a": {"csv": CSV}}})
    uploaded = client.submit("calibration.va", params, files={"va_data.a": path})
    form = httpx.post(
        f"{yard.url}/api/jobs/calibration.va",
        data={"request": json.dumps({"params": params})},
        files={"va_data.a": ("deaths.csv", path.read_bytes(), "text/csv")},
        headers={"Authorization": f"Bearer {yard.key}"},
    )
    assert 202 == form.status_code, form.text
    jobs = [client.wait(job_id, timeout_s=90) for job_id in (inline.id, uploaded.id, form.json()["id"])]
    expected = means(jobs[0].result)
    assert [expected] * 2 == [means(job.result) for job in jobs[1:]]
    for job in jobs[1:]:
        upload = f"{yard.url}/api/uploads/{job.request['va_data']['a']['upload']}"
        headers = {"Authorization": f"Bearer {yard.key}"}
        assert 409 == httpx.delete(upload, headers=headers).status_code
        client.delete(job.id)
        assert 204 == httpx.delete(upload, headers=headers).status_code


def test_another_tenants_upload_cannot_be_calibrated(client: Switchyard, yard: Yard) -> None:
    """It is not there."""
    upload = client.upload(CSV.encode())
    params = {"missmat": {"a": MATRIX}, "va_data": {"a": upload.ref}}
    with Switchyard(yard.url, api_key=yard.other_key) as other:
        before = other.page(kind="calibration.va").total
        answer = httpx.post(
            f"{yard.url}/api/jobs/calibration.va",
            json={"params": params},
            headers={"Authorization": f"Bearer {yard.other_key}"},
        )
        assert ["params.va_data.a.upload"] == [error["field"] for error in answer.json()["errors"]]
        assert before == other.page(kind="calibration.va").total
