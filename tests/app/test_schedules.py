"""Schedules over HTTP: made, refused field by field, listed, changed, run and deleted."""

from datetime import datetime, timedelta
from typing import Any

from app.services import Services
from tasks.core.clock import now
from tasks.core.ledger import limits, schedules
from tasks.core.ledger.limits import Limit
from tests.app.conftest import Caller

PATH = "/api/schedules"
PING = {"kind": "maintenance.ping", "params": {"message": "hi"}}
NIGHTLY = {"cron": "30 2 * * *", "time_zone": "Africa/Maputo"}
SECRET = f"whsec_{'a' * 32}"
UPLOADED = {
    "kind": "publishing.site",
    "params": {"site": "x", "source": {"upload": "01a20666-5283-742b-be49-c43e7979da09"}},
}
DELTA = {
    "kind": "crawling.site",
    "params": {"url": "https://example.org/", "since": "last"},
    "unique_key": "example.org",
}


def made(alice: Caller, **body: Any) -> dict[str, Any]:
    """Make a schedule and return its record."""
    response = alice.post(PATH, json={"job": PING, **(body or NIGHTLY)})
    assert response.status_code == 201, response.text
    record: dict[str, Any] = response.json
    assert response.headers["Location"] == record["links"]["self"]
    return record


def test_schedule_is_made_shown_and_listed(alice: Caller, bob: Caller) -> None:
    """As it was sent, with its next tick; nobody else sees it."""
    record = made(alice, **NIGHTLY, job=DELTA, name="news", catch_up="skip")
    assert ("news", "30 2 * * *", "Africa/Maputo", None, "skip", True, DELTA) == tuple(
        record[name] for name in ("name", "cron", "time_zone", "every_s", "catch_up", "enabled", "job")
    )
    tick = datetime.fromisoformat(record["next_at"])
    assert now() < tick <= now() + timedelta(days=1)
    assert (0, 30) == (tick.hour, tick.minute)
    assert record == alice.get(record["links"]["self"]).json
    assert [record] == alice.get(PATH).json["schedules"]
    assert [] == bob.get(PATH).json["schedules"]
    asked = [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/run")]
    where = record["links"]["self"]
    assert [404] * 4 == [bob.open(method, f"{where}{rest}", json={}).status_code for method, rest in asked]


def test_list_goes_page_by_page(alice: Caller) -> None:
    """By the cursor of the page before; the last page has none."""
    ids = [made(alice, every_s=60, enabled=number != 1)["id"] for number in range(3)]
    page = alice.get(f"{PATH}?limit=2").json
    rest = alice.get(f"{PATH}?limit=2&cursor={page['next_cursor']}").json
    assert ids[::-1] == [one["id"] for one in page["schedules"] + rest["schedules"]]
    assert rest["next_cursor"] is None
    assert [ids[1]] == [one["id"] for one in alice.get(f"{PATH}?enabled=false").json["schedules"]]


REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["cron"]),
    ({"cron": "* * * * *", "every_s": 60}, ["cron"]),
    ({"cron": "61 * * * *"}, ["cron"]),
    ({"cron": "0 0 30 2 *"}, ["cron"]),
    ({"cron": "* * * * *", "time_zone": "Mars/Olympus"}, ["time_zone"]),
    ({"every_s": 0}, ["every_s"]),
    ({"every_s": 60, "catch_up": "some"}, ["catch_up"]),
    ({"every_s": 60, "nonsense": 1}, ["nonsense"]),
    ({"cron": "nonsense", "job": PING | {"priority": 101}}, ["cron", "job.priority"]),
    ({"every_s": 60, "job": {"params": {}}}, ["job.kind"]),
    ({"every_s": 60, "job": {"kind": "no.such"}}, ["job.kind"]),
    (
        {"every_s": 60, "job": PING | {"params": {"message": 5}, "timeout_s": 99}},
        ["job.params.message", "job.timeout_s"],
    ),
    ({"every_s": 60, "job": PING | {"not_before": "2027-01-01T00:00:00Z"}}, ["job.not_before"]),
    ({"every_s": 60, "job": PING | {"labels": {"tick": "x"}}}, ["job.labels.tick"]),
    ({"every_s": 60, "job": PING | {"callback": {"url": "http://10.0.0.1/"}}}, ["job.callback.url"]),
    (
        {"every_s": 60, "job": PING | {"callback": {"url": "https://a.example/", "secret": SECRET}}},
        ["job.callback.secret"],
    ),
    ({"every_s": 60, "job": PING | {"params": {"message": "x" * 70_000}}}, ["job"]),
    ({"every_s": 60, "job": UPLOADED}, ["job.params.source.upload"]),
]


def test_refused_field_is_named_by_its_path(alice: Caller, services: Services) -> None:
    """Of the schedule itself and of its request, which is checked as a submission is."""
    for body, fields in REFUSED:
        response = alice.post(PATH, json={"job": PING} | body)
        assert (422, "input_rejected") == (response.status_code, response.json["code"]), body
        assert sorted(fields) == sorted(error["field"] for error in response.json["errors"]), body
    assert [] == schedules.page(services.kernel.ledger, alice.tenant_id, limit=1)


def test_schedule_is_changed(alice: Caller) -> None:
    """What is not named stays; another timing begins anew; off and on again."""
    record = made(alice)
    where = record["links"]["self"]
    renamed = alice.open("PATCH", where, json={"name": "n", "job": PING | {"priority": 9}}).json
    assert ("n", 9, record["next_at"]) == (renamed["name"], renamed["job"]["priority"], renamed["next_at"])
    often = alice.open("PATCH", where, json={"every_s": 30}).json
    assert (None, 30) == (often["cron"], often["every_s"])
    assert datetime.fromisoformat(often["next_at"]) <= now() + timedelta(seconds=30)
    assert alice.open("PATCH", where, json={"enabled": False}).json["next_at"] is None
    again = alice.open("PATCH", where, json={"enabled": True, "cron": "0 5 * * *"}).json
    assert (None, 3) == (again["every_s"], datetime.fromisoformat(again["next_at"]).hour)  # Maputo, as before


def test_refused_change_changes_nothing(alice: Caller) -> None:
    """It is checked as a new one is."""
    record = made(alice)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"cron": "nonsense"}, "cron"),
        ({"cron": "* * * * *", "every_s": 5}, "cron"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"job": {"kind": "no.such"}}, "job.kind"),
    ]
    for body, field in refused:
        response = alice.open("PATCH", record["links"]["self"], json=body)
        assert (422, [field]) == (response.status_code, [error["field"] for error in response.json["errors"]])
    assert record == alice.get(record["links"]["self"]).json


def test_run_now_makes_a_job_beside_the_ticks(alice: Caller, services: Services) -> None:
    """Also of one that is switched off; the same key makes one; a quota refuses it with 429."""
    record = made(alice, every_s=3600, enabled=False)
    headers = {"Idempotency-Key": "k"}
    first, again = (alice.post(record["links"]["run"], headers=headers) for _ in range(2))
    assert (202, 202, "true") == (first.status_code, again.status_code, again.headers["Idempotency-Replayed"])
    assert first.json["id"] == again.json["id"]
    assert {"schedule": record["id"], "tick": "now"} == first.json["labels"]
    after = alice.get(record["links"]["self"]).json
    assert (first.json["id"], "accepted", 1, None) == tuple(
        after[name] for name in ("last_job_id", "last_outcome", "jobs_made", "next_at")
    )
    assert [first.json["id"]] == [job["id"] for job in alice.get(after["links"]["jobs"]).json["jobs"]]
    assert 200 == alice.get(after["links"]["last_job"]).status_code
    limits.set_limit(services.kernel.ledger, Limit(alice.tenant_id, "*", most_queued=0))
    services.kernel.limits._read_at = None  # as a second later
    assert 429 == alice.post(record["links"]["run"]).status_code


def test_deleted_schedule_is_gone(alice: Caller) -> None:
    """Its jobs stay."""
    record = made(alice)
    job = alice.post(record["links"]["run"]).json
    assert [204, 404] == [alice.delete(record["links"]["self"]).status_code for _ in range(2)]
    assert 404 == alice.post(record["links"]["run"]).status_code
    assert 200 == alice.get(f"/api/jobs/{job['id']}").status_code
