"""Who runs a job: what may be asked for, what is live, and what a record says."""

from collections.abc import Callable
from typing import Any

import pytest

from app.live import LiveWorkers
from app.openapi import API
from app.services import Services, services_of
from tasks.core.ledger import fleet, leases
from tasks.core.ledger.leases import DISPATCHER
from tests.app.conftest import PING, WORKER, Caller, add_worker, claim, finish, sign_in

STANDBY, LOCAL = "standby@host#b", "local@host#c"


def told(caller: Caller) -> tuple[Any, dict[str, Any]]:
    answer = caller.get("/api/backends")
    assert 200 == answer.status_code, answer.text
    return answer.json["auto"], {one["name"]: one for one in answer.json["backends"]}


def test_backends_tell_what_is_live(make_app: Callable[..., API], redis_server: str) -> None:
    """Broker, dispatcher and heartbeats are looked at; a kind without Chromium is told apart."""
    app = make_app(redis_url=redis_server)
    kernel, alice = services_of(app).kernel, sign_in(app, "alice")
    assert (None, ["dispatcher", "worker"]) == (told(alice)[0], told(alice)[1]["queue"]["missing"])
    leases.take(kernel.ledger, DISPATCHER, holder="me", seen=None)
    add_worker(kernel, queues=("maintenance", "crawler"), capabilities=())
    add_worker(kernel, name=STANDBY, queues=("crawler",), capabilities=("chromium", "playwright"))
    fleet.set_state(kernel.ledger, STANDBY, "standby")
    services_of(app).workers._read_at = float("-inf")
    auto, found = told(alice)
    queue, local = found["queue"], found["local"]
    assert ("queue", True, True, []) == (auto, queue["live"], queue["takes_auto"], queue["missing"])
    assert queue["broker_ms"] > 0
    assert (1, 2, ["host"]) == (queue["workers"], queue["slots"], queue["hosts"])
    assert "maintenance.ping" in queue["kinds"]
    assert ("chromium", "queue:ai") == (queue["lacking"]["discovery.site"], queue["lacking"]["calibration.va"])
    assert (True, False, ["chromium", "playwright"]) == (local["live"], local["takes_auto"], local["capabilities"])
    assert "discovery.site" in local["kinds"]
    assert "backend:local" == local["lacking"]["maintenance.ping"]


def test_backends_without_a_broker(services: Services, alice: Caller) -> None:
    """It is measured, so its absence shows; a standby that took over has the jobs then."""
    add_worker(services.kernel)
    add_worker(services.kernel, name=STANDBY)
    auto, found = told(alice)
    assert ("local", False, None) == (auto, found["queue"]["live"], found["queue"]["broker_ms"])
    assert "broker" in found["queue"]["missing"]


def test_a_worker_whose_heart_stood_still_counts_no_more(services: Services) -> None:
    """By this process's own clock; one look alone proves nothing."""
    at = [0.0]
    workers = LiveWorkers(services.kernel.ledger, lease_s=10.0, clock=lambda: at[0])
    add_worker(services.kernel)
    add_worker(services.kernel, name=LOCAL)
    for moment, expected in ((0.0, {WORKER, LOCAL}), (9.0, {WORKER, LOCAL}), (12.0, {LOCAL})):
        at[0] = moment
        fleet.beat(services.kernel.ledger, LOCAL, rss_bytes=1, state="up")
        assert expected == {worker.name for worker in workers.beating()}


@pytest.mark.parametrize(("worker", "backend"), [(WORKER, "queue"), (STANDBY, "local"), (LOCAL, "local")])
def test_record_says_which_backend_ran(services: Services, alice: Caller, worker: str, backend: str) -> None:
    """And which was asked for; before its first attempt, none has."""
    job = alice.submit(backend="auto")
    assert (None, "auto") == (job["backend"], job["backend_wanted"])
    finish(services.kernel, claim(services.kernel, job["id"], worker=worker))
    record = alice.get(f"/api/jobs/{job['id']}").json
    assert (backend, backend) == (record["backend"], record["attempts"][0]["backend"])


def test_job_says_which_backend_it_waits_for(services: Services, alice: Caller) -> None:
    """A Celery worker is no help to a job that is for a local runner, nor the other way round."""
    assert 422 == alice.post(PING, json={"params": {"message": "hi"}, "backend": "cloud"}).status_code
    add_worker(services.kernel)
    assert (None, "backend:local") == tuple(alice.submit(backend=one)["waiting_for"] for one in ("queue", "local"))


def test_profile_local_refuses_the_queue(make_app: Callable[..., API]) -> None:
    """Nobody would ever run it there."""
    alice = sign_in(make_app(profile="local"), "alice")
    answer = alice.post(PING, json={"params": {"message": "hi"}, "backend": "queue"})
    assert (422, "backend") == (answer.status_code, answer.json["errors"][0]["field"])
    assert "local" == alice.submit(backend="local")["backend_wanted"]
    auto, found = told(alice)
    assert (None, ["broker", "worker"]) == (auto, found["queue"]["missing"])
