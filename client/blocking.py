"""Performs flows with blocking I/O: httpx and, for WebSockets, websockets."""

import ssl
import time
from collections.abc import Callable, Generator, Iterator
from threading import Lock
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.sync.client import ClientConnection, connect

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


class BlockingShell:
    """Owns the connection pool; runs flows on it. Safe to share between threads."""

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
        self._choosing = Lock()
        self._has_chosen = not chooser.may_choose
        self.http = self._connected()

    def _connected(self) -> httpx.Client:
        trusted = wire.trusted(self.address, self.tls)
        return httpx.Client(base_url=self.address.url, headers=self.address.headers, verify=trusted)

    def close(self) -> None:
        """Close every pooled connection."""
        self.http.close()
        self._chooser.close()

    def choose(self) -> None:
        """Decide which server to speak to, if that is not done yet."""
        with self._choosing:
            if self._has_chosen:
                return
            self.address = self._chooser.choose(self.address)
            self.http.close()
            self.http = self._connected()
            self._has_chosen = True

    def run(self, flow: Flow[T]) -> T:
        """Perform a flow's steps; return what it returns."""
        self.choose()
        channel = _Channel(self)
        try:
            step = next(flow)
            while True:
                try:
                    reply = channel.perform(step)
                except ConnectionFailed as exc:
                    step = flow.throw(exc)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()
            channel.close()


class _Reading(Iterator[E]):
    """What a flow yields, one after the other. Closing it closes its connection."""

    def __init__(self, shell: BlockingShell, begin: Begin[E]) -> None:
        self._shell = shell
        self._begin = begin
        self._events = self._run()

    def close(self) -> None:
        """Stop; leave no connection behind."""
        self._events.close()

    def __next__(self) -> E:
        return next(self._events)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> "wire.Closing[E]":
        self._shell.choose()
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
                    reply = channel.perform(step)
                except ConnectionFailed as exc:
                    step = flow.throw(exc)
                else:
                    step = flow.send(reply)
        except StopIteration:
            return
        finally:
            flow.close()
            channel.close()


class EventStream(_Reading[Event]):
    """A job's events, one after the other, until the one that ends it."""

    def __init__(self, shell: BlockingShell, follower: Follower) -> None:
        super().__init__(shell, follower.flow)
        self._follower = follower

    @property
    def transport(self) -> str:
        """What carries the events now: ``sse``, ``websocket`` or ``polling``."""
        return self._follower.transport


class MonitorStream(_Reading[MonitorEvent]):
    """What goes on, one event after the other, for ever."""

    def __init__(self, shell: BlockingShell, reading: MonitorReading) -> None:
        super().__init__(shell, reading.flow)


class _Channel:
    """Performs one flow's steps, and owns the stream or socket that the flow has open."""

    def __init__(self, shell: BlockingShell) -> None:
        self._shell = shell
        self._response: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._socket: ClientConnection | None = None

    def perform(self, step: Step) -> Reply:
        match step:
            case Exchange():
                return self._exchange(step)
            case OpenStream():
                return self._open_stream(step)
            case ReadChunk():
                with wire.translated():
                    return next(self._chunks, b"")
            case OpenSocket():
                return self._open_socket(step)
            case ReadFrame():
                return self._read_frame(step)
            case SendFrame():
                self._send_frame(step)
            case CloseChannel():
                self.close()
            case Pause():
                time.sleep(step.seconds)
            case Notice():
                if self._shell.on_notice:
                    self._shell.on_notice(step)
        return None

    def close(self) -> None:
        response, self._response = self._response, None
        socket, self._socket = self._socket, None
        self._chunks = iter(())
        if response:
            response.close()
        if socket:
            socket.close()

    def _exchange(self, step: Exchange) -> Answer:
        with wire.translated():
            response = self._shell.http.send(wire.built(self._shell.http, step))
            return Answer(response.status_code, response.headers, response.content)

    def _open_stream(self, step: OpenStream) -> Answer:
        self.close()
        with wire.translated():
            response = self._shell.http.send(wire.built(self._shell.http, step), stream=True)
            self._response = response
            if response.status_code not in wire.STREAMED:
                response.read()
                self.close()
                return Answer(response.status_code, response.headers, response.content)
            self._chunks = response.iter_bytes()
            return Answer(response.status_code, response.headers)

    def _open_socket(self, step: OpenSocket) -> Answer:
        self.close()
        options = wire.socket_options(self._shell.address, step, self._shell.tls)
        try:
            # Entered here and closed in close(): one way that every release of websockets understands.
            self._socket = connect(wire.socket_url(self._shell.address, step), **options).__enter__()
        except InvalidStatus as exc:
            return wire.refused(exc)
        except (InvalidHandshake, InvalidURI, OSError) as exc:
            raise wire.socket_failure(exc) from exc
        return Answer(101)

    def _read_frame(self, step: ReadFrame) -> str | int:
        if self._socket is None:
            raise ConnectionFailed("the WebSocket is closed")
        try:
            return wire.text(self._socket.recv(timeout=step.read_s))
        except TimeoutError as exc:
            raise AnswerTimedOut(f"nothing came over the WebSocket for {step.read_s:g} s") from exc
        except ConnectionClosed as exc:
            return wire.close_code(exc)

    def _send_frame(self, step: SendFrame) -> None:
        try:
            if self._socket:
                self._socket.send(step.text)
        except ConnectionClosed as exc:
            raise ConnectionFailed("the WebSocket broke") from exc
