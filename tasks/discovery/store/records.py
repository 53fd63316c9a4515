"""What the registry tells of a tool, of its runs and of a discovery. Light: no SQL."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tasks.discovery.contract import SITE
from tasks.discovery.tool import CheckName, Tool


class Status(StrEnum):
    """Whether a tool may be relied on.

    ``active``: found and assessed. ``testing``: found, not assessed yet. ``failed``: it failed its own check.
    ``deprecated``: the newest discovery of the whole site did not find it. ``stale``: it failed several times in a row
    since it was found; a success, or a discovery that finds it again, makes it active.
    """

    ACTIVE = "active"
    TESTING = "testing"
    FAILED = "failed"
    DEPRECATED = "deprecated"
    STALE = "stale"


def status_of(tool: Tool) -> Status:
    """Return the status of a tool that was just found."""
    if any(check.name is CheckName.RUNS and not check.passed for check in tool.checks):
        return Status.FAILED
    return Status.TESTING if tool.confidence is None else Status.ACTIVE


def rediscovery(url: str) -> dict[str, Any]:
    """Return the submission that looks for the tools at ``url`` anew, whatever was answered before."""
    return {"kind": SITE, "params": {"url": url, "force": True}}


@dataclass(frozen=True, slots=True)
class StoredTool:
    """A tool as the registry has it.

    Args:
        updated_at: when its newest version was made.
        seen_at: when a discovery last found it.
        runs_ok, runs_failed: counted since it was first found, whatever was found since.
    """

    id: str
    tenant_id: str
    site: str
    name: str
    version: int
    status: Status
    tool: Tool
    job_id: str | None
    created_at: datetime
    updated_at: datetime
    seen_at: datetime
    used_at: datetime | None
    runs_ok: int
    runs_failed: int
    failures_in_row: int

    @property
    def uses(self) -> int:
        """How often it was run."""
        return self.runs_ok + self.runs_failed

    @property
    def rediscovery(self) -> dict[str, Any] | None:
        """What to submit so that it can be relied on again; None while it can, and where it was never assessed."""
        return None if self.status in {Status.ACTIVE, Status.TESTING} else rediscovery(self.tool.found_on)


@dataclass(frozen=True, slots=True)
class ToolVersion:
    """A tool as one discovery found it."""

    version: int
    tool: Tool
    job_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Diff:
    """What a discovery changed of a site: names of tools, in order.

    ``new`` were not there, or had gone; ``gone`` are there no more, and deprecated.
    """

    same: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether everything is as it was."""
        return not (self.changed or self.gone or self.new)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """How one run of a tool went.

    Args:
        cost_usd: None where it is not known.
        error_code: of the failure; None where it succeeded.
        used: what this run made use of, such as ``argument page`` or ``backend http``: its end speaks for or against
            each. At most 20, 200 characters each.
        failed: what did not work although the run went on, such as ``selector #go``.
    """

    ok: bool
    took_ms: float
    backend: str
    cost_usd: float | None = None
    error_code: str | None = None
    used: Sequence[str] = ()
    failed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """A line of the run log."""

    id: str
    version: int
    job_id: str
    at: datetime
    ok: bool
    took_ms: float
    backend: str
    cost_usd: float | None
    error_code: str | None


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the run log says of a tool; None where it says nothing.

    Latencies are those of runs that succeeded, in milliseconds; ``p95_ms`` is by nearest rank. Costs are those that are
    known.
    """

    ok: int = 0
    failed: int = 0
    min_ms: float | None = None
    mean_ms: float | None = None
    max_ms: float | None = None
    p95_ms: float | None = None
    total_cost_usd: float | None = None
    mean_cost_usd: float | None = None

    @property
    def success_rate(self) -> float | None:
        """The share of runs that succeeded."""
        runs = self.ok + self.failed
        return self.ok / runs if runs else None


@dataclass(frozen=True, slots=True)
class Note:
    """What runs have shown of one thing that they made use of.

    ``score`` is the running mean that speaks for ``verdict``.
    """

    subject: str
    verdict: str
    score: float
    worked: int
    failed: int

    @property
    def text(self) -> str:
        """Say it."""
        return f"{self.subject}: worked in {self.worked} of {self.worked + self.failed} runs"


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """A tool with what its runs have shown."""

    stored: StoredTool
    statistics: Statistics
    notes: Sequence[Note] = field(default=())
