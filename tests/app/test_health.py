"""Health, version, metrics, the fleet and the catalogue."""

from collections.abc import Callable
from datetime import timedelta
from functools import reduce
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from pydantic_core import from_json, to_json

from app.openapi import API
from app.services import Services, services_of
from deploy.manifests import Place, roles, scaling
from tasks.core.clock import now
from tasks.core.ledger import leases, rates, transitions
from tasks.core.settings import Settings
from tasks.core.spec import Queue
from tests.app.conftest import Caller, add_worker, claim, finish
from tests.samples import FakeClock


@pytest.fixture
def _broken_ledger(services: Services, settings: Settings) -> None:
    """A ledger whose file is no database any more."""
    services.kernel.ledger.close()
    for path in settings.state_dir.glob("ledger.db*"):
        path.unlink()
    Path(settings.state_dir / "ledger.db").write_bytes(b"this is no database" * 1000)


@pytest.mark.parametrize("path", ["/health/live", "/health/startup", "/health/ready", "/health"])
def test_health_needs_no_key(client: FlaskClient, path: str) -> None:
    """Probes have none."""
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/health/startup", "/health/ready", "/health"])
@pytest.mark.usefixtures("_broken_ledger")
def test_broken_ledger_makes_the_process_unready(client: FlaskClient, path: str) -> None:
    """Without its ledger the front door can accept nothing."""
    response = client.get(path)
    assert (response.status_code, response.json["status"]) == (503, "unready")
    assert response.json["checks"]["ledger"]["detail"] == "ledger_unavailable"
    assert "Retry-After" in response.headers


@pytest.mark.usefixtures("_broken_ledger")
def test_broken_ledger_does_not_kill_the_process(client: FlaskClient) -> None:
    """Restarting the process would not mend the ledger."""
    assert client.get("/health/live").status_code == 200


@pytest.mark.usefixtures("_broken_ledger")
def test_broken_ledger_answers_503_to_callers(client: FlaskClient) -> None:
    """A caller is told to come again, not that something went wrong here."""
    response = client.get("/api/jobs", headers={"Authorization": "Bearer x"})
    assert (response.status_code, response.json["code"]) == (503, "ledger_unavailable")


@pytest.mark.usefixtures("_broken_ledger")
def test_broken_ledger_leaves_the_metrics_of_the_process(client: FlaskClient) -> None:
    """A scrape still answers, and says that the ledger does not."""
    response = client.get("/metrics")
    assert response.status_code == 200
    assert "switchyard_ledger_up 0.0" in response.text


def test_redis_being_away_is_degraded_not_unready(client: FlaskClient) -> None:
    """Requests are served without Redis."""
    health = client.get("/health")
    assert (health.status_code, health.json["status"]) == (200, "degraded")
    assert health.json["checks"]["redis"]["status"] == "failed"
    assert client.get("/health/ready").status_code == 200


def test_all_is_well_with_redis_and_a_dispatcher(make_app: Callable[..., API], redis_server: str) -> None:
    """Each check tells its latency."""
    app = make_app(redis_url=redis_server)
    leases.take(services_of(app).kernel.ledger, leases.DISPATCHER, holder="leader", seen=None)
    response = app.test_client().get("/health")
    assert response.json["status"] == "ok"
    assert all(check["latency_ms"] >= 0 for check in response.json["checks"].values())


def test_dispatcher_that_is_missing_is_degraded_not_unready(client: FlaskClient, services: Services) -> None:
    """None ever led, the last one left in order, or its beat stands still: operators see each."""
    ledger, clock = services.kernel.ledger, FakeClock()
    services.dispatcher._clock = clock

    def verdict() -> tuple[str, bool]:
        check = client.get("/health").json["checks"]["dispatcher"]
        return check["status"], "switchyard_dispatcher_up 1.0" in client.get("/metrics").text

    assert verdict() == ("failed", False)
    lease = leases.take(ledger, leases.DISPATCHER, holder="leader", seen=None)
    assert verdict() == ("ok", True)
    clock.at += services.settings.lease_s
    assert verdict() == ("failed", False)
    lease = leases.renew(ledger, lease)
    assert verdict() == ("ok", True)
    leases.release(ledger, lease)
    assert verdict() == ("failed", False)
    assert client.get("/health/ready").status_code == 200


def test_draining_process_is_unready_but_lives(client: FlaskClient, services: Services) -> None:
    """A balancer sends nothing more; nobody kills it meanwhile."""
    services.drain()
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json["checks"]["accepting"]["detail"]) == (503, "draining")
    assert client.get("/health/live").status_code == 200


def test_version_is_told(client: FlaskClient) -> None:
    """A client can tell what it talks to."""
    assert set(client.get("/version").json) == {"name", "version"}


def test_metrics_show_queues_workers_and_accepts(alice: Caller, client: FlaskClient, services: Services) -> None:
    """What an autoscaler and an alert need is there."""
    add_worker(services.kernel)
    alice.submit()
    claim(services.kernel, alice.submit()["id"])
    text = client.get("/metrics").text
    for line in (
        'switchyard_queue_jobs{queue="maintenance",state="waiting"} 1.0',
        'switchyard_queue_jobs{queue="maintenance",state="running"} 1.0',
        'switchyard_queue_jobs{queue="crawler",state="waiting"} 0.0',
        'switchyard_workers{queue="maintenance",state="up"} 1.0',
        'switchyard_worker_slots{queue="maintenance"} 2.0',
        'switchyard_jobs_accepted_total{kind="maintenance.ping"} 2.0',
        "switchyard_ledger_up 1.0",
    ):
        assert line in text
    assert 'switchyard_queue_oldest_seconds{queue="maintenance"}' in text


def test_made_up_methods_share_one_label(alice: Caller, client: FlaskClient) -> None:
    """What anybody can send must not make series without end."""
    for number in range(3):
        client.open("/nowhere", method=f"MADEUP{number}")
    text = client.get("/metrics").text
    assert 'method="other"' in text
    assert "MADEUP" not in text


def test_metrics_ask_for_their_token(make_app: Callable[..., API]) -> None:
    """With a token set, a scrape needs it."""
    client = make_app(metrics_token="sesame").test_client()
    statuses = [
        client.get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code for token in ("no", "sesame")
    ]
    assert (client.get("/metrics").status_code, statuses) == (401, [401, 200])


def test_queues_lists_all_six(alice: Caller) -> None:
    """A queue without jobs is listed, too."""
    queues = [queue["queue"] for queue in alice.get("/api/queues").json["queues"]]
    assert queues == ["critical", "ai", "crawler", "voice", "analytics", "maintenance"]


def test_queue_counts_what_waits_runs_and_ended(alice: Caller, services: Services) -> None:
    """Depth, age, workers and the last hour's ends."""
    add_worker(services.kernel)
    alice.submit()
    kernel = services.kernel
    finish(kernel, claim(kernel, alice.submit()["id"]))
    delayed = claim(kernel, alice.submit()["id"])
    transitions.requeue(kernel.ledger, delayed.id, fence=delayed.fence, cause="transient", delay_s=600)
    (queue,) = [one for one in alice.get("/api/queues").json["queues"] if one["queue"] == "maintenance"]
    assert (queue["waiting"], queue["delayed"], queue["succeeded_1h"]) == (1, 1, 1)
    assert (queue["workers"], queue["slots"]) == (1, 2)
    assert queue["oldest_waiting_s"] >= 0
    assert (3, 1, 1) == (queue["arrived_1h"], queue["wait"]["count"], queue["run"]["at_most"]["+Inf"])
    assert 0 < queue["ended_per_s"] < queue["arrived_per_s"]
    assert 0 <= queue["run"]["p50_s"] <= queue["run"]["p95_s"]


def test_kubernetes_finds_what_its_manifests_ask_for(alice: Caller) -> None:
    """A number at each trigger's place, and an answer to each probe."""
    answer = alice.get("/api/queues").json
    triggers = [trigger["metadata"] for one in scaling(Place())[1:] for trigger in one["spec"]["triggers"]]
    assert 3 * len(Queue) == len({trigger["valueLocation"] for trigger in triggers})
    for trigger in triggers:
        number = reduce(lambda found, name: found[name], trigger["valueLocation"].split("."), answer)
        assert isinstance(number, int | float), trigger
    [web] = [one for one in roles(Place()) if (one["kind"], one["metadata"]["name"]) == ("Deployment", "web")]
    [container] = web["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert 200 == alice.get(container[probe]["httpGet"]["path"]).status_code


def test_scaler_reads_numbers_by_the_queues_name(alice: Caller) -> None:
    """Also where nothing waits."""
    alice.submit()
    scaling = alice.get("/api/queues").json["scaling"]
    assert {"active": 0, "oldest_waiting_s": 0.0, "advised_workers": 1} == scaling["ai"]
    assert (1, 1) == (scaling["maintenance"]["active"], scaling["maintenance"]["advised_workers"])


def test_rates_are_scraped_as_the_ledger_counted_them(alice: Caller, services: Services) -> None:
    """Counters and histograms of each queue, from whichever process answers."""
    kernel = services.kernel
    finish(kernel, claim(kernel, alice.submit()["id"]))
    rates.count(kernel.ledger, at=now() + timedelta(seconds=20), most_steps=99)
    text = alice.get("/metrics").text
    for line in (
        'switchyard_queue_arrived_total{queue="maintenance"} 1.0',
        'switchyard_queue_ended_total{queue="maintenance",state="succeeded"} 1.0',
        'switchyard_queue_run_seconds_bucket{le="+Inf",queue="maintenance"} 1.0',
        'switchyard_queue_wait_seconds_count{queue="maintenance"} 1.0',
        'switchyard_workers_advised{queue="voice"} 1.0',
    ):
        assert line in text


def test_kind_is_runnable_when_a_worker_serves_it(alice: Caller, services: Services) -> None:
    """The catalogue tells whether a job would run now."""
    before = alice.get("/api/kinds/maintenance.ping").json
    services.workers._read_at -= timedelta(seconds=2).total_seconds()
    add_worker(services.kernel)
    after = alice.get("/api/kinds/maintenance.ping").json
    assert (before["runnable"], before["waiting_for"]) == (False, "queue:maintenance")
    assert (after["runnable"], after["waiting_for"]) == (True, None)


def test_catalogue_shows_schemas_and_limits(alice: Caller, services: Services) -> None:
    """A client can build a form of it."""
    kinds = {kind["kind"]: kind for kind in alice.get("/api/kinds").json["kinds"]}
    assert set(kinds) == set(services.specs)
    ping = kinds["maintenance.ping"]
    assert ping["request_schema"]["properties"]["message"]["maxLength"] == 200
    assert (ping["family"], ping["soft_limit_s"], ping["max_attempts"]) == ("maintenance", 10, 3)


def test_every_example_is_accepted(alice: Caller, services: Services) -> None:
    """What the catalogue shows works, with an upload of one's own where it names one."""
    upload_id = alice.post("/api/uploads", data=b"x").json["id"]
    for kind, spec in services.specs.items():
        params = to_json(dict(spec.example)).replace(b"01890000-0000-7000-8000-000000000000", upload_id.encode())
        response = alice.post(f"/api/jobs/{kind}", json={"params": from_json(params)})
        assert response.status_code == 202, response.text


def test_unknown_kind_is_not_in_the_catalogue(alice: Caller) -> None:
    """A mistyped kind is 404."""
    response = alice.get("/api/kinds/maintenance.pong")
    assert (response.status_code, response.json["code"]) == (404, "unknown_kind")


def test_closing_leaves_what_was_given(make_app: Callable[..., API]) -> None:
    """The owner of the services closes them once; a second close is harmless."""
    services = services_of(make_app())
    services.close()
    services.close()
    assert services.is_draining
