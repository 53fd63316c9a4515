"""Follow-ups over HTTP: checked at accept with a pointer to the place, seen and cancelled as a chain."""

import hashlib
from typing import Any

import pytest

from app.services import Services
from tasks.core.follow_ups.plans import MOST_STEPS
from tasks.core.ledger import carrying, follow_ups, queries, transitions
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.schema import jobs
from tasks.core.records import JobState
from tasks.follow_ups import start_due
from tests.app.conftest import PING, Caller
from tests.samples import claimed

NO_UPLOAD = "01890000-0000-7000-8000-000000000000"
CRAWL_TOOL = {
    "kind": "discovery.site",
    "params": {"url": "https://docs.example.org/"},
    "requires": {"chromium": False},
}
STEP = {"kind": "maintenance.ping", "params": {"message": {"$from": "/result/message"}}}
CRAWL = {
    "kind": "crawling.site",
    "params": {"url": "https://docs.example.org/"},
    "on_success": {"kind": "knowledge.update", "params": {"crawl_job_id": {"$from": "/job/id"}}},
}


def chain(steps: int) -> dict[str, Any]:
    """A body with so many follow-ups one after the other."""
    body: dict[str, Any] = {"params": {"message": "a"}}
    for _ in range(steps):
        body = {"kind": "maintenance.ping", "params": {}, "on_success": body | {"kind": "maintenance.ping"}}
    return body


def finish(services: Services, job_id: str) -> None:
    """Let a job succeed, as a worker would."""
    carrying.take_due(services.kernel.ledger, "maintenance")
    job = queries.job(services.kernel.ledger, job_id)
    assert job is not None
    running = claimed(services.kernel.ledger, job)
    result = {"message": job.request["message"] + "!"}
    state = JobState.SUCCEEDED
    assert transitions.finish(
        services.kernel.ledger, job_id, fence=running.fence, state=state, cause="completed", result=result
    )


def test_a_chain_runs_and_is_seen_from_both_ends(alice: Caller, bob: Caller, services: Services) -> None:
    """By the records, by the list, and as a whole."""
    first = alice.submit(on_success=STEP | {"on_success": STEP})
    assert ("waiting", "maintenance.ping", None) == tuple(
        first["follow_up"][name] for name in ("state", "on_success", "job_id")
    )
    finish(services, first["id"])
    start_due(services.kernel, services.specs)
    record = alice.get(f"/api/jobs/{first['id']}").json
    child = alice.get(f"/api/jobs/{record['follow_up']['job_id']}").json
    assert ("started", "on_success") == (record["follow_up"]["state"], record["follow_up"]["branch"])
    assert (first["id"], first["id"], {"message": "hi!"}) == (
        child["parent_job_id"],
        child["chain_id"],
        child["request"],
    )
    listed = [alice.get(f"/api/jobs?{query}={first['id']}").json["total"] for query in ("parent", "chain")]
    assert [1, 2] == listed
    seen = alice.get(f"/api/jobs/{child['id']}/chain").json
    assert (first["id"], [(first["id"], 0), (child["id"], 1)]) == (
        seen["chain_id"],
        [(job["id"], job["depth"]) for job in seen["jobs"]],
    )
    assert 404 == bob.get(f"/api/jobs/{child['id']}/chain").status_code
    assert 404 == bob.post(f"/api/jobs/{child['id']}/chain/cancel").status_code


def test_a_follow_up_may_be_for_a_certain_worker(alice: Caller, services: Services) -> None:
    """For that of the job before it, or for whoever offers what it needs; else for nobody in particular."""
    last = STEP | {"same_worker": True, "requires": {"labels": ["gpu"]}}
    job_id, asked = alice.submit(on_success=STEP | {"same_worker": True, "on_success": last})["id"], []
    for _ in range(2):
        finish(services, job_id)
        start_due(services.kernel, services.specs)
        before, job_id = job_id, alice.get(f"/api/jobs/{job_id}").json["follow_up"]["job_id"]
        asked.append((alice.get(f"/api/jobs/{job_id}").json["requires"], before))
        with services.kernel.ledger.write() as connection:  # as its worker would find it
            connection.execute(jobs.update().where(jobs.c.id == job_id).values(requires=None))
    assert [
        ({"same_worker_as": asked[0][1]}, asked[0][1]),
        ({"labels": ["gpu"], "same_worker_as": asked[1][1]}, asked[1][1]),
    ] == asked


def test_the_whole_chain_is_cancelled_at_any_of_its_jobs(alice: Caller, services: Services) -> None:
    """What has ended stays as it ended."""
    first = alice.submit(on_success=STEP | {"on_success": STEP})
    finish(services, first["id"])
    start_due(services.kernel, services.specs)
    cancelled = alice.post(f"/api/jobs/{first['id']}/chain/cancel")
    assert (202, ["succeeded", "cancelled"]) == (
        cancelled.status_code,
        [job["state"] for job in cancelled.json["jobs"]],
    )
    assert not follow_ups.anything_waits(services.kernel.ledger)


def test_a_job_without_follow_ups_is_its_own_chain(alice: Caller) -> None:
    """It is cancelled as such, and again is harmless."""
    job = alice.submit()
    path = f"/api/jobs/{job['id']}/chain"
    assert (None, None, None) == (job["follow_up"], job["parent_job_id"], job["chain_id"])
    assert [job["id"]] == [one["id"] for one in alice.get(path).json["jobs"]]
    answers = [alice.post(f"{path}/cancel") for _ in range(2)]
    assert [(202, "cancelled")] * 2 == [(one.status_code, one.json["jobs"][0]["state"]) for one in answers]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"on_success": {"params": {}}}, "on_success.kind"),
        ({"on_success": {"kind": "maintenance.pink"}}, "on_success.kind"),
        ({"on_success": STEP | {"priority": 1}}, "on_success.priority"),
        ({"on_success": STEP | {"params": {"massage": "x"}}}, "on_success.params.massage"),
        ({"on_success": STEP | {"params": {"message": 1}}}, "on_success.params.message"),
        ({"on_success": STEP | {"params": {"message": {"$from": "/result/massage"}}}}, "on_success.params.message"),
        ({"on_success": STEP | {"params": {"message": {"$from": "x"}}}}, "on_success.params.message.$from"),
        ({"on_success": STEP | {"params": {"message": {"$from": "/parent/job/id"}}}}, "on_success.params.message"),
        ({"on_success": STEP | {"when": "/result/massage"}}, "on_success.when"),
        ({"on_success": STEP | {"when": "result"}}, "on_success.when"),
        ({"on_failure": STEP}, "on_failure.params.message"),
        ({"on_failure": {"kind": "maintenance.ping", "timeout_s": 1e6}}, "on_failure.timeout_s"),
        ({"on_failure": {"kind": "maintenance.ping", "max_attempts": 99}}, "on_failure.max_attempts"),
        ({"on_success": STEP | {"requires": {"labels": 1}}}, "on_success.requires.labels"),
        ({"on_success": STEP | {"requires": {"same_worker_as": NO_UPLOAD}}}, "on_success.requires.same_worker_as"),
        ({"on_success": CRAWL_TOOL}, "on_success.requires.chromium"),
        ({"on_success": STEP | {"on_failure": {"kind": "no.such"}}}, "on_success.on_failure.kind"),
        ({"on_success": STEP | {"on_success": {"nonsense": 1}}}, "on_success.on_success.nonsense"),
        (
            {"on_success": STEP | {"callback": {"url": "http://127.0.0.1/"}}},
            "on_success.callback.url",
        ),
        (
            {"on_success": {"kind": "publishing.site", "params": {"site": "a", "source": {"upload": NO_UPLOAD}}}},
            "on_success.params.source.upload",
        ),
    ],
)
def test_what_can_never_follow_is_refused_at_accept(
    alice: Caller, services: Services, body: dict[str, Any], field: str
) -> None:
    """With the place of each fault; nothing is accepted."""
    response = alice.post(PING, json=body)
    assert (422, True) == (response.status_code, field in [one["field"] for one in response.json["errors"]])
    assert 0 == queries.listing(services.kernel.ledger, Filter(alice.tenant_id), limit=1).total


def test_chains_have_an_end(alice: Caller) -> None:
    """Ten follow-ups one after the other, and a hundred in all."""
    assert 202 == alice.post("/api/jobs", json=chain(MOST_STEPS)).status_code
    refused = alice.post("/api/jobs", json=chain(MOST_STEPS + 1))
    assert (422, ".".join(["on_success"] * (MOST_STEPS + 1))) == (
        refused.status_code,
        refused.json["errors"][0]["field"],
    )
    wide: dict[str, Any] = {"kind": "maintenance.ping"}
    for _ in range(7):
        wide = {"kind": "maintenance.ping", "on_success": wide, "on_failure": wide}
    assert "More than 100" in alice.post("/api/jobs", json=wide).json["errors"][0]["message"]


def test_the_same_key_stands_for_the_same_chain(alice: Caller) -> None:
    """Other follow-ups are another request."""
    headers = {"Idempotency-Key": "k"}
    first, again, other = (
        alice.post(PING, json={"on_success": step}, headers=headers)
        for step in (STEP, STEP, STEP | {"params": {"message": "x"}})
    )
    assert (first.json["id"], 422) == (again.json["id"], other.status_code)


def test_jobs_of_a_batch_have_follow_ups_too(alice: Caller, services: Services) -> None:
    """These are not of the batch, whose size is fixed; refusals name the job."""
    job = {"kind": "maintenance.ping", "params": {"message": "a"}, "on_success": STEP}
    batch = alice.post("/api/jobs/batch", json={"jobs": [job, job | {"on_success": None}]}).json
    finish(services, batch["job_ids"][0])
    start_due(services.kernel, services.specs)
    [child] = alice.get(f"/api/jobs?parent={batch['job_ids'][0]}").json["jobs"]
    assert (None, 2) == (child["batch_id"], alice.get(f"/api/jobs?batch={batch['id']}").json["total"])
    refused = alice.post("/api/jobs/batch", json={"jobs": [job, job | {"on_success": {"kind": "x"}}]})
    assert ["jobs.1.on_success.kind"] == [one["field"] for one in refused.json["errors"]]


def test_an_upload_that_a_follow_up_names_is_kept_for_it(alice: Caller, services: Services) -> None:
    """From the first job on: nobody removes it while the chain goes on."""
    content = b"PK\x05\x06" + bytes(18)
    sent = alice.post(
        "/api/uploads", data=content, headers={"Content-Type": "application/zip", "Content-Length": str(len(content))}
    ).json
    assert hashlib.sha256(content).hexdigest() == sent["sha256"]
    params = {"site": {"$from": "/result/message"}, "source": {"upload": sent["id"]}}
    job = alice.submit(on_success={"kind": "publishing.site", "params": params})
    assert 409 == alice.delete(f"/api/uploads/{sent['id']}").status_code
    finish(services, job["id"])
    start_due(services.kernel, services.specs)
    assert "failed" == alice.get(f"/api/jobs/{job['id']}").json["follow_up"]["state"]  # "hi!" is no site's name


def test_a_crawl_may_end_in_knowledge(alice: Caller) -> None:
    """The request that the documentation shows."""
    record = alice.post("/api/jobs", json=CRAWL)
    assert (202, "knowledge.update") == (record.status_code, record.json["follow_up"]["on_success"])
