"""The older VA calibration service's paths: literal requests in, literal replies out, our jobs behind them."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.services import Services
from tasks.calibration.causes import BROAD_CAUSES
from tasks.core.ledger import queries
from tasks.core.records import Job
from tests.app.conftest import Caller, claim, finish
from tests.calibration.matrices import table
from tests.calibration.results import a_result

EXAMPLE: dict[str, Any] = {
    "va_data": {"insilicova": "use_example"},
    "age_group": "neonate",
    "country": "Mozambique",
    "mmat_type": "prior",
    "ensemble": True,
}
SUBMIT = "/api/jobs/calibration.va"


def created(by: Caller, **more: Any) -> str:
    answer = by.post("/jobs/calibrate", json=EXAMPLE | more)
    assert 200 == answer.status_code, answer.text
    return str(answer.json["job_id"])


def job_of(at: Services, job_id: str) -> Job:
    job = queries.job(at.kernel.ledger, job_id)
    assert job is not None
    return job


def succeeded(at: Services, by: Caller, result: dict[str, Any] | None = None, **more: Any) -> str:
    job_id = created(by, **more)
    found = result or a_result(("insilicova", "interva"), is_example=True)
    return finish(at.kernel, claim(at.kernel, job_id), result=found).id


def failed(at: Services, by: Caller, code: str) -> str:
    job_id = created(by)
    error = {"code": code, "message": "It broke."}
    return finish(at.kernel, claim(at.kernel, job_id), state="failed", cause=code, result=None, error=error).id


@pytest.mark.parametrize("path", ["/calibrate", "/jobs/calibrate", "/calibrate/realtime", "/api/v1/calibrate/async"])
def test_every_mode_makes_one_of_our_jobs(services: Services, alice: Caller, path: str) -> None:
    """Of the kind calibration.va, with its priority and limit, and says which path comes after it."""
    answer = alice.post(path, json=EXAMPLE | {"async": True, "priority": 9, "timeout_minutes": 2})
    assert 200 == answer.status_code, answer.text
    job = job_of(services, answer.json["job_id"])
    assert ("calibration.va", "queued", 90, 120.0) == (job.kind, job.state, job.priority, job.timeout_s)
    assert {"dialect": "va", "age_group": "neonate", "country": "Mozambique", "algorithms": "insilicova"} == job.labels
    assert (True, False, False) == tuple(job.request[name] for name in ("use_example", "ensemble", "use_cache"))
    assert answer.headers["Deprecation"].startswith("@")
    assert f'<{SUBMIT}>; rel="successor-version"' == answer.headers["Link"]


def test_what_comes_after_a_path_is_named_whatever_stands_in_it(alice: Caller) -> None:
    answer = alice.get("/calibrate/S%C3%A9%0A%3E/status")
    assert 404 == answer.status_code
    assert '</api/jobs/S%C3%A9%0A%3E>; rel="successor-version"' == answer.headers["Link"]


@pytest.mark.parametrize("path", ["/calibrate", "/jobs/calibrate", "/calibrate/realtime", "/api/v1/calibrate/async"])
def test_the_country_is_looked_up_in_the_imported_matrices(services: Services, alice: Caller, path: str) -> None:
    """What is accepted holds its matrices; until they are imported, or where it has none, that is the refusal."""
    causes = BROAD_CAUSES["neonate"]
    asked: dict[str, Any] = {
        "va_data": {"eava": dict.fromkeys(causes, 20)},
        "age_group": "neonate",
        "country": "kenya",
        "async": True,
    }
    refused = alice.post(path, json=asked)
    assert (422, "country") == (refused.status_code, refused.json["field"])
    assert "switchyard matrices import" in refused.json["message"]
    assert 201 == alice.post("/api/calibration/matrices", json={"csv": table(), "name": "a"}).status_code
    for kind, first in (("prior", 20.0), ("fixed", 20 / (20 + 1.5 * (len(causes) - 1)))):
        answer = alice.post(path, json=asked | {"mmat_type": kind})
        assert 200 == answer.status_code, answer.text
        job = job_of(services, answer.json["job_id"])
        assert ("Kenya", kind, "a") == (
            *(job.request[name] for name in ("country", "missmat_type")),
            job.request["matrices"]["name"],
        )
        assert first == pytest.approx(job.request["missmat"]["eava"]["rows"][0][0])
    absent = alice.post(path, json=asked | {"country": "Mozambique"})
    assert (422, "country") == (absent.status_code, absent.json["field"])
    assert "it has Kenya, other" in absent.json["message"]


def test_asynchronous_reply_is_literal(alice: Caller) -> None:
    """Status, id, message, both addresses, the estimate."""
    reply = alice.post("/calibrate", json=EXAMPLE | {"async": True}).json
    job_id = reply["job_id"]
    assert {"status", "job_id", "message", "urls", "estimated_duration_seconds"} == set(reply)
    assert ("accepted", 15) == (reply["status"], reply["estimated_duration_seconds"])
    assert {"status": f"/calibrate/{job_id}/status", "websocket": f"/ws/calibrate/{job_id}/logs"} == reply["urls"]


def test_other_replies_are_literal(alice: Caller) -> None:
    """Realtime is pending, a job is created."""
    realtime = alice.post("/calibrate/realtime", json=EXAMPLE).json
    assert ({"job_id", "status", "message", "created_at"}, "pending") == (set(realtime), realtime["status"])
    assert "created" == alice.post("/jobs/calibrate", json=EXAMPLE).json["status"]
    v1 = alice.post("/api/v1/calibrate/async", json=EXAMPLE).json
    assert {"job_id": v1["job_id"], "status": "created"} == v1


def test_nothing_asked_is_the_example_of_insilicova(services: Services, alice: Caller) -> None:
    """As it was."""
    job = job_of(services, alice.post("/jobs/calibrate", json={}).json["job_id"])
    assert (True, "insilicova") == (job.request["use_example"], job.labels["algorithms"])
    sample = {"data_source": "sample", "sample_dataset": "comsamoz_broad"}
    assert job_of(services, alice.post("/jobs/calibrate", json=sample).json["job_id"]).request["use_example"]


def test_result_is_literal(services: Services, alice: Caller) -> None:
    """Uncalibrated and calibrated by algorithm and cause; only what was asked for; an absent interval is null."""
    job_id = succeeded(services, alice)
    reply = alice.get(f"/jobs/{job_id}").json
    result = reply["result"]
    assert ("success", 100, None) == (reply["status"], reply["progress"], reply["error"])
    assert {"insilicova", "ensemble"} == set(result["calibrated"])
    assert {"pneumonia": 0.75, "ipre": 0.25} == result["uncalibrated"]["insilicova"]
    assert {
        "mean": {"pneumonia": 0.6, "ipre": 0.4},
        "lower_ci": {"pneumonia": 0.4, "ipre": None},
        "upper_ci": {"pneumonia": 0.8, "ipre": None},
    } == result["calibrated"]["insilicova"]
    assert [
        f"{fit}: ipre without an interval: left as observed, as asked for." for fit in ("insilicova", "ensemble")
    ] == result["notes"]
    assert ("success", "neonate", "Mozambique") == tuple(result[name] for name in ("status", "age_group", "country"))
    assert (True, None) == (result["is_example"], result["cache_info"])
    assert result["completed_at"]


def test_cached_result_says_whose_it_is(services: Services, alice: Caller) -> None:
    """As its clients read it."""
    mark = {"hit": True, "job": "first", "at": "2026-01-01T00:00:00Z"}
    job_id = succeeded(services, alice, a_result(("insilicova",), cache=mark))
    info = {"cached_at": "2026-01-01T00:00:00Z", "source_job_id": "first"}
    assert info == alice.get(f"/jobs/{job_id}").json["result"]["cache_info"]
    assert info == alice.get(f"/api/v1/calibrate/{job_id}/result").json["cache_info"]


def test_states_are_its_words(services: Services, alice: Caller) -> None:
    """The realtime path says completed for success."""
    queued = created(alice)
    running = claim(services.kernel, created(alice)).id
    done, broken, late = (
        succeeded(services, alice),
        failed(services, alice, "engine_error"),
        failed(services, alice, "timeout"),
    )
    cancelled = created(alice)
    assert "cancelled" == alice.post(f"/jobs/{cancelled}/cancel").json["status"]
    words = {
        queued: "pending",
        running: "running",
        done: "success",
        broken: "failed",
        late: "timeout",
        cancelled: "cancelled",
    }
    assert words == {job_id: alice.get(f"/jobs/{job_id}").json["status"] for job_id in words}
    live = {job_id: alice.get(f"/calibrate/{job_id}/status").json["status"] for job_id in words}
    assert words | {done: "completed"} == live
    for word in ("pending", "running", "success", "failed", "timeout", "cancelled"):
        listed = alice.get(f"/jobs?status={word}").json
        assert ([job_id for job_id in words if words[job_id] == word], 1) == (
            [job["job_id"] for job in listed["jobs"]],
            listed["total"],
        )


def test_list_has_calibrations_of_the_tenant_alone(alice: Caller, bob: Caller) -> None:
    """And counts all, whatever the page."""
    alice.submit()
    ids = [created(alice) for _ in range(3)]
    created(bob)
    page = alice.get("/jobs?limit=2").json
    assert (ids[:0:-1], 3) == ([job["job_id"] for job in page["jobs"]], page["total"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/jobs/{}"),
        ("GET", "/jobs/{}/output"),
        ("POST", "/jobs/{}/cancel"),
        ("DELETE", "/jobs/{}"),
        ("GET", "/calibrate/{}/status"),
        ("GET", "/api/v1/calibrate/{}/status"),
        ("GET", "/api/v1/calibrate/{}/result"),
        ("DELETE", "/api/v1/calibrate/{}"),
        ("POST", "/api/v1/jobs/{}/retry"),
    ],
)
def test_jobs_of_others_and_of_other_kinds_are_not_there(alice: Caller, bob: Caller, method: str, path: str) -> None:
    """404 in its own form, for strange ids too; without a key 401."""
    for job_id in (created(bob), alice.submit()["id"], "job_0123456789ab"):
        answer = alice.open(method, path.format(job_id))
        assert (404, "not_found") == (answer.status_code, answer.json["error_code"])
    answer = alice.client.open(path.format(created(alice)), method=method)
    assert (401, "not_authenticated") == (answer.status_code, answer.json["error_code"])


def test_output_is_what_r_printed_from_a_line_on(services: Services, alice: Caller) -> None:
    """And says whether there may be more."""
    job_id = created(alice)
    assert {"job_id": job_id, "r_output": [], "has_more": True} == alice.get(f"/jobs/{job_id}/output").json
    job = claim(services.kernel, job_id)
    folder = services.kernel.artifacts.folder(job.id, job.fence)
    folder.mkdir(parents=True)
    rows = (
        f'{{"at":"2026-01-01T00:00:00Z","attempt":1,"n":{n},"level":"info","stream":"r-stdout","line":"line {n}"}}\n'
        for n in (1, 2, 3)
    )
    (folder / "job.log.jsonl").write_text("".join(rows))
    assert ["line 2", "line 3"] == alice.get(f"/jobs/{job_id}/output?start_line=1").json["r_output"]
    finish(services.kernel, job, result=a_result())
    assert not alice.get(f"/jobs/{job_id}/output").json["has_more"]
    shown = alice.get(f"/api/v1/calibrate/{job_id}/status?log_limit=1&log_offset=1").json["logs"]
    assert [("line 2", "info", "r-stdout")] == [(row["message"], row["level"], row["component"]) for row in shown]
    assert [] == alice.get(f"/api/v1/calibrate/{job_id}/status?log_level=error").json["logs"]


def test_cancel_and_delete(services: Services, alice: Caller) -> None:
    """A queued job is cancelled at once, a running one told to stop, a finished one erased."""
    running = claim(services.kernel, created(alice)).id
    assert "running" == alice.post(f"/jobs/{running}/cancel").json["status"]
    assert "told to stop" in alice.delete(f"/jobs/{running}").json["message"]
    done = succeeded(services, alice)
    refused = alice.post(f"/jobs/{done}/cancel")
    assert (409, "conflict") == (refused.status_code, refused.json["error_code"])
    assert f"Job {done} deleted successfully" == alice.delete(f"/jobs/{done}").json["message"]
    assert 404 == alice.get(f"/jobs/{done}").status_code


def refusal(answer: TestResponse) -> tuple[int, str, str, object]:
    body = answer.json
    assert {"error_code", "message", "field", "value"} <= set(body)
    return answer.status_code, body["error_code"], body["field"], body["value"]


@pytest.mark.parametrize(
    ("asked", "field", "value"),
    [
        ({"age_group": "adult"}, "age_group", "adult"),
        ({"priority": 11}, "priority", 11),
        ({"timeout_minutes": 121}, "timeout_minutes", 121),
        ({"mmat_type": "samples"}, "mmat_type", "samples"),
        ({"algorithm": "InSilicoVA"}, "algorithm", "InSilicoVA"),
        ({"va_data": {"eava": "use_example"}}, "va_data.eava", None),
        ({"va_data": {"insilicova": "use_example", "interva": {"ipre": 1}}}, "va_data", None),
        ({"age_group": "child"}, "age_group", None),
        ({"mmat_type": "fixed"}, "mmat_type", None),
        ({"va_data": {"eava": [{"name": "x"}]}}, "va_data.eava.0", None),
        ({"va_data": {"eava": [1, 2]}}, "va_data.eava", None),
        ({"va_data": {"eava": 3}}, "va_data.eava", None),
        ({"va_data": {"eava": {"ipre": 1}}, "data_source": "sample"}, "data_source", None),
        ({"va_data": {"eava": {"ipre": 1}}, "data_format": "broad_causes"}, "data_format", None),
        ({"va_data": {"eava": {"ipre": -1}}}, "va_data.eava.ipre", -1),
        ({"va_data": {"eava": [{"id": "x" * 51, "cause": "ipre"}]}}, "va_data.eava.0.id.constrained-str", "x" * 51),
    ],
    ids=str,
)
def test_refusals_are_its_422(alice: Caller, asked: dict[str, Any], field: str, value: object) -> None:
    """The code, the message, the field by its own name, and what was sent; nothing is queued."""
    assert (422, "input_rejected", field, value) == refusal(alice.post("/calibrate", json=asked))
    assert 0 == alice.get("/jobs").json["total"]


def test_key_comes_as_header_or_parameter(app: Any, alice: Caller) -> None:
    """Its own ways beside ours; a bad one is refused, and under /api/v1 too."""
    for path in ("/jobs", "/api/v1/jobs"):
        ask = app.test_client().get
        assert 200 == ask(path, headers={"X-API-Key": alice.key}).status_code
        assert 200 == ask(path, query_string={"api_key": alice.key}).status_code
        assert 200 == ask(path, headers={"Authorization": f"Bearer {alice.key}"}).status_code
        for bad in ({"headers": {"X-API-Key": "sy_no"}}, {"query_string": {"api_key": "sy_no"}}, {}):
            answer = ask(path, **bad)
            assert (401, "not_authenticated") == (answer.status_code, answer.json["error_code"])
            assert "sy_no" not in answer.text
    assert 401 == app.test_client().get("/api/jobs", headers={"X-API-Key": alice.key}).status_code
