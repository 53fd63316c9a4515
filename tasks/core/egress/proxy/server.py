"""The proxy itself: listens on loopback, serves whoever holds a pass, and connects only to judged addresses."""

import asyncio
from contextlib import suppress
from http import HTTPStatus

import h11
import httpcore
import structlog

from tasks.core.egress.backends import AsyncGuardedBackend
from tasks.core.egress.guard import Guard
from tasks.core.egress.lookups import Lookups, Resolver, system_resolver
from tasks.core.egress.policy import EgressPolicy
from tasks.core.egress.proxy.client_side import Client, ProxyLimits, Refused
from tasks.core.egress.proxy.forwarding import BadAnswer, Exchange
from tasks.core.egress.proxy.judging import target_of
from tasks.core.egress.proxy.passes import BudgetSpent, Pass, Passes
from tasks.core.egress.proxy.tunnels import carry_both_ways
from tasks.core.egress.targets import Target
from tasks.core.errors import EgressRefused

log = structlog.get_logger()

_CHALLENGE = ("Proxy-Authenticate", 'Basic realm="egress"')
_FAILURES = (BadAnswer, OSError, TimeoutError, httpcore.NetworkError, httpcore.TimeoutException, h11.ProtocolError)


class EgressProxy:
    """An HTTP proxy under one policy. Lives on one event loop: every method is called there."""

    def __init__(
        self, policy: EgressPolicy, *, resolver: Resolver = system_resolver, limits: ProxyLimits | None = None
    ) -> None:
        self._guard = Guard(policy)
        self._lookups = Lookups(resolver)
        self._backend = AsyncGuardedBackend(self._guard, self._lookups)
        self._limits = limits or ProxyLimits()
        self._passes = Passes()
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen, on a free port of loopback."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None  # noqa: S101  # started
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """What a client names as its proxy; the credentials come from a pass."""
        return f"http://127.0.0.1:{self.port}"

    def issue(self, *, max_bytes: int) -> Pass:
        """Return a pass for ``max_bytes``, both directions together."""
        return self._passes.issue(max_bytes=max_bytes)

    def withdraw(self, holder: Pass) -> None:
        """End the pass and every connection made with it."""
        self._passes.withdraw(holder)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._lookups.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._limits.max_connections:
            log.warning("egress_proxy_full", connections=len(self._connections))
            writer.transport.abort()
            return
        connection = asyncio.create_task(self._serve(Client(reader, writer, self._limits)))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, client: Client) -> None:
        """Answer one connection's requests, one after the other."""
        try:
            with suppress(OSError, TimeoutError, h11.LocalProtocolError):
                while (request := await self._next_request(client)) is not None:
                    await self._answer(client, request)
                    if not client.is_reusable():
                        break
        finally:
            client.close()

    async def _next_request(self, client: Client) -> h11.Request | None:
        try:
            return await client.next_request()
        except Refused as refusal:
            await client.answer(refusal.status)
            return None

    async def _answer(self, client: Client, request: h11.Request) -> None:
        credentials = [value for name, value in request.headers if name == b"proxy-authorization"]
        holder = self._passes.find(credentials)
        if holder is None:
            await client.answer(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, _CHALLENGE)
            return
        connection = asyncio.current_task()
        assert connection is not None  # noqa: S101  # this runs in one
        holder.connections.add(connection)
        try:
            async with asyncio.timeout(self._limits.max_connection_s):
                await self._carry_out(client, request, holder)
        except Refused as refusal:
            await client.answer(refusal.status)
        except (BudgetSpent, *_FAILURES) as exc:
            log.info("egress_proxy_broke_off", cause=type(exc).__name__)
            if client.has_answered:
                client.abort()
            else:
                await client.answer(HTTPStatus.FORBIDDEN if holder.is_spent else HTTPStatus.BAD_GATEWAY)
        finally:
            holder.connections.discard(connection)

    async def _carry_out(self, client: Client, request: h11.Request, holder: Pass) -> None:
        if holder.is_spent:
            raise Refused(HTTPStatus.FORBIDDEN)
        target = target_of(request, self._guard, holder)
        server = await self._connect(target, holder)
        try:
            if request.method == b"CONNECT":
                await client.send(h11.Response(status_code=200, headers=[], reason=b"Connection established"))
                await carry_both_ways(client, server, holder, first=client.http.trailing_data[0])
            else:
                await Exchange(client, server, holder).run(request, target)
        finally:
            await server.aclose()

    async def _connect(self, target: Target, holder: Pass) -> httpcore.AsyncNetworkStream:
        """Connect to the judged address of ``target``.

        Raises:
            Refused: an address is denied, or none answers.
        """
        try:
            timeout_s = self._guard.policy.connect_timeout_s
            return await self._backend.connect_tcp(target.host, target.port, timeout_s)
        except EgressRefused:
            holder.note_refusal(target.endpoint)
            raise Refused(HTTPStatus.FORBIDDEN) from None
        except httpcore.ConnectTimeout:
            raise Refused(HTTPStatus.GATEWAY_TIMEOUT) from None
        except httpcore.ConnectError:
            raise Refused(HTTPStatus.BAD_GATEWAY) from None
