"""What the blocking and the asyncio shell share: building requests, and translating the libraries' errors once."""

import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlencode

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus

from client.address import Address
from client.errors import AnswerTimedOut, ConnectionFailed, TransportRefused
from client.steps import Answer, Exchange, OpenSocket, OpenStream

T = TypeVar("T")
Closing: TypeAlias = Generator[T, None, None]

# These answers are streamed; any other is short and read at once.
STREAMED = frozenset({200, 206})

# A snapshot holds a whole record with its result, which is bounded by the server well below this.
_MAX_FRAME_BYTES = 16 * 1024 * 1024


def trusted(address: Address, tls: ssl.SSLContext | None) -> ssl.SSLContext | bool:
    """Return what to check a server's certificate with.

    Reading the certificate bundle takes a tenth of a second; a plain-text server gets an empty one that trusts nobody.
    """
    if tls or address.url.startswith("https"):
        return tls or True
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def built(http: httpx.Client | httpx.AsyncClient, step: Exchange | OpenStream) -> httpx.Request:
    """Make the library's request."""
    request = step.request
    return http.build_request(
        request.method,
        request.path,
        params=list(request.params) or None,
        headers=dict(request.headers),
        content=request.body,
        timeout=httpx.Timeout(step.read_s, connect=step.connect_s),
    )


@contextmanager
def translated() -> Iterator[None]:
    """Raise httpx's errors as ours."""
    try:
        yield
    except httpx.ConnectTimeout as exc:
        raise ConnectionFailed("the server accepts no connection in time") from exc
    except httpx.ConnectError as exc:
        raise ConnectionFailed(f"cannot connect to {exc.request.url.copy_with(path='/', query=None)}: {exc}") from exc
    except httpx.TimeoutException as exc:
        raise AnswerTimedOut("the server does not answer in time") from exc
    except (httpx.TransportError, httpx.DecodingError, httpx.StreamError) as exc:
        raise ConnectionFailed(f"the connection broke: {exc or type(exc).__name__}") from exc


def socket_url(address: Address, step: OpenSocket) -> str:
    """Return the WebSocket's full address."""
    query = f"?{urlencode(step.request.params)}" if step.request.params else ""
    return f"{address.socket_url}{step.request.path}{query}"


def socket_options(address: Address, step: OpenSocket, tls: ssl.SSLContext | None) -> dict[str, Any]:
    """Return how to connect: no library pings, because the flow sends the server's own."""
    options: dict[str, Any] = {
        "additional_headers": address.headers,
        "open_timeout": step.connect_s,
        "close_timeout": 1,
        "ping_interval": None,
        "max_size": _MAX_FRAME_BYTES,
    }
    return options | ({"ssl": tls} if tls and address.url.startswith("https") else {})


def refused(exc: InvalidStatus) -> Answer:
    """Turn a refused handshake into the answer it was."""
    headers = {name.lower(): value for name, value in exc.response.headers.raw_items()}
    return Answer(exc.response.status_code, headers, bytes(exc.response.body or b""))


def socket_failure(exc: Exception) -> ConnectionFailed:
    """Translate a handshake that got no proper answer."""
    if isinstance(exc, OSError):
        return ConnectionFailed(f"cannot open the WebSocket: {exc or type(exc).__name__}")
    return TransportRefused(f"no WebSocket here: {exc}")


def close_code(exc: ConnectionClosed) -> int:
    """Return the code that the server closed with, or 1006 when the connection just broke."""
    return exc.rcvd.code if exc.rcvd else 1006


def text(frame: str | bytes) -> str:
    """Return a frame as text."""
    return frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
