"""Retention and retries, over HTTP with a real worker behind it."""

import pytest

from client import Conflict, Switchyard

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("yard")]


def test_sweep_runs_on_a_worker_and_says_what_it_found(client: Switchyard) -> None:
    """A tenant's own sweep, without touching anything."""
    job = client.run("maintenance.sweep", {"dry_run": True, "older_than_hours": 1}, run_timeout_s=60)
    assert job.result is not None
    assert (True, False) == (job.result["dry_run"], job.result["more"])
    assert {"results", "artifacts", "streams", "jobs", "uploads"} == set(job.result["freed"])


def test_failed_job_runs_again_under_its_id(client: Switchyard) -> None:
    """Its stream tells of both attempts; once it has succeeded it can be retried no more."""
    params = {"act": "fail", "until_attempt": 1, "effects": "/dev/null"}
    job = client.run("faulty.act", params, run_timeout_s=60, check=False)
    assert ("failed", "hopeless") == (job.state, job.cause)
    assert "queued" == client.retry(job.id).state
    ended = client.wait(job.id, 60)
    assert ("succeeded", 2, 2) == (ended.state, ended.attempt, len(ended.attempts))
    told = [event.state for event in client.events(job.id, after="0") if event.type == "state"]
    assert ["queued", "running", "failed", "queued", "running", "succeeded"] == told
    with pytest.raises(Conflict):
        client.retry(job.id)


def test_jobs_are_erased_by_filter(client: Switchyard) -> None:
    """Rows are gone when the answer comes."""
    job = client.run("maintenance.ping", labels={"erase": "me"}, run_timeout_s=60)
    answer = client.erase_many(labels={"erase": "me"}, confirm=True)
    assert (1, 1) == (answer.matched, answer.changed)
    assert job.id not in {one.id for one in client.jobs()}
