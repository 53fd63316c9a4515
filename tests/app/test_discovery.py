"""``/api/discovery``: domains, statistics, costs, and a budget that stops."""

from collections.abc import Callable
from typing import Any

import pytest

from app.openapi import API
from app.services import Services, services_of
from tasks.core.ledger import cached_results, costs, queries
from tasks.core.ledger.cached_results import Bounds
from tasks.core.ledger.costs import Budget
from tasks.core.records import JobState
from tests.app.conftest import Caller, claim, finish, sign_in

KIND = "/api/jobs/discovery.site"
URL = "https://shop.example.org/"


def discovered(by: Caller, at: Services, *, amount: float | None, method: str = "discovery.site") -> str:
    """A running discovery that has cost so much."""
    accepted = by.post(KIND, json={"params": {"url": URL}})
    assert 202 == accepted.status_code, accepted.text
    job = claim(at.kernel, accepted.json["id"])
    costs.keep(at.kernel.ledger, job.id, fence=job.fence, method=method, amount=amount, budget=Budget())
    return job.id


def remembered(by: Caller, at: Services, keys: str, *, at_most: int) -> None:
    """Discoveries that have ended and answer, each to a key of its own, as far as there is room."""
    for key in keys:
        job = queries.job(at.kernel.ledger, discovered(by, at, amount=None))
        assert job is not None
        bounds = Bounds(60.0, at_most)
        cached_results.remember(at.kernel.ledger, job.id, fence=job.fence, key=key * 64, bounds=bounds)
        finish(at.kernel, job)


def test_presets_can_be_submitted_as_they_are(alice: Caller) -> None:
    """Each request is the params of a job that is accepted."""
    told = alice.get("/api/discovery/presets").json
    assert (2, 7) == (told["parallel_limit"], len(told["presets"]))
    first = told["presets"][0]
    assert (1, True, 5, 5) == (
        first["priority"],
        first["is_high_priority"],
        len(first["sites"]),
        len(first["requests"]),
    )
    body = {"params": first["requests"][0], "priority": first["job_priority"], "labels": {"domain": first["name"]}}
    accepted = alice.post(KIND, json=body)
    assert 202 == accepted.status_code


def test_presets_can_be_the_important_ones_and_look_past_the_cache(alice: Caller) -> None:
    """Both are said in the query."""
    told = alice.get("/api/discovery/presets?high_priority_only=true&force=true").json["presets"]
    assert {1, 2} == {one["priority"] for one in told}
    assert all(request["force"] for one in told for request in one["requests"])


def test_stats_are_the_tenants_own(services: Services, alice: Caller, bob: Caller) -> None:
    """Hits, misses and evictions by kind, and jobs by state."""
    job_id = discovered(alice, services, amount=0.1)
    ledger = services.kernel.ledger
    remembered(alice, services, "abcd", at_most=1)
    cached_results.count_lookup(ledger, job_id, hit=True)
    cached_results.count_lookup(ledger, job_id, hit=False)
    told = alice.get("/api/discovery/stats").json
    mine = told["cache"]["discovery.site"]
    assert (1, 1, 0.5, 3) == (mine["hits"], mine["misses"], mine["hit_rate"], mine["evictions"])
    assert (1, 499) == (mine["entries"], mine["remaining"])
    assert ({"running": 1, "succeeded": 4}, 500, 86_400) == (
        told["jobs"]["discovery.site"],
        told["cache_limit"],
        told["cache_s"],
    )
    others = bob.get("/api/discovery/stats").json
    assert ({}, 0, None) == (
        others["jobs"]["discovery.site"],
        others["cache"]["discovery.site"]["hits"],
        others["cache"]["discovery.site"]["hit_rate"],
    )


def test_answers_are_forgotten_once_that_is_confirmed(services: Services, alice: Caller, bob: Caller) -> None:
    """Of this tenant; what was counted stays."""
    remembered(alice, services, "ab", at_most=5)
    remembered(bob, services, "a", at_most=5)
    refused = alice.delete("/api/discovery/cache")
    assert (422, "confirmation_required") == (refused.status_code, refused.json["code"])
    assert "2 earlier discoveries" in refused.json["detail"]
    assert {"forgotten": 2} == alice.delete("/api/discovery/cache?confirm=true").json
    entries = [by.get("/api/discovery/stats").json["cache"]["discovery.site"]["entries"] for by in (alice, bob)]
    assert [0, 1] == entries
    assert {"succeeded": 2} == alice.get("/api/discovery/stats").json["jobs"]["discovery.site"]


def test_metrics_tell_evictions(services: Services, alice: Caller) -> None:
    """Over all tenants."""
    remembered(alice, services, "abc", at_most=1)
    assert 'switchyard_cache_evictions_total{kind="discovery.site"} 2.0' in alice.get("/metrics").text


def test_costs_are_summed_by_method(services: Services, alice: Caller, bob: Caller) -> None:
    """Of the month; what is not known is said."""
    discovered(alice, services, amount=0.25)
    discovered(alice, services, amount=0.75)
    discovered(alice, services, amount=None, method="discovery.run by http")
    told = alice.get("/api/discovery/costs").json
    assert (3, 1.0, 0.5, 1, "USD", None) == (
        told["count"],
        told["total"],
        told["mean"],
        told["unknown"],
        told["currency"],
        told["budget"],
    )
    assert {"count": 2, "total": 1.0, "mean": 0.5, "unknown": 0} == told["by_method"]["discovery.site"]
    assert {"count": 1, "total": 0.0, "mean": None, "unknown": 1} == told["by_method"]["discovery.run by http"]
    assert 0 == alice.get("/api/discovery/costs?month=2020-02").json["count"]
    assert 0 == bob.get("/api/discovery/costs").json["count"]


@pytest.mark.parametrize("month", ["2026-13", "2026", "next", "2026-00"])
def test_what_is_no_month_is_refused(alice: Caller, month: str) -> None:
    """Named as the field that it is."""
    refused = alice.get(f"/api/discovery/costs?month={month}")
    assert (422, "input_rejected") == (refused.status_code, refused.json["code"])


def app_with(make_app: Callable[..., API], **settings: Any) -> tuple[Caller, Services]:
    app = make_app(**settings)
    return sign_in(app, "alice"), services_of(app)


def test_a_used_up_budget_stops_new_discoveries_only(make_app: Callable[..., API]) -> None:
    """With a problem that names the remedy; tools that were found can still be run."""
    alice, at = app_with(make_app, discovery_budget=1.0, discovery_budget_stop=True)
    discovered(alice, at, amount=0.9)
    first, keyed = {"json": {"params": {"url": URL}}}, {"headers": {"Idempotency-Key": "k"}}
    failed = alice.post(KIND, **first, **keyed).json["id"]
    finish(at.kernel, claim(at.kernel, failed), state=JobState.FAILED, cause="x", result=None)
    discovered(alice, at, amount=0.2)
    assert failed == alice.post(KIND, **first, **keyed).json["id"]
    assert 402 == alice.post(KIND, **first, headers={"Idempotency-Key": "new"}).status_code
    assert 402 == alice.post(f"/api/jobs/{failed}/retry").status_code
    retries = [alice.post(f"/api/jobs/retry?confirm=true{kind}") for kind in ("", "&kind=discovery.site", "&kind=x")]
    assert [402, 402, 200] == [retry.status_code for retry in retries]
    assert "failed" == alice.get(f"/api/jobs/{failed}").json["state"]
    refused = alice.post(KIND, json={"params": {"url": URL}})
    assert (402, "budget_exhausted") == (refused.status_code, refused.json["code"])
    assert "SWITCHYARD_DISCOVERY_BUDGET" in refused.json["detail"]
    one = {"url": URL, "goal": "search"}
    assert 402 == alice.post("/api/jobs", json={"kind": "discovery.tool", "params": one}).status_code
    assert 202 == alice.post("/api/jobs/discovery.run", json={"params": {"tool_id": "x"}}).status_code
    assert 202 == alice.post("/api/jobs/maintenance.ping", json={}).status_code
    told = alice.get("/api/discovery/costs").json
    assert (1.0, 110.0, True) == (told["budget"], told["used_percent"], told["stops"])


def test_a_used_up_budget_without_a_stop_only_tells(make_app: Callable[..., API]) -> None:
    """The work goes on."""
    alice, at = app_with(make_app, discovery_budget=1.0)
    discovered(alice, at, amount=5.0)
    assert 202 == alice.post(KIND, json={"params": {"url": URL}}).status_code
