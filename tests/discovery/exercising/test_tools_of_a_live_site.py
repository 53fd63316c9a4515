"""From a live page to its tools: what its scripts asked, read by the sources."""

from typing import Any

import httpx
import pytest

from tasks.core.browser import WarmBrowser
from tasks.discovery.engine.site import Document, Site, Snapshot
from tasks.discovery.engine.sources import graphql, xhr
from tasks.discovery.tool import Effect, RequestCall, Tool
from tests.discovery.exercising.shop import Shop
from tests.discovery.exercising.test_exercise import tried


@pytest.fixture(scope="module")
def queries(browser: WarmBrowser, open_shop: Shop) -> Site:
    """The page that asks by GraphQL, as it was seen once."""
    return site_of(browser, open_shop, "/queries")


def site_of(browser: WarmBrowser, shop: Shop, path: str = "/") -> Site:
    seen = tried(browser, shop.url(path), reopen=False)
    snapshot = Snapshot(page=seen.page, html="", exchanges=seen.exchanges)
    return Site(shop.url("").rstrip("/"), (snapshot,), _nothing, _post)


def _nothing(url: str, *, accept: str = "*/*") -> Document | None:
    return None


def _post(url: str, payload: Any, *, accept: str = "") -> Document | None:
    answer = httpx.post(url, json=payload, trust_env=False, timeout=20)
    return Document(url, answer.status_code, "application/json", answer.text)


def call_of(tool: Tool) -> RequestCall:
    assert isinstance(tool.call, RequestCall)
    return tool.call


def test_the_shops_api_becomes_tools(browser: WarmBrowser, shop: Shop) -> None:
    tools = {(call_of(tool).method, call_of(tool).url): tool for tool in xhr.find_tools(site_of(browser, shop))}
    assert {("GET", shop.url("/api/v1/products")), ("POST", shop.url("/api/v1/products/search"))} == tools.keys()
    search = tools["GET", shop.url("/api/v1/products")]
    assert ("search_products", "search", Effect.READ) == (search.name, search.purpose, search.effect)
    rules = search.input_schema["properties"]
    assert {"q": "string", "page": "integer", "sort": "string"} == {name: rules[name]["type"] for name in rules}
    assert ["name", "price"] == rules["sort"]["enum"]
    assert "blue" in rules["q"]["examples"]
    assert "kettle" == search.examples[0]["q"]
    assert (("accept", "application/json"), ("x-requested-with", "XMLHttpRequest")) == call_of(search).headers
    assert "needs a session: x-csrf-token" in search.evidence


def test_the_shops_graphql_becomes_tools(queries: Site, shop: Shop) -> None:
    tools = {tool.name: tool for tool in graphql.find_tools(queries)}
    assert {"search_products", "get_product", "add_review", "delete_product"} == tools.keys()
    search = tools["search_products"]
    assert ("search", shop.url("/graphql")) == (search.purpose, call_of(search).url)
    assert {"search": "kettle", "first": 5} == search.examples[0]
    body = call_of(search).body | {"variables": search.examples[0]}
    answer = shop.ask(body)
    assert ["red kettle", "blue kettle"] == [item["name"] for item in answer["data"]["products"]][:2]


def test_operations_seen_do_where_introspection_is_refused(queries: Site, shop: Shop) -> None:
    shop.is_introspectable = False
    [tool] = graphql.find_tools(queries)
    assert ("find", "search", Effect.READ) == (tool.name, tool.purpose, tool.effect)
    assert {"search", "first"} == tool.input_schema["properties"].keys()
    assert tool.output_schema is not None
