"""The earlier hub's HTTP calls: told from ours at the same paths, answered by the same jobs."""

from collections.abc import Callable
from typing import Any

import pytest

from app.compat.direct_vocabulary import ANSWERED, REFUSED
from app.openapi import API
from app.services import Services
from tasks.core.ledger import queries
from tests.app.conftest import Caller, claim, finish, sign_in

ASKED: dict[str, Any] = {"service_required": "maintenance.ping", "payload": {"message": "hi"}}


def submitted(by: Caller, **more: Any) -> str:
    answer = by.post("/api/jobs", json=ASKED | more)
    assert 201 == answer.status_code, answer.text
    assert {"success", "job_id", "message", "timestamp"} == set(answer.json)
    return str(answer.json["job_id"])


def test_submission_is_one_of_our_jobs(services: Services, alice: Caller) -> None:
    """With its priority, tries, limit and workflow; a step has its workflow's priority."""
    more = {"priority": 70, "max_retries": 0, "timeout_minutes": 0.1, "customer_id": "c", "requirements": {}}
    job = queries.job(services.kernel.ledger, submitted(alice, **more))
    assert job is not None
    assert ("maintenance.ping", 70, 1, 6.0) == (job.kind, job.priority, job.max_attempts, job.timeout_s)
    assert {"dialect": "direct", "service": "maintenance.ping", "customer_id": "c"} == job.labels
    steps = {"workflow_id": "w", "workflow_priority": 90, "step_number": 2, "max_retries": 999}
    step = alice.get(f"/api/jobs/{submitted(alice, **steps)}").json["job"]
    assert ("w", 90, 2, 90) == tuple(
        step[name] for name in ("workflow_id", "workflow_priority", "step_number", "priority")
    )


def test_names_of_services_stand_for_kinds(make_app: Callable[..., API]) -> None:
    """By the settings, in each of the three fields; nothing else does."""
    caller = sign_in(make_app(direct_services="echo=maintenance.ping"), "alice")
    for field in ("service_required", "job_type", "type"):
        answer = caller.post("/api/jobs", json={field: "echo", "payload": {}})
        assert 201 == answer.status_code, answer.text
        assert "echo" == caller.get(f"/api/jobs/{answer.json['job_id']}").json["job"]["service_required"]
    refused = caller.post("/api/jobs", json={"type": "comfyui", "payload": {}})
    assert (404, False, "unknown_kind") == (refused.status_code, refused.json["success"], refused.json["code"])
    assert "comfyui" in refused.json["error"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"priority": 101}, "priority"),
        ({"payload": {"what": 1}}, "params.what"),
        ({"requirements": {"hardware": {"gpu": 1}}}, "requirements.hardware"),
        ({"surprise": 1}, "surprise"),
        ({"timeout_minutes": 10**5}, "timeout_s"),
    ],
)
def test_what_does_not_fit_is_refused_in_both_words(alice: Caller, more: dict[str, Any], field: str) -> None:
    """As a problem, and as their `error`: requirements that would not be kept to, too."""
    answer = alice.post("/api/jobs", json=ASKED | more)
    assert (422, False) == (answer.status_code, answer.json["success"])
    assert field in answer.json["error"]
    assert [field] == [refusal["field"] for refusal in answer.json["errors"]]


def test_idempotency_key_makes_one_job(alice: Caller) -> None:
    """As with ours; a malformed one is refused."""
    ids = {alice.post("/api/jobs", json=ASKED, headers={"Idempotency-Key": "k"}).json["job_id"] for _ in range(2)}
    assert 1 == len(ids)
    refused = alice.post("/api/jobs", json=ASKED, headers={"Idempotency-Key": "k" * 256})
    assert (422, False) == (refused.status_code, refused.json["success"])


def test_ours_is_ours(alice: Caller) -> None:
    """With `kind`, whatever else; and a body that names nothing."""
    answer = alice.post("/api/jobs", json={"kind": "maintenance.ping", "params": {"message": "type"}})
    assert 202 == answer.status_code
    assert "job" not in alice.get(f"/api/jobs/{answer.json['id']}").json
    assert ["kind"] == [one["field"] for one in alice.post("/api/jobs", json={"params": {}}).json["errors"]]
    assert {"jobs", "total", "next_cursor"} == set(alice.get("/api/jobs").json)
    assert "no_such_path" == alice.get("/").json["code"]


def test_status_is_told_in_both_shapes(services: Services, alice: Caller, bob: Caller) -> None:
    """The record, and in `job` theirs, with the result in the end; for nobody else."""
    job_id = submitted(alice)
    told = alice.get(f"/api/jobs/{job_id}").json
    assert ("queued", "unworkable", True) == (told["state"], told["job"]["status"], told["success"])
    assert 404 == bob.get(f"/api/jobs/{job_id}").status_code
    job = claim(services.kernel, job_id)
    assert "in_progress" == alice.get(f"/api/jobs/{job_id}").json["job"]["status"]
    finish(services.kernel, job)
    done = alice.get(f"/api/jobs/{job_id}").json["job"]
    assert ("completed", 100.0, {"message": "hi"}) == (done["status"], done["progress"], done["result"])


def test_list_has_their_states_and_the_true_total(services: Services, alice: Caller, bob: Caller) -> None:
    """Of all the tenant's jobs, whoever submitted them."""
    ids = [submitted(alice), alice.submit()["id"], submitted(alice)]
    submitted(bob)
    claim(services.kernel, ids[0])
    page = alice.get("/api/jobs?offset=1&limit=1").json
    assert (True, 3, 1, 1) == tuple(page[name] for name in ("success", "total", "limit", "offset"))
    assert [ids[1]] == [job["id"] for job in page["jobs"]]
    running = alice.get("/api/jobs?status=in_progress").json
    assert (1, [ids[0]]) == (running["total"], [job["id"] for job in running["jobs"]])
    for query in ("status=unworkable", "status=x", "offset=-1", "offset=0&limit=201", "offset=0&cursor=x"):
        answer = alice.get(f"/api/jobs?{query}")
        assert (422, False) == (answer.status_code, answer.json["success"])


def test_dialect_that_is_off_is_not_answered(make_app: Callable[..., API]) -> None:
    """Its calls are refused as ours."""
    caller = sign_in(make_app(dialect_direct=False), "alice")
    assert ["kind"] == [one["field"] for one in caller.post("/api/jobs", json=ASKED).json["errors"]]
    assert 422 == caller.get("/api/jobs?offset=0").status_code


def test_all_37_types_are_answered_or_refused_by_name(docs_text: str) -> None:
    """None is both, and the page has the same table."""
    assert 37 == len(ANSWERED) + len(REFUSED) == len(ANSWERED | set(REFUSED))
    answered, refused = (line for line in docs_text.splitlines() if line.startswith(("| answered (", "| refused (")))
    for names, line in ((ANSWERED, answered), (frozenset(REFUSED), refused)):
        assert f"({len(names)})" in line
        assert not [name for name in names if f"`{name}`" not in line]


@pytest.fixture
def docs_text(pytestconfig: pytest.Config) -> str:
    """The page about older clients."""
    return (pytestconfig.rootpath / "docs" / "older-clients.md").read_text()
