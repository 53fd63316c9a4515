"""Profiles and single flags: a mode that is off is not served, not described and not loaded."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.openapi import API
from app.services import services_of
from client import Switchyard
from tasks.core.ledger import leases
from tests.app.conftest import claim, finish, sign_in
from tests.app.streams.house import served
from tests.conftest import DEAD_REDIS_URL

_BUILD = """
import json, sys
from app.factory import create_app
from app.services import services_of
from tasks.core.settings import load_settings
app = create_app(load_settings())
document = app.test_client().get("/openapi/openapi.json").json
services_of(app).close()
print(json.dumps({"modules": sorted(sys.modules), "paths": sorted(document["paths"])}))
"""
_SSE = "/api/jobs/{job_id}/events"
_TOKEN = "/api/jobs/{job_id}/stream-token"
# What each mode brings: modules, and paths that the document names.
_OF_SSE = {"app.streams.sse"}
_OF_WEBSOCKET = {"app.streams.websocket", "app.compat.va_realtime", "simple_websocket", "wsproto"}
_OF_WALT = {"app.compat.walt", "app.compat.walt_app"}
_OF_VA = {"app.compat.va", "app.compat.va_v1", "app.compat.va_data"}
_OF_REDIS = {"redis", "celery", "kombu", "tasks.core.carrier", "tasks.core.redis_events", "tasks.core.tenant_streams"}
_OF_LEDGER_EVENTS = {"tasks.core.ledger_events"}


@pytest.mark.parametrize(
    ("values", "present", "absent", "paths"),
    [
        ({}, _OF_SSE | _OF_WEBSOCKET | _OF_REDIS, _OF_LEDGER_EVENTS, {_SSE, _TOKEN}),
        (
            {"DIALECT_VA": "off", "DIALECT_WALT": "off"},
            _OF_SSE | _OF_REDIS,
            _OF_VA | _OF_WALT | {"app.compat.va_realtime"},
            {_SSE, _TOKEN},
        ),
        ({"PROFILE": "api"}, _OF_REDIS | _OF_VA | _OF_WALT, _OF_SSE | _OF_WEBSOCKET | _OF_LEDGER_EVENTS, set()),
        ({"PROFILE": "local"}, _OF_SSE | _OF_WEBSOCKET | _OF_LEDGER_EVENTS, _OF_REDIS, {_SSE, _TOKEN}),
        ({"WEBSOCKET": "off"}, _OF_SSE | _OF_REDIS, _OF_WEBSOCKET, {_SSE, _TOKEN}),
        ({"SSE": "off"}, _OF_WEBSOCKET | _OF_REDIS, _OF_SSE, {_TOKEN}),
        ({"PROFILE": "local", "SSE": "off", "WEBSOCKET": "off"}, set(), _OF_SSE | _OF_WEBSOCKET | _OF_REDIS, set()),
    ],
    ids=["dashboard", "no older paths", "api", "local", "no websocket", "no sse", "local without streams"],
)
def test_mode_that_is_off_is_neither_loaded_nor_described(
    tmp_path: Path, values: dict[str, str], present: set[str], absent: set[str], paths: set[str]
) -> None:
    """A fresh interpreter builds the app, then says what it knows and what it serves."""
    env = {"STATE_DIR": str(tmp_path), "REDIS_URL": DEAD_REDIS_URL, "LOG_LEVEL": "error"} | values
    environ = os.environ | {f"SWITCHYARD_{name}": value for name, value in env.items()}
    built = subprocess.run([sys.executable, "-c", _BUILD], env=environ, capture_output=True, text=True, check=True)
    told = json.loads(built.stdout.splitlines()[-1])
    assert (present, set()) == (present & set(told["modules"]), absent & set(told["modules"]))
    assert paths == {_SSE, _TOKEN} & set(told["paths"])
    assert "/api/jobs/{job_id}" in told["paths"]


def test_stream_that_is_off_is_no_path_at_all(make_app: Callable[..., API]) -> None:
    """The answer's code tells it from a job that is not there, and the record names no such link."""
    caller = sign_in(make_app(profile="api"), "alice")
    record = caller.submit()
    streams = (f"/api/jobs/{record['id']}/events", f"/ws/jobs/{record['id']}")
    answers = [caller.get(path) for path in streams]
    assert [(404, "no_such_path")] * 2 == [(answer.status_code, answer.json["code"]) for answer in answers]
    assert {"self", "logs", "artifacts", "cancel", "retry"} == set(record["links"])


def test_older_paths_are_none_where_their_dialect_is_off(make_app: Callable[..., API]) -> None:
    """Like any other path that nothing is served at."""
    caller = sign_in(make_app(dialect_va=False, dialect_walt=False), "alice")
    for path in ("/jobs", "/tools", "/api/walt/tools"):
        assert "no_such_path" == caller.get(path).json["code"]


def test_realtime_mode_needs_websockets(make_app: Callable[..., API]) -> None:
    """Without them it is no path at all, and what is left knows of no socket."""
    caller = sign_in(make_app(profile="api"), "alice")
    for answer in (caller.post("/calibrate/realtime", json={}), caller.get("/websocket/stats")):
        assert (404, "no_such_path") == (answer.status_code, answer.json["code"])
    assert caller.post("/calibrate", json={"async": True}).json["urls"]["websocket"] is None


def test_domain_events_come_in_pages_where_there_are_no_streams(make_app: Callable[..., API]) -> None:
    """Whoever asks for a stream is told; whoever does not care gets a page; the document names no stream."""
    caller = sign_in(make_app(profile="api"), "alice")
    assert [] == caller.get("/api/events").json["events"]
    for wish in ({"query_string": {"format": "sse"}}, {"headers": {"Accept": "text/event-stream"}}):
        answer = caller.get("/api/events", **wish)
        assert (406, "not_acceptable") == (answer.status_code, answer.json["code"])
    assert "text/event-stream" not in caller.get("/openapi").text


def test_local_profile_is_healthy_without_redis(make_app: Callable[..., API]) -> None:
    """It depends on the ledger, and on a runner that leads; with Redis it has nothing to do."""
    app = make_app(profile="local")
    leases.take(services_of(app).kernel.ledger, leases.DISPATCHER, holder="local@here", seen=None)
    health = app.test_client().get("/health").json
    assert ("ok", {"ledger", "accepting", "dispatcher"}) == (health["status"], set(health["checks"]))


def test_accepting_without_a_broker_leaves_the_job_to_the_runner(make_app: Callable[..., API]) -> None:
    """It is queued and was never carried."""
    caller = sign_in(make_app(profile="local"), "alice")
    assert "queued" == caller.submit()["state"]
    (queue,) = [queue for queue in caller.get("/api/queues").json["queues"] if queue["waiting"]]
    assert 0 == queue["published"]


def test_client_follows_a_job_by_polling_where_there_are_no_streams(make_app: Callable[..., API]) -> None:
    """It asks for a stream, is told that there is none, and goes on with the record."""
    app = make_app(profile="api")
    caller = sign_in(app, "alice")
    kernel = services_of(app).kernel
    record = caller.submit()
    finish(kernel, claim(kernel, record["id"]))
    with (
        served(app) as address,
        Switchyard(f"http://{address}", caller.key) as client,
        client.events(record["id"]) as stream,
    ):
        events = list(stream)
        assert "polling" == stream.transport
    assert "succeeded" == events[-1].data["state"]
