"""httpcore's errors as httpx's, so that engines know one family of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpcore
import httpx

from tasks.core.egress.deadlines import Deadline

# By exact class: each of httpcore's has its namesake.
_NAMESAKES: dict[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
}


@contextmanager
def translated(deadline: Deadline) -> Iterator[None]:
    """Raise httpx's error where httpcore raises its own, or what ``deadline`` demands if that was the cause.

    Raises:
        httpx.TransportError: the connection failed.
        Transient: a timeout struck because the whole request had used up its time.
    """
    try:
        yield
    except tuple(_NAMESAKES) as exc:
        if isinstance(exc, httpcore.TimeoutException):
            deadline.demand()
        raise _NAMESAKES[type(exc)](str(exc)) from exc
