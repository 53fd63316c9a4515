"""Connectors, for one event loop."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from client import connectors
from client.async_tools import Perform
from client.connectors import Connector, ConnectorCheck
from client.models import Job


class AsyncConnectors:
    """Your connectors; ``AsyncSwitchyard.connectors`` is one. Each method does what that of ``Connectors`` does."""

    def __init__(self, perform: Perform, run: Callable[..., Awaitable[Job]]) -> None:
        self._perform = perform
        self._run = run

    async def list(self) -> Sequence[Connector]:
        """List them by name."""
        return await self._perform(connectors.all_connectors())

    async def get(self, name: str) -> Connector:
        """Return one."""
        return await self._perform(connectors.one_connector(name))

    async def create(
        self, name: str, service: Mapping[str, Any], secrets: Mapping[str, str] | None = None
    ) -> Connector:
        """Store how a service is spoken to, in place of an earlier connector of this name."""
        return await self._perform(connectors.stored(name, service, secrets))

    async def edit(self, name: str, *, secrets: Mapping[str, str] | None = None, **changes: Any) -> Connector:
        """Change fields of a connector's service; with ``secrets``, all of them."""
        service = (await self.get(name)).service
        return await self._perform(connectors.stored(name, {**service, **changes}, secrets))

    async def delete(self, name: str) -> None:
        """Delete one with its secrets."""
        await self._perform(connectors.deleted(name))

    async def check(
        self, name: str, input: Mapping[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> ConnectorCheck:
        """Let a worker find out whether the service is well and, with an ``input``, whether that fits."""
        job = await self._run("connectors.check", connectors.asked(name, input), run_timeout_s=timeout_s)
        return connectors.found_by(job)
