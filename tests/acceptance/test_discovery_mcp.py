"""An agent's whole way: a site is discovered, its tools are offered at ``/mcp``, and a call is run by a real worker."""

import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from client import Switchyard
from tests.acceptance.conftest import Yard
from tests.discovery.local_shop import LocalShop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("yard"),
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here: make setup installs it"),
]
Connect = Callable[[Yard], AbstractAsyncContextManager[Client]]


@asynccontextmanager
async def over_http(yard: Yard) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {yard.key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=120) as http,
        Client(streamable_http_client(f"{yard.url}/mcp", http_client=http)) as client,
    ):
        yield client


@asynccontextmanager
async def over_stdio(yard: Yard) -> AsyncIterator[Client]:
    environ = {"SWITCHYARD_URL": yard.url, "SWITCHYARD_API_KEY": yard.key}
    command = StdioServerParameters(command=sys.executable, args=["-m", "client.command", "mcp"], env=environ)
    async with Client(command) as client:
        yield client


@pytest.mark.parametrize("connect", [over_http, over_stdio])
def test_an_agent_searches_a_site_that_was_discovered(
    yard: Yard, client: Switchyard, shop: LocalShop, connect: Connect
) -> None:
    """By the official SDK: the search is listed with its schema, asks the site once, and answers what that has."""
    client.run("discovery.site", {"url": f"{shop.origin}/", "goal": "search for tea"}, run_timeout_s=240)
    (search,) = [one for one in client.tools.page(site=shop.origin, limit=200).tools if one.purpose == "search"]

    async def conversation() -> None:
        with anyio.fail_after(150):
            async with connect(yard) as agent:
                offered = {tool.name: tool for tool in (await agent.list_tools()).tools}
                tool = offered[search.exported_name]
                assert ["q"] == list(tool.input_schema["properties"])
                asked = shop.hits["/search"]
                result = await agent.call_tool(tool.name, {"q": "tea 3"})
                assert (False, asked + 1) == (result.is_error, shop.hits["/search"])
                assert "Tea 3" in str(result.structured_content or result.content)
                assert "Tea 4" not in str(result.structured_content or result.content)
                assert (await agent.call_tool(tool.name, {"colour": "red"})).is_error
                assert asked + 1 == shop.hits["/search"]

    anyio.run(conversation)
