"""Performs flows on an asyncio loop: httpx and, for WebSockets, websockets. Mirrors ``blocking`` line by line."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from client import wire
from client.address import Address
from client.choosing import Chooser
from client.errors import AnswerTimedOut, ConnectionFailed
from client.following import Follower
from client.models import Event
from client.monitoring import MonitorEvent, MonitorReading
from client.steps import (
    Answer,
    CloseChannel,
    Exchange,
    Flow,
    Notice,
    OpenSocket,
    OpenStream,
    Pause,
    ReadChunk,
    ReadFrame,
    Reply,
    SendFrame,
    Step,
)

T = TypeVar("T")
E = TypeVar("E")

Begin: TypeAlias = Callable[[], Generator[Step | E, Reply, None]]


class AsyncShell:
    """Owns the connection pool; runs flows on it. For one event loop."""

    def __init__(
        self,
        address: Address,
        *,
        tls: ssl.SSLContext | None,
        on_notice: Callable[[Notice], object] | None,
        chooser: Chooser,
    ) -> None:
        self.address = address
        self.tls = tls
        self.on_notice = on_notice
        self._chooser = chooser
        self._choosing = asyncio.Lock()
        self._has_chosen = not chooser.may_choose
        self.http = self._connected()

    def _connected(self) -> httpx.AsyncClient:
        trusted = wire.trusted(self.address, self.tls)
        return httpx.AsyncClient(base_url=self.address.url, headers=self.address.headers, verify=trusted)

    async def close(self) -> None:
        """Close every pooled connection."""
        await self.http.aclose()
        self._chooser.close()

    async def choose(self) -> None:
        """Decide which server to speak to, if that is not done yet."""
        async with self._choosing:
            if self._has_chosen:
                return
            self.address = await asyncio.to_thread(self._chooser.choose, self.address)
            await self.http.aclose()
            self.http = self._connected()
            self._has_chosen = True

    async def run(self, flow: Flow[T]) -> T:
        """Perform a flow's steps; return what it returns."""
        await self.choose()
        channel = _Channel(self)
        try:
            step = next(flow)
            while True:
                try:
                    reply = await channel.perform(step)
                except ConnectionFailed as exc:
                    step = flow.throw(exc)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()
            await channel.close()


class _AsyncReading(AsyncIterator[E]):
    """What a flow yields, one after the other. Closing it closes its connection."""

    def __init__(self, shell: AsyncShell, begin: Begin[E]) -> None:
        self._shell = shell
        self._begin = begin
        self._events = self._run()

    async def close(self) -> None:
        """Stop; leave no connection behind."""
        await self._events.aclose()

    async def __anext__(self) -> E:
        return await anext(self._events)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self) -> AsyncGenerator[E, None]:
        await self._shell.choose()
        channel = _Channel(self._shell)
        flow = self._begin()
        try:
            step = next(flow)
            while True:
                if not isinstance(step, Step):
                    yield step
                    step = next(flow)
                    continue
                try:
                    reply = await channel.perform(step)
                except ConnectionFailed as exc:
                    step = flow.throw(exc)
                else:
                    step = flow.send(reply)
        except StopIteration:
            return
        finally:
            flow.close()
            await channel.close()


class AsyncEventStream(_AsyncReading[Event]):
    """A job's events, one after the other, until the one that ends it."""

    def __init__(self, shell: AsyncShell, follower: Follower) -> None:
        super().__init__(shell, follower.flow)
        self._follower = follower

    @property
    def transport(self) -> str:
        """What carries the events now: ``sse``, ``websocket`` or ``polling``."""
        return self._follower.transport


class AsyncMonitorStream(_AsyncReading[MonitorEvent]):
    """What goes on, one event after the other, for ever."""

    def __init__(self, shell: AsyncShell, reading: MonitorReading) -> None:
        super().__init__(shell, reading.flow)


class _Channel:
    """Performs one flow's steps, and owns the stream or socket that the flow has open."""

    def __init__(self, shell: AsyncShell) -> None:
        self._shell = shell
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] = _nothing()
        self._socket: ClientConnection | None = None

    async def perform(self, step: Step) -> Reply:
        match step:
            case Exchange():
                return await self._exchange(step)
            case OpenStream():
                return await self._open_stream(step)
            case ReadChunk():
                with wire.translated():
                    return await anext(self._chunks, b"")
            case OpenSocket():
                return await self._open_socket(step)
            case ReadFrame():
                return await self._read_frame(step)
            case SendFrame():
                await self._send_frame(step)
            case CloseChannel():
                await self.close()
            case Pause():
                await asyncio.sleep(step.seconds)
            case Notice():
                if self._shell.on_notice:
                    self._shell.on_notice(step)
        return None

    async def close(self) -> None:
        response, self._response = self._response, None
        socket, self._socket = self._socket, None
        self._chunks = _nothing()
        if response:
            await response.aclose()
        if socket:
            await socket.close()

    async def _exchange(self, step: Exchange) -> Answer:
        with wire.translated():
            response = await self._shell.http.send(wire.built(self._shell.http, step))
            return Answer(response.status_code, response.headers, response.content)

    async def _open_stream(self, step: OpenStream) -> Answer:
        await self.close()
        with wire.translated():
            response = await self._shell.http.send(wire.built(self._shell.http, step), stream=True)
            self._response = response
            if response.status_code not in wire.STREAMED:
                await response.aread()
                await self.close()
                return Answer(response.status_code, response.headers, response.content)
            self._chunks = response.aiter_bytes()
            return Answer(response.status_code, response.headers)

    async def _open_socket(self, step: OpenSocket) -> Answer:
        await self.close()
        options = wire.socket_options(self._shell.address, step, self._shell.tls)
        try:
            self._socket = await connect(wire.socket_url(self._shell.address, step), **options)
        except InvalidStatus as exc:
            return wire.refused(exc)
        except (InvalidHandshake, InvalidURI, OSError) as exc:
            raise wire.socket_failure(exc) from exc
        return Answer(101)

    async def _read_frame(self, step: ReadFrame) -> str | int:
        if self._socket is None:
            raise ConnectionFailed("the WebSocket is closed")
        try:
            return wire.text(await asyncio.wait_for(self._socket.recv(), step.read_s))
        except TimeoutError as exc:
            raise AnswerTimedOut(f"nothing came over the WebSocket for {step.read_s:g} s") from exc
        except ConnectionClosed as exc:
            return wire.close_code(exc)

    async def _send_frame(self, step: SendFrame) -> None:
        try:
            if self._socket:
                await self._socket.send(step.text)
        except ConnectionClosed as exc:
            raise ConnectionFailed("the WebSocket broke") from exc


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for chunk in nothing:
        yield chunk
