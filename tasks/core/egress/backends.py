"""Network backends for httpcore that connect to checked addresses only.

httpcore asks a backend for a connection to a host name and does TLS on top under that name. Resolving here, once, and
connecting to the very address that was checked leaves no moment for a second, different DNS answer.
"""

import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import httpcore

from tasks.core.egress.addresses import is_literal
from tasks.core.egress.deadlines import seconds_allowed
from tasks.core.egress.guard import Guard
from tasks.core.egress.lookups import Lookups
from tasks.core.egress.refusals import refuse

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]

# Enough for a name with both address families and one dead server in each; more would only spend the time limit.
_MAX_ADDRESSES_TRIED = 4
_WRITE_PIECE_BYTES = 64 * 1024


class GuardedBackend(httpcore.NetworkBackend):
    """Connects to checked addresses, in the calling thread."""

    def __init__(self, guard: Guard, lookups: Lookups) -> None:
        self._guard = guard
        self._lookups = lookups
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of ``host`` that answers.

        Raises:
            EgressRefused: an address of ``host`` is denied.
        """
        ends_at = _moment(timeout)
        answers = [host] if is_literal(host) else self._lookups.resolve(host, port, timeout_s=timeout)
        checked = self._guard.check_answers(host, port, answers)
        failure: Exception | None = None
        for address, share_s in _shares(checked, ends_at):
            try:
                return GuardedStream(self._network.connect_tcp(address, port, share_s, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
        raise _unreachable(host, failure) from failure

    def connect_unix_socket(self, path: str, *_: object, **__: object) -> httpcore.NetworkStream:
        """Refuse: a socket on this machine is never public."""
        raise refuse("unix socket", path=path)


class AsyncGuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses, on asyncio."""

    def __init__(self, guard: Guard, lookups: Lookups) -> None:
        self._guard = guard
        self._lookups = lookups
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of ``host`` that answers.

        Raises:
            EgressRefused: an address of ``host`` is denied.
        """
        ends_at = _moment(timeout)
        answers = [host] if is_literal(host) else await self._lookups.resolve_async(host, port, timeout_s=timeout)
        checked = self._guard.check_answers(host, port, answers)
        failure: Exception | None = None
        for address, share_s in _shares(checked, ends_at):
            try:
                return await self._network.connect_tcp(address, port, share_s, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
        raise _unreachable(host, failure) from failure

    async def connect_unix_socket(self, path: str, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
        """Refuse: a socket on this machine is never public."""
        raise refuse("unix socket", path=path)

    async def sleep(self, seconds: float) -> None:
        """Wait, as httpcore does between its own retries."""
        await self._network.sleep(seconds)


class GuardedStream(httpcore.NetworkStream):
    """A connection whose every read and write also obeys the deadline in force."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return up to ``max_bytes``, empty at the end."""
        if (allowed_s := seconds_allowed(timeout)) == 0:
            raise httpcore.ReadTimeout
        return self._stream.read(max_bytes, allowed_s)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of ``buffer``, in pieces, so that a peer that reads slowly meets the deadline between two."""
        for start in range(0, len(buffer), _WRITE_PIECE_BYTES):
            if (allowed_s := seconds_allowed(timeout)) == 0:
                raise httpcore.WriteTimeout
            self._stream.write(buffer[start : start + _WRITE_PIECE_BYTES], allowed_s)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the same connection, encrypted."""
        if (allowed_s := seconds_allowed(timeout)) == 0:
            raise httpcore.ConnectTimeout
        return GuardedStream(self._stream.start_tls(ssl_context, server_hostname, allowed_s))

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection knows about ``info``, or None."""
        return self._stream.get_extra_info(info)


def _moment(timeout_s: float | None) -> float | None:
    return None if timeout_s is None else time.monotonic() + timeout_s


def _shares(addresses: Sequence[str], ends_at: float | None) -> Iterator[tuple[str, float | None]]:
    """Yield each address to try with its fair part of the time that is left, so that a dead one leaves some."""
    tried = addresses[:_MAX_ADDRESSES_TRIED]
    for position, address in enumerate(tried):
        left_s = None if ends_at is None else ends_at - time.monotonic()
        if left_s is not None and left_s <= 0:
            return
        yield address, None if left_s is None else left_s / (len(tried) - position)


def _unreachable(host: str, failure: Exception | None) -> Exception:
    """Return the error for ``host``, which must not name its addresses."""
    if isinstance(failure, httpcore.ConnectTimeout):
        return httpcore.ConnectTimeout(f"Connecting to {host} took too long.")
    return httpcore.ConnectError(f"Could not connect to {host}.")
