"""Schedules, for one event loop."""

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol, TypeVar, Unpack

from client import schedules
from client.calls import Call
from client.models import Job
from client.schedules import Changes, Schedule, ScheduleFilters, SchedulePage, Timing

T = TypeVar("T")


class Perform(Protocol):
    """Makes a call; its answer is awaited."""

    def __call__(self, call: Call[T]) -> Awaitable[T]:
        """Make it."""
        ...


class AsyncSchedules:
    """Your schedules; ``AsyncSwitchyard.schedules`` is one. Each method does what that of ``Schedules`` does."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    async def create(self, job: Mapping[str, Any], **timing: Unpack[Timing]) -> Schedule:
        """Make a schedule of what each tick submits."""
        return await self._perform(schedules.created(job, timing))

    async def list(self, **filters: Unpack[ScheduleFilters]) -> SchedulePage:
        """List a page of them, newest first."""
        return await self._perform(schedules.listed(filters))

    async def get(self, schedule_id: str) -> Schedule:
        """Return one."""
        return await self._perform(schedules.one_schedule(schedule_id))

    async def edit(self, schedule_id: str, **changes: Unpack[Changes]) -> Schedule:
        """Change one; ``enabled=False`` switches it off."""
        return await self._perform(schedules.edited(schedule_id, changes))

    async def delete(self, schedule_id: str) -> None:
        """Delete one; its jobs stay."""
        await self._perform(schedules.deleted(schedule_id))

    async def run_now(self, schedule_id: str, *, idempotency_key: str | None = None) -> Job:
        """Submit its job at once, enabled or not; its ticks stay as they are."""
        return await self._perform(schedules.run(schedule_id, idempotency_key))
