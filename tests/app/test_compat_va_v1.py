"""The older VA calibration service's paths under ``/api/v1``: progress, pages, retry, cache, health, metrics."""

from typing import Any

import pytest

from app.services import Services
from tasks.core.ledger import cached_results, queries
from tasks.core.records import JobState
from tests.app.conftest import Caller, add_worker, claim, finish
from tests.app.test_compat_va import created, failed, job_of, succeeded


def test_status_is_literal(services: Services, alice: Caller) -> None:
    """Progress in steps, metadata, log, summary, error."""
    job_id = created(alice, priority=7, timeout_minutes=10)
    claim(services.kernel, job_id)
    status = alice.get(f"/api/v1/calibrate/{job_id}/status").json
    assert {"job_id", "status", "progress", "metadata", "logs", "result_summary", "error_details"} == set(status)
    steps = {"current_step": 0, "total_steps": 5, "step_name": "Queued", "progress_percentage": 0.0}
    assert steps | {"estimated_completion": None} == status["progress"]
    metadata = status["metadata"]
    assert ("calibration", 7, 0, 4) == tuple(
        metadata[name] for name in ("job_type", "priority", "retry_count", "max_retries")
    )
    assert metadata["timeout_at"] > metadata["started_at"] >= metadata["created_at"]
    assert (None, [], None, None) == tuple(
        (metadata | status)[name] for name in ("completed_at", "logs", "result_summary", "error_details")
    )


def test_status_of_the_end_has_a_summary_or_an_error(services: Services, alice: Caller) -> None:
    """Neither has both."""
    done = alice.get(f"/api/v1/calibrate/{succeeded(services, alice)}/status").json
    summary = done["result_summary"]
    assert (2, "neonate", "Mozambique") == tuple(
        summary[name] for name in ("algorithms_processed", "age_group", "country")
    )
    assert (5, 100.0, None) == (
        done["progress"]["current_step"],
        done["progress"]["progress_percentage"],
        done["error_details"],
    )
    broken = alice.get(f"/api/v1/calibrate/{failed(services, alice, 'engine_error')}/status").json
    assert {"error_type": "engine_error", "error_message": "It broke."} == broken["error_details"]
    assert broken["result_summary"] is None


def test_result_comes_with_success_alone(services: Services, alice: Caller) -> None:
    """409 while it goes on, 404 when there is none."""
    reply = alice.get(f"/api/v1/calibrate/{succeeded(services, alice)}/result").json
    assert {"job_id", "status", "result", "metadata", "cache_info"} == set(reply)
    assert {"insilicova", "ensemble"} == set(reply["result"]["calibrated"])
    assert 409 == alice.get(f"/api/v1/calibrate/{created(alice)}/result").status_code
    assert 404 == alice.get(f"/api/v1/calibrate/{failed(services, alice, 'engine_error')}/result").status_code


def test_cancel_says_what_became_of_it(services: Services, alice: Caller) -> None:
    """A queued job at once, a running one when it stops."""
    assert "cancelled" == alice.delete(f"/api/v1/calibrate/{created(alice)}").json["status"]
    running = claim(services.kernel, created(alice)).id
    assert "running" == alice.delete(f"/api/v1/calibrate/{running}").json["status"]


def test_pages_have_filters_and_true_totals(services: Services, alice: Caller, bob: Caller) -> None:
    """By state, country and time."""
    kenya = [created(alice, country="Kenya") for _ in range(3)]
    mali = succeeded(services, alice, country="Mali")
    created(bob, country="Kenya")
    first = alice.get("/api/v1/jobs?country=Kenya&page_size=2").json
    assert (kenya[:0:-1], 3, True) == (
        [job["job_id"] for job in first["jobs"]],
        first["total_count"],
        first["has_next"],
    )
    second = alice.get("/api/v1/jobs?country=Kenya&page_size=2&page=2").json
    assert (kenya[:1], False, 2) == ([job["job_id"] for job in second["jobs"]], second["has_next"], second["page"])
    for query in ("status=success", "country=Mali", "age_group=neonate&country=Mali"):
        assert [mali] == [job["job_id"] for job in alice.get(f"/api/v1/jobs?{query}").json["jobs"]]
    for query in ("age_group=child", "created_after=2099-01-01T00:00:00Z", "created_before=2001-01-01T00:00:00Z"):
        assert 0 == alice.get(f"/api/v1/jobs?{query}").json["total_count"]


def test_retry_takes_a_new_priority_and_limit(services: Services, alice: Caller) -> None:
    """Without them the job keeps its own; the hard limit moves with the soft one."""
    job_id = failed(services, alice, "engine_error")
    before = job_of(services, job_id)
    answer = alice.post(f"/api/v1/jobs/{job_id}/retry?new_priority=10&new_timeout=3")
    assert (200, "pending") == (answer.status_code, answer.json["status"])
    after = job_of(services, job_id)
    assert (JobState.QUEUED, 100, 180.0) == (after.state, after.priority, after.timeout_s)
    assert before.hard_limit_s - before.timeout_s == after.hard_limit_s - after.timeout_s
    assert 409 == alice.post(f"/api/v1/jobs/{job_id}/retry?new_priority=1").status_code
    assert 100 == job_of(services, job_id).priority
    other = failed(services, alice, "engine_error")
    alice.post(f"/api/v1/jobs/{other}/retry")
    kept = job_of(services, other)
    assert (before.priority, before.timeout_s) == (kept.priority, kept.timeout_s)


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/cache"])
def test_clearing_must_be_confirmed(services: Services, alice: Caller, path: str) -> None:
    """422 names the parameter, and nothing is done."""
    job_id = succeeded(services, alice)
    answer = alice.delete(path)
    assert (422, "confirmation_required", "confirm") == (
        answer.status_code,
        answer.json["error_code"],
        answer.json["field"],
    )
    assert 200 == alice.get(f"/jobs/{job_id}").status_code


def test_clearing_jobs_erases_the_ended_calibrations_of_the_tenant(
    services: Services, alice: Caller, bob: Caller
) -> None:
    """Not those that go on, no other kinds, nobody else's."""
    gone, kept, theirs, ping = (
        succeeded(services, alice),
        created(alice),
        succeeded(services, bob),
        alice.submit()["id"],
    )
    assert 1 == alice.delete("/api/v1/jobs?confirm=true").json["count"]
    there = {job_id: queries.job(services.kernel.ledger, job_id) is not None for job_id in (gone, kept, theirs, ping)}
    assert {gone: False, kept: True, theirs: True, ping: True} == there


def cached(at: Services, by: Caller, key: str, **more: Any) -> str:
    job = claim(at.kernel, created(by, **more))
    cached_results.remember(at.kernel.ledger, job.id, fence=job.fence, key=key * 64)
    return finish(at.kernel, job).id


def test_cache_is_told_and_cleared_by_country(services: Services, alice: Caller, bob: Caller) -> None:
    """A filter clears what it names and no more."""
    cached(services, alice, "a", country="Mali")
    job_id = cached(services, alice, "b", country="Kenya")
    cached(services, bob, "a")
    for hit in (True, False, False, False):
        cached_results.count_lookup(services.kernel.ledger, job_id, hit=hit)
    told = alice.get("/api/v1/cache").json
    assert (2, 25.0, 1, 3) == tuple(told[name] for name in ("total_cached_results", "cache_hit_rate", "hits", "misses"))
    assert told["oldest_cached_result"] < told["newest_cached_result"]
    assert 1 == alice.delete("/api/v1/cache?confirm=true&country=Mali").json["count"]
    assert 1 == alice.delete("/api/v1/cache?confirm=true").json["count"]
    assert 1 == bob.get("/api/v1/cache").json["total_cached_results"]


def test_health_tells_workers_and_redis_truly(services: Services, alice: Caller) -> None:
    """No worker with R, no Redis: degraded."""
    created(alice)
    told = alice.get("/api/v1/health").json
    assert ("degraded", "unhealthy", "no_workers", 0) == tuple(
        told[name] for name in ("status", "redis", "celery", "workers")
    )
    assert {"pending_jobs": 1, "running_jobs": 0, "cached_results": 0} == told["queue_stats"]
    add_worker(services.kernel, queues=("ai",))


def test_metrics_are_counted(services: Services, alice: Caller) -> None:
    """Rates of what has ended, in percent; null where nothing has."""
    empty = alice.get("/api/v1/metrics?time_range=1h").json
    rates = ("success_rate", "error_rate", "average_duration_seconds", "cache_hit_rate")
    assert (0, [None] * 4) == (empty["total_jobs"], [empty[name] for name in rates])
    created(alice)
    for _ in range(3):
        succeeded(services, alice)
    failed(services, alice, "timeout")
    told = alice.get("/api/v1/metrics").json
    assert ("24h", 5, 75.0, 25.0, {"timeout": 1}) == tuple(
        told[name] for name in ("time_range", "total_jobs", "success_rate", "error_rate", "errors")
    )
    assert told["average_duration_seconds"] >= 0
