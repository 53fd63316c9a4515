"""What operators do over HTTP: pauses, purges, limits, and the book of all changes."""

from datetime import timedelta
from typing import Any

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from app.command import main
from app.openapi import API
from app.services import Services
from tasks.core.clock import now
from tasks.core.ledger import audit as audit_book
from tasks.core.ledger import carrying, limits, queries, tenants
from tasks.core.ledger.control_tables import audit
from tests.app.conftest import Caller, claim, sign_in
from tests.app.test_connectors import SERVICE
from tests.calibration.matrices import table
from tests.connectors.translations import KEY

QUEUE = "/api/queues/maintenance"


@pytest.fixture
def operator(app: API) -> Caller:
    """The client of who runs this."""
    return sign_in(app, tenants.SYSTEM)


def paused(operator: Caller, **what: Any) -> dict[str, Any]:
    made = operator.post("/api/pauses", json=what)
    assert made.status_code == 201, made.text
    record: dict[str, Any] = made.json
    return record


def test_a_paused_job_is_accepted_and_says_what_it_waits_for(operator: Caller, alice: Caller) -> None:
    """The queue says so, too; it goes on when an operator resumes."""
    made = paused(operator, queue="maintenance", reason="disk is full")
    job = alice.submit()
    record = alice.get(f"/api/jobs/{job['id']}").json
    assert ("pause", made["id"], "disk is full") == (
        job["waiting_for"],
        record["pause"]["id"],
        record["pause"]["reason"],
    )
    shown = {one["queue"]: one for one in alice.get("/api/queues").json["queues"]}
    assert (1, ["disk is full"]) == (
        shown["maintenance"]["paused"],
        [one["reason"] for one in shown["maintenance"]["pauses"]],
    )
    assert [] == shown["ai"]["pauses"]
    assert operator.delete(f"/api/pauses/{made['id']}").status_code == 204
    record = alice.get(f"/api/jobs/{job['id']}").json
    assert (None, False) == (record["pause"], record["waiting_for"] == "pause")


def test_a_job_that_waits_is_paused_at_once(services: Services, operator: Caller, alice: Caller) -> None:
    """It says so, and the dispatcher is shown nothing of it; resumed, it is carried."""
    job_id = alice.submit()["id"]
    assert operator.post(f"{QUEUE}/pause", json={"for_s": 3600}).status_code == 201
    assert alice.get(f"/api/jobs/{job_id}").json["waiting_for"] == "pause"
    assert [] == carrying.take_due(services.kernel.ledger, "maintenance")
    assert operator.post(f"{QUEUE}/resume").status_code == 204
    assert [job_id] == [job.id for job in carrying.take_due(services.kernel.ledger, "maintenance")]
    assert operator.post(f"{QUEUE}/resume").status_code == 404


def test_pausing_again_changes_the_pause(operator: Caller) -> None:
    """There is one for the same jobs."""
    made = paused(operator, kind="maintenance.ping", reason="a")
    again = operator.post("/api/pauses", json={"kind": "maintenance.ping", "reason": "b"})
    assert (200, made["id"], "b") == (again.status_code, again.json["id"], again.json["reason"])
    assert ["b"] == [one["reason"] for one in operator.get("/api/pauses").json["pauses"]]


def test_a_tenant_sees_no_pause_of_another(operator: Caller, alice: Caller, bob: Caller) -> None:
    """Nor who made it."""
    paused(operator, tenant="alice")
    seen = {one: one_queue(caller)["pauses"] for one, caller in {"a": alice, "b": bob, "o": operator}.items()}
    assert ([None], [], ["alice"]) == (
        [one["made_by"] for one in seen["a"]],
        seen["b"],
        [one["tenant"] for one in seen["o"]],
    )
    assert "pause" != bob.submit()["waiting_for"]


def one_queue(caller: Caller) -> dict[str, Any]:
    found: dict[str, Any] = next(
        one for one in caller.get("/api/queues").json["queues"] if one["queue"] == "maintenance"
    )
    return found


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "queue"),
        ({"kind": "no.such"}, "kind"),
        ({"tenant": "nobody"}, "tenant"),
        ({"queue": "ai", "until": "2020-01-01T00:00:00Z"}, "until"),
        ({"queue": "ai", "until": "2999-01-01T00:00:00Z", "for_s": 5}, "for_s"),
    ],
)
def test_a_pause_that_makes_no_sense_is_refused(operator: Caller, body: dict[str, Any], field: str) -> None:
    """A wrong name would pause nothing, and nobody would notice."""
    response = operator.post("/api/pauses", json=body)
    assert (422, [field]) == (response.status_code, [one["field"] for one in response.json["errors"]])


def test_purged_jobs_end_as_cancelled(services: Services, operator: Caller, alice: Caller, bob: Caller) -> None:
    """After a dry run and a confirmation, with their event; what runs and what does not match stays."""
    gone, kept, theirs = alice.submit(labels={"a": "1"}), alice.submit(), bob.submit(labels={"a": "1"})
    runs = claim(services.kernel, alice.submit(labels={"a": "1"})["id"])
    path = "/api/jobs/purge?label=a:1&tenant=alice"
    dry = operator.post(f"{path}&dry_run=true").json
    assert (2, 0, 1, [gone["id"]]) == (
        dry["matched"],
        dry["changed"],
        dry["skipped"],
        [one["id"] for one in dry["sample"]],
    )
    assert "confirmation_required" == operator.post(path).json["code"]
    done = operator.post(f"{path}&confirm=true").json
    assert (1, 1, False) == (done["changed"], done["skipped"], done["dry_run"])
    record = alice.get(f"/api/jobs/{gone['id']}").json
    assert ("cancelled", "purged") == (record["state"], record["cause"])
    assert ["queued", "queued", "running"] == [
        str(job.state)
        for job in (queries.job(services.kernel.ledger, one) for one in (kept["id"], theirs["id"], runs.id))
        if job is not None
    ]
    entry = operator.get("/api/audit?what=jobs.purged").json["entries"][0]
    assert (1, "alice") == (entry["details"]["changed"], entry["tenant"])


def test_limits_are_set_listed_and_removed(services: Services, operator: Caller, alice: Caller) -> None:
    """As on the command line; what was there before is written down."""
    assert operator.open("PUT", "/api/limits", json={"kind": "maintenance.ping", "most_at_once": 3}).status_code == 200
    answer = operator.open(
        "PUT", "/api/limits", json={"kind": "maintenance.ping", "most_at_once": 2, "rate_per_s": 0.5}
    )
    assert (200, 2, 0.5) == (answer.status_code, answer.json["most_at_once"], answer.json["rate_per_s"])
    assert operator.open("PUT", "/api/limits", json={"tenant": "alice", "most_queued": 0}).status_code == 200
    assert {(None, "maintenance.ping"), ("alice", None)} == {
        (one["tenant"], one["kind"]) for one in operator.get("/api/limits").json["limits"]
    }
    assert operator.delete("/api/limits?kind=maintenance.ping").status_code == 204
    assert operator.delete("/api/limits?kind=maintenance.ping").status_code == 404
    assert [alice.tenant_id] == [one.tenant_id for one in limits.all_limits(services.kernel.ledger)]
    changes = operator.get("/api/audit?subject=tenant *, kind maintenance.ping").json["entries"]
    assert [({"most_at_once": 2, "rate_per_s": 0.5}, None), ({"most_at_once": 3}, 2), (None, 3)] == [
        (one["details"]["before"], (one["details"]["after"] or {}).get("most_at_once")) for one in changes
    ]


@pytest.mark.parametrize(
    "body", [{}, {"weight": 2}, {"tenant": "alice", "kind": "a.b", "most_queued": 1}, {"kind": "a.b", "burst": 2}]
)
def test_a_limit_that_makes_no_sense_is_refused(operator: Caller, alice: Caller, body: dict[str, Any]) -> None:
    """As the command line refuses it."""
    assert alice.tenant_id
    assert operator.open("PUT", "/api/limits", json=body).status_code == 422


def test_the_book_is_read_in_pages(operator: Caller, alice: Caller) -> None:
    """Newest first, by its filters; who asked is told by the key."""
    for number in range(3):
        paused(operator, queue="ai", kind="knowledge.embed", tenant="alice", reason=str(number))
        operator.delete(f"/api/pauses/{operator.get('/api/pauses').json['pauses'][0]['id']}")
    query = "/api/audit?what=pause.made&limit=2&tenant=alice"
    first = operator.get(query).json
    second = operator.get(f"{query}&cursor={first['next_cursor']}").json
    found = [*first["entries"], *second["entries"]]
    assert ["2", "1", "0"] == [one["details"]["after"]["reason"] for one in found]
    assert second["next_cursor"] is None
    who = found[0]["who"]
    assert 6 == len(operator.get(f"/api/audit?who={who}").json["entries"])
    before = (now() - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    assert [] == operator.get(f"/api/audit?until={before}").json["entries"]


def test_metrics_tell_what_is_paused(operator: Caller, alice: Caller) -> None:
    """A gauge for each pause, and the jobs that are held by queue."""
    paused(operator, queue="maintenance", tenant="alice")
    alice.submit()
    text = operator.client.get("/metrics").text
    assert 'switchyard_paused{kind="*",queue="maintenance",tenant="alice"} 1.0' in text
    assert 'switchyard_paused_jobs{queue="maintenance"} 1.0' in text


# ---- every change that an operator, or a tenant for more than a job, makes is written down

SITE = "/api/sessions?site=https://a.example.com"
PING = ("POST", "/api/jobs/maintenance.ping", {"params": {}})
HOOK = ("POST", "/api/webhooks", {"url": "https://a.example.com/hook", "events": ["job.*"]})
SCHEDULE = ("POST", "/api/schedules", {"every_s": 3600, "job": {"kind": "maintenance.ping", "params": {}}})
LIMIT = ("PUT", "/api/limits", {"kind": "a.b", "most_at_once": 1})
CONNECTOR = ("PUT", "/api/connectors/a", {"service": SERVICE, "secrets": {"key": KEY}})
SESSION = ("PUT", SITE, {"cookies": []})
Step = tuple[str, str, dict[str, Any] | None]

# How each is called: the last step of a line, after what must be there for it. ``{id}``: what the step before made.
WRITTEN: dict[tuple[str, str], list[Step]] = {
    ("POST", "/api/pauses"): [("POST", "/api/pauses", {"queue": "ai"})],
    ("DELETE", "/api/pauses/<job:pause_id>"): [
        ("POST", "/api/pauses", {"queue": "voice"}),
        ("DELETE", "/api/pauses/{id}", None),
    ],
    ("POST", "/api/queues/<queue>/pause"): [("POST", f"{QUEUE}/pause", {})],
    ("POST", "/api/queues/<queue>/resume"): [("POST", f"{QUEUE}/resume", None)],
    ("PUT", "/api/limits"): [LIMIT],
    ("DELETE", "/api/limits"): [LIMIT, ("DELETE", "/api/limits?kind=a.b", None)],
    ("POST", "/api/jobs/purge"): [PING, ("POST", "/api/jobs/purge?confirm=true", None)],
    ("POST", "/api/jobs/retry"): [("POST", "/api/jobs/retry?confirm=true", None)],
    ("POST", "/api/jobs/cancel"): [PING, ("POST", "/api/jobs/cancel?confirm=true", None)],
    ("POST", "/api/jobs/batch/<job:batch_id>/cancel"): [
        ("POST", "/api/jobs/batch", {"jobs": [{"kind": "maintenance.ping", "params": {}}]}),
        ("POST", "/api/jobs/batch/{id}/cancel", None),
    ],
    ("DELETE", "/api/jobs"): [("DELETE", "/api/jobs?confirm=true", None)],
    ("POST", "/api/webhooks"): [HOOK],
    ("PATCH", "/api/webhooks/<webhook:webhook_id>"): [HOOK, ("PATCH", "/api/webhooks/{id}", {"enabled": False})],
    ("POST", "/api/webhooks/<webhook:webhook_id>/rotate"): [HOOK, ("POST", "/api/webhooks/{id}/rotate", {})],
    ("DELETE", "/api/webhooks/<webhook:webhook_id>"): [HOOK, ("DELETE", "/api/webhooks/{id}", None)],
    ("POST", "/api/schedules"): [SCHEDULE],
    ("PATCH", "/api/schedules/<schedule:schedule_id>"): [
        SCHEDULE,
        ("PATCH", "/api/schedules/{id}", {"enabled": False}),
    ],
    ("DELETE", "/api/schedules/<schedule:schedule_id>"): [SCHEDULE, ("DELETE", "/api/schedules/{id}", None)],
    ("PUT", "/api/connectors/<name>"): [CONNECTOR],
    ("DELETE", "/api/connectors/<name>"): [CONNECTOR, ("DELETE", "/api/connectors/a", None)],
    ("PUT", "/api/sessions"): [SESSION],
    ("DELETE", "/api/sessions"): [SESSION, ("DELETE", SITE, None)],
    ("POST", "/api/calibration/matrices"): [("POST", "/api/calibration/matrices", {"name": "own", "csv": table()})],
    ("DELETE", "/api/calibration/matrices/<string:reference>"): [("DELETE", "/api/calibration/matrices/own", None)],
}


def written_count(at: Services) -> int:
    with at.kernel.ledger.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(audit)).scalar_one())


def test_every_change_that_is_for_operators_is_known_here(app: API) -> None:
    """A view that only operators may call, and that changes something, is listed: the next test calls it."""
    changing = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        if getattr(app.view_functions[rule.endpoint], "is_for_operators", False)
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    }
    assert ("POST", "/api/pauses") in changing
    assert set() == changing - set(WRITTEN)
    known = {(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods or set()}
    assert set() == set(WRITTEN) - known


def test_every_such_change_is_written_down(services: Services, operator: Caller) -> None:
    """Each adds an entry, with the id of the key that asked."""
    keys = {key.id for key in tenants.list_keys(services.kernel.ledger)}
    silent = []
    for call, steps in WRITTEN.items():
        made, before = "", 0
        for method, path, body in steps:
            before = written_count(services)
            answered = operator.open(method, path.replace("{id}", made), json=body)
            assert answered.status_code < 300, (call, answered.text)
            made = answered.json["id"] if answered.is_json and "id" in answered.json else ""
        newest = operator.get("/api/audit?limit=1").json["entries"][0]
        if written_count(services) == before or newest["who"] not in keys:
            silent.append(call)
    assert [] == silent


def test_every_command_that_changes_something_writes_it_down(
    services: Services, operator: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ``python -m app``: all but those that list or serve."""
    monkeypatch.setattr("app.keys.load_settings", lambda: services.settings)
    key_id = next(key.id for key in tenants.list_keys(services.kernel.ledger) if key.tenant.id == operator.tenant_id)
    changing = {
        "keys create": ["--tenant", "new", "--name", "n"],
        "keys revoke": [key_id],
        "limits set": ["--kind", "a.b", "--at-once", "1"],
        "limits remove": ["--kind", "a.b"],
    }
    assert set(changing) == {name for name in leaves(main) if name.split()[-1] not in {"list", "serve"}}
    for name, arguments in changing.items():
        before = written_count(services)
        done = CliRunner().invoke(main, [*name.split(), *arguments])
        assert done.exit_code == 0, done.output
        assert written_count(services) > before, name
    found = audit_book.entries(services.kernel.ledger, audit_book.Wanted(who="command line"), limit=9)
    assert ["limit.removed", "limit.set", "key.revoked", "key.made", "tenant.made"] == [one.what for one in found][:5]


def leaves(group: click.Command, *path: str) -> list[str]:
    """Name the commands below ``group``."""
    if not isinstance(group, click.Group):
        return [" ".join(path)]
    return [leaf for name, one in group.commands.items() for leaf in leaves(one, *path, name)]


def test_operators_calls_are_refused_to_all_others(app: API, alice: Caller) -> None:
    """Also those that only read."""
    mine = [
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        if getattr(app.view_functions[rule.endpoint], "is_for_operators", False)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    ]
    assert len(mine) >= 9
    for method, rule in mine:
        path = rule.replace("<job:pause_id>", "0" * 8 + "-0000" * 3 + "-" + "0" * 12).replace("<queue>", "ai")
        answer = alice.open(method, path, json={})
        assert (403, "not_allowed") == (answer.status_code, answer.json["code"]), (method, rule)
