"""What is kept of follow-ups, and what a client sees of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from tasks.core.records import FollowUpRecord, FollowUpState, JobError, JobState

MOST_STEPS = 10
"""Follow-ups that may come one after the other behind a job."""


class Branch(StrEnum):
    """Which end of a job a follow-up waits for."""

    SUCCESS = "on_success"
    """A result."""
    FAILURE = "on_failure"
    """An error, whatever it was: refused, attempts used up, expired."""


BRANCH_OF = {JobState.SUCCEEDED: Branch.SUCCESS, JobState.FAILED: Branch.FAILURE}
"""A cancelled job starts neither."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What may follow a job: each a step as ``POST /api/jobs`` takes it, checked, whose ``params`` are a template."""

    on_success: dict[str, Any] | None = None
    on_failure: dict[str, Any] | None = None

    def __bool__(self) -> bool:
        """Whether anything is to follow."""
        return self.on_success is not None or self.on_failure is not None

    def of(self, branch: Branch) -> dict[str, Any] | None:
        """Return the step of one branch."""
        return self.on_success if branch is Branch.SUCCESS else self.on_failure

    @classmethod
    def after(cls, step: dict[str, Any]) -> "Plan":
        """Return what may follow a step."""
        return cls(step.get(Branch.SUCCESS), step.get(Branch.FAILURE))


def kinds_in(plan: Plan) -> Iterator[str]:
    """Iterate over the kinds of all that may follow."""
    for step in (plan.on_success, plan.on_failure):
        if step is not None:
            yield step["kind"]
            yield from kinds_in(Plan.after(step))


@dataclass(frozen=True, slots=True)
class Link:
    """One row of ``follow_ups``: a job's place in its chain, and what it was to start.

    Args:
        state: None where nothing was to follow.
    """

    job_id: str
    chain_id: str
    parent_id: str | None
    depth: int
    on_success: dict[str, Any] | None
    on_failure: dict[str, Any] | None
    state: str | None
    branch: str | None = None
    child_id: str | None = None
    error: dict[str, Any] | None = None
    settled_at: datetime | None = None

    @property
    def plan(self) -> Plan:
        """What may follow the job."""
        return Plan(self.on_success, self.on_failure)


def record_of_link(link: Link) -> FollowUpRecord | None:
    """Return what a client sees of a link; None where nothing was to follow."""
    if link.state is None:
        return None
    return FollowUpRecord(
        state=FollowUpState(link.state),
        on_success=link.on_success and link.on_success["kind"],
        on_failure=link.on_failure and link.on_failure["kind"],
        branch=cast("Any", link.branch),
        job_id=link.child_id,
        error=None if link.error is None else JobError(**link.error),
        settled_at=link.settled_at,
    )
