"""The job as a record: its states, its row, and what of it a client sees."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class JobState(StrEnum):
    """Where a job is in its life. The last three are final, unless a failed or cancelled job is retried on request."""

    QUEUED = "queued"
    """Accepted and waiting: for its time, its turn, a worker, or its next attempt."""
    RUNNING = "running"
    """Claimed by one worker child, under one fence."""
    SUCCEEDED = "succeeded"
    """Ended with a result."""
    FAILED = "failed"
    """Ended with an error; ``dead`` when its attempts were used up."""
    CANCELLED = "cancelled"
    """Stopped because someone asked."""

    @property
    def is_terminal(self) -> bool:
        """Nothing further happens by itself."""
        return self in TERMINAL


TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
REPLAYABLE = frozenset({JobState.FAILED, JobState.CANCELLED})


class Delivery(NamedTuple):
    """What a message says of its job."""

    job_id: str
    carry: int


class Backend(StrEnum):
    """Who may run a job: what a submission asks for."""

    AUTO = "auto"
    """Whoever is live: Celery's workers while the broker answers, else a local runner."""
    QUEUE = "queue"
    """Celery's workers, through the broker."""
    LOCAL = "local"
    """A local runner, straight from the ledger."""


class BatchState(StrEnum):
    """How a batch of jobs stands, by the states of its jobs."""

    QUEUED = "queued"
    """None has begun."""
    RUNNING = "running"
    """Some have begun, and not all have ended."""
    SUCCEEDED = "succeeded"
    """All ended with a result."""
    PARTIAL = "partial"
    """All ended, some with a result."""
    FAILED = "failed"
    """All ended, none with a result, and at least one with an error."""
    CANCELLED = "cancelled"
    """All were cancelled."""


RanIn = Literal["queue", "local"]
# What stands before the host in the names of local runners; Celery's workers have their queues there.
LOCAL_ROLE, STANDBY_ROLE = "local", "standby"


# What stands where the boot id of a worker does, and before the job's id, where it was ended as it was accepted.
_DOOR_ROLE, _DOOR_MARK = "door", "#at-once-"


def ran_in(worker: str) -> RanIn:
    """Tell which backend a worker belongs to, by its name; the door of a house belongs to that of the house."""
    return "local" if worker.partition("@")[0] in {LOCAL_ROLE, STANDBY_ROLE} else "queue"


def door_name(host: str, job_id: str, *, is_local: bool) -> str:
    """Name the door of a house where one job was ended as it was accepted; no worker has such a name."""
    return f"{LOCAL_ROLE if is_local else _DOOR_ROLE}@{host}{_DOOR_MARK}{job_id}"


def is_door(worker: str) -> bool:
    """Tell whether that is such a name."""
    return _DOOR_MARK in worker


class Cause(StrEnum):
    """Why a transition happened. Errors add their own codes; these are the kernel's."""

    ACCEPTED = "accepted"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    CANCEL_REQUESTED = "cancel_requested"
    TIMEOUT = "timeout"
    WORKER_LOST = "worker_lost"
    OUT_OF_MEMORY = "out_of_memory"
    DRAINED = "drained"
    REPLAYED = "replayed"
    EXPIRED = "expired"
    SILENT = "silent"
    PURGED = "purged"


@dataclass(frozen=True, slots=True)
class StateEvent:
    """One transition as the stream shows it; ``n`` is the job's version after it."""

    job_id: str
    n: int
    at: datetime
    fence: int
    attempt: int
    data: dict[str, Any]


AGEING_MS = 600_000
"""One point of priority is worth ten minutes of waiting: a hundred are worth 16 hours and 40 minutes."""


def place_in_line(since: datetime, priority: int) -> int:
    """Return a job's place among its tenant's waiting jobs, the lowest first: priority, and age against it.

    It never changes while a job waits. Of two jobs that were accepted (or due) together the priority alone decides;
    nothing waits behind what came later than ``AGEING_MS`` for each point that it lacks.
    """
    return int(since.timestamp() * 1000) - priority * AGEING_MS


# No job has this place.
_TO_BE_RECKONED = -(2**63)


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the ledger's ``jobs``."""

    id: str
    tenant_id: str
    kind: str
    queue: str
    state: JobState
    version: int
    priority: int
    request: dict[str, Any]
    reference: str | None
    labels: dict[str, str]
    site: str | None
    correlation_id: str | None
    traceparent: str | None
    created_at: datetime
    not_before: datetime | None
    published_at: datetime | None
    started_at: datetime | None
    claimed_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    timeout_s: float
    hard_limit_s: float
    silence_s: float | None
    expires_at: datetime | None
    retry: str
    attempt: int
    max_attempts: int
    fence: int
    carry: int
    worker: str | None
    child_pid: int | None
    dead: bool
    cause: str
    signs: int
    progress: dict[str, Any] | None
    resume: dict[str, Any] | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    backend: str = Backend.AUTO
    batch_id: str | None = None
    concurrency_key: str | None = None
    parked: bool = False
    limited: bool = False
    unique_key: str | None = None
    paused_by: str | None = None
    requires: dict[str, Any] | None = None
    place: int = field(default=_TO_BE_RECKONED, compare=False)

    def __post_init__(self) -> None:
        """Reckon the place in line from what it is made of, unless it is another's: see ``follow_ups``."""
        if self.place != _TO_BE_RECKONED:
            return
        since = self.created_at
        if self.attempt == 0 and self.not_before is not None:  # until its time it does not stand in line
            since = max(since, self.not_before)
        object.__setattr__(self, "place", place_in_line(since, self.priority))


class Progress(BaseModel):
    """The newest report of a running job."""

    percent: float | None = Field(None, ge=0, le=100, description="0 to 100; null while the total is unknown.")
    stage: str = Field("", max_length=100)
    step: float = 0
    total: float | None = None
    message: str = Field("", max_length=500)
    eta_s: float | None = Field(None, description="Estimated seconds to the end of this stage.")


class JobError(BaseModel):
    """Why a job or an attempt failed."""

    code: str = Field(description="Stable; see docs/errors.md.")
    message: str
    field: str | None = None


class AttemptRecord(BaseModel):
    """One try: when, where, why it ended."""

    attempt: int
    fence: int
    worker: str
    backend: RanIn = Field(description="Which backend the worker belongs to.")
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = Field(
        None, description="succeeded, failed, cancelled, retried or drained; null while running."
    )
    cause: str | None = None
    error: JobError | None = None
    seconds: float | None = None


class ArtifactRecord(BaseModel):
    """A file that a job left."""

    name: str
    size_bytes: int
    media_type: str
    sha256: str
    attempt: int
    created_at: datetime
    href: str


class FollowUpState(StrEnum):
    """What became of what a job was to start."""

    WAITING = "waiting"
    """The job has not ended, or ended just now."""
    STARTED = "started"
    """The follow-up was accepted as a job."""
    FAILED = "failed"
    """It could not be: its template does not fit what the job has left."""
    SKIPPED = "skipped"
    """Nothing was to follow this end."""


class FollowUpRecord(BaseModel):
    """What a job starts when it has ended."""

    model_config = ConfigDict(use_enum_values=True)

    state: FollowUpState = Field(
        description="`waiting` for the end, `started`, `failed` (see `error`), or `skipped`: nothing follows this end."
    )
    on_success: str | None = Field(None, description="The kind that follows a result.")
    on_failure: str | None = Field(None, description="The kind that follows an error.")
    branch: Literal["on_success", "on_failure"] | None = Field(
        None, description="Which of them this end has called for."
    )
    job_id: str | None = Field(None, description="The job that was started.")
    error: JobError | None = Field(None, description="Why it could not be started.")
    settled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """One row of the ledger's ``uploads``: a file that a tenant sent, or is sending.

    Args:
        metadata: ``Upload-Metadata`` as the client sent it.
        sha256: as announced, and as found once ``completed_at`` is set.
        used_at: when somebody last sent, asked for or submitted it; it goes a while after that, unless a job needs it.
    """

    id: str
    tenant_id: str
    size_bytes: int
    name: str | None
    media_type: str
    metadata: str
    sha256: str | None
    created_at: datetime
    used_at: datetime
    completed_at: datetime | None

    @property
    def is_complete(self) -> bool:
        """Whether all of it is there, and was checked."""
        return self.completed_at is not None


class UploadRecord(BaseModel):
    """A file that was sent, or is being sent."""

    id: str
    size_bytes: int = Field(description="As announced.")
    offset_bytes: int = Field(description="How much of it is there.")
    complete: bool = Field(description="Whether all of it is there, and was checked.")
    sha256: str | None = Field(None, description="Of the content; only announced while it is not complete.")
    name: str | None = None
    media_type: str
    created_at: datetime
    expires_at: datetime = Field(description="When it goes, if it is not used until then and no job needs it.")
    href: str


class Timings(BaseModel):
    """Where the time went, in seconds."""

    queued_s: float = Field(description="From acceptance to the first claim, or until now.")
    running_s: float | None = Field(None, description="From the newest claim to the end, or until now.")
    total_s: float = Field(description="From acceptance to the end, or until now.")


class PauseNote(BaseModel):
    """Which pause keeps a job from beginning."""

    id: str
    reason: str | None = None
    since: datetime
    until: datetime | None = Field(None, description="It ends by itself then.")


class JobSummary(BaseModel):
    """A job as a page of jobs shows it."""

    model_config = ConfigDict(use_enum_values=True)

    id: str
    kind: str
    queue: str
    state: JobState
    version: int = Field(description="Number of state transitions so far.")
    dead: bool = Field(description="True when the job failed because its attempts were used up.")
    cause: str = Field(description="Why the job is in this state.")
    priority: int
    attempt: int = Field(description="The current or last attempt, from 1; 0 before the first.")
    max_attempts: int
    timeout_s: float
    reference: str | None = None
    labels: dict[str, str] = {}
    site: str | None = None
    batch_id: str | None = Field(None, description="The batch it was accepted with.")
    concurrency_key: str | None = None
    unique_key: str | None = None
    correlation_id: str | None = None
    worker: str | None = None
    backend: RanIn | None = Field(None, description="Which backend runs it, or has run it; null before.")
    backend_wanted: Backend = Field(Backend.AUTO, description="Which one was asked for.")
    waiting_for: str | None = Field(
        None,
        description="What no live worker offers: a capability such as `chromium`, `queue:NAME`, or `backend:local`. "
        "`limit`: a limit of its batch or its concurrency key keeps it back. `pause`: see `pause`. "
        "Of what it requires: `label:NAME`, `not_label:NAME`, `not:chromium`, `memory_mb:N`, `cpus:N`, `worker:NAME`, "
        "`host:NAME`, `same_worker_as:ID`.",
    )
    blocked: str | None = Field(None, description="The same in words: why it cannot begin now.")
    requires: dict[str, Any] | None = Field(
        None, description="What it needs of a worker, as asked and as its kind needs; null: any of its queue will do."
    )
    progress: Progress | None = None
    timings: Timings
    created_at: datetime
    not_before: datetime | None = None
    expires_at: datetime | None = Field(None, description="Still queued then, the job ends as failed: `expired`.")
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    error: JobError | None = None
    links: dict[str, str] = {}


class JobRecord(JobSummary):
    """What ``GET /api/jobs/{id}`` answers."""

    pause: PauseNote | None = Field(None, description="The pause that holds it, while it is queued.")
    queue_position: int | None = Field(None, description="1 for the job that is carried next; only while queued.")
    request: dict[str, Any] = {}
    result: dict[str, Any] | None = None
    attempts: list[AttemptRecord] = []
    artifacts: list[ArtifactRecord] = []
    parent_job_id: str | None = Field(None, description="The job that this one follows.")
    chain_id: str | None = Field(None, description="The first job of its chain; null: it is part of none.")
    follow_up: FollowUpRecord | None = Field(None, description="What it starts when it has ended; null: nothing.")
