"""``/api/tools``: listed, searched, recommended, shown, run, deleted; each tenant's apart."""

from typing import Any

import pytest

from app.services import Services
from tasks.core.ledger import queries
from tasks.core.ledger.schema import outbox
from tasks.core.ledger.tenants import Tenant
from tasks.discovery.contract import SITE as SITE_KIND
from tasks.discovery.store.recording import TOOLS_CHANGED
from tasks.discovery.store.tools import find_named
from tasks.discovery.tool import Effect, Tool
from tests.app.conftest import Caller
from tests.discovery.tools import SITE, a_tool, ran, record

PATH = "/api/tools"


def found_by(services: Services, caller: Caller, *tools: Tool) -> dict[str, str]:
    """Record a discovery of these by the caller's tenant; return the tools' ids by name."""
    tenant = Tenant(caller.tenant_id, "")
    record(services.kernel.ledger, tenant, *tools)
    ledger = services.kernel.ledger
    return {one.name: find_named(ledger, tenant.id, one.site, one.name).id for one in tools}


@pytest.fixture
def ids(services: Services, alice: Caller) -> dict[str, str]:
    """The ids of alice's three tools."""
    return found_by(
        services,
        alice,
        a_tool(),
        a_tool("contact", description="Send a message.", effect=Effect.WRITE, confidence=0.6),
        a_tool("close_account", description="Close it.", effect=Effect.DESTROY),
    )


def names(page: Any) -> list[str]:
    return [one["name"] for one in page["tools"]]


def test_tools_are_listed_and_filtered(alice: Caller, ids: dict[str, str]) -> None:
    """With the true total, in pages."""
    page = alice.get(PATH).json
    assert (3, None, set(ids)) == (page["total"], page["next_cursor"], set(names(page)))
    for query, expected in {
        "effect=write": ["contact"],
        "min_confidence=0.7&effect=read": ["search_products"],
        "status=stale": [],
        "status=active&status=stale&source=form&effect=destroy": ["close_account"],
        f"site={SITE}&q=messages": ["contact"],
        "site=https://other.example": [],
    }.items():
        assert expected == names(alice.get(f"{PATH}?{query}").json), query
    first = alice.get(f"{PATH}?limit=2").json
    rest = alice.get(f"{PATH}?limit=2&cursor={first['next_cursor']}").json
    assert set(ids) == {*names(first), *names(rest)}
    for query in ("limit=0", "site=shop.example", "effect=x", "status=x", "min_confidence=2", "q=", "cursor=x", "x=1"):
        assert 422 == alice.get(f"{PATH}?{query}").status_code, query


def test_a_tool_is_shown_with_its_runs(services: Services, alice: Caller, ids: dict[str, str]) -> None:
    """As an MCP tool, with figures and notes."""
    tenant = Tenant(alice.tenant_id, "")
    stored = find_named(services.kernel.ledger, tenant.id, SITE, "search_products")
    ran(services.kernel.ledger, tenant, stored, took_ms=50.0, cost_usd=0.25, used=["argument q"])
    ran(services.kernel.ledger, tenant, stored, ok=False, error_code="timeout")
    shown = alice.get(f"{PATH}/{stored.id}").json
    assert ("search_products", "active", 1, 2) == tuple(shown[key] for key in ("name", "status", "version", "uses"))
    expected = {"ok": 1, "failed": 1, "success_rate": 0.5, "p95_ms": 50.0, "total_cost_usd": 0.25}
    assert expected == {key: shown["statistics"][key] for key in expected}
    assert ["argument q: worked in 1 of 1 runs"] == [note["text"] for note in shown["notes"]]
    assert ("shop_example__search_products", SITE) == (shown["tool"]["name"], shown["tool"]["_meta"]["switchyard/site"])
    assert None is shown["rediscover"]
    runs = alice.get(f"{PATH}/{stored.id}/runs?limit=1").json["runs"]
    assert [(False, "timeout")] == [(run["ok"], run["error_code"]) for run in runs]
    older = alice.get(f"{PATH}/{stored.id}/runs?before={runs[0]['id']}").json["runs"]
    assert [(True, 0.25)] == [(run["ok"], run["cost_usd"]) for run in older]


def test_a_tool_that_fails_again_and_again_says_what_to_submit(
    services: Services, alice: Caller, ids: dict[str, str]
) -> None:
    """As it is, to have it looked for anew; a cached answer would not."""
    stored = find_named(services.kernel.ledger, alice.tenant_id, SITE, "search_products")
    ran(services.kernel.ledger, Tenant(alice.tenant_id, ""), stored, ok=False, stale_after=1)
    (shown,) = alice.get(f"{PATH}?status=stale").json["tools"]
    answer = alice.post("/api/jobs", json=shown["rediscover"])
    assert (202, SITE_KIND) == (answer.status_code, answer.json["kind"])
    job = queries.job(services.kernel.ledger, answer.json["id"])
    assert job is not None
    assert (f"{SITE}/", True) == (job.request["url"], job.request["force"])


def test_versions_are_readable(services: Services, alice: Caller, ids: dict[str, str]) -> None:
    """Newest first."""
    found_by(services, alice, a_tool(description="Other."))
    versions = alice.get(f"{PATH}/{ids['search_products']}/versions").json["versions"]
    assert [(2, "Other."), (1, "Search the catalogue of the shop.")] == [
        (one["version"], one["tool"]["description"]) for one in versions
    ]
    assert "deprecated" == alice.get(f"{PATH}/{ids['contact']}").json["status"]


def test_tools_are_recommended(alice: Caller, ids: dict[str, str]) -> None:
    """Best first, with their scores."""
    found = alice.get(f"{PATH}/recommended?query=message%20search").json["tools"]
    assert [("search_products", 0.36), ("contact", 0.24)] == [
        (one["name"], round(one["score"], 6)) for one in found if one["name"] != "close_account"
    ]
    assert 1 == len(alice.get(f"{PATH}/recommended?limit=1").json["tools"])


def test_usage_notes_move_a_tool_in_searches_and_recommendations(services: Services, alice: Caller) -> None:
    """Of two that fit alike, the one whose runs went well comes first; what runs used can be searched for."""
    ids = found_by(services, alice, a_tool("find_a"), a_tool("find_b"))
    tenant, ledger = Tenant(alice.tenant_id, ""), services.kernel.ledger
    for name, other in (("find_a", "find_b"), ("find_b", "find_a")):
        # All of them succeed, so that nothing else decides.
        good, bad = (find_named(ledger, tenant.id, SITE, one) for one in (name, other))
        for _ in range(8):
            ran(ledger, tenant, good, ok=True, used=["argument colour"], stale_after=100)
            ran(ledger, tenant, bad, ok=True, failed=["argument colour"], stale_after=100)
        assert [name, other] == names(alice.get(f"{PATH}?q=find").json)
        assert {name, other} == set(names(alice.get(f"{PATH}?q=colours").json))
        for query in ("", "?query=find"):
            assert name == names(alice.get(f"{PATH}/recommended{query}").json)[0], query
        verdicts = [note["verdict"] for note in alice.get(f"{PATH}/{ids[other]}").json["notes"]]
        assert ["harmful"] == verdicts
        for one in (name, other):
            assert 204 == alice.delete(f"{PATH}/{ids[one]}").status_code
        ids = found_by(services, alice, a_tool("find_a"), a_tool("find_b"))


def test_a_history_is_told_over_http(services: Services, alice: Caller) -> None:
    """Each discovery's differences as an event, each version with its job; deleted, nothing of it is left."""
    ids = found_by(services, alice, a_tool("same"), a_tool("other"), a_tool("leaves"))
    found_by(services, alice, a_tool("same", confidence=0.5), a_tool("other", description="Now else."), a_tool("comes"))
    changes = outbox.select().where(outbox.c.type == TOOLS_CHANGED).order_by(outbox.c.id)
    with services.kernel.ledger.read() as connection:
        told = [row.data for row in connection.execute(changes)]
    assert [
        {"site": SITE, "new": ["leaves", "other", "same"], "changed": [], "gone": []},
        {"site": SITE, "new": ["comes"], "changed": ["other"], "gone": ["leaves"]},
    ] == told

    def versions(name: str) -> list[int]:
        return [one["version"] for one in alice.get(f"{PATH}/{ids[name]}/versions").json["versions"]]

    assert ([1], [2, 1], [1]) == (versions("same"), versions("other"), versions("leaves"))
    jobs = {one["job_id"] for one in alice.get(f"{PATH}/{ids['other']}/versions").json["versions"]}
    assert 2 == len(jobs)
    assert ("deprecated", 0.5) == (
        alice.get(f"{PATH}/{ids['leaves']}").json["status"],
        alice.get(f"{PATH}/{ids['same']}").json["confidence"],
    )
    assert 204 == alice.delete(f"{PATH}/{ids['other']}").status_code
    gone = f"{PATH}/{ids['other']}"
    assert 404 == alice.get(f"{gone}/versions").status_code == alice.get(f"{gone}/runs").status_code


def test_tools_are_found_by_what_is_meant(alice: Caller, ids: dict[str, str]) -> None:
    """In other words than theirs."""
    assert ["contact"] == names(alice.get(f"{PATH}?q=enquiry").json)
    assert "search_products" == names(alice.get(f"{PATH}/recommended?query=look%20up").json)[0]


def test_a_run_is_a_job(services: Services, alice: Caller, ids: dict[str, str]) -> None:
    """Accepted with the tool's id and checked arguments; the same key makes one job."""
    path, body = f"{PATH}/{ids['search_products']}/run", {"arguments": {"q": "tea", "sort": "price"}, "reference": "r"}
    answer = alice.post(path, json=body, headers={"Idempotency-Key": "k"})
    assert 202 == answer.status_code, answer.text
    assert "discovery.run" == answer.json["kind"]
    assert f"/api/jobs/{answer.json['id']}" == answer.headers["Location"]
    again = alice.post(path, json=body, headers={"Idempotency-Key": "k"})
    assert (answer.json["id"], "true") == (again.json["id"], again.headers["Idempotency-Replayed"])
    job = queries.job(services.kernel.ledger, answer.json["id"])
    assert job is not None
    expected = {"tool_id": ids["search_products"], "arguments": body["arguments"], "allow_effects": ["read"]}
    assert expected == {key: job.request[key] for key in expected}
    assert ("shop.example", "r") == (job.site, job.reference)
    preferred = alice.post(path, json=body, headers={"Prefer": "wait=0"})
    assert (202, "wait=0") == (preferred.status_code, preferred.headers["Preference-Applied"])


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({}, {"arguments.q"}),
        ({"q": 5}, {"arguments.q"}),
        ({"q": "tea", "sort": "colour"}, {"arguments.sort"}),
        ({"q": "x" * 101, "page": 2}, {"arguments.q", "arguments.page"}),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    alice: Caller, ids: dict[str, str], arguments: dict[str, Any], fields: set[str]
) -> None:
    """Before anything is accepted, each named."""
    answer = alice.post(f"{PATH}/{ids['search_products']}/run", json={"arguments": arguments})
    assert (422, "input_rejected") == (answer.status_code, answer.json["code"])
    assert fields == {error["field"] for error in answer.json["errors"]}
    assert 0 == alice.get("/api/jobs?kind=discovery.run").json["total"]


def test_what_destroys_must_be_confirmed(services: Services, alice: Caller, ids: dict[str, str]) -> None:
    """By the word, each time."""
    path, arguments = f"{PATH}/{ids['close_account']}/run", {"arguments": {"q": "x"}}
    answer = alice.post(path, json=arguments)
    assert (422, ["confirm"]) == (answer.status_code, [error["field"] for error in answer.json["errors"]])
    accepted = alice.post(path, json=arguments | {"confirm": True})
    job = queries.job(services.kernel.ledger, accepted.json["id"])
    assert job is not None
    assert (202, ["destroy"]) == (accepted.status_code, job.request["allow_effects"])


def test_tools_are_deleted(services: Services, alice: Caller, ids: dict[str, str]) -> None:
    """One, or a site's once that is confirmed."""
    assert 204 == alice.delete(f"{PATH}/{ids['contact']}").status_code
    assert 404 == alice.get(f"{PATH}/{ids['contact']}").status_code
    refused = alice.delete(f"{PATH}?site={SITE}")
    assert (422, "confirmation_required") == (refused.status_code, refused.json["code"])
    assert {"deleted": 2} == alice.delete(f"{PATH}?site={SITE}&confirm=true").json
    assert 0 == alice.get(PATH).json["total"]


@pytest.mark.parametrize(
    ("method", "suffix", "body"),
    [
        *(("GET", suffix, None) for suffix in ("", "/versions", "/runs")),
        ("DELETE", "", None),
        ("POST", "/run", {"arguments": {"q": "x"}}),
    ],
)
def test_another_tenants_tool_is_not_found(
    alice: Caller, bob: Caller, ids: dict[str, str], method: str, suffix: str, body: dict[str, Any] | None
) -> None:
    """By any of its paths; and nothing of it is listed, recommended, exported or deleted."""
    options = {} if body is None else {"json": body}
    answer = bob.open(method, f"{PATH}/{ids['contact']}{suffix}", **options)
    assert (404, "not_found") == (answer.status_code, answer.json["code"])
    assert [] == bob.get(PATH).json["tools"] == bob.get(f"{PATH}?q=message").json["tools"]
    assert [] == bob.get(f"{PATH}/recommended").json["tools"]
    assert {"tools": []} == bob.get(f"{PATH}/export?format=mcp").json
    assert {"deleted": 0} == bob.delete(f"{PATH}?site={SITE}&confirm=true").json
    assert 3 == alice.get(PATH).json["total"]


def test_tools_are_exported(alice: Caller, ids: dict[str, str]) -> None:
    """In four forms; active ones, of one site or all."""
    exported = {"shop_example__search_products", "shop_example__contact", "shop_example__close_account"}
    assert exported == {one["name"] for one in alice.get(f"{PATH}/export?format=mcp").json["tools"]}
    functions = alice.get(f"{PATH}/export?format=functions&effect=write").json
    assert ["shop_example__contact"] == [one["function"]["name"] for one in functions]
    document = alice.get(f"{PATH}/export?format=openapi").json
    assert {f"{PATH}/{tool_id}/run" for tool_id in ids.values()} == set(document["paths"])
    module = alice.get(f"{PATH}/export?format=python")
    assert "text/x-python" == module.mimetype
    assert "def shop_example__contact(" in module.text
    assert {"tools": []} == alice.get(f"{PATH}/export?format=mcp&status=stale").json
    assert 422 == alice.get(f"{PATH}/export?format=xml").status_code
