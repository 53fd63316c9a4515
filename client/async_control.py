"""What operators do, for one event loop."""

from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeVar, Unpack

from client import control
from client.calls import Call
from client.control import (
    AuditFilters,
    AuditPage,
    Limit,
    LimitValues,
    Pause,
    PauseOptions,
    Purge,
    PurgeOptions,
)

T = TypeVar("T")


class Perform(Protocol):
    """Makes a call; its answer is awaited."""

    def __call__(self, call: Call[T]) -> Awaitable[T]:
        """Make it."""
        ...


class AsyncControl:
    """What operators do; ``AsyncSwitchyard.control`` is one. Each method does what that of ``Control`` does."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    async def pause(self, **options: Unpack[PauseOptions]) -> Pause:
        """Let no job of a queue, a kind or a tenant begin."""
        return await self._perform(control.paused(options))

    async def resume(self, pause_id: str) -> None:
        """End a pause; what it held goes on at once."""
        await self._perform(control.resumed(pause_id))

    async def pauses(self) -> Sequence[Pause]:
        """List the pauses that hold, oldest first."""
        return await self._perform(control.listed_pauses())

    async def purge(self, **options: Unpack[PurgeOptions]) -> Purge:
        """Cancel queued jobs, whosever they are; with ``dry_run``, only say which."""
        return await self._perform(control.purged(options))

    async def limits(self) -> Sequence[Limit]:
        """List what tenants and kinds may use."""
        return await self._perform(control.listed_limits())

    async def set_limit(self, **values: Unpack[LimitValues]) -> Limit:
        """Set the limits of a tenant, a kind, or a tenant's jobs of a kind."""
        return await self._perform(control.limited(values))

    async def remove_limit(self, *, tenant: str | None = None, kind: str | None = None) -> None:
        """Remove a limit; what it kept back goes on."""
        await self._perform(control.unlimited(tenant, kind))

    async def audit(self, **filters: Unpack[AuditFilters]) -> AuditPage:
        """List what was changed, newest first."""
        return await self._perform(control.changes(filters))
