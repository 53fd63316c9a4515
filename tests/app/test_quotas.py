"""Quotas and limits over HTTP, and the command that sets them."""

import pytest
from click.testing import CliRunner

from app.command import main
from app.services import Services
from tasks.core.clock import now
from tasks.core.ledger import limits, queries
from tasks.core.ledger.limits import ALL, Limit
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.schema import artifacts
from tests.app.conftest import PING, Caller

BODY = {"params": {"message": "hi"}}


@pytest.fixture
def quotas(alice: Caller, services: Services) -> None:
    """Alice may have two queued jobs, and three a day."""
    limits.set_limit(services.kernel.ledger, Limit(alice.tenant_id, ALL, most_queued=2, most_a_day=3))


@pytest.mark.usefixtures("quotas")
def test_over_quota_is_429_and_says_when_to_come_back(alice: Caller, bob: Caller, services: Services) -> None:
    """Each answer tells what is left; nothing is accepted beyond; another tenant has no quota."""
    first, last = alice.post(PING, json=BODY), alice.post(PING, json=BODY)
    assert '"queued";q=2, "day";q=3;w=86400' == first.headers["RateLimit-Policy"]
    assert first.headers["RateLimit"].startswith('"queued";r=2, "day";r=3;t=')
    assert last.headers["RateLimit"].startswith('"queued";r=1, "day";r=2;t=')
    refused = alice.post(PING, json=BODY)
    assert (429, "over_quota", "5") == (refused.status_code, refused.json["code"], refused.headers["Retry-After"])
    assert refused.headers["RateLimit"].startswith('"queued";r=0;t=5, "day";r=1;t=')
    assert 2 == queries.listing(services.kernel.ledger, Filter(alice.tenant_id), limit=1).total
    assert "RateLimit" not in bob.post(PING, json=BODY).headers
    assert "RateLimit" not in alice.get("/api/jobs").headers


def test_quota_of_a_day_counts_what_has_ended(alice: Caller, services: Services) -> None:
    """It is full again at midnight."""
    limits.set_limit(services.kernel.ledger, Limit(alice.tenant_id, ALL, most_a_day=2))
    for _ in range(2):
        alice.post(f"/api/jobs/{alice.submit()['id']}/cancel")
    refused = alice.post(PING, json=BODY)
    assert (429, f'"day";r=0;t={refused.headers["Retry-After"]}') == (refused.status_code, refused.headers["RateLimit"])
    assert 0 < int(refused.headers["Retry-After"]) <= 86400


@pytest.mark.usefixtures("quotas")
def test_batch_is_refused_as_a_whole(alice: Caller, services: Services) -> None:
    """Room for some of it is not enough."""
    jobs = [{"kind": "maintenance.ping"} | BODY] * 3
    assert 429 == alice.post("/api/jobs/batch", json={"jobs": jobs}).status_code
    assert 202 == alice.post("/api/jobs/batch", json={"jobs": jobs[:2]}).status_code
    assert 2 == queries.listing(services.kernel.ledger, Filter(alice.tenant_id), limit=1).total


@pytest.mark.usefixtures("quotas")
def test_the_same_request_again_is_answered_although_the_quota_is_used_up(alice: Caller) -> None:
    """Its job is there already."""
    headers = {"Idempotency-Key": "k"}
    first = alice.post(PING, json=BODY, headers=headers)
    alice.submit()
    again = alice.post(PING, json=BODY, headers=headers)
    assert (202, first.json["id"]) == (again.status_code, again.json["id"])
    assert 429 == alice.post(PING, json=BODY, headers={"Idempotency-Key": "other"}).status_code


def test_what_is_kept_is_counted(alice: Caller, services: Services) -> None:
    """By its bytes."""
    ledger = services.kernel.ledger
    job = alice.submit()
    with ledger.write() as connection:
        values = {"job_id": job["id"], "fence": 1, "name": "a", "size_bytes": 10, "media_type": "text/plain"}
        connection.execute(artifacts.insert().values(**values, sha256="x", created_at=now()))
    limits.set_limit(ledger, Limit(alice.tenant_id, ALL, most_artifact_bytes=10))
    services.kernel.limits._read_at = None
    refused = alice.post(PING, json=BODY)
    assert (429, '"artifact-bytes";r=0;t=300') == (refused.status_code, refused.headers["RateLimit"])


def test_duplicate_is_answered_with_the_job_that_has_not_ended(alice: Caller, bob: Caller) -> None:
    """It says so; another tenant's key is another."""
    first, again = (alice.post(PING, json=BODY | {"unique_key": "one"}) for _ in range(2))
    assert (first.json["id"], 202, "true") == (again.json["id"], again.status_code, again.headers["Job-Duplicate"])
    assert ("one", False) == (first.json["unique_key"], "Job-Duplicate" in first.headers)
    assert "Job-Duplicate" not in bob.post(PING, json=BODY | {"unique_key": "one"}).headers
    alice.post(f"/api/jobs/{first.json['id']}/cancel")
    assert first.json["id"] != alice.post(PING, json=BODY | {"unique_key": "one"}).json["id"]


def test_a_batch_has_no_unique_keys(alice: Caller) -> None:
    """It is accepted as a whole, or not."""
    job = {"kind": "maintenance.ping", "unique_key": "one"} | BODY
    refused = alice.post("/api/jobs/batch", json={"jobs": [job]})
    assert (422, "jobs.0.unique_key") == (refused.status_code, refused.json["errors"][0]["field"])


def test_job_under_a_limit_waits_for_it(alice: Caller, services: Services) -> None:
    """Its record says so."""
    limits.set_limit(services.kernel.ledger, Limit(ALL, "maintenance.ping", most_at_once=1))
    assert "limit" == alice.submit()["waiting_for"]


def test_limits_are_set_listed_and_removed(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name of the tenant; what makes no sense is refused."""
    monkeypatch.setenv("SWITCHYARD_LEDGER_URL", services.kernel.ledger.url)

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["limits", *words])
        return result.exit_code, result.output

    assert 0 == run("set", "--tenant", "acme", "--at-once", "3", "--a-day", "100")[0]
    assert 0 == run("set", "--kind", "crawling.site", "--rate", "0.5", "--burst", "2")[0]
    assert [
        "tenant *  kind crawling.site  rate_per_s 0.5  burst 2",
        "tenant acme  kind *  most_at_once 3  most_a_day 100",
    ] == run("list")[1].splitlines()
    assert 0 == run("remove", "--tenant", "acme")[0]
    assert (1, True) == (run("remove", "--tenant", "acme")[0], "No limit" in run("remove", "--tenant", "acme")[1])
    refused = (
        ["--tenant", "a"],
        ["--kind", "k", "--weight", "2"],
        ["--burst", "2"],
        ["--tenant", "", "--at-once", "1"],
    )
    assert [2, 2, 2, 2] == [run("set", *words)[0] for words in refused]
