"""Which server a client speaks to: the one at its address, or one of its own."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import httpx

from client import wire
from client.address import Address
from client.errors import ConnectionFailed
from client.limits import Limits
from client.local_server import LocalServer, default_folder
from client.steps import Notice

Backend = Literal["auto", "queue", "local"]

# What a proxy says for a server that it cannot reach.
_NOBODY_BEHIND = frozenset({502, 503, 504})


class Chooser:
    """Decides once, before the first call, and never again: so no call is ever sent to two servers.

    Args:
        backend: ``auto`` asks the server at the address whether it is there, and takes one of our own only where
            nothing answers; ``local`` takes that at once; ``queue`` and None never do.
    """

    def __init__(
        self,
        backend: Backend | None,
        *,
        limits: Limits,
        tls: ssl.SSLContext | None,
        on_notice: Callable[[Notice], object] | None,
        folder: Path | None = None,
    ) -> None:
        self._backend = backend
        self._limits = limits
        self._tls = tls
        self._on_notice = on_notice
        self._own = LocalServer(folder or default_folder(), limits)

    @property
    def may_choose(self) -> bool:
        """Whether ``choose`` may return another address than it is given."""
        return self._backend in {"auto", "local"}

    def choose(self, address: Address) -> Address:
        """Return the address to speak to.

        Raises:
            ConfigurationRefused, ConnectionFailed: a server of our own was wanted and does not start.
        """
        if not self.may_choose:
            return address
        why = "asked for" if self._backend == "local" else self._absence(address)
        if why is None:
            return address
        found = self._own.open()
        if self._on_notice:
            self._on_notice(Notice("local", self._words(why, found)))
        return found

    def close(self) -> None:
        """Need the server of our own no more."""
        self._own.close()

    def _absence(self, address: Address) -> str | None:
        """Say why the server at the address is taken for absent; None: something answers there."""
        try:
            with wire.translated():
                answer = httpx.get(
                    f"{address.url}/health/live",
                    timeout=min(self._limits.connect_s, self._limits.status_s),
                    verify=wire.trusted(address, self._tls),
                )
        except ConnectionFailed as exc:
            return f"no server answers at {address.url} ({exc.detail})"
        if answer.status_code in _NOBODY_BEHIND:
            return f"a proxy at {address.url} reaches no server (status {answer.status_code})"
        return None

    def _words(self, why: str, found: Address) -> str:
        did = "started a server of its own" if self._own.was_started else "uses a server of its own that runs already"
        return (
            f"{why}: this client {did}, {found.url}. Its jobs and tools are in {self._own.folder}; it ends "
            f"{self._limits.local_idle_s:g} s after its last client."
        )
