"""Who is to be told of what, and what became of telling it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from tasks.core.clock import rfc3339
from tasks.core.domain_events import BATCH_ENDED, BATCH_PROGRESSED
from tasks.core.records import JobState

STARTED, SUCCEEDED, FAILED, CANCELLED = "job.started", "job.succeeded", "job.failed", "job.cancelled"
TYPE_OF_STATE = {
    JobState.RUNNING: STARTED,
    JobState.SUCCEEDED: SUCCEEDED,
    JobState.FAILED: FAILED,
    JobState.CANCELLED: CANCELLED,
}
"""What a transition is called to receivers; others are not told."""
JOB_EVENTS = tuple(TYPE_OF_STATE.values())
BATCH_EVENTS = (BATCH_PROGRESSED, BATCH_ENDED)
ENDS = (SUCCEEDED, FAILED, CANCELLED)
TEST = "webhook.test"
"""Sent on request; not even an endpoint that is switched off is spared it."""
SWITCHED_OFF = "webhook.switched_off"
"""The domain event that tells a tenant of an endpoint that is told nothing any more."""
LONGEST_URL = 2000


class OffReason(StrEnum):
    """Why an endpoint is told nothing."""

    REQUESTED = "requested"
    """Its tenant switched it off."""
    FAILING = "failing"
    """Nothing has reached it for ``SWITCHYARD_CALLBACK_OFF_AFTER_S``."""
    GONE = "gone"
    """It answered 410."""


class DeliveryState(StrEnum):
    """Where a delivery is in its life."""

    PENDING = "pending"
    """To be tried, or tried again."""
    DELIVERED = "delivered"
    """The receiver answered 2xx."""
    DEAD = "dead"
    """Given up; it can be replayed."""


@dataclass(frozen=True, slots=True)
class OwnCallback:
    """Where the events of one job or batch go, as its request says. ``secret`` None: the tenant's own signs."""

    url: str
    events: Sequence[str] = ENDS
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """One row of ``webhooks``."""

    id: str
    tenant_id: str
    job_id: str | None
    batch_id: str | None
    url: str
    events: Sequence[str]
    description: str
    sealed: bytes | None
    enabled: bool
    off_reason: str | None
    off_at: datetime | None
    failing_since: datetime | None
    after_seq: int
    created_at: datetime
    updated_at: datetime

    def hears(self, type_: str) -> bool:
        """Tell whether events of this type are for it."""
        return any(type_ == one or (one.endswith(".*") and type_.startswith(one[:-1])) for one in self.events)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of ``callback_deliveries``.

    Args:
        attempts: the newest tries, oldest first: ``{at, status?, error?, took_ms}``.
    """

    id: str
    webhook_id: str
    tenant_id: str
    job_id: str | None
    event: str
    type: str
    body: str
    lane: str
    state: str
    tries: int
    next_try_at: datetime | None
    give_up_at: datetime
    attempts: Sequence[dict[str, Any]]
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one try. ``is_gone``: the receiver wants no more; ``wait_s``: it asked to be left alone so long."""

    at: datetime
    took_ms: float
    status: int | None = None
    error: str | None = None
    wait_s: float = 0.0

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """Whether the receiver says that it wants no more of these."""
        return self.status == 410

    def to_json(self) -> dict[str, Any]:
        """Return it as the delivery keeps it."""
        return {
            "at": rfc3339(self.at),
            "took_ms": round(self.took_ms, 1),
            "status": self.status,
            "error": self.error,
        }


def lane_of(tenant_id: str, url: str) -> str:
    """Return the lane of a delivery: those of one tenant to one server share it."""
    return f"{tenant_id}|{urlsplit(url).netloc.rpartition('@')[2].lower()}"[:300]
