"""A WebSocket conversation about one job, whatever words it is held in."""

import json
from collections.abc import Iterable, Sequence
from functools import partial
from http import HTTPStatus
from threading import Event, Thread
from typing import Any, Protocol

import structlog
from flask import Response, request
from simple_websocket import ConnectionClosed, Server
from simple_websocket import ConnectionError as HandshakeFailed
from werkzeug.exceptions import BadRequest, HTTPException
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from app.streams.feed import Bell, Frame
from app.streams.sockets import lends_socket, limit_stalls, whole
from app.streams.subscription import End, Subscription
from tasks.core.errors import LedgerUnavailable, NotAuthenticated, NotFound

log = structlog.get_logger()

NORMAL, POLICY_VIOLATION, RESTARTING = 1000, 1008, 1012
_CLOSE_CODES = {End.COMPLETE: NORMAL, End.INTERRUPTED: RESTARTING}
# A client says `ping` and nothing else.
_LONGEST_MESSAGE_BYTES = 4096
# Messages of one client that wait for their answers; more are left in its connection.
_MOST_WAITING = 8
_ROOM_STEP_S = 5.0
# Nobody rings for who watches nothing: that this server leaves is seen so late.
_LOOK_S = 2.0
# A client that leaves a ping unanswered until the next one is cut off; a busy one may need some seconds.
_LEAST_PING_S = 10.0
# How long a client gets to answer our close.
_CLOSE_LIMIT_S = 2.0
_GONE = (ConnectionClosed, OSError, LocalProtocolError)


class Tongue(Protocol):
    """Puts what is to be told into a dialect's messages."""

    def opening(self) -> Iterable[str]:
        """Return what is said first."""

    def told(self, frames: Sequence[Frame]) -> Iterable[str]:
        """Return the job's events as messages."""

    def reply(self, message: str | bytes) -> str | None:
        """Return the answer to what the client said, if it gets one."""

    def idle(self) -> str | None:
        """Return what is said into a silence, if anything."""


class Partner(Protocol):
    """Holds a conversation that is about no single job, and ends only when the client or this server leaves."""

    bell: Bell
    """Rung when there may be something to tell; the client's words ring it, too."""

    @property
    def is_over(self) -> bool:
        """Whether this process drains."""

    def opening(self) -> Iterable[str]:
        """Return what is said first."""

    def answers(self, message: str | bytes) -> Iterable[str]:
        """Return the answers to what the client said.

        Raises:
            NotAuthenticated: its key is no good any more.
        """

    def news(self) -> Iterable[str]:
        """Return what there is to tell."""

    def idle(self) -> None:
        """See to it that whoever rings the bell still runs."""


class UpgradeRequired(HTTPException):
    """The WebSocket's address was asked for in plain HTTP."""

    code = HTTPStatus.UPGRADE_REQUIRED
    description = "This address speaks WebSocket: connect with the ws or wss scheme."

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Name the protocol to upgrade to."""
        return [*super().get_headers(*args, **kwargs), ("Upgrade", "websocket")]


class _RingingEvent(Event):
    """Tells a viewer's bell, too: the socket and the hub then wake one and the same wait."""

    def __init__(self, bell: Bell) -> None:
        super().__init__()
        self._bell = bell

    def set(self) -> None:
        super().set()
        self._bell.ring()


class _Socket(Server):  # type: ignore[misc]  # simple-websocket has no types
    """A server socket that survives a client that breaks the protocol, or speaks faster than it is answered."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._room = Event()
        self._room.set()
        super().__init__(*args, **kwargs)

    def receive(self, timeout: float | None = None) -> Any:
        """Take a message, and let the client say more."""
        message = super().receive(timeout)
        self._room.set()
        return message

    def close(self, reason: int | None = None, message: str | None = None) -> None:
        """Close, and let go of the thread that reads."""
        try:
            super().close(reason, message)
        finally:
            self._room.set()

    def _handle_events(self) -> bool:
        goes_on = bool(super()._handle_events())
        while goes_on and self.connected and len(self.input_buffer) >= _MOST_WAITING:
            # Not read on: the client's own sending then waits.
            self._room.clear()
            if len(self.input_buffer) >= _MOST_WAITING:
                self._room.wait(_ROOM_STEP_S)
        return goes_on

    def _thread(self) -> None:
        try:
            super()._thread()
        except RemoteProtocolError:
            self.connected = False
            self.event.set()
            self.sock.close()


class _Spent(Response):
    """Ends the request on a connection that the WebSocket has used up: there is nothing to answer any more."""

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:  # noqa: ARG002  # WSGI's signature
        self.close()
        if "werkzeug.socket" in environ:
            raise ConnectionAbortedError
        raise StopIteration


def require_socket() -> None:
    """Make sure that the server lends its connection.

    Raises:
        UpgradeRequired: it does not.
    """
    if not lends_socket(request.environ):
        raise UpgradeRequired


def refuse(reason: str, *, code: int = POLICY_VIOLATION) -> Response:
    """Open the socket only to close it with a code: a browser shows that, but never the status of a failed upgrade."""
    _hang_up(_accept(Bell(), heartbeat_s=None), code=code, reason=reason)
    return _Spent()


def converse(subscription: Subscription | None, tongue: Tongue, *, heartbeat_s: float) -> Response:
    """Tell the client what the subscription gives, until its end; without one, close at once."""
    bell = Bell() if subscription is None else subscription.bell
    socket = _accept(bell, heartbeat_s=heartbeat_s)
    code = NORMAL
    try:
        if subscription is not None:
            _talk(socket, subscription, tongue, heartbeat_s=heartbeat_s)
            code = _CLOSE_CODES[subscription.end or End.COMPLETE]
    except LedgerUnavailable:
        code = RESTARTING
    except (*_GONE, NotFound):  # or the job was erased
        pass
    finally:
        _hang_up(socket, code=code)
    return _Spent()


def hold(partner: Partner, *, heartbeat_s: float, longest_message_bytes: int) -> Response:
    """Talk with the client until it leaves or this server does."""
    socket = _accept(partner.bell, heartbeat_s=heartbeat_s, longest_message_bytes=longest_message_bytes)
    code, reason = RESTARTING, None
    try:
        _discuss(socket, partner)
    except LedgerUnavailable:
        pass
    except NotAuthenticated as exc:
        code, reason = POLICY_VIOLATION, exc.message
    except _GONE:
        code = NORMAL
    finally:
        _hang_up(socket, code=code, reason=reason)
    return _Spent()


def _discuss(socket: "_Socket", partner: Partner) -> None:
    for text in partner.opening():
        socket.send(text)
    while not partner.is_over:
        # One at a time: what a client asks for must not keep its news waiting.
        message = socket.receive(timeout=0)
        if message is not None:
            for text in partner.answers(message):
                socket.send(text)
        for text in partner.news():
            socket.send(text)
        if message is None and not partner.bell.wait(_LOOK_S):
            partner.idle()


def is_ping(message: str | bytes) -> bool:
    """Tell whether the client asks for a sign of life."""
    try:
        content = json.loads(message)
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("type") == "ping"


def _accept(bell: Bell, *, heartbeat_s: float | None, longest_message_bytes: int = _LONGEST_MESSAGE_BYTES) -> "_Socket":
    limit_stalls(request.environ)
    try:
        return _Socket(
            whole(request.environ),
            ping_interval=heartbeat_s and max(heartbeat_s, _LEAST_PING_S),
            max_message_size=longest_message_bytes,
            thread_class=partial(Thread, daemon=True),
            event_class=partial(_RingingEvent, bell),
        )
    except (RemoteProtocolError, HandshakeFailed) as exc:
        raise BadRequest("This is no WebSocket handshake (RFC 6455): check its Sec-WebSocket headers.") from exc


def _talk(socket: Server, subscription: Subscription, tongue: Tongue, *, heartbeat_s: float) -> None:
    for text in tongue.opening():
        socket.send(text)
    while True:
        while (message := socket.receive(timeout=0)) is not None:
            answer = tongue.reply(message)
            if answer is not None:
                socket.send(answer)
        for text in tongue.told(subscription.take()):
            socket.send(text)
        if subscription.end is not None:
            return
        if not subscription.wait(heartbeat_s):
            beat = tongue.idle()
            if beat is not None:
                socket.send(beat)


def _hang_up(socket: Server, *, code: int, reason: str | None = None) -> None:
    try:
        socket.close(code, reason)
    except _GONE:
        log.debug("websocket_left")
    socket.thread.join(timeout=_CLOSE_LIMIT_S)
    socket.sock.close()
    socket.thread.join(timeout=_CLOSE_LIMIT_S)
