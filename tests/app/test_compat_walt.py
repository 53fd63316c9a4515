"""The older tool discovery service's paths: literal requests in, literal replies out, our jobs behind them."""

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.compat.walt_words import steps_of
from app.openapi import API
from app.services import Services
from tasks.core.ledger import queries
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Job, JobState
from tasks.core.relay import announce
from tasks.discovery.tool import Effect, FormCall, FormField, PageToolCall, RequestCall, Step, StepsCall
from tests.app.conftest import Caller, claim, finish
from tests.discovery.tools import SITE, a_tool, record
from tests.samples import eventually

DISCOVER = {"url": f"{SITE}/", "goal": "find products", "max_tools": 5, "headless": True}
FOUND = {"url": f"{SITE}/", "site": SITE, "goal": "find products", "tools": [{"name": "search_products"}]}


@pytest.fixture
def app(make_app: Callable[..., API]) -> API:
    """An application that hears of ends without a Redis."""
    return make_app(profile="local")


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long."""
    monkeypatch.setattr("app.waiting.LONGEST_WAIT_S", 0.05)


@pytest.fixture
def known(services: Services, alice: Caller) -> None:
    """Alice has three tools."""
    tools = [a_tool(), a_tool("close_account", effect=Effect.DESTROY)]
    record(services.kernel.ledger, Tenant(alice.tenant_id, ""), *tools)
    other = a_tool(site="http://127.0.0.1:8080")
    record(services.kernel.ledger, Tenant(alice.tenant_id, ""), other)


def queued(services: Services, caller: Caller) -> list[Job]:
    wanted = Filter(tenant_id=caller.tenant_id, states=[JobState.QUEUED])
    return list(queries.listing(services.kernel.ledger, wanted, limit=100).jobs)


def answered(services: Services, caller: Caller, send: Callable[[], TestResponse], **end: Any) -> Any:
    """Send a request that waits for its job, and end that job as a worker would."""
    answers: list[TestResponse] = []
    thread = Thread(target=lambda: answers.append(send()))
    thread.start()
    assert eventually(lambda: queued(services, caller))
    (job,) = queued(services, caller)
    ended = finish(services.kernel, claim(services.kernel, job.id), **end)
    announce(services.kernel.ledger, services.kernel.events, ended)
    thread.join(timeout=30)
    assert answers[0].headers["Deprecation"].startswith("@")
    return answers[0]


def test_discover_waits_for_the_tools(services: Services, alice: Caller, known: None) -> None:
    """In its shape, with the tool's inputs and steps, and which backend ran."""
    answer = answered(services, alice, lambda: alice.post("/discover", json=DISCOVER), result=FOUND)
    assert 200 == answer.status_code, answer.text
    assert '</api/jobs/discovery.site>; rel="successor-version"' == answer.headers["Link"]
    body = answer.json
    assert {"success": True, "url": f"{SITE}/", "domain": "shop.example", "tools_discovered": 1} == {
        name: body[name] for name in ("success", "url", "domain", "tools_discovered")
    }
    assert f"/api/jobs/{body['job_id']}/artifacts" == body["output_dir"]
    assert "queue" == body["backend"]
    (tool,) = body["tools"]
    assert ("search_products", "shop.example", None, None) == (
        *(tool[name] for name in ("name", "domain", "cost", "latency_ms")),
    )
    assert {"type": "string", "description": "Search terms", "required": True, "default": None, "enum": None} == tool[
        "inputs"
    ]["q"]
    assert (["price", "name"], False) == (tool["inputs"]["sort"]["enum"], tool["inputs"]["sort"]["required"])
    assert {"type": "navigate", "url": f"{SITE}/search?q={{q}}&sort={{sort}}"} == tool["steps"][0]
    job = queries.job(services.kernel.ledger, body["job_id"])
    assert job is not None
    assert ("discovery.site", "find products", 5) == (job.kind, job.request["goal"], job.request["max_tools"])


def test_generate_gives_one_tool_or_none(services: Services, alice: Caller, known: None) -> None:
    """Both fields are required; a goal that nothing serves is 404, a failure 500."""
    body = {"url": f"{SITE}/", "goal": "search"}
    answer = answered(services, alice, lambda: alice.post("/generate", json=body), result=FOUND)
    assert (200, True, "search_products") == (answer.status_code, answer.json["success"], answer.json["tool"]["name"])
    nothing = answered(services, alice, lambda: alice.post("/generate", json=body), result=FOUND | {"tools": []})
    assert (404, False) == (nothing.status_code, nothing.json["success"])
    error = {"code": "permanent", "message": "It broke."}
    failed = answered(
        services,
        alice,
        lambda: alice.post("/generate", json=body),
        state="failed",
        cause="permanent",
        result=None,
        error=error,
    )
    assert (500, False, "It broke.") == (failed.status_code, failed.json["success"], failed.json["error"])


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/generate", {"url": f"{SITE}/"}, "goal"),
        ("/generate", {"goal": "x"}, "url"),
        ("/discover", {"url": "ftp://x"}, "url"),
        ("/discover", {"url": "http://localhost/\u0000"}, "url"),
        ("/discover", DISCOVER | {"max_tools": 101}, "max_tools"),
        ("/api/walt/discover", {"goal": "x"}, ""),
        ("/api/walt/tools", {"action": "refresh", "domain": "nowhere"}, "domains"),
        ("/api/walt/tools", {"action": "dance"}, "action"),
    ],
)
def test_what_does_not_fit_is_a_400(alice: Caller, path: str, body: dict[str, Any], field: str) -> None:
    """With its words, and the field."""
    answer = alice.post(path, json=body)
    assert (400, False) == (answer.status_code, answer.json["success"]), answer.text
    assert field in [one["field"] for one in answer.json["errors"]]
    assert field in answer.json["error"]


def test_a_long_discovery_goes_on_as_a_job(alice: Caller, hurried: None) -> None:
    """202, and where to ask; a fraction of max_tools is floored."""
    answer = alice.post("/discover", json=DISCOVER | {"max_tools": 3.7})
    assert (202, False) == (answer.status_code, answer.json["success"])
    assert "queued" == alice.get(f"/api/jobs/{answer.json['job_id']}").json["state"]


def test_tools_are_listed_shown_and_deleted(alice: Caller, bob: Caller, known: None) -> None:
    """By host and name; each tenant's own, and with any of three ways to send the key."""
    listed = alice.get("/tools").json
    assert (True, 3, 3) == (listed["success"], listed["count"], listed["total"])
    assert {"shop.example", "127.0.0.1:8080"} == {one["domain"] for one in listed["tools"]}
    path = "/tools/shop.example/search_products"
    for sent in ({"headers": {"X-API-Key": alice.key}}, {"query_string": {"api_key": alice.key}}):
        assert "search_products" == alice.client.get(path, **sent).json["tool"]["name"]
    assert "127.0.0.1:8080" == alice.get("/tools/127.0.0.1:8080/search_products").json["tool"]["domain"]
    for answer in (bob.get(path), bob.delete(path), alice.get("/tools/shop.example/other"), alice.get("/tools/x/y")):
        assert (404, False) == (answer.status_code, answer.json["success"])
    assert (401, False) == (alice.client.get("/tools").status_code, alice.client.get("/tools").json["success"])
    assert (200, True) == (alice.delete(path).status_code, alice.get("/tools").json["success"])
    assert 404 == alice.get(path).status_code


def test_execute_runs_a_tool(services: Services, alice: Caller, known: None) -> None:
    """By its name, and the site's host where several have one; what deletes is refused."""
    body: dict[str, Any] = {"tool_name": "search_products", "parameters": {"q": "tea"}}
    unclear = alice.post("/api/walt/execute", json=body)
    assert (400, "context.domain") == (unclear.status_code, unclear.json["errors"][0]["field"])
    body["context"] = {"domain": "shop.example", "user_id": "u", "session_id": "s", "query": "tea"}
    result = {"value": [{"name": "Tea"}], "took_s": 0.25, "cost": {"total": 0.001}}
    answer = answered(services, alice, lambda: alice.post("/api/walt/execute", json=body), result=result)
    expected = {"success": True, "result": [{"name": "Tea"}], "error": None, "execution_time_ms": 250.0, "cost": 0.001}
    assert expected | {"cached": False} == {name: answer.json[name] for name in (*expected, "cached")}
    assert 400 == alice.post("/api/walt/execute", json=body | {"parameters": {}}).status_code
    assert 400 == alice.post("/api/walt/execute", json={"tool_name": "close_account"}).status_code
    assert 404 == alice.post("/api/walt/execute", json={"tool_name": "nothing"}).status_code
    assert 1 == alice.get("/api/walt/discover").json["stats"]["discovery.run"]["succeeded"]


def test_domains_of_sites_are_begun(services: Services, alice: Caller, known: None) -> None:
    """A job for each site; refresh looks past the cache; the list and its search are the registry's."""
    begun = alice.post("/api/walt/tools", json={"action": "refresh", "domain": "financial"}).json
    assert (["financial"], 5) == (begun["domains"], len(begun["job_ids"]))
    assert {True} == {job.request["force"] for job in queued(services, alice)}
    assert 5 == len(alice.post("/api/walt/discover", json={"domain": "research"}).json["job_ids"])
    few = alice.post("/api/walt/tools", json={"action": "initialize", "high_priority_only": True}).json
    assert {"financial", "research"} < {*few["domains"], "research"}
    assert "social" not in few["domains"]
    assert 1 == len(alice.get("/api/walt/tools?domain=shop.example&limit=1").json["tools"])
    assert 2 == alice.get("/api/walt/tools?domain=shop.example").json["total"]
    assert 3 == len(alice.get("/api/walt/tools?search=catalogue").json["tools"])
    gone = alice.delete("/api/walt/tools?tool_name=search_products&domain=shop.example")
    assert (200, True) == (gone.status_code, gone.json["success"])


def test_every_call_has_steps() -> None:
    """In its vocabulary, as far as that goes."""
    form = FormCall(
        page_url="https://a.example/",
        url="https://a.example/s",
        fields=(
            FormField(name="q", type="text", input="q", selectors=("#q",)),
            FormField(name="o", type="select-one", input="o", selectors=("#o",)),
            FormField(name="t", type="hidden", value="1"),
        ),
        submit_selectors=("#go",),
    )
    assert ["navigate", "input", "select_change", "click", "extract_page_content"] == [
        step["type"] for step in steps_of(form)
    ]
    assert {"type": "input", "selector": "#q", "value": "{q}"} == steps_of(form)[1]
    steps = StepsCall(page_url="https://a.example/", steps=(Step(act="key", text="Enter"), Step(act="wait")))
    assert ["navigate", "key_press", "wait_for_page_load"] == [step["type"] for step in steps_of(steps)]
    sent = RequestCall(method="POST", url="https://a.example/api")
    assert [{"type": "request", "method": "POST", "url": "https://a.example/api"}] == steps_of(sent)
    assert "page_tool" == steps_of(PageToolCall(page_url="https://a.example/", tool_name="x"))[1]["type"]
