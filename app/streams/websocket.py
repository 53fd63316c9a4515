"""A job's events as WebSocket text frames."""

import json
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from threading import Event, Thread
from typing import Any

import structlog
from flask import Blueprint, Response, request
from simple_websocket import ConnectionClosed, Server
from simple_websocket import ConnectionError as HandshakeFailed
from werkzeug.exceptions import BadRequest, HTTPException
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from app.streams.cursor import parse_cursor
from app.streams.feed import Bell
from app.streams.services import StreamServices
from app.streams.sockets import lends_socket, limit_stalls, whole
from app.streams.subscription import Draining, End, Subscription
from tasks.core.errors import NotAuthenticated

log = structlog.get_logger()

_NORMAL, _POLICY_VIOLATION, _RESTARTING = 1000, 1008, 1012
_CLOSE_CODES = {End.COMPLETE: _NORMAL, End.INTERRUPTED: _RESTARTING}
# A client says `ping` and nothing else.
_LONGEST_MESSAGE_BYTES = 4096
_PONG = '{"type":"pong"}'
# A client that leaves a ping unanswered until the next one is cut off; a busy one may need some seconds.
_LEAST_PING_S = 10.0
# How long a client gets to answer our close.
_CLOSE_LIMIT_S = 2.0
_GONE = (ConnectionClosed, OSError, LocalProtocolError)


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
    """A server socket that also survives a client that breaks the protocol."""

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


def websocket_blueprint(services: StreamServices) -> Blueprint:
    """Return the WebSocket's route."""
    blueprint = Blueprint("websocket", __name__)

    # Werkzeug routes upgrades and plain requests apart.
    @blueprint.get("/ws/jobs/<job:job_id>")
    def refuse(job_id: str) -> Response:  # noqa: ARG001  # part of the route
        """Tell a client that came in plain HTTP."""
        raise UpgradeRequired

    @blueprint.get("/ws/jobs/<job:job_id>", websocket=True)
    def watch(job_id: str) -> Response:
        """Stream the job's events as JSON text frames."""
        if not lends_socket(request.environ):
            raise UpgradeRequired
        try:
            tenant_id = services.viewer_of(job_id)
        except NotAuthenticated as exc:
            if "token" not in request.args:
                raise
            return _refuse(exc.message)
        job = services.visible_job(job_id, tenant_id=tenant_id)
        after = parse_cursor(request.args.get("after"), field="after")
        try:
            subscription = services.subscribe(job, after=after)
        except Draining:
            return _refuse("This server is restarting.", code=_RESTARTING)
        with ExitStack() as closing:
            if subscription is not None:
                closing.callback(subscription.close)
            closing.enter_context(services.counted("websocket"))
            return _converse(subscription, heartbeat_s=services.kernel.settings.heartbeat_s)

    return blueprint


def _refuse(reason: str, *, code: int = _POLICY_VIOLATION) -> Response:
    # A browser's WebSocket shows its page the close code, but never the status of a refused upgrade.
    _hang_up(_accept(Bell(), heartbeat_s=None), code=code, reason=reason)
    return _Spent()


def _accept(bell: Bell, *, heartbeat_s: float | None) -> "_Socket":
    limit_stalls(request.environ)
    try:
        return _Socket(
            whole(request.environ),
            ping_interval=heartbeat_s and max(heartbeat_s, _LEAST_PING_S),
            max_message_size=_LONGEST_MESSAGE_BYTES,
            thread_class=partial(Thread, daemon=True),
            event_class=partial(_RingingEvent, bell),
        )
    except (RemoteProtocolError, HandshakeFailed) as exc:
        raise BadRequest("This is no WebSocket handshake (RFC 6455): check its Sec-WebSocket headers.") from exc


def _converse(subscription: Subscription | None, *, heartbeat_s: float) -> Response:
    bell = Bell() if subscription is None else subscription.bell
    socket = _accept(bell, heartbeat_s=heartbeat_s)
    code = _NORMAL
    try:
        if subscription is not None:
            _talk(socket, subscription, heartbeat_s=heartbeat_s)
            code = _CLOSE_CODES[subscription.end or End.COMPLETE]
    except _GONE:
        pass
    finally:
        _hang_up(socket, code=code)
    return _Spent()


def _talk(socket: Server, subscription: Subscription, *, heartbeat_s: float) -> None:
    while True:
        _listen(socket)
        for frame in subscription.take():
            socket.send(frame.text)
        if subscription.end is not None:
            return
        subscription.wait(heartbeat_s)


def _listen(socket: Server) -> None:
    while (message := socket.receive(timeout=0)) is not None:
        if _is_ping(message):
            socket.send(_PONG)


def _is_ping(message: str | bytes) -> bool:
    try:
        content = json.loads(message)
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("type") == "ping"


def _hang_up(socket: Server, *, code: int, reason: str | None = None) -> None:
    try:
        socket.close(code, reason)
    except _GONE:
        log.debug("websocket_left")
    socket.thread.join(timeout=_CLOSE_LIMIT_S)
    socket.sock.close()
    socket.thread.join(timeout=_CLOSE_LIMIT_S)
