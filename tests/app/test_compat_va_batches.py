"""The older VA calibration service's batches."""

from app.services import Services
from tasks.core.ledger import parking
from tasks.core.records import JobState
from tests.app.conftest import Caller, claim, finish

PATH = "/api/v1/calibrate/batch"


def test_batch_is_created_and_counted(services: Services, alice: Caller, bob: Caller) -> None:
    """Under its limit of five unless it says otherwise, for its tenant alone."""
    created = alice.post(PATH, json={"jobs": [{}, {"priority": 9}, {}], "name": "n", "parallel_limit": 2})
    assert 200 == created.status_code, created.text
    batch_id, job_ids = created.json["batch_id"], created.json["job_ids"]
    assert (3, 90) == (created.json["total_jobs"], alice.get(f"/api/jobs/{job_ids[1]}").json["priority"])
    assert "2" == str(alice.get(f"/api/jobs/batch/{batch_id}").json["parallel_limit"])
    path = f"{PATH}/{batch_id}/status"
    assert "pending" == alice.get(path).json["status"]
    assert 2 == parking.release(services.kernel.ledger)
    finish(services.kernel, claim(services.kernel, job_ids[0]))
    finish(services.kernel, claim(services.kernel, job_ids[1]), state=JobState.FAILED, cause="x", result=None)
    status = alice.get(path).json
    assert ("running", "n", 3, 1, 1, 0, 1, job_ids) == tuple(
        status[name]
        for name in (
            *("status", "name", "total_jobs", "completed_jobs"),
            *("failed_jobs", "running_jobs", "pending_jobs", "job_ids"),
        )
    )
    assert [404, 404] == [bob.get(path).status_code, alice.get(f"{PATH}/batch_0123/status").status_code]


def test_refused_calibration_is_named_by_its_place(alice: Caller) -> None:
    """And none of the others is accepted."""
    refused = alice.post(PATH, json={"jobs": [{}, {"va_data": {"insilicova": []}}]})
    assert (422, "jobs.1.va_data.insilicova") == (refused.status_code, refused.json["field"])
    assert 422 == alice.post(PATH, json={"jobs": [{}] * 51}).status_code
    assert 0 == alice.get("/api/jobs").json["total"]
