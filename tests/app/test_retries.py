"""Retrying over HTTP: one job, and many jobs by filter; cancelling and erasing many."""

import threading
from typing import Any

import pytest

from app.services import Services
from tasks.core.kernel import Kernel
from tasks.core.ledger import queries
from tasks.core.records import Job, JobState
from tests.app.conftest import Caller, claim, finish

FAILED = {"state": JobState.FAILED, "cause": "permanent", "error": {"code": "permanent", "message": "no"}}


def fail(kernel: Kernel, job_id: str) -> Job:
    return finish(kernel, claim(kernel, job_id), **FAILED, result=None)


def test_retry_of_a_failed_job_queues_it_again(alice: Caller, services: Services) -> None:
    """202, the same job, its earlier attempt still told."""
    job = fail(services.kernel, alice.submit()["id"])
    response = alice.post(f"/api/jobs/{job.id}/retry")
    record: dict[str, Any] = response.json
    assert (response.status_code, response.headers["Location"]) == (202, f"/api/jobs/{job.id}")
    assert (record["state"], record["cause"], record["error"]) == ("queued", "replayed", None)
    assert (record["attempt"], record["max_attempts"]) == (1, 4)
    assert [(row["attempt"], row["outcome"]) for row in record["attempts"]] == [(1, "failed")]


def test_retry_of_a_cancelled_job_queues_it_again(alice: Caller) -> None:
    """The links of a record name the call."""
    job = alice.submit()
    alice.post(job["links"]["cancel"])
    assert alice.post(job["links"]["retry"]).json["state"] == "queued"


def test_retry_of_a_job_that_goes_on_is_refused(alice: Caller, services: Services) -> None:
    """Queued, running and succeeded jobs: 409, with what to do instead."""
    job_id = alice.submit()["id"]
    queued = alice.post(f"/api/jobs/{job_id}/retry")
    running = claim(services.kernel, job_id)
    busy = alice.post(f"/api/jobs/{job_id}/retry")
    finish(services.kernel, running)
    done = alice.post(f"/api/jobs/{job_id}/retry")
    answers = (queued, busy, done)
    assert [(409, "conflict")] * 3 == [(answer.status_code, answer.json["code"]) for answer in answers]
    remedies = ("without being asked", "cancel it first", "submit a new one")
    assert all(remedy in answer.json["detail"] for remedy, answer in zip(remedies, answers, strict=True))


def test_double_click_makes_one_attempt(alice: Caller, services: Services) -> None:
    """Two retries at once: one is accepted, the other finds the job queued."""
    job = fail(services.kernel, alice.submit()["id"])
    statuses: list[int] = []

    def click() -> None:
        caller = Caller(alice.client.application.test_client(), alice.tenant_id, alice.key)
        statuses.append(caller.post(f"/api/jobs/{job.id}/retry").status_code)

    clicks = [threading.Thread(target=click) for _ in range(2)]
    for one in clicks:
        one.start()
    for one in clicks:
        one.join()
    after = queries.job(services.kernel.ledger, job.id)
    assert after is not None
    assert ([202, 409], job.version + 1) == (sorted(statuses), after.version)


def test_retry_can_wait_for_the_end(alice: Caller, services: Services) -> None:
    """``Prefer: wait`` as on a submit."""
    job = fail(services.kernel, alice.submit()["id"])
    response = alice.post(f"/api/jobs/{job.id}/retry", headers={"Prefer": "wait=0"})
    assert (response.status_code, response.headers["Preference-Applied"]) == (202, "wait=0")


def test_stranger_cannot_retry(alice: Caller, bob: Caller, services: Services) -> None:
    """Another tenant's job is not there."""
    job = fail(services.kernel, alice.submit()["id"])
    assert bob.post(f"/api/jobs/{job.id}/retry").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "would"),
    [
        ("POST", "/api/jobs/retry", "retry 2 of the 4"),
        ("POST", "/api/jobs/cancel", "cancel 1 of the 4"),
        ("DELETE", "/api/jobs", "erase 3 of the 4"),
    ],
)
def test_many_jobs_are_touched_only_when_confirmed(
    alice: Caller, services: Services, method: str, path: str, would: str
) -> None:
    """The refusal says how many it would be, and changes none."""
    for _ in range(2):
        fail(services.kernel, alice.submit()["id"])
    finish(services.kernel, claim(services.kernel, alice.submit()["id"]))
    alice.submit()
    before = alice.get("/api/jobs").json["jobs"]
    response = alice.open(method, path)
    assert (response.status_code, response.json["code"]) == (422, "confirmation_required")
    assert would in response.json["detail"]
    assert [job["version"] for job in before] == [job["version"] for job in alice.get("/api/jobs").json["jobs"]]


def test_failed_jobs_of_a_label_are_retried(alice: Caller, services: Services) -> None:
    """The filters are those of the list."""
    for label in ("a", "a", "b"):
        fail(services.kernel, alice.submit(labels={"run": label})["id"])
    alice.submit(labels={"run": "a"})
    answer = alice.post("/api/jobs/retry?label=run:a&confirm=true").json
    assert answer == {"matched": 3, "changed": 2, "skipped": 1, "more": False}
    assert alice.get("/api/jobs?state=failed").json["total"] == 1


def test_jobs_that_must_not_run_beside_another_keep_none_from_being_retried(alice: Caller, services: Services) -> None:
    """Of one unique key one goes; the others count as skipped, and not towards ``limit``, nor as more to come."""
    keyed = []
    for _ in range(3):
        keyed.append(alice.submit(unique_key="one")["id"])
        fail(services.kernel, keyed[-1])
    others = [fail(services.kernel, alice.submit()["id"]).id for _ in range(2)]
    busy = alice.submit(unique_key="one")["id"]
    first = alice.post("/api/jobs/retry?limit=1&confirm=true").json
    assert first == {"matched": 6, "changed": 1, "skipped": 4, "more": True}
    second = alice.post("/api/jobs/retry?limit=9&confirm=true").json
    assert second == {"matched": 6, "changed": 1, "skipped": 5, "more": False}
    alice.post(f"/api/jobs/{busy}/cancel")
    third = alice.post("/api/jobs/retry?limit=9&state=failed&confirm=true").json
    assert third == {"matched": 3, "changed": 1, "skipped": 2, "more": False}
    states = {job: alice.get(f"/api/jobs/{job}").json["state"] for job in [*keyed, *others]}
    assert ["failed", "failed", "queued", "queued", "queued"] == list(states.values())


def test_jobs_are_cancelled_up_to_the_limit(alice: Caller, bob: Caller) -> None:
    """``more`` says to ask again; another tenant's jobs are not matched."""
    for caller in (alice, alice, alice, bob):
        caller.submit()
    first = alice.post("/api/jobs/cancel?state=queued&limit=2&confirm=true").json
    assert first == {"matched": 3, "changed": 2, "skipped": 0, "more": True}
    second = alice.post("/api/jobs/cancel?state=queued&limit=2&confirm=true").json
    assert second == {"matched": 1, "changed": 1, "skipped": 0, "more": False}
    assert bob.get("/api/jobs?state=queued").json["total"] == 1


def test_finished_jobs_are_erased_with_their_files(alice: Caller, services: Services) -> None:
    """A job that has not ended stays."""
    kernel = services.kernel
    job = claim(kernel, alice.submit()["id"])
    kernel.artifacts.save(job.id, "a.txt", b"a", fence=job.fence, attempt=1, media_type="text/plain")
    finish(kernel, job)
    waiting = alice.submit()["id"]
    answer = alice.delete("/api/jobs?confirm=true").json
    assert answer == {"matched": 2, "changed": 1, "skipped": 1, "more": False}
    assert [waiting] == [one["id"] for one in alice.get("/api/jobs").json["jobs"]]
    assert not kernel.artifacts.folder(job.id, job.fence).parent.exists()


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "confirm=yes", "states=failed", "cursor=x"])
def test_wrong_batch_parameters_are_refused(alice: Caller, query: str) -> None:
    """A misspelt filter must not widen what is touched."""
    response = alice.post(
        f"/api/jobs/cancel?confirm=true&{query}" if "confirm" not in query else f"/api/jobs/cancel?{query}"
    )
    assert (response.status_code, response.json["code"]) == (422, "input_rejected")
