"""Reading, listing, cancelling and erasing jobs."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from app.openapi import API
from app.services import Services, services_of
from tasks.core.clock import now, rfc3339
from tasks.core.ledger import queries, transitions
from tasks.core.records import JobState
from tests.app.conftest import Caller, add_worker, claim, finish, sign_in


def test_record_of_a_finished_job_tells_its_whole_story(alice: Caller, services: Services) -> None:
    """State, result, attempts and timings are in one answer."""
    job = claim(services.kernel, alice.submit()["id"])
    finish(services.kernel, job)
    record = alice.get(f"/api/jobs/{job.id}").json
    assert (record["state"], record["result"], record["cause"]) == ("succeeded", {"message": "hi"}, "completed")
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["succeeded"]
    assert record["timings"]["running_s"] >= 0
    assert record["queue_position"] is None


def test_record_of_a_failed_job_names_the_error(alice: Caller, services: Services) -> None:
    """A failure has a code and a message."""
    job = claim(services.kernel, alice.submit()["id"])
    error = {"code": "permanent", "message": "No such page.", "field": None}
    finish(services.kernel, job, state=JobState.FAILED, cause="permanent", error=error, result=None)
    assert alice.get(f"/api/jobs/{job.id}").json["error"] == error


def test_queue_position_counts_from_one(alice: Caller) -> None:
    """Higher priority goes first, then the older job."""
    low, high = alice.submit(priority=10)["id"], alice.submit(priority=90)["id"]
    positions = [alice.get(f"/api/jobs/{job_id}").json["queue_position"] for job_id in (low, high)]
    assert positions == [2, 1]


def test_waiting_for_names_the_queue_nobody_serves(alice: Caller) -> None:
    """A job that no live worker can take says so."""
    assert alice.submit()["waiting_for"] == "queue:maintenance"


def test_waiting_for_is_null_when_a_worker_serves_the_queue(alice: Caller, services: Services) -> None:
    """With a live worker nothing is missing."""
    add_worker(services.kernel)
    assert alice.submit()["waiting_for"] is None


def test_waiting_for_names_what_the_request_needs(alice: Caller, services: Services) -> None:
    """The record and the catalogue tell what a choice takes, although the kind can run."""
    add_worker(services.kernel, queues=("ai",), capabilities=("r",))
    plain, special = (
        alice.post("/api/jobs/calibration.va", json={"params": {"use_example": True, "engine": engine}}).json
        for engine in ("switchyard-r", "vacalibration")
    )
    kind = alice.get("/api/kinds/calibration.va").json
    assert [None, "vacalibration"] == [job["waiting_for"] for job in (plain, special)]
    assert (True, False, "vacalibration") == (
        kind["runnable"],
        kind["options"][0]["runnable"],
        kind["options"][0]["waiting_for"],
    )


def test_unknown_job_is_404(alice: Caller) -> None:
    """An id that nobody has, in the right form."""
    response = alice.get("/api/jobs/01890000-0000-7000-8000-000000000000")
    assert (response.status_code, response.json["code"]) == (404, "not_found")


@pytest.mark.parametrize("job_id", ["nothing", "..", "%00", "ABCDEF00-0000-7000-8000-000000000000"])
def test_id_of_another_form_is_404(alice: Caller, job_id: str) -> None:
    """What is no id of ours is not found, whatever it is."""
    assert alice.get(f"/api/jobs/{job_id}").status_code == 404


def test_etag_answers_304_while_nothing_changes(alice: Caller) -> None:
    """A client that has the record is told so."""
    path = f"/api/jobs/{alice.submit()['id']}"
    etag = alice.get(path).headers["ETag"]
    response = alice.get(path, headers={"If-None-Match": etag})
    assert (response.status_code, response.data, response.headers["ETag"]) == (304, b"", etag)


def test_etag_changes_with_the_state(alice: Caller, services: Services) -> None:
    """A transition makes the client's copy old."""
    job_id = alice.submit()["id"]
    etag = alice.get(f"/api/jobs/{job_id}").headers["ETag"]
    claim(services.kernel, job_id)
    assert alice.get(f"/api/jobs/{job_id}", headers={"If-None-Match": etag}).status_code == 200


def test_etag_changes_with_progress(alice: Caller, services: Services) -> None:
    """A report makes the client's copy old, too."""
    job = claim(services.kernel, alice.submit()["id"])
    etag = alice.get(f"/api/jobs/{job.id}").headers["ETag"]
    progress = {"percent": 50.0, "stage": "half", "step": 1, "total": 2, "message": "", "eta_s": None}
    transitions.note_progress(services.kernel.ledger, job.id, fence=job.fence, progress=progress)
    response = alice.get(f"/api/jobs/{job.id}", headers={"If-None-Match": etag})
    assert (response.status_code, response.json["progress"]["percent"]) == (200, 50.0)


def test_progress_of_the_stream_is_preferred(make_app: Callable[..., API], redis_server: str) -> None:
    """The live report is newer than the ledger's."""
    app = make_app(redis_url=redis_server)
    alice, kernel = sign_in(app, "alice"), services_of(app).kernel
    job = claim(kernel, alice.submit()["id"])
    kernel.events.append(job.id, "progress", {"percent": 70.0, "stage": "live"}, fence=job.fence, attempt=1)
    assert alice.get(f"/api/jobs/{job.id}").json["progress"]["stage"] == "live"


def test_progress_of_an_old_fence_is_not_shown(make_app: Callable[..., API], redis_server: str) -> None:
    """What an attempt reported that is over says nothing of the present one."""
    app = make_app(redis_url=redis_server)
    alice, kernel = sign_in(app, "alice"), services_of(app).kernel
    job = claim(kernel, alice.submit()["id"])
    kernel.events.append(job.id, "progress", {"percent": 70.0, "stage": "old"}, fence=job.fence, attempt=1)
    transitions.requeue(kernel.ledger, job.id, fence=job.fence, cause="worker_lost")
    claim(kernel, job.id)
    assert alice.get(f"/api/jobs/{job.id}").json["progress"] is None


def test_wait_answers_when_the_job_ends(alice: Caller, services: Services) -> None:
    """A long poll ends with the job."""
    job = claim(services.kernel, alice.submit()["id"])
    threading.Timer(0.3, finish, (services.kernel, job)).start()
    assert alice.get(f"/api/jobs/{job.id}?wait=10").json["state"] == "succeeded"


def test_wait_with_etag_answers_at_any_change(alice: Caller, services: Services) -> None:
    """A client that has the record is woken by the next transition."""
    job_id = alice.submit()["id"]
    etag = alice.get(f"/api/jobs/{job_id}").headers["ETag"]
    threading.Timer(0.3, claim, (services.kernel, job_id)).start()
    response = alice.get(f"/api/jobs/{job_id}?wait=10", headers={"If-None-Match": etag})
    assert (response.status_code, response.json["state"]) == (200, "running")


def test_wait_with_etag_answers_304_when_time_is_over(alice: Caller) -> None:
    """Nothing changed, and that is the answer."""
    path = f"/api/jobs/{alice.submit()['id']}"
    etag = alice.get(path).headers["ETag"]
    assert alice.get(f"{path}?wait=0.2", headers={"If-None-Match": etag}).status_code == 304


def test_wait_ends_early_while_draining(alice: Caller, services: Services) -> None:
    """A server that stops lets its long polls go."""
    path = f"/api/jobs/{alice.submit()['id']}"
    threading.Timer(0.1, services.drain).start()
    began = time.monotonic()
    assert alice.get(f"{path}?wait=30").status_code == 200
    assert time.monotonic() - began < 25


@pytest.mark.parametrize("wait", ["61", "-1", "abc", "nan", "1e9", "1&wait=2"])
def test_unusable_wait_is_rejected(alice: Caller, wait: str) -> None:
    """Waits are 0 to 60 seconds."""
    response = alice.get(f"/api/jobs/{alice.submit()['id']}?wait={wait}")
    assert (response.status_code, response.json["errors"][0]["field"].split(".")[0]) == (422, "wait")


def test_list_shows_newest_first_without_bulk(alice: Caller) -> None:
    """A page carries what a table needs, not results and requests."""
    ids = [alice.submit()["id"] for _ in range(3)]
    page = alice.get("/api/jobs").json
    assert [job["id"] for job in page["jobs"]] == ids[::-1]
    assert not {"request", "result", "attempts"} & set(page["jobs"][0])


def test_cursor_walks_through_all_pages(alice: Caller) -> None:
    """Following the cursor meets every job once, and the total stays true."""
    ids = {alice.submit()["id"] for _ in range(5)}
    seen, path = [], "/api/jobs?limit=2"
    while path:
        page = alice.get(path).json
        assert page["total"] == 5
        seen += [job["id"] for job in page["jobs"]]
        path = f"/api/jobs?limit=2&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert (len(seen), set(seen)) == (5, ids)


@pytest.mark.parametrize(
    "query",
    [
        "state=running",
        "state=running&state=succeeded",
        "reference=wanted",
        "site=example.org",
        "label=team:blue",
        "label=team:blue&label=size:9",
        "text=WANTE",
        "kind=maintenance.ping&state=running",
        "queue=maintenance&reference=wanted",
        "dead=false&state=running",
    ],
)
def test_filter_finds_the_one_job(alice: Caller, services: Services, query: str) -> None:
    """Each filter finds the job it describes and no other."""
    alice.submit(labels={"team": "red"})
    wanted = alice.submit(reference="wanted", site="example.org", labels={"team": "blue", "size": "9"})["id"]
    claim(services.kernel, wanted)
    page = alice.get(f"/api/jobs?{query}").json
    assert ([job["id"] for job in page["jobs"]], page["total"]) == ([wanted], 1)


def test_created_range_is_half_open(alice: Caller) -> None:
    """From is included, to is not."""
    alice.submit()
    early, late = rfc3339(now() - timedelta(hours=1)), rfc3339(now() + timedelta(hours=1))
    inside = alice.get(f"/api/jobs?created_from={early}&created_to={late}").json["total"]
    assert (inside, alice.get(f"/api/jobs?created_from={late}").json["total"]) == (1, 0)


@pytest.mark.parametrize(
    "query",
    [
        "state=lost",
        "stat=running",
        "limit=0",
        "limit=201",
        "limit=1.0",
        "limit=99999999999999999999",
        "dead=1",
        "label=blue",
        "label=%3Ax",
        "text=%00",
        "text=",
        "created_from=yesterday",
        "created_from=2026-01-01T00:00:00",
        "created_from=0001-01-01T00:00:00%2B23:59",
        "created_to=9999-12-31T23:59:59-23:59",
        "created_from=1700000000",
        "cursor=!!!",
        "cursor=eyJiZWZvcmUiOiAiXHUwMDAwIn0",
        "cursor=%C3%A9",
        "queue=fast",
    ],
)
def test_unusable_filter_is_rejected(alice: Caller, query: str) -> None:
    """A filter that says nothing is an error, not an empty list."""
    response = alice.get(f"/api/jobs?{query}")
    assert response.status_code == 422
    assert response.json["errors"][0]["field"].split(".")[0] == query.split("=", maxsplit=1)[0]


def test_cancelling_a_queued_job_ends_it_at_once(alice: Caller) -> None:
    """Nobody runs it, so nobody need be told."""
    response = alice.post(f"/api/jobs/{alice.submit()['id']}/cancel")
    assert (response.status_code, response.json["state"]) == (200, "cancelled")


def test_cancelling_a_running_job_flags_it(alice: Caller, services: Services) -> None:
    """The worker's beat sees the flag; until then the job runs."""
    job = claim(services.kernel, alice.submit()["id"])
    response = alice.post(f"/api/jobs/{job.id}/cancel")
    assert (response.status_code, response.json["state"]) == (202, "running")
    assert response.json["cancel_requested_at"] is not None


def test_cancelling_twice_changes_nothing(alice: Caller) -> None:
    """A cancelled job stays cancelled."""
    path = f"/api/jobs/{alice.submit()['id']}/cancel"
    assert [alice.post(path).status_code for _ in range(2)] == [200, 200]


def test_cancelling_a_finished_job_conflicts(alice: Caller, services: Services) -> None:
    """What has ended otherwise cannot be cancelled."""
    job = claim(services.kernel, alice.submit()["id"])
    finish(services.kernel, job)
    response = alice.post(f"/api/jobs/{job.id}/cancel")
    assert (response.status_code, response.json["code"]) == (409, "conflict")


def test_deleting_a_queued_job_cancels_it(alice: Caller) -> None:
    """DELETE of an active job is a cancel; the record stays."""
    path = f"/api/jobs/{alice.submit()['id']}"
    assert alice.delete(path).status_code == 202
    assert alice.get(path).json["state"] == "cancelled"


def test_deleting_a_finished_job_erases_it(alice: Caller, services: Services) -> None:
    """Row, files, labels and idempotency key are gone."""
    headers = {"Idempotency-Key": "k"}
    body = {"params": {}, "labels": {"a": "b"}}
    job_id = alice.post("/api/jobs/maintenance.ping", json=body, headers=headers).json["id"]
    job = claim(services.kernel, job_id)
    services.kernel.artifacts.save(job_id, "a.txt", b"x", fence=job.fence, attempt=1, media_type="text/plain")
    finish(services.kernel, job)
    assert alice.delete(f"/api/jobs/{job_id}").status_code == 204
    assert alice.get(f"/api/jobs/{job_id}").status_code == 404
    assert queries.job(services.kernel.ledger, job_id) is None
    assert not services.kernel.artifacts.folder(job_id, 1).exists()
    assert alice.post("/api/jobs/maintenance.ping", json=body, headers=headers).json["id"] != job_id


def test_deleting_a_finished_job_erases_its_stream(make_app: Callable[..., API], redis_server: str) -> None:
    """The stream goes with the row."""
    app = make_app(redis_url=redis_server)
    alice, kernel = sign_in(app, "alice"), services_of(app).kernel
    job = claim(kernel, alice.submit()["id"])
    kernel.events.append(job.id, "log", {"line": "x"}, fence=job.fence, attempt=1)
    finish(kernel, job)
    alice.delete(f"/api/jobs/{job.id}")
    assert kernel.events.read(job.id) == []


def test_record_tells_of_every_attempt_however_it_ended(alice: Caller, services: Services) -> None:
    """Drained, lost, cancelled: when, where, why and how long."""
    ledger = services.kernel.ledger
    job = claim(services.kernel, alice.submit()["id"])
    transitions.requeue(ledger, job.id, fence=job.fence, cause="drained", counted=False)
    job = claim(services.kernel, job.id)
    error = {"code": "out_of_memory", "message": "too much"}
    transitions.requeue(ledger, job.id, fence=job.fence, cause="out_of_memory", error=error)
    job = claim(services.kernel, job.id)
    alice.post(f"/api/jobs/{job.id}/cancel")
    finish(services.kernel, job, state=JobState.CANCELLED, cause="cancel_requested", result=None)
    rows = alice.get(f"/api/jobs/{job.id}").json["attempts"]
    assert [(row["attempt"], row["fence"], row["outcome"], row["cause"]) for row in rows] == [
        (1, 1, "drained", "drained"),
        (1, 2, "retried", "out_of_memory"),
        (2, 3, "cancelled", "cancel_requested"),
    ]
    assert rows[1]["error"]["message"] == "too much"
    assert all(row["worker"] and row["started_at"] and row["ended_at"] and row["seconds"] >= 0 for row in rows)
