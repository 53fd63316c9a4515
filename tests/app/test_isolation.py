"""Nobody sees, or changes, what belongs to another tenant."""

from collections.abc import Iterator

import pytest

from app.services import Services
from tests.app.conftest import WORKER, Caller, add_worker, claim, finish

JOB_ROUTES = [
    ("GET", ""),
    ("DELETE", ""),
    ("POST", "/cancel"),
    ("GET", "/logs"),
    ("GET", "/artifacts"),
    ("GET", "/artifacts/a.txt"),
    ("GET", "/events"),
    ("GET", "/progress"),
    ("POST", "/stream-token"),
]


@pytest.fixture
def finished_id(alice: Caller, services: Services) -> Iterator[str]:
    """Alice's finished job, with a file."""
    job = claim(services.kernel, alice.submit(labels={"team": "blue"})["id"])
    services.kernel.artifacts.save(job.id, "a.txt", b"x", fence=job.fence, attempt=1, media_type="text/plain")
    finish(services.kernel, job)
    return job.id


@pytest.mark.parametrize(("method", "suffix"), JOB_ROUTES)
def test_another_tenants_job_is_not_found(bob: Caller, finished_id: str, method: str, suffix: str) -> None:
    """Every route of a job answers 404 to everyone but its tenant."""
    response = bob.open(method, f"/api/jobs/{finished_id}{suffix}")
    assert (response.status_code, response.json["code"]) == (404, "not_found")


@pytest.mark.parametrize(("method", "suffix"), JOB_ROUTES)
def test_own_job_is_found(alice: Caller, finished_id: str, method: str, suffix: str) -> None:
    """The same routes answer the job's tenant."""
    expected = {"/cancel": 409, "/stream-token": 201}.get(suffix, 204 if method == "DELETE" else 200)
    assert alice.open(method, f"/api/jobs/{finished_id}{suffix}").status_code == expected


def test_refused_delete_leaves_the_job(alice: Caller, bob: Caller, finished_id: str) -> None:
    """A stranger's DELETE changes nothing."""
    bob.delete(f"/api/jobs/{finished_id}")
    assert alice.get(f"/api/jobs/{finished_id}").status_code == 200


@pytest.mark.parametrize("query", ["", "?label=team:blue", "?text=maintenance", "?state=succeeded"])
def test_lists_hold_only_own_jobs(bob: Caller, finished_id: str, query: str) -> None:
    """No filter reaches into another tenant's jobs, nor does the total."""
    page = bob.get(f"/api/jobs{query}").json
    assert (page["jobs"], page["total"]) == ([], 0)


def test_cursor_of_another_tenant_shows_nothing(alice: Caller, bob: Caller) -> None:
    """A cursor is a place, not a permission."""
    for _ in range(3):
        alice.submit()
    cursor = alice.get("/api/jobs?limit=1").json["next_cursor"]
    assert bob.get(f"/api/jobs?cursor={cursor}").json["jobs"] == []


def test_workers_name_only_own_jobs(alice: Caller, bob: Caller, services: Services) -> None:
    """All see the fleet; each sees its own jobs on it."""
    add_worker(services.kernel)
    job = claim(services.kernel, alice.submit()["id"])
    seen = {caller.tenant_id: caller.get("/api/workers").json["workers"][0] for caller in (alice, bob)}
    assert seen[alice.tenant_id]["name"] == WORKER
    assert (seen[alice.tenant_id]["jobs"], seen[bob.tenant_id]["jobs"]) == ([job.id], [])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/jobs"),
        ("POST", "/api/jobs/maintenance.ping"),
        ("GET", "/api/jobs"),
        ("GET", "/api/jobs/01890000-0000-7000-8000-000000000000"),
        ("DELETE", "/api/jobs/01890000-0000-7000-8000-000000000000"),
        ("POST", "/api/jobs/01890000-0000-7000-8000-000000000000/cancel"),
        ("GET", "/api/jobs/01890000-0000-7000-8000-000000000000/logs"),
        ("GET", "/api/jobs/01890000-0000-7000-8000-000000000000/artifacts"),
        ("GET", "/api/jobs/01890000-0000-7000-8000-000000000000/artifacts/x"),
        ("GET", "/api/jobs/01890000-0000-7000-8000-000000000000/events"),
        ("GET", "/api/jobs/01890000-0000-7000-8000-000000000000/progress"),
        ("POST", "/api/jobs/01890000-0000-7000-8000-000000000000/stream-token"),
        ("GET", "/api/tools"),
        ("DELETE", "/api/tools"),
        ("GET", "/api/tools/export"),
        ("GET", "/api/tools/01890000-0000-7000-8000-000000000000"),
        ("POST", "/api/tools/01890000-0000-7000-8000-000000000000/run"),
        ("GET", "/api/schedules"),
        ("POST", "/api/schedules"),
        ("PATCH", "/api/schedules/01890000-0000-7000-8000-000000000000"),
        ("POST", "/api/schedules/01890000-0000-7000-8000-000000000000/run"),
        ("GET", "/api/sessions"),
        ("PUT", "/api/sessions"),
        ("GET", "/api/connectors"),
        ("GET", "/api/connectors/x"),
        ("PUT", "/api/connectors/x"),
        ("GET", "/api/sites"),
        ("GET", "/api/sites/docs/releases"),
        ("POST", "/api/sites/docs/missing"),
        ("POST", "/api/sites/docs/previews"),
        ("GET", "/api/kinds"),
        ("GET", "/api/kinds/maintenance.ping"),
        ("GET", "/api/queues"),
        ("GET", "/api/workers"),
        ("GET", "/api/nothing"),
    ],
)
def test_every_api_route_needs_a_key(client, method: str, path: str) -> None:
    """Without a key there is 401, and no hint of what exists."""
    response = client.open(path, method=method)
    assert (response.status_code, response.json["code"]) == (401, "not_authenticated")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
