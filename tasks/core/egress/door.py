"""The way out: makes the only HTTP clients that engines may use."""

import socket
import ssl
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Self, Unpack

import certifi

from tasks.core.egress.backends import GuardedBackend
from tasks.core.egress.clients import AsyncGuardedClient, GuardedClient
from tasks.core.egress.deadlines import Deadline
from tasks.core.egress.guard import Guard
from tasks.core.egress.lookups import Lookups, Resolver, system_resolver
from tasks.core.egress.policy import EgressPolicy, Limits
from tasks.core.egress.targets import Target
from tasks.core.egress.translation import translated
from tasks.core.egress.transports import plain_trust

if TYPE_CHECKING:
    from tasks.core.egress.downloads import Downloads
    from tasks.core.egress.loans import Loan

_DEFAULT_CONNECTIONS = 10


class Egress:
    """Makes HTTP clients that refuse forbidden addresses.

    The clients belong to whoever asked for them and are closed by them, before this. Each is safe to share between
    threads, or between the tasks of one event loop.
    """

    def __init__(self, policy: EgressPolicy | None = None, *, resolver: Resolver = system_resolver) -> None:
        self.policy = policy or EgressPolicy()
        self._resolver = resolver
        self._lookups = Lookups(resolver)

    def check(self, url: str) -> Target:
        """Return what ``url`` points at, judged as far as that is possible without looking its name up.

        Raises:
            EgressRefused: the URL, its port or its literal address is not allowed.
        """
        return Guard(self.policy).check(url)

    def addresses(self, target: Target) -> Sequence[str]:
        """Look ``target``'s name up once and return its addresses, best first, all of them allowed.

        For what speaks another protocol than HTTP: connect to one of these, never to the name.

        Raises:
            EgressRefused: an address is denied.
            httpx.ConnectError, httpx.ConnectTimeout: the name cannot be resolved.
        """
        answers = [target.host] if target.ip else self._resolve(target)
        return Guard(self.policy).check_answers(target.host, target.port, answers)

    def connect(self, target: Target, *, timeout_s: float) -> socket.socket:
        """Return a plain connection to one of ``target``'s addresses, all of them allowed; for other protocols.

        The name is looked up once, and the address that was checked is the one connected to. Whoever asks closes it.

        Raises:
            EgressRefused: an address is denied.
            httpx.ConnectError, httpx.ConnectTimeout: nobody is there, or the name cannot be resolved.
        """
        backend = GuardedBackend(Guard(self.policy), self._lookups)
        with translated(Deadline.after(self.policy.total_timeout_s)):
            stream = backend.connect_tcp(target.host, target.port, timeout_s)
        found: socket.socket = stream.get_extra_info("socket")
        return found

    @property
    def trust(self) -> ssl.SSLContext:
        """What a TLS connection on top of ``connect`` trusts: the authorities that the clients do."""
        return plain_trust()

    @property
    def trust_file(self) -> str:
        """The same authorities as a file, for programs that use ``proxy``."""
        return certifi.where()

    def proxy(self, *, max_bytes: int) -> "AbstractContextManager[Loan]":
        """Run a proxy on loopback for one program, as ``with``; each of its connections obeys this policy.

        Args:
            max_bytes: that it may send and receive together.
        """
        from tasks.core.egress.loans import lend  # noqa: PLC0415  # few jobs need the proxy

        return lend(self.policy, self._resolver, max_bytes=max_bytes)

    def _resolve(self, target: Target) -> Sequence[str]:
        with translated(Deadline.after(self.policy.total_timeout_s)):
            return self._lookups.resolve(target.host, target.port, timeout_s=self.policy.connect_timeout_s)

    def client(self, *, max_connections: int = _DEFAULT_CONNECTIONS, **limits: Unpack[Limits]) -> GuardedClient:
        """Return a client under this policy, tightened by ``limits``.

        Its responses are decoded as they are read: ``Content-Encoding`` is gone from their headers, and ``iter_raw``
        yields decoded bytes too. Beside httpx's own errors its methods raise:

        Raises:
            EgressRefused: an address, or that of a redirect, is not allowed.
            TooLarge: the response is larger than ``max_bytes``.
            Transient: the whole request took longer than ``total_timeout_s``.
        """
        guard = Guard(self.policy.tightened(**limits))
        return GuardedClient(guard, self._lookups, max_connections=max_connections)

    def async_client(
        self, *, max_connections: int = _DEFAULT_CONNECTIONS, **limits: Unpack[Limits]
    ) -> AsyncGuardedClient:
        """Return what ``client`` returns, for asyncio."""
        guard = Guard(self.policy.tightened(**limits))
        return AsyncGuardedClient(guard, self._lookups, max_connections=max_connections)

    def downloads(self, *, max_connections: int = _DEFAULT_CONNECTIONS, **limits: Unpack[Limits]) -> "Downloads":
        """Return what many pages are fetched with, on asyncio; it obeys this policy, tightened by ``limits``."""
        from tasks.core.egress.downloads import Downloads  # noqa: PLC0415  # few jobs need libcurl

        return Downloads(Guard(self.policy.tightened(**limits)), self._lookups, max_connections=max_connections)

    def close(self) -> None:
        """Release the lookup threads. Clients made here must be closed first."""
        self._lookups.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
