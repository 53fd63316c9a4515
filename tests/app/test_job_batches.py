"""Batches over HTTP: accepted together or not at all, watched and cancelled as one."""

from typing import Any

import sqlalchemy as sa

from app.services import Services
from tasks.core.ledger import parking, queries
from tasks.core.ledger.callback_tables import webhooks
from tasks.core.ledger.queries import Filter
from tests.app.conftest import Caller

PING = {"kind": "maintenance.ping", "params": {"message": "hi"}}
PATH = "/api/jobs/batch"


def sent(alice: Caller, *jobs: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Send a batch and return its record."""
    response = alice.post(PATH, json={"jobs": list(jobs or [PING] * 3)} | fields)
    assert response.status_code == 202, response.text
    record: dict[str, Any] = response.json
    assert response.headers["Location"] == record["links"]["self"]
    return record


def test_batch_is_accepted_with_its_jobs_in_order(alice: Caller) -> None:
    """Its record counts them, and each of them names it."""
    record = sent(alice, PING | {"reference": "a"}, PING | {"reference": "b"}, name="n", parallel_limit=1)
    assert ("n", "queued", 2, 1, False) == tuple(
        record[name] for name in ("name", "state", "size", "parallel_limit", "fail_fast")
    )
    assert {"queued": 2, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0} == record["counts"]
    jobs = [alice.get(f"/api/jobs/{job_id}").json for job_id in record["job_ids"]]
    assert [("a", record["id"], "limit")] == [
        (job["reference"], job["batch_id"], job["waiting_for"]) for job in jobs[:1]
    ]
    assert 2 == alice.get(record["links"]["jobs"]).json["total"]
    assert record["counts"] == alice.get(record["links"]["self"]).json["counts"]


def test_one_refused_job_has_all_refused(alice: Caller, services: Services) -> None:
    """Each refusal names its job, and nothing is accepted."""
    wrong = [{"kind": "no.such"}, {"params": {}}, {"kind": "maintenance.ping", "params": {"nonsense": 1}}]
    response = alice.post(PATH, json={"jobs": [PING, *wrong, PING | {"priority": 101}]})
    assert 422 == response.status_code
    fields = [refusal["field"] for refusal in response.json["errors"]]
    assert ["jobs.1.kind", "jobs.2.kind", "jobs.3.params.nonsense", "jobs.4.priority"] == fields
    assert 0 == queries.listing(services.kernel.ledger, Filter(alice.tenant_id), limit=1).total


def test_batch_is_not_too_large_nor_empty(alice: Caller) -> None:
    """1 to 1,000 jobs."""
    statuses = [alice.post(PATH, json={"jobs": [PING] * count}).status_code for count in (0, 1001)]
    assert [422, 422] == statuses


def test_same_key_makes_one_batch(alice: Caller) -> None:
    """It is answered with the first; another body is refused."""
    headers = {"Idempotency-Key": "k"}
    first, again = (alice.post(PATH, json={"jobs": [PING]}, headers=headers) for _ in range(2))
    assert (first.json["id"], "true") == (again.json["id"], again.headers["Idempotency-Replayed"])
    other = alice.post(PATH, json={"jobs": [PING], "fail_fast": True}, headers=headers)
    assert (422, "idempotency_key_reused") == (other.status_code, other.json["code"])


def test_callback_of_a_batch_is_kept_with_it(alice: Caller, services: Services) -> None:
    """One that leads nowhere, or hears of what batches do not tell, makes no batch."""
    url = "https://hooks.example.com/x"
    wrong = [{"url": "https://10.0.0.1/"}, {"url": url, "events": ["job.succeeded"]}]
    answers = [alice.post(PATH, json={"jobs": [PING], "callback": one}) for one in wrong]
    assert [422, 422] == [answer.status_code for answer in answers]
    assert ["callback.url", "callback.events.0"] == [answer.json["errors"][0]["field"] for answer in answers]
    record = sent(alice, callback={"url": url})
    with services.kernel.ledger.read() as connection:
        found = connection.execute(sa.select(webhooks.c.batch_id, webhooks.c.job_id, webhooks.c.events)).all()
    assert [(record["id"], None, ["batch.ended"])] == [tuple(row) for row in found]


def test_cancelled_batch_has_no_job_left(alice: Caller, services: Services) -> None:
    """Neither those that a limit keeps back, nor those that were released."""
    record = sent(alice, parallel_limit=2)
    parking.release(services.kernel.ledger)
    cancelled = alice.post(record["links"]["cancel"])
    assert (202, "cancelled", 3) == (
        cancelled.status_code,
        cancelled.json["state"],
        cancelled.json["counts"]["cancelled"],
    )
    assert cancelled.json["stopped_at"] is not None
    assert not parking.anything_parked(services.kernel.ledger)


def test_batch_is_its_tenants_alone(alice: Caller, bob: Caller) -> None:
    """Nobody else reads or cancels it."""
    path = sent(alice)["links"]["self"]
    assert [404, 404] == [bob.get(path).status_code, bob.post(f"{path}/cancel").status_code]


def test_job_with_a_concurrency_key_waits_to_be_released(alice: Caller, services: Services) -> None:
    """Its record says so, and shows the key; then it is carried as any other."""
    job = alice.submit(concurrency_key="example.org")
    assert ("limit", "example.org") == (job["waiting_for"], job["concurrency_key"])
    assert 1 == parking.release(services.kernel.ledger)
    assert "limit" != alice.get(f"/api/jobs/{job['id']}").json["waiting_for"]


def test_jobs_of_a_batch_have_callbacks_of_their_own(services: Services, alice: Caller) -> None:
    """Each item its own, written with the batch."""
    url = "https://hooks.example.com/in"
    first, _ = sent(alice, PING | {"callback": {"url": url}}, PING)["job_ids"]
    with services.kernel.ledger.read() as connection:
        kept = connection.execute(sa.select(webhooks.c.job_id, webhooks.c.url)).all()
    assert [(first, url)] == [tuple(row) for row in kept]
