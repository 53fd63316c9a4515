"""Large requests are answered by a process of their own, just as the web process would answer them."""

import threading
from collections.abc import Callable
from io import BytesIO
from multiprocessing import Pipe
from typing import Any

import pytest
from pydantic_core import to_json
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from app.aside import Aside, AsideFailed, Asked
from app.openapi import API
from app.relaying import MUCH_BYTES
from app.services import Services, services_of
from tasks.core.ledger import queries
from tasks.core.settings import Settings
from tests.app.conftest import Caller, sign_in
from tests.samples import children

VA = "/api/jobs/calibration.va"
SPAWNED = "multiprocessing.spawn"
ROWS = 40_000
MATRIX = {"causes": ["pneumonia", "ipre"], "rows": [[9, 1], [2, 8]]}
CSV = b"ID,cause\n" + b"".join(b"d%d,%s\n" % (n, (b"pneumonia", b"ipre and more")[n % 2]) for n in range(90_000))


def rows(**first: Any) -> dict[str, Any]:
    """Make parameters with many rows; ``first`` changes the first one."""
    records = [{"id": f"d{n}", "cause": ("pneumonia", "ipre")[n % 2]} for n in range(ROWS)]
    records[0] |= first
    return {"va_data": {"x": {"records": records}}, "missmat": {"x": MATRIX}}


@pytest.fixture
def large(make_app: Callable[..., API]) -> tuple[Caller, Services]:
    """A tenant, and the services of the application that it calls."""
    app = make_app()
    return sign_in(app, "alice"), services_of(app)


def test_large_submission_is_answered_by_another_process(large: tuple[Caller, Services]) -> None:
    """Record, replay, counts and refusals are those of any other; the process is there when needed, and ends."""
    alice, at = large
    assert 401 == alice.client.post(VA, json={"params": rows()}).status_code
    assert [] == children(SPAWNED)
    key = {"Idempotency-Key": "k"}
    first = alice.post(VA, json={"params": rows(), "reference": "r"}, headers=key)
    assert (202, "r", ROWS) == (
        first.status_code,
        first.json["reference"],
        len(first.json["request"]["va_data"]["x"]["records"]),
    )
    (child,) = children(SPAWNED)
    assert f"/api/jobs/{first.json['id']}" == first.headers["Location"]
    again = alice.post("/api/jobs", json={"kind": "calibration.va", "params": rows(), "reference": "r"}, headers=key)
    assert ("true", first.json["id"]) == (again.headers["Idempotency-Replayed"], again.json["id"])
    refused = alice.post(VA, json={"params": rows(cause=7)})
    assert (422, "params.va_data.x.records.0.cause") == (refused.status_code, refused.json["errors"][0]["field"])
    assert [child.pid] == [one.pid for one in children(SPAWNED)]
    job = queries.job(at.kernel.ledger, first.json["id"])
    assert job is not None
    assert alice.tenant_id == job.tenant_id
    told = at.metrics.exposition().decode()
    assert 'switchyard_jobs_accepted_total{kind="calibration.va"} 1.0' in told
    assert 'switchyard_jobs_replayed_total{kind="calibration.va"} 1.0' in told
    at.close()
    assert [] == children(SPAWNED)


def test_other_large_requests_go_there_too(large: tuple[Caller, Services]) -> None:
    """A preview, a wait, an older client's path, and uploads that have to be read, named or sent along."""
    alice, _ = large
    previewed = alice.post("/api/calibration/preview", json=rows())
    assert {"x": ROWS} == {name: one["total"] for name, one in previewed.json["algorithms"].items()}
    waited = alice.post(VA, json={"params": rows()}, headers={"Prefer": "wait=0.2"})
    assert 202 == waited.status_code
    (child,) = children(SPAWNED)
    older = {"va_data": {"x": [[1, 0, 0, 0, 0, 0]] * 70_000}, "country": "Nowhere"}
    assert (422, "country") == ((sent := alice.post("/jobs/calibrate", json=older)).status_code, sent.json["field"])
    assert "Deprecation" in sent.headers
    assert len(CSV) > MUCH_BYTES
    upload_id = alice.post("/api/uploads", data=CSV).json["id"]
    params = {"va_data": {"x": {"upload": upload_id}}, "missmat": {"x": MATRIX}}
    refused = alice.post(VA, json={"params": params})
    assert (422, "params.va_data.x") == (refused.status_code, refused.json["errors"][0]["field"])
    assert "Unknown cause 'ipre and more' on lines 3, 5, 7" in refused.json["errors"][0]["message"]
    named = params | {"cause_map": {"ipre and more": "ipre"}}
    assert 202 == alice.post(VA, json={"params": named}).status_code
    assert [child.pid] == [one.pid for one in children(SPAWNED)]


@pytest.mark.parametrize(("cause_map", "status"), [({"ipre and more": "ipre"}, 202), ({}, 422)])
def test_large_files_of_a_form_are_checked_there(
    large: tuple[Caller, Services], cause_map: dict[str, str], status: int
) -> None:
    """They are kept with the job; refused, nothing is."""
    alice, _ = large
    for path, named in ((VA, {}), ("/api/jobs", {"kind": "calibration.va"})):
        request = to_json(named | {"params": {"missmat": {"x": MATRIX}, "cause_map": cause_map}}).decode()
        form = {"request": request, "va_data.x": FileStorage(BytesIO(CSV), "x.csv")}
        boundary, body = encode_multipart(form)
        content_type = f"multipart/form-data; boundary={boundary}"
        assert status == alice.post(path, data=body, content_type=content_type).status_code
    assert (2 if status == 202 else 0) == len(alice.get("/api/uploads").json["uploads"])
    assert 1 == len(children(SPAWNED))


def test_a_process_that_is_gone_is_replaced(large: tuple[Caller, Services]) -> None:
    """It may have left because nothing came for a while, or been killed between two requests."""
    alice, _ = large
    body = rows()
    assert 200 == alice.post("/api/calibration/preview", json=body).status_code
    (child,) = children(SPAWNED)
    child.kill()
    child.wait()
    assert 200 == alice.post("/api/calibration/preview", json=body).status_code
    assert child.pid not in [one.pid for one in children(SPAWNED)]


def test_a_process_that_dies_at_work_is_an_error(settings: Settings) -> None:
    """Nobody knows what it did, so nothing is tried again."""
    aside = Aside(settings)
    aside._connection, theirs = Pipe()

    def work() -> None:
        theirs.send(theirs.recv())
        theirs.recv()
        theirs.close()

    worker = threading.Thread(target=work)
    worker.start()
    with pytest.raises(AsideFailed, match="send the request again"):
        aside.answer(Asked({}, b""))
    worker.join()
    assert aside._connection is None
