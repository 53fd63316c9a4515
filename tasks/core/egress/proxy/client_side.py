"""The proxy's end of a connection that a program has made to it: HTTP/1.1 as h11 reads it."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

import h11

CHUNK_BYTES = 64 * 1024

Event = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """What one proxy takes on. Lower than the policy's limits in nothing; those hold as well.

    Attributes:
        max_connections: clients connected at a time; more are turned away.
        max_head_bytes: a request's first line and headers together.
        head_timeout_s: from a request's first byte to the end of its head; also what a new client may stay silent.
        idle_timeout_s: the longest silence of a connection that was used, in both directions together.
        max_connection_s: the longest life of one tunnel or request.
    """

    max_connections: int = 256
    max_head_bytes: int = 64 * 1024
    head_timeout_s: float = 10.0
    idle_timeout_s: float = 60.0
    max_connection_s: float = 600.0


class Refused(Exception):
    """The request is answered with ``status`` and not carried out."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class Client:
    """One connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: ProxyLimits) -> None:
        self.limits = limits
        self.http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.max_head_bytes)
        self._reader = reader
        self._writer = writer
        self._is_new = True

    async def next_request(self) -> h11.Request | None:
        """Return the next request's head, or None when the client has left or stays silent.

        Raises:
            Refused: the head is too long, too late or no HTTP/1.1.
        """
        has_begun = bool(self.http.trailing_data[0])
        head_s, silence_s = self.limits.head_timeout_s, self.limits.idle_timeout_s
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(head_s if has_begun or self._is_new else silence_s) as bound:
                while (event := self._parsed()) is h11.NEED_DATA:
                    self.http.receive_data(await self.read())
                    if not has_begun:
                        has_begun = True
                        bound.reschedule(clock() + head_s)
        except TimeoutError:
            if has_begun:
                raise Refused(HTTPStatus.REQUEST_TIMEOUT) from None
            return None
        self._is_new = False
        return event if isinstance(event, h11.Request) else None

    async def next_part(self) -> Event:
        """Return the next part of the request's body.

        Raises:
            Refused: the body is no HTTP/1.1.
            TimeoutError: the client stays silent.
        """
        if self.http.they_are_waiting_for_100_continue:
            await self.send(h11.InformationalResponse(status_code=100, headers=[]))
        async with asyncio.timeout(self.limits.idle_timeout_s):
            while (event := self._parsed()) is h11.NEED_DATA:
                self.http.receive_data(await self.read())
        return event

    def _parsed(self) -> Event:
        try:
            return self.http.next_event()
        except h11.RemoteProtocolError as exc:
            raise Refused(HTTPStatus(exc.error_status_hint)) from exc

    async def send(self, event: h11.Event) -> None:
        """Send a part of the answer.

        Raises:
            OSError: the client has left.
            TimeoutError: it does not read.
        """
        data = self.http.send(event)
        if data:
            await self.write(data)

    async def answer(self, status: HTTPStatus, *headers: tuple[str, str]) -> None:
        """Send a whole answer of our own, without a body."""
        lines = [("Content-Length", "0"), *headers]
        await self.send(h11.Response(status_code=status, headers=lines, reason=status.phrase.encode()))
        await self.send(h11.EndOfMessage())

    @property
    def has_answered(self) -> bool:
        """Whether an answer to the request has begun."""
        return self.http.our_state is not h11.SEND_RESPONSE

    def is_reusable(self) -> bool:
        """Prepare for the next request; tell whether there can be one."""
        # A request without a body, which nobody has read on, ends with its head.
        with suppress(h11.RemoteProtocolError):
            if self.http.their_state is h11.SEND_BODY:
                self.http.next_event()
        if self.http.our_state is h11.DONE and self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
            return True
        return False

    async def read(self) -> bytes:
        """Return what came, empty at the end."""
        return await self._reader.read(CHUNK_BYTES)

    async def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        async with asyncio.timeout(self.limits.idle_timeout_s):
            await self._writer.drain()

    def close(self) -> None:
        """Close the connection, once what was written is sent."""
        self._writer.close()

    def abort(self) -> None:
        """Close the connection so that the client knows its answer to be incomplete."""
        self._writer.transport.abort()
