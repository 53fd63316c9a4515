"""Discoveries that an earlier one answers: ended as they are accepted, for whom and what they are."""

from datetime import timedelta
from typing import Any

import pytest

from app.services import Services
from tasks.core.clock import now, rfc3339
from tasks.core.ledger import pauses, queries
from tasks.core.ledger.audit import AT_THE_MACHINE
from tasks.core.ledger.pauses import Scope
from tasks.core.records import is_door
from tasks.discovery.caching import Answers
from tasks.discovery.contract import SITE, TOOLS_NAME, PageSeen, SiteRequest, SiteResult
from tests.app.conftest import Caller, claim, finish

KIND = f"/api/jobs/{SITE}"
URL = "https://shop.example.org/"
RESULT = SiteResult(
    url=URL,
    site="https://shop.example.org",
    goal="tea",
    tools=({"name": "search"},),
    tool_count=1,
    found=1,
    pages=(PageSeen(url=URL, status=200),),
    sources={},
    cost={"total": 0.5, "browser": 0.5},  # type: ignore[arg-type]  # as it is read
)


def asked(by: Caller, *, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    """The job of a discovery as it is after it was accepted."""
    params = {"url": URL, "goal": "tea"} | body.pop("params", {})
    response = by.post(KIND, json={"params": params, **body}, headers=headers or {})
    assert response.status_code in {200, 202}, response.text
    job: dict[str, Any] = response.json
    return job


@pytest.fixture
def first(alice: Caller, services: Services) -> str:
    """A discovery that a worker has ended, and that answers from now on."""
    kernel = services.kernel
    job = claim(kernel, asked(alice)["id"])
    kernel.artifacts.save(job.id, TOOLS_NAME, b"[]", fence=job.fence, attempt=1, media_type="application/json")
    key = Answers(services.answers).key_of(SiteRequest(url=URL, goal="tea"))
    services.answers.remember(job.id, fence=job.fence, key=key, ttl_s=3600)
    finish(kernel, job, result=RESULT.model_dump(mode="json"))
    return job.id


def test_the_same_again_is_answered_without_any_worker(first: str, alice: Caller, services: Services) -> None:
    """As a job of its own that can be seen, with its file, at no cost; and counted."""
    job = asked(alice, params={"url": "https://SHOP.example.org:443/"})
    assert ("succeeded", 1) == (job["state"], job["attempt"])
    assert first != job["id"]
    told = alice.get(f"/api/jobs/{job['id']}").json
    result = told["result"]
    assert (True, first, 0.0) == (result["cache"]["hit"], result["cache"]["job"], result["cost"]["total"])
    assert ([{"name": "search"}], "queue") == (result["tools"], told["backend"])
    assert b"[]" == alice.get(f"/api/jobs/{job['id']}/artifacts/{TOOLS_NAME}").data
    (attempt,) = queries.attempts_of(services.kernel.ledger, job["id"])
    assert is_door(attempt.worker)
    stats = alice.get("/api/discovery/stats").json
    assert (1, {"succeeded": 2}) == (stats["cache"][SITE]["hits"], stats["jobs"][SITE])


def test_who_waits_has_it_at_once(first: str, alice: Caller) -> None:
    """And the same key gives the same job again."""
    headers = {"Prefer": "wait=20", "Idempotency-Key": "k"}
    body = {"params": {"url": URL, "goal": "tea"}}
    once, again = (alice.post(KIND, json=body, headers=headers) for _ in range(2))
    assert [200, 200] == [once.status_code, again.status_code]
    assert once.json["id"] == again.json["id"] != first
    assert "true" == again.headers["Idempotency-Replayed"]
    assert 1 == alice.get("/api/discovery/stats").json["cache"][SITE]["hits"]


@pytest.mark.parametrize(
    "changes",
    [
        {"params": {"force": True}},
        {"params": {"goal": "coffee"}},
        {"params": {"max_tools": 3}},
        {"params": {"use_session": True}},
        {"backend": "queue"},
        {"requires": {"memory_mb": 1}},
        {"not_before": rfc3339(now() + timedelta(hours=1))},
        {"concurrency_key": "one"},
    ],
)
def test_whatever_is_another_question_or_says_where_and_when_waits(
    first: str, alice: Caller, changes: dict[str, Any]
) -> None:
    """For a worker; nothing is counted yet."""
    job = asked(alice, **changes)
    assert ("queued", 0) == (job["state"], job["attempt"])
    assert 0 == alice.get("/api/discovery/stats").json["cache"][SITE]["hits"]


def test_nobody_else_is_answered(first: str, bob: Caller) -> None:
    """Another tenant's discovery is nobody's."""
    assert "queued" == asked(bob)["state"]


@pytest.mark.parametrize("how", ["erased", "forgotten", "file"])
def test_what_is_gone_answers_nothing(first: str, alice: Caller, services: Services, how: str) -> None:
    """Its job, its entry, or its file."""
    if how == "erased":
        assert 204 == alice.delete(f"/api/jobs/{first}").status_code
    elif how == "forgotten":
        assert {"forgotten": 1} == alice.delete("/api/discovery/cache?confirm=true").json
    else:
        services.kernel.artifacts.erase(first)
    assert "queued" == asked(alice)["state"]


def test_sender_hears_of_the_job_whatever_goes_wrong_here(
    first: str, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was accepted before, and goes its way through the queue."""

    def find(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("tasks.core.result_cache.ResultCache.find", find)
    assert "queued" == asked(alice)["state"]


def test_a_paused_kind_waits(first: str, alice: Caller, services: Services) -> None:
    """Also where this process has not heard of the pause yet."""
    pauses.pause(services.kernel.ledger, Scope(kind=SITE), by=AT_THE_MACHINE)
    assert "queued" == asked(alice)["state"]
