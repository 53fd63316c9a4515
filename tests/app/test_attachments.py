"""Submissions that name uploads, or bring files with them."""

import base64
import hashlib
import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.openapi import API
from app.services import Services, services_of
from tasks.core.ids import new_id
from tasks.core.ledger import queries
from tests.app.conftest import Caller, sign_in
from tests.app.test_uploads import CONTENT, begin, code, send

VA = "/api/jobs/calibration.va"
MATRIX = {"causes": ["malaria", "pneumonia"], "rows": [[30, 6], [4, 25]]}
CSV = b"ID,cause\n1,malaria\n2,pneumonia\n3,malaria\n"
NONE: dict[str, Any] = {"uploads": [], "kept_bytes": 0, "quota_bytes": 10 * 1024**3, "next_cursor": None}


def params(**va_data: Any) -> dict[str, Any]:
    return {"va_data": va_data, "missmat": dict.fromkeys(va_data, MATRIX)}


def refused(answer: TestResponse) -> dict[str, str]:
    assert (422, "input_rejected") == code(answer)
    return {error["field"]: error["message"] for error in answer.json["errors"]}


def form(request: dict[str, Any] | None, **files: bytes) -> dict[str, Any]:
    sent: dict[str, Any] = {} if request is None else {"request": json.dumps(request)}
    return sent | {name.replace("__", "."): (BytesIO(data), f"{name}.csv", "text/csv") for name, data in files.items()}


def submit_form(
    by: Caller, request: dict[str, Any] | None, *, headers: dict[str, str] | None = None, **files: bytes
) -> TestResponse:
    return by.post(VA, data=form(request, **files), content_type="multipart/form-data", headers=headers or {})


def upload(by: Caller, content: bytes = CSV) -> str:
    sent = by.post("/api/uploads", data=content)
    assert sent.status_code == 201
    return str(sent.json["id"])


def test_request_names_an_upload(alice: Caller, services: Services) -> None:
    """It is accepted as it was sent, and the upload stays as long as the job."""
    upload_id = upload(alice)
    answer = alice.post(VA, json={"params": params(a={"upload": upload_id})})
    assert 202 == answer.status_code, answer.text
    job = queries.job(services.kernel.ledger, answer.json["id"])
    assert job is not None
    assert {"upload": upload_id} == {k: v for k, v in job.request["va_data"]["a"].items() if v is not None}
    assert (409, "conflict") == code(alice.delete(f"/api/uploads/{upload_id}"))
    alice.post(f"/api/jobs/{job.id}/cancel")
    alice.delete(f"/api/jobs/{job.id}")
    assert 204 == alice.delete(f"/api/uploads/{upload_id}").status_code


def test_uploads_that_are_not_there_are_named_all_at_once(alice: Caller, bob: Caller) -> None:
    """Unknown, another tenant's, or half there: field, value, remedy."""
    unknown, foreign, half = new_id(), upload(bob), begin(alice)
    send(alice, half, 0, CONTENT[:5])
    half_id = half.rpartition("/")[2]
    answer = alice.post(
        VA, json={"params": params(a={"upload": unknown}, b={"upload": foreign}, c={"upload": half_id})}
    )
    told = refused(answer)
    assert told["params.va_data.a.upload"] == told["params.va_data.b.upload"]
    assert "POST /api/uploads" in told["params.va_data.a.upload"]
    assert told["params.va_data.c.upload"].startswith(f"It has 5 of {len(CONTENT)} bytes: send the rest")
    assert [unknown, foreign, half_id] == [error["value"] for error in answer.json["errors"]]
    assert 0 == alice.get("/api/jobs").json["total"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ID,cause\n1,malaria\n2,malarja\n", "Unknown cause 'malarja' on line 3: did you mean 'malaria'?"),
        (b"ID,cause\n1,malaria\n1,malaria\n", "ID '1' comes on lines 2 and 3; each death counts once."),
        (b"\n", "The upload is empty: the first line names the columns, such as ID,cause"),
        (b"PK\0\0", "The upload holds a zero byte: send a CSV file, not a spreadsheet or an archive"),
        (b"ID,cause\n1,malaria,x\n", "The upload has 2 columns, but not on line 2"),
    ],
)
def test_uploaded_tables_are_checked_before_queueing(alice: Caller, content: bytes, message: str) -> None:
    """With the same messages as inline ones, at once, in a preview and a submission."""
    body = params(a={"upload": upload(alice, content)})
    encoded = base64.b64encode(content).decode()
    inline = alice.post("/api/calibration/preview", json=params(a={"csv_base64": encoded}))
    (told,) = refused(alice.post(VA, json={"params": body})).items()
    (previewed,) = refused(alice.post("/api/calibration/preview", json=body)).items()
    assert ("params.va_data.a", "va_data.a") == (told[0], previewed[0])
    assert told[1] == previewed[1]
    assert told[1].startswith(message.removesuffix("?"))
    assert refused(inline) == {"va_data.a": told[1].replace("The upload ", "The file ", 1)}


def test_preview_reads_uploads(alice: Caller, bob: Caller) -> None:
    """It counts what is in them; another tenant's are not there."""
    body = params(a={"upload": upload(alice)})
    answer = alice.post("/api/calibration/preview", json=body)
    assert {"malaria": 2, "pneumonia": 1} == answer.json["algorithms"]["a"]["counts"]
    assert ["va_data.a.upload"] == list(refused(bob.post("/api/calibration/preview", json=body)))


def test_form_is_sugar_for_uploads(alice: Caller, services: Services) -> None:
    """Files go where their parts' names say; the rest is the plain submission."""
    request = {"params": {"missmat": {"a": MATRIX, "b": MATRIX}, "seed": 7}, "reference": "r", "priority": 3}
    answer = submit_form(alice, request, va_data__a=CSV, va_data__b=CSV * 1)
    assert 202 == answer.status_code, answer.text
    job = queries.job(services.kernel.ledger, answer.json["id"])
    assert job is not None
    assert ("r", 3, 7) == (job.reference, job.priority, job.request["seed"])
    for name in ("a", "b"):
        record = alice.get(f"/api/uploads/{job.request['va_data'][name]['upload']}").json
        assert (True, f"va_data__{name}.csv", "text/csv") == (record["complete"], record["name"], record["media_type"])
        assert hashlib.sha256(CSV).hexdigest() == record["sha256"]


def test_request_of_a_form_may_be_a_file_or_left_out(alice: Caller) -> None:
    """`curl -F request=@request.json` sends it as a file."""
    request = json.dumps({"params": {"missmat": {"a": MATRIX}}}).encode()
    sent = {"request": (BytesIO(request), "request.json", "application/json"), "va_data.a": (BytesIO(CSV), "a.csv")}
    assert 202 == alice.post(VA, data=sent, content_type="multipart/form-data").status_code
    told = refused(submit_form(alice, None, va_data__a=CSV))
    assert ["params.missmat"] == list(told)


@pytest.mark.parametrize(
    ("request_", "files", "field"),
    [
        ({"params": {"missmat": {"a": MATRIX}}}, {"va_data__a": CSV, "va_data__a__b": CSV}, "params.va_data.a.b"),
        ({"params": {"missmat": {"a": MATRIX}}}, {"va_data__a": b"ID,cause\n1,x\n"}, "params.va_data.a"),
        ({"params": params(a={"counts": {"malaria": 3}})}, {"va_data__a": CSV}, "va_data.a"),
        ({"params": {}}, {"seed__a": CSV, "nonsense": CSV}, "params.nonsense"),
        ({"params": {"seed": 1}}, {"seed__a": CSV}, "seed.a"),
        ({"params": {}}, {"va_data____a": CSV}, "va_data..a"),
        ({"params": [], "reference": "x"}, {"va_data__a": CSV}, "va_data.a"),
        ({"params": {}, "unknown": 1}, {"va_data__a": CSV}, "unknown"),
    ],
)
def test_refused_form_leaves_nothing(
    alice: Caller, services: Services, request_: dict[str, Any], files: dict[str, bytes], field: str
) -> None:
    """All or nothing: no job, no upload, no file."""
    assert field in refused(submit_form(alice, request_, **files))
    assert NONE == alice.get("/api/uploads").json
    assert [] == list(services.kernel.uploads.files.ids())
    assert 0 == alice.get("/api/jobs").json["total"]


def test_form_over_the_quota_leaves_nothing(make_app: Callable[..., API]) -> None:
    """The first file is removed when the second finds no room."""
    app = make_app(upload_quota_bytes=1024)
    alice = sign_in(app, "alice")
    answer = submit_form(alice, {"params": {}}, va_data__a=b"x" * 600, va_data__b=b"x" * 600)
    assert (413, "quota_exceeded") == code(answer)
    assert 0 == alice.get("/api/uploads").json["kept_bytes"]
    assert [] == list(services_of(app).kernel.uploads.files.ids())


def test_kind_without_files_takes_no_form(alice: Caller) -> None:
    """It is told before anything is stored."""
    answer = alice.post(
        "/api/jobs/maintenance.ping", data={"message": (BytesIO(b"x"), "x")}, content_type="multipart/form-data"
    )
    assert (415, "unsupported_media_type") == code(answer)
    for extra in ({"text": "x"}, {"request": ["{}", "{}"]}):
        sent = alice.post(VA, data=form(None, va_data__a=CSV) | extra, content_type="multipart/form-data")
        assert (422, "input_rejected") == code(sent)
    assert NONE == alice.get("/api/uploads").json


def test_form_may_name_its_kind(alice: Caller, services: Services) -> None:
    """`POST /api/jobs` takes files too; a kind that is not named, not there or takes no files leaves nothing."""
    request = {"kind": "calibration.va", "params": {"missmat": {"a": MATRIX}}}
    answer = alice.post("/api/jobs", data=form(request, va_data__a=CSV), content_type="multipart/form-data")
    assert (202, "calibration.va") == (answer.status_code, answer.json["kind"])
    kept = alice.get("/api/uploads").json
    assert 1 == len(kept["uploads"])
    for named, status in (({}, 422), ({"kind": "calibration.vaa"}, 404), ({"kind": "maintenance.ping"}, 415)):
        sent = form(named, va_data__a=CSV)
        assert status == alice.post("/api/jobs", data=sent, content_type="multipart/form-data").status_code
    assert kept == alice.get("/api/uploads").json
    content = alice.get("/openapi").json["paths"]["/api/jobs"]["post"]["requestBody"]["content"]
    assert {"application/json", "multipart/form-data"} == set(content)


def test_form_that_is_sent_again_makes_one_job(alice: Caller) -> None:
    """The same key and the same contents; what came the second time goes again. Other contents are another request."""
    key = {"Idempotency-Key": "k"}
    request = {"params": {"missmat": {"a": MATRIX}}}
    first = submit_form(alice, request, headers=key, va_data__a=CSV)
    again = submit_form(alice, request, headers=key, va_data__a=CSV)
    other = submit_form(alice, request, headers=key, va_data__a=CSV + b"4,malaria\n")
    assert (202, "true", first.json["id"]) == (
        again.status_code,
        again.headers["Idempotency-Replayed"],
        again.json["id"],
    )
    assert (422, "idempotency_key_reused") == code(other)
    assert 1 == len(alice.get("/api/uploads").json["uploads"])
    named = alice.post(
        VA, json={"params": request["params"] | {"va_data": {"a": {"upload": upload(alice)}}}}, headers=key
    )
    assert first.json["id"] == named.json["id"]
