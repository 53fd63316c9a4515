"""A schedule as the ledger keeps it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from tasks.core.schedules.timing import Timing

SCHEDULE_LABEL, TICK_LABEL = "schedule", "tick"
"""Labels of each job that a schedule made: its id, and the tick, or ``now`` where somebody asked for it."""


class CatchUp(StrEnum):
    """What becomes of ticks that nobody was there for."""

    SKIP = "skip"
    """Nothing."""
    ONE = "one"
    """One job for all of them."""
    ALL = "all"
    """A job for each, of the newest hundred."""


class Outcome(StrEnum):
    """What became of a tick."""

    ACCEPTED = "accepted"
    """It made a job."""
    DUPLICATE = "duplicate"
    """A job with the same unique key had not ended: that one is its job."""
    REFUSED = "refused"
    """No job was accepted: the error says why."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One row of ``schedules``.

    Args:
        version: grows with each change, by whomever.
        job: the request for a job as it was sent, with its kind.
        submission: the same, checked and complete: what a tick submits.
        next_at: the tick that is looked at next; None: there is none, or it is disabled.
        last_at: when the newest tick was meant for, or somebody asked for a job.
        skipped_from, skipped_until: the newest ticks that were missed and not made up for.
        jobs_made: by ticks and on request.
    """

    id: str
    tenant_id: str
    name: str | None
    cron: str | None
    time_zone: str
    every_s: int | None
    anchor: datetime
    catch_up: CatchUp
    enabled: bool
    job: dict[str, Any]
    submission: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    version: int = 1
    next_at: datetime | None = None
    last_at: datetime | None = None
    last_outcome: Outcome | None = None
    last_job_id: str | None = None
    last_error: dict[str, Any] | None = None
    skipped_from: datetime | None = None
    skipped_until: datetime | None = None
    jobs_made: int = 0

    @property
    def timing(self) -> Timing:
        """When its ticks are."""
        return Timing(self.cron, self.time_zone, self.every_s, self.anchor)
