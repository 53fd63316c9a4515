"""``/api/calibration/cache`` and what ``/metrics`` tells of it."""

from typing import Any

from app.services import Services
from tasks.core.ledger import cached_results
from tests.app.conftest import Caller, claim, finish

KEY = "a" * 64
PATH = "/api/calibration/cache"


def calibrated(by: Caller, at: Services) -> str:
    """A finished calibration that answers to the key."""
    accepted = by.post("/api/jobs/calibration.va", json={"params": {"use_example": True}}).json
    job = claim(at.kernel, accepted["id"])
    cached_results.remember(at.kernel.ledger, job.id, fence=job.fence, key=KEY)
    cached_results.count_lookup(at.kernel.ledger, job.id, hit=False)
    return finish(at.kernel, job).id


def standing(by: Caller) -> dict[str, Any]:
    found: dict[str, Any] = by.get(PATH).json
    return found


def test_standing_is_the_tenants_own(services: Services, alice: Caller, bob: Caller) -> None:
    """Entries, hits, misses and their rate; nothing of anybody else."""
    job_id = calibrated(alice, services)
    cached_results.count_lookup(services.kernel.ledger, job_id, hit=True)
    mine = standing(alice)
    assert (1, 1, 1, 0.5) == (mine["entries"], mine["hits"], mine["misses"], mine["hit_rate"])
    assert mine["oldest"] == mine["newest"] is not None
    assert {"entries": 0, "hits": 0, "misses": 0, "hit_rate": None, "oldest": None, "newest": None} == standing(bob)


def test_forgetting_must_be_confirmed_and_keeps_jobs(services: Services, alice: Caller, bob: Caller) -> None:
    """And is the tenant's own."""
    job_id = calibrated(alice, services)
    calibrated(bob, services)
    refused = alice.delete(PATH)
    assert (422, "confirmation_required") == (refused.status_code, refused.json["code"])
    assert 1 == standing(alice)["entries"]
    assert {"forgotten": 1} == alice.delete(f"{PATH}?confirm=true").json
    assert (0, 1) == (standing(alice)["entries"], standing(bob)["entries"])
    assert 200 == alice.get(f"/api/jobs/{job_id}").status_code


def test_metrics_count_hits_and_misses(services: Services, alice: Caller, bob: Caller) -> None:
    """Over all tenants."""
    for caller in (alice, bob):
        cached_results.count_lookup(services.kernel.ledger, calibrated(caller, services), hit=True)
    told = alice.get("/metrics").text
    assert 'switchyard_cache_lookups_total{kind="calibration.va",outcome="hit"} 2.0' in told
    assert 'switchyard_cache_lookups_total{kind="calibration.va",outcome="miss"} 2.0' in told
