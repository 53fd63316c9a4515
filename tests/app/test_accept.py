"""Submitting a job."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

import pytest
from celery import Celery

from app.factory import create_app
from app.openapi import API
from app.services import Services, services_of
from tasks.core.carrier import Carrier
from tasks.core.clock import now
from tasks.core.kernel import Kernel, open_kernel
from tasks.core.ledger import queries
from tasks.core.settings import Settings
from tests.app.conftest import PING, Caller, claim, finish, sign_in
from tests.conftest import DEAD_REDIS_URL


def test_accepting_answers_202_with_location_and_record(alice: Caller) -> None:
    """The answer to a submission is the queued job's record."""
    response = alice.post(PING, json={"params": {"message": "hi"}})
    assert response.status_code == 202
    assert response.headers["Location"] == f"/api/jobs/{response.json['id']}"
    assert (response.json["state"], response.json["request"]) == ("queued", {"message": "hi"})


def test_accepted_job_is_in_the_ledger(alice: Caller, services: Services) -> None:
    """A 202 means that the row is written, with the tenant and the options."""
    record = alice.submit(priority=80, reference="r-1", labels={"team": "blue"}, site="example.org")
    job = queries.job(services.kernel.ledger, record["id"])
    assert job is not None
    assert (job.tenant_id, job.priority, job.reference) == (alice.tenant_id, 80, "r-1")
    assert (job.labels, job.site) == ({"team": "blue"}, "example.org")


def test_kind_may_come_in_the_body(alice: Caller) -> None:
    """`POST /api/jobs` is the same submission with its kind inside."""
    response = alice.post("/api/jobs", json={"kind": "maintenance.ping", "params": {"message": "x"}})
    assert (response.status_code, response.json["kind"]) == (202, "maintenance.ping")


def test_params_may_be_left_out_when_none_is_required(alice: Caller) -> None:
    """A request whose fields all have defaults needs no `params`."""
    assert alice.post(PING, json={}).json["request"] == {"message": ""}


def test_limits_of_the_kind_are_the_defaults(alice: Caller) -> None:
    """A job that sets no limits gets its kind's."""
    record = alice.submit()
    assert (record["timeout_s"], record["max_attempts"], record["priority"]) == (10, 3, 50)


def test_job_may_be_given_a_time_to_start_in(alice: Caller) -> None:
    """Counted from its acceptance; one without it never expires."""
    record = alice.post(PING, json={"params": {}, "expires_in_s": 90}).json
    at = [datetime.fromisoformat(record[name]) for name in ("created_at", "expires_at")]
    assert 90 == (at[1] - at[0]).total_seconds()
    assert alice.submit()["expires_at"] is None


def test_job_may_wait_for_its_time(alice: Caller) -> None:
    """Both times are shown as they were sent, in UTC; the same key with another time is another request."""
    begin, end = (now() + timedelta(hours=hours) for hours in (1, 2))
    body = {"params": {}, "not_before": begin.astimezone(timezone(timedelta(hours=2))).isoformat()}
    headers = {"Idempotency-Key": "k"}
    record = alice.post(PING, json=body | {"expires_at": end.isoformat()}, headers=headers).json
    assert [begin, end] == [datetime.fromisoformat(record[name]) for name in ("not_before", "expires_at")]
    assert "idempotency_key_reused" == alice.post(PING, json=body, headers=headers).json["code"]


@pytest.mark.parametrize(
    ("times", "field"),
    [
        ({"not_before": timedelta(days=366)}, "not_before"),
        ({"expires_at": timedelta(days=366)}, "expires_at"),
        ({"expires_at": timedelta(seconds=-1)}, "expires_at"),
        ({"expires_at": timedelta(hours=1), "not_before": timedelta(hours=1)}, "expires_at"),
        ({"expires_at": timedelta(hours=1), "expires_in_s": 5}, "expires_at"),
        ({"expires_in_s": 5, "not_before": timedelta(hours=1)}, "expires_in_s"),
    ],
)
def test_times_that_make_no_sense_are_refused(alice: Caller, times: dict[str, timedelta | float], field: str) -> None:
    """Against the present, and against each other."""
    at = now()
    body = {name: (at + value).isoformat() if isinstance(value, timedelta) else value for name, value in times.items()}
    response = alice.post(PING, json={"params": {}, **body})
    assert (422, [field]) == (response.status_code, [error["field"] for error in response.json["errors"]])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"params": {"message": 5}}, "params.message"),
        ({"params": {"message": "x" * 201}}, "params.message"),
        ({"params": {"mesage": "x"}}, "params.mesage"),
        ({"params": {"message": "a\0b"}}, "params.message"),
        ({"params": {"a\0b": "x"}}, "params.a\\0b"),
        ({"params": []}, "params"),
        ({"params": {}, "priority": 101}, "priority"),
        ({"params": {}, "priority": "50"}, "priority"),
        ({"params": {}, "priority": 10**400}, "priority"),
        ({"params": {}, "timeout_s": 0}, "timeout_s"),
        ({"params": {}, "timeout_s": 11}, "timeout_s"),
        ({"params": {}, "max_attempts": 4}, "max_attempts"),
        ({"params": {}, "expires_in_s": 0}, "expires_in_s"),
        ({"params": {}, "expires_in_s": 1e9}, "expires_in_s"),
        ({"params": {}, "not_before": "2027-01-01T12:00"}, "not_before"),
        ({"params": {}, "expires_at": 5}, "expires_at"),
        ({"params": {}, "labels": {"UP": "x"}}, "labels.UP.[key]"),
        ({"params": {}, "labels": {f"k{n}": "" for n in range(17)}}, "labels"),
        ({"params": {}, "site": "a b"}, "site"),
        ({"params": {}, "site": "https://a.example/"}, "site"),
        ({"params": {}, "reference": "x" * 201}, "reference"),
        ({"params": {}, "tenant_id": "someone"}, "tenant_id"),
    ],
)
def test_refused_field_is_named(alice: Caller, body: dict[str, object], field: str) -> None:
    """A 422 says which field was refused, by its path."""
    response = alice.post(PING, json=body)
    assert (response.status_code, response.json["code"]) == (422, "input_rejected")
    assert field in [error["field"] for error in response.json["errors"]]


def test_every_refused_field_is_listed_at_once(alice: Caller) -> None:
    """One answer tells all that is wrong."""
    errors = alice.post(PING, json={"params": {"message": 5}, "priority": -1}).json["errors"]
    assert {error["field"] for error in errors} == {"params.message", "priority"}


def test_member_of_a_union_is_no_field(alice: Caller) -> None:
    """A path leads through what was sent, whatever the kind of it is called."""
    step = {"act": "key", "selectors": []}
    tool = {"name": "x", "call": {"kind": "steps", "page_url": "", "steps": [step]}}
    errors = alice.post("/api/jobs/discovery.run", json={"params": {"tool": tool}}).json["errors"]
    assert {"params.tool.call.steps.0", "params.tool.call.steps"} <= {error["field"] for error in errors}


def test_refused_value_is_shown_shortened(alice: Caller) -> None:
    """The answer repeats what was sent, but not a whole book."""
    (error,) = alice.post(PING, json={"params": {"message": "x" * 5000}}).json["errors"]
    assert error["value"] == "x" * 200 + "…"


def test_refused_secret_is_not_shown(alice: Caller) -> None:
    """A value under a name that smells of a secret stays out of the answer."""
    (error,) = alice.post(PING, json={"params": {"password": "hunter2"}}).json["errors"]
    assert "value" not in error


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b'{"params": NaN}', b"[" * 5000, b'"\\ud800"', b'{"priority": 1' + b"0" * 5000 + b"}"]
)
def test_body_that_is_not_json_is_malformed(alice: Caller, data: bytes) -> None:
    """Bytes that no JSON parser takes get 400."""
    response = alice.post(PING, data=data, content_type="application/json")
    assert (response.status_code, response.json["code"]) == (400, "malformed")


@pytest.mark.parametrize("data", [b"[]", b"null", b'"x"', b'{"params": {"message": 1e999}}'])
def test_json_that_is_no_submission_is_rejected(alice: Caller, data: bytes) -> None:
    """JSON of the wrong shape gets 422."""
    assert alice.post(PING, data=data, content_type="application/json").status_code == 422


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_other_media_type_is_unsupported(alice: Caller, content_type: str | None) -> None:
    """Only JSON is taken."""
    response = alice.post(PING, data=b"{}", content_type=content_type)
    assert (response.status_code, response.json["code"]) == (415, "unsupported_media_type")


def test_unknown_kind_is_404_with_a_hint(alice: Caller) -> None:
    """A mistyped kind is told the nearest one."""
    response = alice.post("/api/jobs/maintenance.pong", json={"params": {}})
    assert (response.status_code, response.json["code"]) == (404, "unknown_kind")
    assert "maintenance.ping" in response.json["detail"]


def test_body_without_kind_is_rejected(alice: Caller) -> None:
    """`POST /api/jobs` needs to know the kind."""
    response = alice.post("/api/jobs", json={"params": {}})
    assert [error["field"] for error in response.json["errors"]] == ["kind"]


def test_same_key_and_body_answer_with_the_first_job(alice: Caller) -> None:
    """A repeated submission makes no second job."""
    headers = {"Idempotency-Key": "k-1"}
    first = alice.post(PING, json={"params": {}}, headers=headers)
    second = alice.post(PING, json={"params": {}}, headers=headers)
    assert second.status_code == 202
    assert second.json["id"] == first.json["id"]
    assert (first.headers.get("Idempotency-Replayed"), second.headers["Idempotency-Replayed"]) == (None, "true")


def test_same_key_with_another_body_is_rejected(alice: Caller) -> None:
    """A key stands for one request."""
    headers = {"Idempotency-Key": "k-1"}
    alice.post(PING, json={"params": {"message": "a"}}, headers=headers)
    response = alice.post(PING, json={"params": {"message": "b"}}, headers=headers)
    assert (response.status_code, response.json["code"]) == (422, "idempotency_key_reused")


def test_keys_of_two_tenants_do_not_meet(alice: Caller, bob: Caller) -> None:
    """The same key means another job for another tenant."""
    headers = {"Idempotency-Key": "k-1"}
    ids = {caller.post(PING, json={"params": {}}, headers=headers).json["id"] for caller in (alice, bob)}
    assert len(ids) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "umlaut-ü"])
def test_unusable_idempotency_key_is_rejected(alice: Caller, key: str) -> None:
    """Keys are 1 to 255 visible characters."""
    response = alice.post(PING, json={"params": {}}, headers={"Idempotency-Key": key})
    assert [error["field"] for error in response.json["errors"]] == ["Idempotency-Key"]


def test_prefer_wait_answers_200_when_the_job_ends_in_time(alice: Caller, services: Services) -> None:
    """Sync mode hands out the final record."""
    worker = threading.Thread(target=_run_next_job, args=(services.kernel,))
    worker.start()
    response = alice.post(PING, json={"params": {}}, headers={"Prefer": "respond-async, wait=10"})
    worker.join()
    assert (response.status_code, response.json["state"]) == (200, "succeeded")
    assert response.headers["Preference-Applied"] == "wait=10"


def _run_next_job(kernel: Kernel) -> None:
    for _ in range(200):
        depths = queries.queue_depths(kernel.ledger, at=now())
        if depths:
            break
        time.sleep(0.02)
    with kernel.ledger.read() as connection:
        job_id = connection.exec_driver_sql("SELECT id FROM jobs").scalar_one()
    finish(kernel, claim(kernel, job_id))


def test_prefer_wait_answers_202_when_time_is_over(alice: Caller) -> None:
    """Sync mode gives up when asked to, and the job goes on."""
    response = alice.post(PING, json={"params": {}}, headers={"Prefer": "wait=0"})
    assert (response.status_code, response.json["state"]) == (202, "queued")


@pytest.fixture
def dead_carrier_app(settings: Settings) -> Iterator[API]:
    """An application whose carrier is real and whose Redis is not there."""
    kernel = open_kernel(settings)
    carrier = Carrier(Celery("dead", broker=DEAD_REDIS_URL), kernel.ledger)
    app = create_app(settings, kernel=kernel, carrier=carrier)
    yield app
    services_of(app).close()
    carrier.close()
    kernel.close()


def test_accepting_does_not_need_redis(dead_carrier_app: API) -> None:
    """With Redis down, a submission is answered 202 at once and waits in the ledger for the dispatcher."""
    caller = sign_in(dead_carrier_app, "alice")
    began = time.monotonic()
    record = caller.submit()
    assert time.monotonic() - began < 10  # sending to a Redis that is not there is tried for longer
    ledger = services_of(dead_carrier_app).kernel.ledger
    _until(lambda: queries.job(ledger, record["id"]).published_at is None)


def _until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
