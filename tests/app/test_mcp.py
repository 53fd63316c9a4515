"""``/mcp`` as the official SDK's own client sees it, over real HTTP and over stdio; and by hand, where that matters."""

import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types.version import LATEST_HANDSHAKE_VERSION

from app.openapi import API
from tasks.core.ledger import queries
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Job, JobState
from tasks.core.relay import announce
from tasks.discovery.contract import RUN
from tasks.discovery.store.tools import find_named
from tasks.discovery.tool import Effect, Tool
from tests.app.conftest import Caller, claim, finish
from tests.app.desk import Desk
from tests.discovery.tools import SITE, a_tool, ran, record

NAME = "shop_example__search_products"
ROWS = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": {"type": "string"}}},
    "required": ["items"],
}
Session = Callable[..., Any]


@dataclass
class Heard:
    """What a client was told besides answers."""

    messages: list[str] = field(default_factory=list)

    async def __call__(self, message: Any) -> None:
        """Note a notification."""
        self.messages.append(getattr(message, "method", type(message).__name__))

    async def wait_for(self, method: str) -> None:
        """Wait until it was told this."""
        with anyio.fail_after(30):
            while method not in self.messages:
                await anyio.sleep(0.02)


def discovered(desk: Desk, *tools: Tool, by: Caller | None = None) -> None:
    """Record tools, and let the dispatcher tell of it."""
    record(desk.services.kernel.ledger, Tenant((by or desk.alice).tenant_id, ""), *tools)
    desk.relay.tick()


@asynccontextmanager
async def over_http(desk: Desk, heard: Heard, caller: Caller) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {caller.key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        transport = streamable_http_client(f"http://{desk.address}/mcp", http_client=http)
        async with Client(transport, message_handler=heard) as client:
            yield client


@asynccontextmanager
async def over_stdio(desk: Desk, heard: Heard, caller: Caller) -> AsyncIterator[Client]:
    environ = {"SWITCHYARD_URL": f"http://{desk.address}", "SWITCHYARD_API_KEY": caller.key}
    command = StdioServerParameters(command=sys.executable, args=["-m", "client.command", "mcp"], env=environ)
    async with Client(command, message_handler=heard) as client:
        yield client


@pytest.fixture(params=[over_http, over_stdio])
def connect(request: pytest.FixtureRequest) -> Session:
    """A connection by each transport."""
    found: Session = request.param
    return found


def talk(conversation: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        with anyio.fail_after(60):
            await conversation()

    anyio.run(limited)


@pytest.fixture
def worker(desk: Desk) -> Iterator[Callable[..., None]]:
    """A worker's hand: what it was given ends the next run, in a thread of its own."""
    hands: list[threading.Thread] = []

    def next_run(**end: Any) -> None:
        thread = threading.Thread(target=_run, args=(desk, end), daemon=True)
        hands.append(thread)
        thread.start()

    yield next_run
    for hand in hands:
        hand.join(30)
        assert not hand.is_alive()


def _run(desk: Desk, end: dict[str, Any]) -> None:
    kernel = desk.services.kernel
    job = awaited_job(desk)
    claimed = claim(kernel, job.id)
    if end.pop("is_last_straw", False):
        tenant = Tenant(desk.alice.tenant_id, "")
        stored = find_named(kernel.ledger, tenant.id, SITE, "search_products")
        ran(kernel.ledger, tenant, stored, job=claimed, ok=False, stale_after=1)
    for percent in end.pop("reports", ()):
        data = {"percent": percent, "stage": "run", "step": percent, "total": 100, "message": "reading", "eta_s": None}
        kernel.events.append(job.id, "progress", data, fence=claimed.fence, attempt=1)
        threading.Event().wait(0.6)
    announce(kernel.ledger, kernel.events, finish(kernel, claimed, **end))


def awaited_job(desk: Desk) -> Job:
    """Wait for a run that nobody has begun."""
    queued = Filter(tenant_id=desk.alice.tenant_id, kind=RUN, states=[JobState.QUEUED])
    for _ in range(1500):
        found = queries.listing(desk.services.kernel.ledger, queued, limit=1).jobs
        if found:
            return found[0]
        threading.Event().wait(0.02)
    raise AssertionError("no run was submitted")


def answered(value: Any, **more: Any) -> dict[str, Any]:
    return {"result": {"tool": "t", "value": value, "fits_output_schema": True, "artifact": None} | more}


def test_tools_are_listed_and_called(desk: Desk, connect: Session, worker: Callable[..., None]) -> None:
    """By the SDK's own client, which checks the output against its schema."""
    discovered(desk, a_tool(output_schema=ROWS), a_tool("unsure", confidence=0.2))

    async def conversation() -> None:
        async with connect(desk, Heard(), desk.alice) as client:
            (tool,) = (await client.list_tools()).tools
            assert (NAME, True) == (tool.name, tool.annotations.read_only_hint)
            assert ["q"] == tool.input_schema["required"]
            assert 0.9 == tool.meta["switchyard/confidence"]
            worker(**answered({"items": ["green tea"]}))
            result = await client.call_tool(NAME, {"q": "tea"})
            assert (False, {"items": ["green tea"]}) == (result.is_error, result.structured_content)
            assert '{"items": ["green tea"]}' == result.content[0].text

    talk(conversation)
    jobs = desk.alice.get(f"/api/jobs?kind={RUN}").json["jobs"]
    assert [("succeeded", 1)] == [(job["state"], job["attempt"]) for job in jobs]


def test_a_call_tells_of_its_progress(desk: Desk, connect: Session, worker: Callable[..., None]) -> None:
    """To a client that gave a token, before the answer."""
    discovered(desk, a_tool())
    told: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async def conversation() -> None:
        async with connect(desk, Heard(), desk.alice) as client:
            worker(reports=[20.0, 60.0], **answered("done"))
            result = await client.call_tool(NAME, {"q": "tea"}, progress_callback=note)
            assert "done" == result.content[0].text

    talk(conversation)
    assert [(20.0, 100.0, "reading"), (60.0, 100.0, "reading")] == told


def test_failures_are_results(desk: Desk, worker: Callable[..., None]) -> None:
    """That say why: refused arguments, a failed run, an output that is too large or does not fit; no such tool."""
    discovered(desk, a_tool(output_schema=ROWS))

    async def conversation() -> None:
        async with over_http(desk, Heard(), desk.alice) as client:

            async def told(**arguments: Any) -> str:
                result = await client.call_tool(NAME, arguments)
                assert result.is_error
                return str(result.content[0].text)

            refused = await told(sort="colour")
            assert refused.startswith("input_rejected: Nothing was sent to the site. ")
            assert "q: Required: add it." in refused
            assert "sort: " in refused
            error = {"code": "transient", "message": "The site did not answer."}
            worker(state=JobState.FAILED, cause="transient", result=None, error=error)
            assert "transient: The site did not answer." == await told(q="tea")
            worker(is_last_straw=True, state=JobState.FAILED, cause="transient", result=None, error=error)
            assert f'{{"kind": "discovery.site", "params": {{"url": "{SITE}/"' in await told(q="tea")
            with pytest.raises(MCPError, match="It is stale; to have it looked for anew, POST"):
                await client.call_tool(NAME, {"q": "tea"})
            discovered(desk, a_tool(output_schema=ROWS))
            worker(**answered(None, artifact="value.json"))
            assert "value.json" in await told(q="tea")
            worker(**answered({"rows": 1}, fits_output_schema=False))
            assert (await told(q="tea")).startswith("unexpected_output: ")
            worker(**answered(None))
            assert (await told(q="tea")).startswith("unexpected_output: ")
            with pytest.raises(MCPError, match="no tool 'nothing' is offered"):
                await client.call_tool("nothing", {})

    talk(conversation)


def test_what_destroys_wants_a_confirmation(desk: Desk, worker: Callable[..., None]) -> None:
    """As an argument; the site never gets it."""
    discovered(desk, a_tool("close_account", effect=Effect.DESTROY))

    async def conversation() -> None:
        async with over_http(desk, Heard(), desk.alice) as client:
            (tool,) = (await client.list_tools()).tools
            assert (True, ["q", "confirm"]) == (tool.annotations.destructive_hint, tool.input_schema["required"])
            refused = await client.call_tool(tool.name, {"q": "x"})
            assert "confirm: Required to be true" in refused.content[0].text
            worker(**answered("closed"))
            assert "closed" == (await client.call_tool(tool.name, {"q": "x", "confirm": True})).content[0].text

    talk(conversation)
    (job,) = queries.listing(
        desk.services.kernel.ledger, Filter(tenant_id=desk.alice.tenant_id, kind=RUN), limit=9
    ).jobs
    assert ({"q": "x"}, ["destroy"]) == (job.request["arguments"], job.request["allow_effects"])


def test_changes_are_told(desk: Desk, connect: Session) -> None:
    """When a discovery finds something; then the list is another."""
    discovered(desk, a_tool())
    heard = Heard()

    async def conversation() -> None:
        async with connect(desk, heard, desk.alice) as client:
            assert 1 == len((await client.list_tools()).tools)
            with anyio.fail_after(30):  # until the stream is open, nobody listens
                while "ToolListChangedNotification" not in str(heard.messages) and (
                    "notifications/tools/list_changed" not in heard.messages
                ):
                    await anyio.to_thread.run_sync(_change, desk)
                    await anyio.sleep(0.2)
            assert 2 == len((await client.list_tools()).tools)

    talk(conversation)


def _change(desk: Desk) -> None:
    discovered(desk, a_tool())
    discovered(desk, a_tool(), a_tool("other"))


def test_cancelling_a_call_cancels_its_job(desk: Desk) -> None:
    """By the protocol's own notification, whichever process hears it; another session's call goes on."""
    discovered(desk, a_tool())
    answers: list[dict[str, Any]] = []
    call = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": NAME, "arguments": {"q": "tea"}}}

    def ask() -> None:
        answers.append(post(desk, call, session="one").json())

    thread = threading.Thread(target=ask)
    thread.start()
    job = awaited_job(desk)
    params = {"requestId": 7, "reason": "no longer wanted"}
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
    assert 202 == post(desk, cancelled, session="other").status_code
    assert 202 == post(desk, cancelled, session="one", by=desk.bob).status_code
    waiting = queries.job(desk.services.kernel.ledger, job.id)
    assert waiting is not None
    assert JobState.QUEUED is waiting.state
    assert 202 == post(desk, cancelled, session="one").status_code
    thread.join(30)
    ended = queries.job(desk.services.kernel.ledger, job.id)
    assert ended is not None
    assert JobState.CANCELLED is ended.state
    assert (7, True) == (answers[0]["id"], answers[0]["result"]["isError"])


def post(desk: Desk, message: Any, *, session: str | None = None, by: Caller | None = None, **headers: str) -> Any:
    sent = {"Authorization": f"Bearer {(by or desk.alice).key}", "Accept": "application/json", **headers}
    if session is not None:
        sent["Mcp-Session-Id"] = session
    return httpx2.post(f"http://{desk.address}/mcp", json=message, headers=sent, timeout=60)


def test_tenants_see_their_own_tools(desk: Desk) -> None:
    """And nobody anything without a key."""
    discovered(desk, a_tool(), by=desk.alice)
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert [NAME] == [one["name"] for one in post(desk, request).json()["result"]["tools"]]
    assert [] == post(desk, request, by=desk.bob).json()["result"]["tools"]
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": NAME, "arguments": {"q": "x"}}}
    assert -32602 == post(desk, call, by=desk.bob).json()["error"]["code"]
    for method in ("POST", "GET", "DELETE"):
        answer = httpx2.request(method, f"http://{desk.address}/mcp", json=request)
        assert (401, "not_authenticated") == (answer.status_code, answer.json()["code"])
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_handshake_agrees_on_a_revision(desk: Desk) -> None:
    """The one that was asked for, or the newest with a handshake; a client without one is sent to it."""
    info = {"capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}
    for asked, agreed in {"2025-06-18": "2025-06-18", "1999-01-01": LATEST_HANDSHAKE_VERSION}.items():
        params = info | {"protocolVersion": asked}
        answer = post(desk, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
        assert agreed == answer.json()["result"]["protocolVersion"]
        assert 32 == len(answer.headers["Mcp-Session-Id"])
    newer = post(desk, {"jsonrpc": "2.0", "id": "a", "method": "tools/list"}, **{"MCP-Protocol-Version": "2026-07-28"})
    assert (400, -32022, "a") == (newer.status_code, newer.json()["error"]["code"], newer.json()["id"])


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        ({"jsonrpc": "2.0", "id": 1, "method": "resources/list"}, 200, -32601),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {}}, 200, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "x"}}, 200, -32602),
        ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}], 400, -32600),
        ({"id": 1}, 400, -32600),
    ],
)
def test_bad_messages_are_refused(desk: Desk, message: Any, status: int, code: int) -> None:
    """In the protocol's words."""
    answer = post(desk, message)
    assert (status, code) == (answer.status_code, answer.json()["error"]["code"])


def test_long_lists_are_paged(desk: Desk) -> None:
    """A hundred at a time, none twice."""
    discovered(desk, *(a_tool(f"tool_{number}") for number in range(150)))
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    first = post(desk, request).json()["result"]
    second = post(desk, request | {"params": {"cursor": first["nextCursor"]}}).json()["result"]
    assert (100, 50, False) == (len(first["tools"]), len(second["tools"]), "nextCursor" in second)
    assert 150 == len({tool["name"] for page in (first, second) for tool in page["tools"]})


def test_it_is_off_where_the_settings_say_so(make_app: Callable[..., API]) -> None:
    """Then the path is not there."""
    answer = make_app(mcp=False).test_client().post("/mcp", json={})
    assert (404, "no_such_path") == (answer.status_code, answer.json["code"])


def test_the_sdk_loads_with_the_first_message() -> None:
    """Whoever does not use it starts as fast as before."""
    import subprocess

    code = (
        "import sys, app.factory; print([name for name in sys.modules if name.split('.')[0] in ('mcp', 'mcp_types')])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]\n" == answer.stdout
