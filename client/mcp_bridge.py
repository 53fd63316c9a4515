"""MCP over stdin and stdout, for agents that start a program: passes messages on to the server's ``/mcp``.

Both ends are the official SDK's transports (PyPI ``mcp``); nothing is answered here.
"""

import anyio
import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.server.stdio import stdio_server
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types.jsonrpc import JSONRPCRequest, JSONRPCResponse

from client.address import Address

# A run may wait for a worker; the server answers after five minutes at the latest.
_ANSWER_LIMIT_S = 330.0
_CONNECT_LIMIT_S = 10.0


def serve(address: Address) -> None:
    """Serve until stdin ends."""
    anyio.run(_serve, address)


async def _serve(address: Address) -> None:
    limits = httpx2.Timeout(_ANSWER_LIMIT_S, connect=_CONNECT_LIMIT_S)
    async with (
        httpx2.AsyncClient(headers=address.headers, timeout=limits) as http,
        streamable_http_client(f"{address.url}/mcp", http_client=http) as (from_server, to_server),
        stdio_server() as (from_agent, to_agent),
        anyio.create_task_group() as tasks,
    ):
        agreed = _Agreed()

        async def answer() -> None:
            async for message in from_server:
                if isinstance(message, SessionMessage):
                    agreed.hear(message)
                    await to_agent.send(message)

        tasks.start_soon(answer)
        async for message in from_agent:
            if isinstance(message, SessionMessage):
                await to_server.send(agreed.stamped(message))
        tasks.cancel_scope.cancel()


class _Agreed:
    """The revision of the protocol that both ends agree on, which every later request carries in a header."""

    def __init__(self) -> None:
        self._handshake: int | str | None = None
        self._version: str | None = None

    def hear(self, sent: SessionMessage) -> None:
        message = sent.message
        if isinstance(message, JSONRPCResponse) and message.id == self._handshake:
            self._version = message.result.get("protocolVersion")

    def stamped(self, sent: SessionMessage) -> SessionMessage:
        message = sent.message
        if isinstance(message, JSONRPCRequest) and message.method == "initialize":
            self._handshake, self._version = message.id, None
        if self._version is None:
            return sent
        return SessionMessage(message, ClientMessageMetadata(headers={"mcp-protocol-version": self._version}))
