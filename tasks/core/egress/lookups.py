"""Names to addresses, once per connection and never for longer than it may take."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpcore

# Host and port to IP addresses, best first. OSError when the name cannot be resolved.
Resolver = Callable[[str, int], Sequence[str]]

# A lookup waits on someone else's server and costs no processor; one slow zone must not hold up the others.
_PARALLEL_LOOKUPS = 32


def system_resolver(host: str, port: int) -> Sequence[str]:
    """Return the addresses this machine finds for ``host``, in the order RFC 6724 gives them."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in answers))


class Lookups:
    """Resolves in threads of its own, because the system's resolver takes no time limit. Nothing is cached."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._threads = ThreadPoolExecutor(_PARALLEL_LOOKUPS, thread_name_prefix="egress-lookup")

    def resolve(self, host: str, port: int, *, timeout_s: float | None) -> Sequence[str]:
        """Return the addresses of ``host``, best first.

        Raises:
            httpcore.ConnectError: the name cannot be resolved.
            httpcore.ConnectTimeout: not within ``timeout_s``.
        """
        lookup = self._threads.submit(self._resolver, host, port)
        try:
            return lookup.result(timeout_s)
        except TimeoutError as exc:
            lookup.cancel()
            raise httpcore.ConnectTimeout(f"Looking up {host} took too long.") from exc
        except OSError as exc:
            raise httpcore.ConnectError(f"The name {host} could not be resolved.") from exc

    async def resolve_async(self, host: str, port: int, *, timeout_s: float | None) -> Sequence[str]:
        """Do what ``resolve`` does, without holding up the event loop."""
        lookup = asyncio.wrap_future(self._threads.submit(self._resolver, host, port))
        try:
            return await asyncio.wait_for(lookup, timeout_s)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(f"Looking up {host} took too long.") from exc
        except OSError as exc:
            raise httpcore.ConnectError(f"The name {host} could not be resolved.") from exc

    def close(self) -> None:
        """Let the threads end; a lookup under way is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
