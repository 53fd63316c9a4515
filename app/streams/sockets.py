"""The TCP connection below a request, where the server lends it to us."""

import socket
from contextlib import suppress
from threading import Lock
from typing import Any

# A client that takes nothing off its connection for this long has gone, whatever it says.
_STALL_LIMIT_S = 60

_KEYS = ("werkzeug.socket", "gunicorn.socket")


def limit_stalls(environ: dict[str, Any]) -> None:
    """Have the kernel drop the connection when the client stops reading, so that no thread hangs in a write."""
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        return
    for key in _KEYS:
        lent = environ.get(key)
        if lent is not None:
            with suppress(OSError):  # not a TCP socket
                lent.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALL_LIMIT_S * 1000)


class WholeSocket:
    """Sends each frame whole and by itself, and leaves closing to the server that owns the socket.

    simple-websocket calls ``send`` from two threads and ignores how much of a frame went out; it also closes a socket
    that gunicorn will close again, which then counts that connection twice.
    """

    def __init__(self, lent: Any) -> None:
        self._lent = lent
        self._lock = Lock()

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return int(self._lent.fileno())

    def recv(self, size: int) -> bytes:
        """Receive what is there."""
        return bytes(self._lent.recv(size))

    def send(self, frame: bytes) -> int:
        """Send all of it."""
        with self._lock:
            self._lent.sendall(frame)
        return len(frame)

    def close(self) -> None:
        """End the conversation; a receiver that blocks returns."""
        with suppress(OSError):  # the client was faster
            self._lent.shutdown(socket.SHUT_RDWR)


def lends_socket(environ: dict[str, Any]) -> bool:
    """Whether the server gives the application its connection."""
    return any(environ.get(key) is not None for key in _KEYS)


def whole(environ: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of ``environ`` in which the socket is a ``WholeSocket``."""
    return environ | {key: WholeSocket(environ[key]) for key in _KEYS if environ.get(key) is not None}
