"""What a submission may require of its worker, and how it is told that nobody meets it."""

from typing import Any

import pytest

from app.services import Services
from tasks.core.ids import new_id
from tasks.core.matching import Offers
from tests.app.conftest import PING, Caller, add_worker, claim


def submit(caller: Caller, **body: Any) -> dict[str, Any]:
    answer = caller.post(PING, json={"params": {"message": "hi"}, **body})
    assert answer.status_code == 202, answer.text
    record: dict[str, Any] = answer.json
    return record


def offering(**offers: Any) -> Offers:
    return Offers(queues=["maintenance"], kinds=["maintenance.ping"], direct=True, **offers)


def look_again(services: Services) -> None:
    services.workers._read_at = float("-inf")


def test_what_nobody_can_run_says_so_at_once(alice: Caller, services: Services) -> None:
    """In the first answer: what is missing, in a word and in a sentence; and no more once somebody fits."""
    add_worker(services.kernel, offers=offering(labels=["eu"], memory_mb=1000))
    record = submit(alice, requires={"labels": ["gpu"], "memory_mb": 500, "chromium": True})
    words = "The only live worker of the queue maintenance does not offer: the label gpu."
    assert ("label:gpu", words) == (record["waiting_for"], record["blocked"])
    assert {"chromium": True, "labels": ["gpu"], "memory_mb": 500} == record["requires"]
    assert record["queue_position"] is None
    add_worker(services.kernel, name="maintenance@other#b", offers=offering(labels=["gpu"], memory_mb=1000))
    look_again(services)
    seen = alice.get(f"/api/jobs/{record['id']}").json
    assert (None, None) == (seen["waiting_for"], seen["blocked"])


def test_queues_count_what_is_unmatched_by_requirement(alice: Caller, services: Services) -> None:
    """Jobs that somebody can run are not among them, nor those that need nothing."""
    add_worker(services.kernel, offers=offering(labels=["eu"]))
    for requires in ({"labels": ["gpu"]}, {"labels": ["gpu", "eu"]}, {"cpus": 8}, {"labels": ["eu"]}, {}, None):
        submit(alice, requires=requires)
    (queue,) = [one for one in alice.get("/api/queues").json["queues"] if one["queue"] == "maintenance"]
    assert ({"cpus:8": 1, "label:gpu": 2}, 6) == (queue["unmatched"], queue["waiting"])


def test_words_for_jobs_that_require_nothing(alice: Caller) -> None:
    """The same field tells why they wait."""
    record = submit(alice)
    words = "No live worker serves the queue maintenance."
    assert ("queue:maintenance", words, None) == (record["waiting_for"], record["blocked"], record["requires"])
    kept_back = submit(alice, concurrency_key="k")
    assert ("limit", True) == (kept_back["waiting_for"], kept_back["blocked"].startswith("A limit"))


def test_workers_tell_what_they_offer_and_whether_it_is_for_you(alice: Caller, bob: Caller, services: Services) -> None:
    """A worker of a few tenants names none of them."""
    own = offering(labels=["gpu"], memory_mb=2000, cpus=4, tenants=[alice.tenant_id])
    add_worker(services.kernel, offers=own)
    (mine,), (theirs,) = (caller.get("/api/workers").json["workers"] for caller in (alice, bob))
    told = {"queues": ["maintenance"], "labels": ["gpu"], "memory_mb": 2000, "cpus": 4, "restricted": True}
    assert told == {name: mine[name] for name in told}
    assert (True, False) == (mine["serves_you"], theirs["serves_you"])
    assert alice.tenant_id not in str(theirs)
    assert (None, "queue:maintenance") == (submit(alice)["waiting_for"], submit(bob)["waiting_for"])
    assert "tenant" == submit(bob, requires={})["waiting_for"]


def test_job_is_placed_where_another_was(alice: Caller, bob: Caller, services: Services) -> None:
    """One of your own; while it has not run, the follow-up waits for it."""
    add_worker(services.kernel, offers=offering())
    parent = submit(alice)["id"]
    child = submit(alice, requires={"same_worker_as": parent})
    assert f"same_worker_as:{parent}" == child["waiting_for"]
    claim(services.kernel, parent)
    assert alice.get(f"/api/jobs/{child['id']}").json["waiting_for"] is None
    for caller, named in ((bob, parent), (alice, new_id())):
        refused = caller.post(PING, json={"params": {}, "requires": {"same_worker_as": named}})
        assert (422, "requires.same_worker_as") == (refused.status_code, refused.json["errors"][0]["field"])


@pytest.mark.parametrize(
    ("kind", "requires", "field"),
    [
        ("maintenance.ping", {"gpu": True}, "requires.gpu"),
        ("maintenance.ping", {"memory_mb": 0}, "requires.memory_mb"),
        ("maintenance.ping", {"labels": ["a b"]}, "requires.labels.0"),
        ("calibration.va", {"r": False}, "requires.r"),
    ],
)
def test_what_cannot_be_required_is_refused(alice: Caller, kind: str, requires: dict[str, Any], field: str) -> None:
    """Also to forbid what the kind needs."""
    params = {"use_example": True} if kind == "calibration.va" else {}
    refused = alice.post(f"/api/jobs/{kind}", json={"params": params, "requires": requires})
    assert (422, field) == (refused.status_code, refused.json["errors"][0]["field"])


def test_what_the_kind_needs_is_required_too(alice: Caller) -> None:
    """So that the worker that is chosen can run it."""
    body = {"params": {"use_example": True}, "requires": {"labels": ["gpu"]}}
    record = alice.post("/api/jobs/calibration.va", json=body).json
    assert {"labels": ["gpu"], "r": True} == record["requires"]


def test_another_requirement_under_one_key_is_another_request(alice: Caller) -> None:
    """And the same one is answered with the first job."""
    answers = [
        alice.post(PING, json={"params": {}, "requires": requires}, headers={"Idempotency-Key": "k"})
        for requires in ({"cpus": 2}, {"cpus": 2}, {"cpus": 3})
    ]
    assert [202, 202, 422] == [answer.status_code for answer in answers]
