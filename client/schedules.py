"""Schedules: jobs that come again and again."""

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Protocol, TypedDict, TypeVar, Unpack

from pydantic import Field

from client.calls import Call, accepted, parsed
from client.models import Job, JobError, Record
from client.steps import Answer, Request

T = TypeVar("T")

_PATH = "/api/schedules"
_JSON = {"content-type": "application/json"}

CatchUp = Literal["skip", "one", "all"]
"""What becomes of ticks that were missed: nothing, one job for all, or one for each of the newest hundred."""


class SkippedTicks(Record):
    """Ticks that made no job, because they were missed."""

    first: datetime
    last: datetime


class Schedule(Record):
    """A schedule as it is now."""

    id: str
    name: str | None = None
    cron: str | None = None
    time_zone: str = "UTC"
    every_s: int | None = None
    catch_up: str = "one"
    enabled: bool = True
    job: dict[str, Any] = Field(default_factory=dict)
    """The request for a job, with its ``kind``."""
    next_at: datetime | None = None
    last_at: datetime | None = None
    last_outcome: str | None = None
    """``accepted``, ``duplicate`` or ``refused``."""
    last_job_id: str | None = None
    last_error: JobError | None = None
    skipped: SkippedTicks | None = None
    jobs_made: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    links: dict[str, str] = Field(default_factory=dict)


class SchedulePage(Record):
    """Schedules, newest first; ``next_cursor`` asks for those before them."""

    schedules: tuple[Schedule, ...]
    next_cursor: str | None = None


class Timing(TypedDict, total=False):
    """When a schedule comes, and what it is called; a new one has ``cron`` or ``every_s``."""

    cron: str
    """Five fields: minute, hour, day of month, month, day of week."""
    time_zone: str
    """An IANA name; without it, UTC."""
    every_s: int
    catch_up: CatchUp
    enabled: bool
    name: str


class Changes(Timing, total=False):
    """What may be changed of a schedule."""

    job: Mapping[str, Any]
    """The whole request."""


class ScheduleFilters(TypedDict, total=False):
    """Which schedules a list shows, and which page of them."""

    enabled: bool
    limit: int
    cursor: str


class Perform(Protocol):
    """Makes a call of the blocking client."""

    def __call__(self, call: Call[T]) -> T:
        """Make it."""
        ...


class Schedules:
    """Your schedules; ``Switchyard.schedules`` is one."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    def create(self, job: Mapping[str, Any], **timing: Unpack[Timing]) -> Schedule:
        """Make a schedule.

        Args:
            job: what each tick submits: ``{"kind": ..., "params": {...}, "priority": ...}``.
            timing: ``cron`` (and ``time_zone``), or ``every_s``; ``catch_up``, ``enabled``, ``name``.
        Raises:
            InputRejected: a field was refused; ``errors`` names each, those of the request as ``job.params.url``.
        """
        return self._perform(created(job, timing))

    def list(self, **filters: Unpack[ScheduleFilters]) -> SchedulePage:
        """List a page of them, newest first."""
        return self._perform(listed(filters))

    def get(self, schedule_id: str) -> Schedule:
        """Return one."""
        return self._perform(one_schedule(schedule_id))

    def edit(self, schedule_id: str, **changes: Unpack[Changes]) -> Schedule:
        """Change one; ``enabled=False`` switches it off."""
        return self._perform(edited(schedule_id, changes))

    def delete(self, schedule_id: str) -> None:
        """Delete one; its jobs stay."""
        return self._perform(deleted(schedule_id))

    def run_now(self, schedule_id: str, *, idempotency_key: str | None = None) -> Job:
        """Submit its job at once, enabled or not; its ticks stay as they are."""
        return self._perform(run(schedule_id, idempotency_key))


def created(job: Mapping[str, Any], timing: Timing) -> Call[Schedule]:
    """Make a schedule. Not repeated: a lost answer may have made one."""
    return Call(_sent("POST", _PATH, {"job": dict(job), **timing}), _schedule, repeatable=False)


def listed(filters: ScheduleFilters) -> Call[SchedulePage]:
    """List schedules."""
    given = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in filters.items()}
    request = Request("GET", _PATH, tuple(given.items()))
    return Call(request, lambda answer: parsed(SchedulePage, answer.json()))


def one_schedule(schedule_id: str) -> Call[Schedule]:
    """Read a schedule."""
    return Call(Request("GET", f"{_PATH}/{schedule_id}"), _schedule)


def edited(schedule_id: str, changes: Changes) -> Call[Schedule]:
    """Change a schedule."""
    return Call(_sent("PATCH", f"{_PATH}/{schedule_id}", dict(changes)), _schedule)


def deleted(schedule_id: str) -> Call[None]:
    """Delete a schedule."""
    return Call(Request("DELETE", f"{_PATH}/{schedule_id}"), lambda _: None, repeatable=False)


def run(schedule_id: str, idempotency_key: str | None) -> Call[Job]:
    """Submit a schedule's job; every try has the same key."""
    headers = {"idempotency-key": idempotency_key or str(uuid.uuid4())}
    return Call(Request("POST", f"{_PATH}/{schedule_id}/run", headers=headers), accepted, limit="submit")


def _sent(method: str, path: str, body: dict[str, Any]) -> Request:
    return Request(method, path, headers=_JSON, body=json.dumps(body).encode())


def _schedule(answer: Answer) -> Schedule:
    return parsed(Schedule, answer.json())
