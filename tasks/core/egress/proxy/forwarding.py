"""Plain HTTP requests through the proxy: read, judged and written anew, one connection to the server for each."""

from collections.abc import Iterable
from contextlib import suppress

import h11
import httpcore

from tasks.core.egress.proxy.client_side import CHUNK_BYTES, Client
from tasks.core.egress.proxy.passes import Pass
from tasks.core.egress.targets import Target

# RFC 9110, 7.6.1, and what clients send to proxies only. ``Expect`` was answered here. The two that say where the body
# ends stay: h11 frames by them.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"upgrade",
    }
)
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_DEFAULT_PORT = 80


class BadAnswer(Exception):
    """The server answered with no HTTP/1.1, or broke off."""


class Exchange:
    """One request of a client and its answer."""

    def __init__(self, client: Client, server: httpcore.AsyncNetworkStream, holder: Pass) -> None:
        self._client = client
        self._server = server
        self._holder = holder
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=client.limits.max_head_bytes)

    async def run(self, request: h11.Request, target: Target) -> None:
        """Carry the request to ``target`` and its answer back.

        Raises:
            BadAnswer, Refused, BudgetSpent, TimeoutError, OSError, httpcore.NetworkError, httpcore.TimeoutException
        """
        host = target.endpoint if target.port != _DEFAULT_PORT else target.endpoint.rpartition(":")[0]
        headers = [(name, value) for name, value in end_to_end(request.headers.raw_items()) if name.lower() != b"host"]
        head = [(b"Host", host.encode("ascii")), *headers, (b"Connection", b"close")]
        await self._send(h11.Request(method=request.method, target=target.resource, headers=head))
        await self._send_body()
        await self._return_answer()

    async def _send_body(self) -> None:
        # A server that answers before it has read everything may have hung up; its answer counts all the same.
        with suppress(httpcore.WriteError):
            while not isinstance(part := await self._client.next_part(), h11.EndOfMessage):
                if not isinstance(part, h11.Data):
                    raise OSError("the client left in the middle of its request")
                await self._send(part)
            await self._send(h11.EndOfMessage())

    async def _return_answer(self) -> None:
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                headers = end_to_end(event.headers.raw_items())
                answer = h11.Response(status_code=event.status_code, headers=headers, reason=event.reason)
                await self._client.send(answer)
            elif isinstance(event, h11.Data):
                await self._client.send(h11.Data(data=event.data))
            elif isinstance(event, h11.EndOfMessage):
                await self._client.send(h11.EndOfMessage())
                return
            elif not isinstance(event, h11.InformationalResponse):
                raise BadAnswer("the server hung up")

    async def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                data = await self._server.read(CHUNK_BYTES, self._client.limits.idle_timeout_s)
                self._holder.carry(len(data))
                self._http.receive_data(data)
        except h11.RemoteProtocolError as exc:
            raise BadAnswer(str(exc)) from exc
        return event

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._holder.carry(len(data))
            await self._server.write(data, self._client.limits.idle_timeout_s)


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers that are meant for the other end, spelt and ordered as they came."""
    spelt = list(headers)
    nominated = {
        option.strip().lower()
        for name, value in spelt
        if name.lower() in {b"connection", b"proxy-connection"}
        for option in value.split(b",")
    }
    dropped = _HOP_BY_HOP | (nominated - _FRAMING)
    return [(name, value) for name, value in spelt if name.lower() not in dropped]
