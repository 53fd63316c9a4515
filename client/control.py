"""What operators do: pauses, purges, limits, and reading who changed what. All of it takes an operator's key."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypedDict, TypeVar, Unpack

from pydantic import Field

from client.calls import Call, JobFilters, filter_pairs, parsed
from client.models import Change, Job, Record
from client.steps import Answer, Request

T = TypeVar("T")

_JSON = {"content-type": "application/json"}


class Pause(Record):
    """A pause that holds; what is None stands for any."""

    id: str
    queue: str | None = None
    kind: str | None = None
    tenant: str | None = None
    reason: str | None = None
    until: datetime | None = None
    made_by: str | None = None
    since: datetime | None = None
    held: int | None = None
    """Jobs that it keeps from beginning, where the key may know."""


class PauseList(Record):
    """Pauses, oldest first."""

    pauses: tuple[Pause, ...]


class Purge(Change):
    """What a purge did, or would do."""

    dry_run: bool = False
    sample: tuple[Job, ...] = ()
    """Of a dry run: the first of those that would go."""


class Limit(Record):
    """What a tenant, a kind, or a tenant's jobs of a kind may use; without a tenant or kind: all of them together."""

    tenant: str | None = None
    kind: str | None = None
    most_at_once: int | None = None
    rate_per_s: float | None = None
    burst: int | None = None
    weight: int | None = None
    most_queued: int | None = None
    most_running: int | None = None
    most_a_day: int | None = None
    most_artifact_bytes: int | None = None


class LimitList(Record):
    """Every limit."""

    limits: tuple[Limit, ...]


class AuditEntry(Record):
    """One change: ``who`` is the id of the key that asked, or ``command line``."""

    id: str
    at: datetime
    who: str
    what: str
    subject: str = ""
    tenant: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class AuditPage(Record):
    """Changes, newest first; ``next_cursor`` asks for those before them."""

    entries: tuple[AuditEntry, ...]
    next_cursor: str | None = None


class Scope(TypedDict, total=False):
    """Which jobs: all that is given must hold of them."""

    queue: str
    kind: str
    tenant: str
    """Its name."""


class PauseOptions(Scope, total=False):
    """Which jobs do not begin, why and for how long."""

    reason: str
    until: datetime | str
    for_s: float
    """Instead of ``until``: so many seconds from now."""


class LimitValues(TypedDict, total=False):
    """What is limited, and of whom."""

    tenant: str
    kind: str
    most_at_once: int
    rate_per_s: float
    burst: int
    weight: int
    most_queued: int
    most_running: int
    most_a_day: int
    most_artifact_bytes: int


class PurgeOptions(JobFilters, total=False):
    """Which queued jobs; without ``confirm`` or ``dry_run`` it is refused."""

    tenant: str
    """The name of the tenant whose jobs they are; without it, of all."""
    limit: int
    confirm: bool
    dry_run: bool


class AuditFilters(TypedDict, total=False):
    """Which changes; all given ones must hold."""

    tenant: str
    who: str
    what: str
    subject: str
    since: datetime | str
    until: datetime | str
    limit: int
    cursor: str


class Perform(Protocol):
    """Makes a call of the blocking client."""

    def __call__(self, call: Call[T]) -> T:
        """Make it."""
        ...


class Control:
    """What operators do; ``Switchyard.control`` is one."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    def pause(self, **options: Unpack[PauseOptions]) -> Pause:
        """Let no job of a queue, a kind or a tenant begin; submissions are accepted, and what runs runs on.

        Where there is a pause of the same jobs, its reason and its time become these.
        """
        return self._perform(paused(options))

    def resume(self, pause_id: str) -> None:
        """End a pause; what it held goes on at once."""
        return self._perform(resumed(pause_id))

    def pauses(self) -> Sequence[Pause]:
        """List the pauses that hold, oldest first."""
        return self._perform(listed_pauses())

    def purge(self, **options: Unpack[PurgeOptions]) -> Purge:
        """Cancel queued jobs, whosever they are, with the cause ``purged``; with ``dry_run``, only say which.

        Raises:
            ConfirmationRequired: neither ``confirm`` nor ``dry_run`` is true.
        """
        return self._perform(purged(options))

    def limits(self) -> Sequence[Limit]:
        """List what tenants and kinds may use."""
        return self._perform(listed_limits())

    def set_limit(self, **values: Unpack[LimitValues]) -> Limit:
        """Set the limits of a tenant, a kind, or a tenant's jobs of a kind, in place of those they had."""
        return self._perform(limited(values))

    def remove_limit(self, *, tenant: str | None = None, kind: str | None = None) -> None:
        """Remove a limit; what it kept back goes on."""
        return self._perform(unlimited(tenant, kind))

    def audit(self, **filters: Unpack[AuditFilters]) -> AuditPage:
        """List what was changed, newest first."""
        return self._perform(changes(filters))


def paused(options: PauseOptions) -> Call[Pause]:
    """Pause jobs. Again is harmless: there is one pause for the same jobs."""
    return Call(_sent("POST", "/api/pauses", options), _reader(Pause))


def resumed(pause_id: str) -> Call[None]:
    """End a pause."""
    return Call(Request("DELETE", f"/api/pauses/{pause_id}"), lambda _: None, repeatable=False)


def listed_pauses() -> Call[Sequence[Pause]]:
    """List pauses."""
    return Call(Request("GET", "/api/pauses"), lambda answer: parsed(PauseList, answer.json()).pauses)


def purged(options: PurgeOptions) -> Call[Purge]:
    """Purge jobs. Not repeated by itself: the count would be that of the repeat."""
    request = Request("POST", "/api/jobs/purge", params=tuple(filter_pairs(options)))
    return Call(request, _reader(Purge), limit="submit", repeatable=False)


def listed_limits() -> Call[Sequence[Limit]]:
    """List limits."""
    return Call(Request("GET", "/api/limits"), lambda answer: parsed(LimitList, answer.json()).limits)


def limited(values: LimitValues) -> Call[Limit]:
    """Set a limit."""
    return Call(_sent("PUT", "/api/limits", values), _reader(Limit))


def unlimited(tenant: str | None, kind: str | None) -> Call[None]:
    """Remove a limit."""
    params = tuple((name, value) for name, value in (("tenant", tenant), ("kind", kind)) if value is not None)
    return Call(Request("DELETE", "/api/limits", params=params), lambda _: None, repeatable=False)


def changes(filters: AuditFilters) -> Call[AuditPage]:
    """Read the book of changes."""
    return Call(Request("GET", "/api/audit", params=tuple(filter_pairs(filters))), _reader(AuditPage))


R = TypeVar("R", bound=Record)


def _reader(model: type[R]) -> Callable[[Answer], R]:
    return lambda answer: parsed(model, answer.json())


def _sent(method: str, path: str, values: Mapping[str, Any]) -> Request:
    plain = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None
    }
    return Request(method, path, headers=_JSON, body=json.dumps(plain).encode())
