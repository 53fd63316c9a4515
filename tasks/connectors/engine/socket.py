"""A WebSocket to a service: through the egress guard, within its configuration's limits."""

import asyncio
import json
import logging
import socket as sockets
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from tasks.connectors.engine.wire import NOT_FOUND, REFUSED, UNAVAILABLE, UNREACHABLE, is_passing
from tasks.connectors.socket_service import WebSocketService
from tasks.core.errors import Permanent, TooLarge, Transient
from tasks.core.hidden import Hidden
from tasks.core.job import JobContext
from tasks.core.loop_thread import LoopThread

T = TypeVar("T")

_CLEANUP_S = 0.5
_CLOSING_S = 0.3
# RFC 6455, 7.4.1: what cannot be taken, does not fit, breaks a rule, is too large, or needs what we do not speak.
_REFUSALS = frozenset({1003, 1007, 1008, 1009, 1010})
_TOO_BIG = 1009
_MAX_REASON_CHARS = 123
# The library writes down headers and frames, which hold secrets, where whoever runs us wants to see everything.
_SILENT = logging.Logger("connector", level=logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a socket is opened, with everything filled in; it may hold secrets, so no ``repr`` shows it."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)


class Socket:
    """One job's WebSocket. It lives in a thread of its own, so that a cancel is heard while a frame is waited for."""

    def __init__(self, service: WebSocketService, job: JobContext, *, hidden: Hidden) -> None:
        self.frames = 0
        self._received_bytes = 0
        self._service = service
        self._job = job
        self._hidden = hidden
        self._loop = LoopThread("connector")
        self._connection: ClientConnection | None = None

    @property
    def is_open(self) -> bool:
        """Whether a socket was had."""
        return self._connection is not None

    def open(
        self, address: Address, *, meanwhile: Callable[[], None] | None = None, timeout_s: float | None = None
    ) -> None:
        """Connect, and agree on a WebSocket.

        Args:
            meanwhile: as for ``receive``.
            timeout_s: by default the configuration's.
        Raises:
            EgressRefused: the address is not allowed.
            Transient: nobody is there, or nobody who can speak now.
            Permanent: the service refused.
        """
        self._connection = self._run(self._opened(address, timeout_s or self._service.timeout_s), meanwhile)

    def send(
        self, document: Any, *, meanwhile: Callable[[], None] | None = None, timeout_s: float | None = None
    ) -> None:
        """Send a frame of JSON.

        Args:
            meanwhile: as for ``receive``.
            timeout_s: by default the configuration's.
        Raises:
            Transient, Permanent: the connection has ended, or does not take it in time.
        """
        text = json.dumps(document, ensure_ascii=False)
        limit_s = timeout_s or self._service.timeout_s
        self._run(self._limited(self._open_one().send(text), limit_s, "took no frame"), meanwhile)

    def receive(self, *, meanwhile: Callable[[], None] | None = None, timeout_s: float | None = None) -> str | bytes:
        """Return the next frame.

        Args:
            meanwhile: called ten times a second; what it raises ends the waiting. By default the job's checkpoint.
            timeout_s: by default the configuration's ``silence_s``.
        Raises:
            TooLarge: this frame, all of them, or their number is over the configuration's limit.
            Transient: the connection has ended, or nothing came in time.
            Permanent: the service ended the connection for a reason that another try meets again.
        """
        limit_s = timeout_s or self._service.silence_s
        frame: str | bytes = self._run(self._limited(self._open_one().recv(), limit_s, "sent no frame"), meanwhile)
        self.frames += 1
        self._received_bytes += len(frame) if isinstance(frame, bytes) else len(frame.encode())
        if self._received_bytes > self._service.max_bytes:
            raise TooLarge(f"The service sent more than {self._service.max_bytes} bytes in frames.")
        if self.frames > self._service.max_frames:
            raise TooLarge(f"The service sent more than {self._service.max_frames} frames.")
        return frame

    def close(self) -> None:
        """Close it; what was sent is sent."""
        if self._connection is not None:
            self._loop.run(self._closed(self._connection), cleanup_s=_CLEANUP_S)
            self._connection = None
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, work: Coroutine[Any, Any, T], meanwhile: Callable[[], None] | None = None) -> T:
        # The errors' own words may hold what was sent.
        try:
            return self._loop.run(work, meanwhile=meanwhile or self._job.checkpoint, cleanup_s=_CLEANUP_S)
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise Transient(f"The service is not there: {type(exc).__name__}.", code=UNREACHABLE) from None
        except InvalidStatus as exc:
            raise _refused(exc.response.status_code) from None
        except ConnectionClosed as exc:
            raise self._ended(exc) from None
        except (InvalidHandshake, OSError, EOFError) as exc:
            raise Transient(f"No WebSocket was had: {type(exc).__name__}.", code=UNAVAILABLE) from None

    def _open_one(self) -> ClientConnection:
        assert self._connection is not None  # noqa: S101  # whoever speaks has opened it
        return self._connection

    async def _opened(self, address: Address, timeout_s: float) -> ClientConnection:
        egress = self._job.http
        target = egress.check(address.url)
        plain = await _dialled(lambda: egress.connect(target, timeout_s=timeout_s))
        secure: dict[str, Any] = {}
        if target.scheme == "https":
            secure = {"ssl": egress.trust, "server_hostname": target.host}
        try:
            return await connect(
                f"{'wss' if secure else 'ws'}://{target.endpoint}{target.resource}",
                sock=plain,
                additional_headers=address.headers,
                user_agent_header=egress.policy.user_agent,
                # A frame's size on the wire is its size; nothing small becomes large.
                compression=None,
                max_size=self._service.max_frame_bytes,
                open_timeout=timeout_s,
                close_timeout=_CLOSING_S,
                create_connection=_NoRedirects,
                logger=_SILENT,
                **secure,
            )
        except BaseException:
            plain.close()
            raise

    async def _limited(self, work: Coroutine[Any, Any, T], limit_s: float, complaint: str) -> T:
        try:
            async with asyncio.timeout(limit_s):
                return await work
        except TimeoutError:
            raise Transient(f"The service {complaint} for {limit_s:g} s.", code=UNAVAILABLE) from None

    async def _closed(self, connection: ClientConnection) -> None:
        try:
            async with asyncio.timeout(2 * _CLOSING_S):
                await connection.close()
        except TimeoutError:
            connection.transport.abort()

    def _ended(self, exc: ConnectionClosed) -> Transient | Permanent | TooLarge:
        if exc.sent is not None and exc.sent.code == _TOO_BIG and not exc.rcvd_then_sent:
            return TooLarge(f"The service sent a frame of more than {self._service.max_frame_bytes} bytes.")
        code = exc.rcvd.code if exc.rcvd is not None else None
        reason = self._hidden.struck_from(exc.rcvd.reason)[:_MAX_REASON_CHARS] if exc.rcvd is not None else ""
        said = f" with {code} {reason}".rstrip() if code is not None else ""
        if code in _REFUSALS:
            return Permanent(f"The service closed the WebSocket{said}.", code=REFUSED)
        return Transient(f"The WebSocket ended{said} before the work did.", code=UNAVAILABLE)


class _NoRedirects(ClientConnection):
    """A connection whose refusal is a refusal: where a redirect leads, what signs us in does not belong."""

    async def handshake(self, *args: Any, **options: Any) -> None:
        try:
            await super().handshake(*args, **options)
        except InvalidStatus as exc:
            if "Location" in exc.response.headers:
                del exc.response.headers["Location"]
            raise


async def _dialled(dial: Callable[[], sockets.socket]) -> sockets.socket:
    """Connect in a thread; a connection that comes when nobody waits any more is closed."""
    given_up = threading.Event()

    def work() -> sockets.socket:
        found = dial()
        if given_up.is_set():
            found.close()
        return found

    try:
        return await asyncio.to_thread(work)
    except asyncio.CancelledError:
        given_up.set()
        raise


def _refused(status: int) -> Transient | Permanent:
    if is_passing(status):
        return Transient(f"The service answered {status} and opened no WebSocket.", code=UNAVAILABLE)
    code = NOT_FOUND if status in {404, 410} else REFUSED
    return Permanent(f"The service answered {status} and opened no WebSocket.", code=code)
