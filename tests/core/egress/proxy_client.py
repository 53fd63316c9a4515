"""A running proxy, and raw connections to it."""

import base64
import socket
from collections.abc import Sequence
from typing import Any

from tasks.core.egress import EgressPolicy
from tasks.core.egress.lookups import Resolver, system_resolver
from tasks.core.egress.proxy import EgressProxy, Pass, ProxyLimits
from tasks.core.loop_thread import LoopThread


class RunningProxy:
    """A proxy on a thread of its own, and one pass for it."""

    def __init__(
        self,
        *allow: str,
        ports: Sequence[int] = (),
        resolver: Resolver = system_resolver,
        max_bytes: int = 1 << 20,
        **limits: Any,
    ) -> None:
        policy = EgressPolicy(
            allow=frozenset(allow), allowed_ports=frozenset({80, 443, *ports}), connect_timeout_s=5, read_timeout_s=5
        )
        self.loop = LoopThread("proxy")
        self.proxy = EgressProxy(policy, resolver=resolver, limits=ProxyLimits(**limits))
        self.loop.run(self.proxy.start(), cleanup_s=0)
        self.holder = self.issue(max_bytes=max_bytes)

    def issue(self, *, max_bytes: int) -> Pass:
        return self.loop.run(self._issue(max_bytes), cleanup_s=0)

    async def _issue(self, max_bytes: int) -> Pass:
        return self.proxy.issue(max_bytes=max_bytes)

    def withdraw(self) -> None:
        self.loop.run(self._withdraw(), cleanup_s=0)

    async def _withdraw(self) -> None:
        self.proxy.withdraw(self.holder)

    def close(self) -> None:
        self.loop.run(self.proxy.close(), cleanup_s=5)
        self.loop.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.proxy.port), timeout=20)

    def credentials(self, user: str = "", password: str = "") -> bytes:
        """Return the header line that proves the pass, or something else."""
        pair = f"{user or self.holder.user}:{password or self.holder.password}"
        return b"Proxy-Authorization: Basic " + base64.b64encode(pair.encode()) + b"\r\n"

    def ask(self, line: str, *headers: str, body: bytes = b"", host: str = "x") -> bytes:
        """Send one request and return all that comes until the proxy closes the connection."""
        head = f"{line} HTTP/1.1\r\nHost: {host}\r\n" + "".join(f"{header}\r\n" for header in headers)
        with self.connect() as sock:
            sock.sendall(head.encode("latin-1") + self.credentials() + b"Connection: close\r\n\r\n" + body)
            return everything(sock)


def everything(sock: socket.socket) -> bytes:
    """Return what comes until the other end closes."""
    got = bytearray()
    try:
        while data := sock.recv(65536):
            got += data
    except ConnectionResetError:
        pass
    return bytes(got)


def until(sock: socket.socket, end: bytes) -> bytes:
    """Return what comes up to and with ``end``."""
    got = bytearray()
    while not got.endswith(end):
        data = sock.recv(1)
        assert data, bytes(got)
        got += data
    return bytes(got)


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
