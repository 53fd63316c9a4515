"""A site in, its tools out, one of them run: over HTTP, by a worker with a real browser."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from client import Switchyard
from tasks.discovery.tool import Tool
from tests.acceptance.conftest import Yard
from tests.discovery.local_shop import LocalShop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("yard"),
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here: make setup installs it"),
]


def read(yard: Yard, path: str, **query: Any) -> Any:
    answer = httpx.get(f"{yard.url}{path}", params=query, headers={"Authorization": f"Bearer {yard.key}"}, timeout=30)
    assert 200 == answer.status_code, answer.text
    return answer.json()


def discovered(client: Switchyard, shop: LocalShop, **changes: Any) -> dict[str, Any]:
    """The result of a discovery of the shop; asked for twice, the second is answered from the first."""
    params = {"url": f"{shop.origin}/", "goal": "search for tea"} | changes
    job = client.run("discovery.site", params, run_timeout_s=240)
    return dict(job.result or {})


def search_of(tools: list[dict[str, Any]]) -> dict[str, Any]:
    """The tool that searches the shop."""
    return next(one for one in tools if one["_meta"]["switchyard/purpose"] == "search")


def test_the_tools_of_a_ten_page_site_are_found_and_one_is_run(
    yard: Yard, client: Switchyard, shop: LocalShop, tmp_path: Path
) -> None:
    """The search is in the result, in the artifact and in the registry; run, it finds what it was asked for."""
    params = {"url": f"{shop.origin}/", "goal": "search for tea", "force": True}  # others may have asked before
    job = client.run("discovery.site", params, run_timeout_s=240)
    result = job.result or {}
    assert 10 == len(result["pages"])
    assert not result["is_partial"], result["skipped"]
    search = search_of(result["tools"])
    assert ["q"] == list(search["inputSchema"]["properties"])
    assert search["annotations"]["readOnlyHint"]
    assert result["cost"]["total"] > 0

    kept = json.loads(client.download(job.id, "tools.json", tmp_path).read_text())
    assert search["name"] in [Tool.model_validate(one).name for one in kept["tools"]]
    stored = read(yard, "/api/tools", site=shop.origin)["tools"]
    (tool_id,) = [one["id"] for one in stored if one["name"] == search["name"]]

    run = client.run("discovery.run", {"tool_id": tool_id, "arguments": {"q": "tea 3"}}, run_timeout_s=120)
    answer = run.result or {}
    assert (search["name"], 200) == (answer["tool"], answer["status"])
    assert "Tea 3" in json.dumps(answer["value"])
    assert "Tea 4" not in json.dumps(answer["value"])

    costs = read(yard, "/api/discovery/costs")["by_method"]
    assert costs["discovery.site"]["count"] >= 1
    assert {"discovery.run by http", "discovery.run by browser"} & set(costs)


def test_the_same_discovery_again_is_answered_from_the_first(yard: Yard, client: Switchyard, shop: LocalShop) -> None:
    """Unless it is forced; both are counted."""
    first = discovered(client, shop, max_pages=2)
    again = discovered(client, shop, max_pages=2)
    forced = discovered(client, shop, max_pages=2, force=True)
    assert [False, True, False] == [one["cache"]["hit"] for one in (first, again, forced)]
    assert (0.0, first["tools"]) == (again["cost"]["total"], again["tools"])
    stats = read(yard, "/api/discovery/stats")["cache"]["discovery.site"]
    assert stats["hits"] >= 1
    assert stats["misses"] >= 1


def test_a_wiped_redis_takes_no_answer_and_no_count_along(yard: Yard, client: Switchyard, shop: LocalShop) -> None:
    """The ledger has both: no page is looked at again, entries stay, and hits only grow."""
    first = discovered(client, shop, max_pages=2)
    before = read(yard, "/api/discovery/stats")["cache"]["discovery.site"]
    seen = shop.hits.total()
    with redis.Redis.from_url(yard.redis_url) as server:
        server.flushall()
    again = discovered(client, shop, max_pages=2)
    after = read(yard, "/api/discovery/stats")["cache"]["discovery.site"]
    assert (True, first["tools"], seen) == (again["cache"]["hit"], again["tools"], shop.hits.total())
    assert before | {"hits": before["hits"] + 1, "hit_rate": after["hit_rate"]} == after
    assert after["entries"] >= 1


def test_an_invalid_argument_is_refused_before_anything_is_sent(
    client: Switchyard, shop: LocalShop, tmp_path: Path
) -> None:
    """The site does not hear of it."""
    params = {"url": f"{shop.origin}/", "goal": "search for tea", "max_pages": 1}
    job = client.run("discovery.site", params, run_timeout_s=240)
    content = json.loads(client.download(job.id, "tools.json", tmp_path).read_text())
    tool = next(one for one in content["tools"] if one["purpose"] == "search")
    before = shop.hits["/search"]
    run = client.run("discovery.run", {"tool": tool, "arguments": {"colour": "red"}}, check=False, run_timeout_s=120)
    assert ("failed", "input_rejected") == (run.state, run.cause)
    assert before == shop.hits["/search"]


def test_a_tool_that_fails_again_and_again_is_stale_until_it_is_looked_for_anew(
    yard: Yard, client: Switchyard, shop: LocalShop
) -> None:
    """Each run is in its log; what is offered is submitted as it is, and finds it again."""
    discovered(client, shop, max_pages=3)
    (search,) = [one for one in read(yard, "/api/tools", site=shop.origin)["tools"] if one["purpose"] == "search"]
    before = search["statistics"]

    def ran() -> int:
        run = client.run("discovery.run", {"tool_id": search["id"], "arguments": {"q": "tea"}}, run_timeout_s=120)
        return int((run.result or {})["status"])

    assert 200 == ran()
    shop.failing = True
    try:
        assert [410, 410, 410] == [ran() for _ in range(3)]
    finally:
        shop.failing = False
    stale = read(yard, f"/api/tools/{search['id']}")
    after = stale["statistics"]
    assert "stale" == stale["status"]
    assert (4, [1, 3]) == (stale["uses"] - search["uses"], [after[name] - before[name] for name in ("ok", "failed")])
    assert after["p95_ms"] > 0
    assert after["total_cost_usd"] is not None
    log = read(yard, f"/api/tools/{search['id']}/runs")["runs"]
    assert [False, False, False, True] == [run["ok"] for run in log[:4]]
    assert all(run["error_code"] for run in log[:3])
    told = client.wait_for_event("tool.stale", lambda event: event.data["tool_id"] == search["id"], 60, after="0")
    assert stale["rediscover"] == told.data["rediscover"]

    again = client.submit(stale["rediscover"]["kind"], stale["rediscover"]["params"])
    assert not (client.result(again.id, timeout_s=240))["cache"]["hit"]
    assert "active" == read(yard, f"/api/tools/{search['id']}")["status"]
    assert 200 == ran()
