"""``/api/knowledge``: searched, looked after, indexed anew; each tenant's apart."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.openapi import API
from app.services import Services, services_of
from tasks.core.clock import now
from tasks.core.egress import Egress
from tasks.core.errors import JobCancelled
from tasks.core.kernel import Kernel
from tasks.core.ledger import limits, outbox, queries
from tasks.core.ledger.limits import ALL, Limit
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Job, JobState
from tasks.knowledge.crawled import crawl_of
from tests.app.conftest import Caller, claim, finish, sign_in
from tests.knowledge.house import House, ScriptedModel, documents
from tests.samples import eventually

PATH = "/api/knowledge"


@pytest.fixture
def house(services: Services, alice: Caller, tmp_path: Path) -> House:
    """Alice's knowledge: three documents."""
    house = House(services.kernel.ledger, Tenant(alice.tenant_id, ""), tmp_path, Egress())
    house.update(documents=documents())
    return house


def found(caller: Caller, query: str, **body: Any) -> Any:
    answer = caller.post(f"{PATH}/search", json={"site": "handbook", "query": query} | body)
    assert 200 == answer.status_code, answer.text
    return answer.json


def test_a_site_is_searched(house: House, alice: Caller) -> None:
    """The passage, where it stands, and which of its words were asked for."""
    answer = found(alice, "What may a hotel cost?", include_meta=True)
    assert (1, [], False) == (answer["version"], answer["failed"], answer["is_cached"])
    best = answer["results"][0]
    expected = {
        "score": 1.0,
        "places": {"lexical": 1, "vector": 1},
        "document_id": "travel",
        "url": "https://handbook.example/travel",
        "heading": "Travel > Hotels",
    }
    assert expected == {key: best[key] for key in expected}
    text = next(one["text"] for one in documents() if one["id"] == "travel")
    assert best["text"] == text[best["start"] : best["end"]]
    assert ["Hotels", "hotel", "may", "cost"] == [best["text"][begin:end] for begin, end in best["highlights"]]
    assert {"language", "updated_at", "chunk"} == set(best["meta"])


def test_searches_are_bounded(house: House, alice: Caller, bob: Caller) -> None:
    """By number, score, pages and mode; what is malformed is refused; another's site is not found."""
    assert 1 == len(found(alice, "tea or hotel", top_k=1)["results"])
    assert [] == found(alice, "tea", threshold=1.0, filters={"document_ids": ["travel"]})["results"][1:]
    filtered = found(alice, "tea hotel holidays", filters={"url_prefix": "https://handbook.example/te"})["results"]
    assert {"tea"} == {one["document_id"] for one in filtered}
    for year, number in ((2000, True), (2999, False)):
        assert number == bool(found(alice, "tea", filters={"updated_after": f"{year}-01-01T00:00:00Z"})["results"])
    assert [None] == [one["similarity"] for one in found(alice, "kettle", mode="lexical")["results"]]
    assert "tea" == found(alice, "green tea", rerank=True)["results"][0]["document_id"]
    for wrong in (
        {"query": ""},
        {"top_k": 51},
        {"threshold": 2},
        {"site": "No"},
        {"filters": {"x": 1}},
        {"mode": "x"},
        {"filters": {"updated_after": 5}},
    ):
        assert 422 == alice.post(f"{PATH}/search", json={"site": "handbook", "query": "x"} | wrong).status_code, wrong
    assert 404 == bob.post(f"{PATH}/search", json={"site": "handbook", "query": "x"}).status_code
    assert (404, 404) == (
        bob.get(f"{PATH}/status?site=handbook").status_code,
        bob.post(f"{PATH}/reindex", json={"site": "handbook"}).status_code,
    )


def test_a_site_is_named_as_hosts_are(house: House, alice: Caller) -> None:
    """As a crawl of it does: by IPv6 and port, a private network's name, or whatever an address may be written with."""
    for site in ("[::1]:8000", "my_app:8000", "r&d!.example", "-a(b)*.example:81", "~it's,$+=;`{\"}"):
        crawl = crawl_of(site, {"start_url": f"http://{site}/"}, finished_at=now())
        house.update(site=crawl.site, documents=documents())
        assert found(alice, "kettle", site=site)["results"]
        assert 200 == alice.get(f"{PATH}/status", query_string={"site": site}).status_code
        assert 202 == alice.post(f"{PATH}/reindex", json={"site": site}).status_code


def test_a_site_that_cannot_be_one_is_refused_in_words(alice: Caller) -> None:
    """With what it may be and an example, wherever it is named."""
    for answer in (
        alice.post(PATH + "/search", json={"site": "My Site", "query": "kettle"}),
        alice.post("/api/jobs/knowledge.update", json={"params": {"site": "docs/x", "deletes": ["a"]}}),
        alice.post("/api/jobs/knowledge.update", json={"params": {"crawl_job_id": "nonsense"}}),
        alice.post("/api/jobs/crawling.site", json={"params": {"url": "http://a.example/", "since": "first"}}),
        alice.post("/api/jobs/publishing.site", json={"params": {"site": "My Site", "files": []}}),
    ):
        told = {one["field"].removeprefix("params."): one["message"] for one in answer.json["errors"]}
        field, words = next((name, one) for name, one in told.items() if name in ("site", "crawl_job_id", "since"))
        assert (422, "^" not in words, "such as" in words) == (answer.status_code, True, True), field


def test_an_answer_is_given_again_until_something_changes(house: House, alice: Caller, services: Services) -> None:
    """Whoever changes it tells, and the next search finds what is new."""
    assert not found(alice, "kettle")["is_cached"]
    assert found(alice, "kettle")["is_cached"]
    job = house.job()
    job.cancel_after = 1
    with pytest.raises(JobCancelled):  # what it has kept stays
        house.update(job, documents=documents(tea="The kettle is gone. There is a samovar."))
    outbox.number(services.kernel.ledger)
    assert eventually(lambda: not found(alice, "kettle")["is_cached"])
    assert "samovar" in found(alice, "kettle")["results"][0]["text"]


def by_vectors(caller: Caller, query: str) -> Any:
    """Search by vectors alone."""
    return caller.post(f"{PATH}/search", json={"site": "handbook", "query": query, "mode": "vector"})


def waiting(kernel: Kernel, tenant_id: str) -> list[Job]:
    wanted = queries.Filter(tenant_id, states=(JobState.QUEUED,), kind="knowledge.embed")
    return queries.listing(kernel.ledger, wanted, limit=9).jobs


def embed_next(kernel: Kernel, tenant_id: str, model: ScriptedModel, *, before: int) -> Job:
    """Do what a worker would with the job that a search waits for, and return it."""
    assert eventually(lambda: len(waiting(kernel, tenant_id)) > before)
    job = claim(kernel, waiting(kernel, tenant_id)[0].id)
    vector = model.embed_texts([job.request["items"][0]["content"]])[0].astype("<f4").tobytes()
    return finish(kernel, job, result={"vectors": [{"vector": base64.b64encode(vector).decode()}]})


def test_a_query_is_embedded_by_a_worker(
    house: House, alice: Caller, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once; without one in time the words answer, and the answer says what is missing."""
    house.embedder = model = ScriptedModel()
    house.reindex()
    monkeypatch.setattr("app.knowledge._EMBED_WAIT_S", 0.05)
    answer = found(alice, "kettle")
    assert ["vector"] == [one["retriever"] for one in answer["failed"]]
    assert ("tea", "scripted") == (answer["results"][0]["document_id"], answer["model"])
    asked = len(waiting(services.kernel, alice.tenant_id))
    assert ["vector"] == [one["retriever"] for one in found(alice, "samovar")["failed"]]
    assert asked == len(waiting(services.kernel, alice.tenant_id))
    refused = by_vectors(alice, "kettle")
    assert (503, "model_away", "10") == (refused.status_code, refused.json["code"], refused.headers["Retry-After"])
    assert "No worker embedded the query" in refused.json["detail"]

    monkeypatch.setattr("app.knowledge_desk.AWAY_S", 0.0)
    services.knowledge._away.clear()
    monkeypatch.setattr("app.knowledge._EMBED_WAIT_S", 30.0)
    with ThreadPoolExecutor(1) as worker:
        before = len(waiting(services.kernel, alice.tenant_id))
        work = worker.submit(embed_next, services.kernel, alice.tenant_id, model, before=before)
        answer = found(alice, "kettle")
        job = work.result()
    assert job.expires_at is not None
    assert (95, 30) == (job.priority, (job.expires_at - job.created_at).total_seconds())
    assert ([], 1) == (answer["failed"], answer["results"][0]["places"].get("lexical"))
    monkeypatch.setattr("app.knowledge_desk.AWAY_S", 60.0)
    with ThreadPoolExecutor(1) as worker:  # whose endpoint has changed the length of its vectors meanwhile
        before = len(waiting(services.kernel, alice.tenant_id))
        shorter = ScriptedModel(dimensions=4)
        work = worker.submit(embed_next, services.kernel, alice.tenant_id, shorter, before=before)
        (failed,) = found(alice, "samovar")["failed"]
        work.result()
    assert "gives 4 numbers now, and the site has 6" in failed["reason"]
    refused = by_vectors(alice, "samovar")
    assert (409, "other_model") == (refused.status_code, refused.json["code"])
    monkeypatch.setattr("app.knowledge.accept_job", lambda *_: pytest.fail("asked twice"))
    assert [] == found(alice, "kettle", top_k=3)["failed"]


@pytest.mark.parametrize(("setting", "timeout_s"), [("minilm", 120), ("endpoint:scripted", 5)])
def test_no_worker_waits_longer_for_an_endpoint_than_the_search(
    make_app: Callable[..., API], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, timeout_s: int
) -> None:
    """Weights are loaded once, however long that takes."""
    app = make_app(knowledge_model=setting, knowledge_url="http://127.0.0.1:9")
    alice, kernel = sign_in(app, "alice"), services_of(app).kernel
    house = House(kernel.ledger, Tenant(alice.tenant_id, ""), tmp_path, Egress(), embedder=ScriptedModel(setting))
    house.update(documents=documents())
    monkeypatch.setattr("app.knowledge.wait_for_end", lambda _at, job, _wait_s: job)
    assert ["vector"] == [one["retriever"] for one in found(alice, "kettle")["failed"]]
    (job,) = waiting(kernel, alice.tenant_id)
    assert timeout_s == job.timeout_s


def test_a_quota_takes_only_the_vectors(house: House, alice: Caller, services: Services) -> None:
    """Where no job may be made to embed the query, the words answer, and the answer says why."""
    house.embedder = ScriptedModel()
    house.reindex()
    limits.set_limit(services.kernel.ledger, Limit(alice.tenant_id, ALL, most_a_day=1))
    for _ in range(2):
        answer = found(alice, "kettle")
        assert ("tea", False) == (answer["results"][0]["document_id"], answer["is_cached"])
        (failed,) = answer["failed"]
        assert ("vector", True) == (failed["retriever"], failed["reason"].startswith("over_quota: "))
    refused = by_vectors(alice, "kettle")
    assert (429, "over_quota") == (refused.status_code, refused.json["code"])
    assert [] == waiting(services.kernel, alice.tenant_id)


def test_the_status_tells_how_sites_stand(house: House, alice: Caller, bob: Caller) -> None:
    """With their jobs, and what searches took."""
    found(alice, "kettle")
    status = alice.get(f"{PATH}/status").json
    site = status["sites"][0]
    expected = {"site": "handbook", "version": 1, "pages": 3, "tombstones": 0, "pending": 0, "flags": []}
    assert expected == {key: site[key] for key in expected}
    assert (1, {"running": 1}) == (status["searches"]["count"], status["jobs"]["knowledge.update"])
    house.embedder = ScriptedModel()  # not what the settings name
    house.update(delete=["tea", "travel", "holidays"])
    assert ["empty", "other_model"] == alice.get(f"{PATH}/status?site=handbook").json["sites"][0]["flags"]
    assert [] == bob.get(f"{PATH}/status").json["sites"]


def test_the_status_tells_when_pages_are_due(house: House, alice: Caller) -> None:
    """As the crawl has found that was taken in last."""
    assert alice.get(f"{PATH}/status").json["sites"][0]["revisit"] is None
    due = {"pages": 1, "next_due_at": "2026-11-23T18:25:00Z", "shortest_s": 60, "median_s": 60, "longest_s": 60}
    crawl = house.crawl(("https://docs.example/a", "A"), revisit=due)
    house.update(site=None, crawl_job_id=crawl)
    site = alice.get(f"{PATH}/status?site=docs.example").json["sites"][0]
    assert (due, crawl) == (site["revisit"], site["crawl_job_id"])


def test_a_reindex_is_a_job(house: House, alice: Caller, services: Services) -> None:
    """With the priority that was asked for; the same key makes one."""
    body = {"site": "handbook", "mode": "full", "priority": "high"}
    answer = alice.post(f"{PATH}/reindex", json=body, headers={"Idempotency-Key": "k"})
    assert (202, "knowledge.reindex", 80) == (answer.status_code, answer.json["kind"], answer.json["priority"])
    again = alice.post(f"{PATH}/reindex", json=body, headers={"Idempotency-Key": "k"})
    assert answer.json["id"] == again.json["id"]
