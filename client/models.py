"""What the server answers, typed. Unknown fields are kept, so that a newer server never breaks an older client."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from client.errors import NotFound

T = TypeVar("T", bound=BaseModel)

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})


class Record(BaseModel):
    """A frozen answer; fields this client does not know yet stay readable as attributes and in ``model_dump()``."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Progress(Record):
    """The newest report of a running job."""

    percent: float | None = None
    """0 to 100; None while the total is unknown."""
    stage: str = ""
    step: float = 0
    total: float | None = None
    message: str = ""
    eta_s: float | None = None


class JobError(Record):
    """Why a job or an attempt failed."""

    code: str
    message: str = ""
    field: str | None = None


class Attempt(Record):
    """One try: when, where, why it ended."""

    attempt: int
    worker: str | None = None
    backend: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: str | None = None
    cause: str | None = None
    error: JobError | None = None
    seconds: float | None = None


class Artifact(Record):
    """A file that a job left."""

    name: str
    size_bytes: int = 0
    media_type: str = "application/octet-stream"
    sha256: str | None = None
    attempt: int = 0
    created_at: datetime | None = None
    href: str | None = None


class Timings(Record):
    """Where the time went, in seconds."""

    queued_s: float = 0
    running_s: float | None = None
    total_s: float = 0


class FollowUp(Record):
    """What a job starts when it has ended."""

    state: str
    """``waiting``, ``started`` (``job_id``), ``failed`` (``error``) or ``skipped``."""
    on_success: str | None = None
    on_failure: str | None = None
    branch: str | None = None
    job_id: str | None = None
    error: JobError | None = None
    settled_at: datetime | None = None


class ChainJob(Record):
    """One job of a chain."""

    id: str
    kind: str
    state: str
    depth: int = 0
    parent_job_id: str | None = None
    follow_up: FollowUp | None = None


class Chain(Record):
    """A job and what followed it."""

    chain_id: str
    jobs: tuple[ChainJob, ...] = ()
    """Each before those that follow it."""


class Job(Record):
    """One job's record. In lists, ``request``, ``result`` and ``attempts`` are left out."""

    id: str
    kind: str
    state: str
    """``queued``, ``running``, ``succeeded``, ``failed`` or ``cancelled``; the last three are final."""
    queue: str = ""
    version: int = 0
    dead: bool = False
    cause: str = ""
    priority: int = 0
    attempt: int = 0
    max_attempts: int = 0
    timeout_s: float | None = None
    reference: str | None = None
    labels: dict[str, str] = {}
    site: str | None = None
    correlation_id: str | None = None
    worker: str | None = None
    backend: str | None = None
    """Which backend runs it, or has run it: ``queue`` or ``local``."""
    backend_wanted: str = "auto"
    waiting_for: str | None = None
    blocked: str | None = None
    """Why nobody alive can run it now, in words."""
    requires: dict[str, Any] | None = None
    """What it needs of a worker; None: nothing."""
    pause: dict[str, Any] | None = None
    """The pause that holds it: ``id``, ``reason``, ``since``, ``until``."""
    queue_position: int | None = None
    progress: Progress | None = None
    timings: Timings | None = None
    created_at: datetime | None = None
    not_before: datetime | None = None
    expires_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    request: dict[str, Any] = {}
    result: dict[str, Any] | None = None
    error: JobError | None = None
    attempts: tuple[Attempt, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    parent_job_id: str | None = None
    """The job that it follows."""
    chain_id: str | None = None
    """The first job of its chain."""
    follow_up: FollowUp | None = None
    links: dict[str, str] = {}
    replayed: bool = False
    """Only after a submit: the idempotency key was known, and this is the job it made the first time."""
    duplicate: bool = False
    """Only after a submit: a job with the same ``unique_key`` had not ended, and this is that job."""

    @property
    def is_terminal(self) -> bool:
        """The job has ended; nothing of it changes any more, unless it is retried."""
        return self.state in TERMINAL

    def result_as(self, model: type[T]) -> T:
        """Return the result as the given pydantic model.

        Raises:
            pydantic.ValidationError: the result has another shape, or there is none.
        """
        return model.model_validate(self.result)


class LogLine(Record):
    """One line that a job wrote."""

    line: str
    level: str = "info"
    stream: str = ""
    at: datetime | None = None
    attempt: int = 0
    n: int | None = None


class Event(Record):
    """One entry of a job's stream: ``snapshot``, ``state``, ``progress``, ``log``, ``artifact`` or ``delta``.

    Events made by polling have no ``id`` and no ``seq``.
    """

    type: str
    id: str | None = None
    """The cursor: give it as ``after`` to go on from here."""
    seq: int | None = None
    at: datetime | None = None
    job_id: str = ""
    attempt: int = 0
    data: dict[str, Any] = {}

    @property
    def state(self) -> str | None:
        """The job's state, of a ``state`` event or a snapshot."""
        if self.type == "state":
            return str(self.data.get("state"))
        return self.job.state if self.job else None

    @property
    def job(self) -> Job | None:
        """The whole record, of a snapshot."""
        record = self.data.get("record")
        return Job.model_validate(record) if self.type == "snapshot" and isinstance(record, Mapping) else None

    @property
    def progress(self) -> Progress | None:
        """The report, of a ``progress`` event or a running job's snapshot."""
        if self.type == "progress":
            return Progress.model_validate(self.data)
        return self.job.progress if self.job else None

    @property
    def is_terminal(self) -> bool:
        """Whether this is the ``state`` event that ends the job."""
        return self.type == "state" and self.state in TERMINAL


class DomainEvent(Record):
    """Something that a job has brought about for its tenant, such as ``site.crawled``, or ``gap``: some are lost.

    A gap has no ``id``; its data's ``after`` is the cursor after which events are not kept any more.
    """

    type: str
    id: str | None = None
    """The cursor: give it as ``after`` to go on from here."""
    seq: int | None = None
    at: datetime | None = None
    job_id: str | None = None
    data: dict[str, Any] = {}


class DomainEventPage(Record):
    """Domain events, oldest first."""

    events: tuple[DomainEvent, ...]
    next_cursor: str
    missed: bool = False


class KindOption(Record):
    """A value of a field with which a job needs more of a worker than its kind does."""

    field: str
    value: str
    capability: str = ""
    runnable: bool = True
    waiting_for: str | None = None


class Kind(Record):
    """A kind of job that the server offers."""

    kind: str
    family: str = ""
    queue: str = ""
    summary: str = ""
    request_schema: dict[str, Any] = {}
    result_schema: dict[str, Any] = {}
    example: Any = None
    soft_limit_s: float | None = None
    hard_limit_s: float | None = None
    retry: Any = None
    max_attempts: int | None = None
    capabilities: tuple[str, ...] = ()
    options: tuple[KindOption, ...] = ()
    runnable: bool = True
    waiting_for: str | None = None


class QueueInfo(Record):
    """How busy one queue is."""

    queue: str
    waiting: int = 0
    delayed: int = 0
    published: int = 0
    running: int = 0
    oldest_waiting_s: float | None = None
    workers: int = 0
    slots: int = 0
    unmatched: dict[str, int] = {}
    """Queued jobs whose requirements no live worker meets, by the first that nobody does."""
    succeeded_1h: int = 0
    failed_1h: int = 0
    cancelled_1h: int = 0
    paused: int = 0
    """Jobs that a pause holds."""
    pauses: tuple[dict[str, Any], ...] = ()
    """The pauses that hold jobs of it: ``id``, ``queue``, ``kind``, ``tenant``, ``reason``, ``since``, ``until``."""


class BackendInfo(Record):
    """What runs jobs, ``queue`` or ``local``, and how it stands."""

    name: str
    live: bool = False
    missing: tuple[str, ...] = ()
    takes_auto: bool = False
    workers: int = 0
    slots: int = 0
    capabilities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    lacking: dict[str, str] = {}
    good_for: str = ""
    traits: dict[str, str] = {}


class Advice(Record):
    """What to run for a purpose, and why. ``slots`` is how many jobs the least of the workers run at a time."""

    backend: str
    least_workers: int = 1
    most_workers: int = 1
    slots: int = 1
    ledger: str = ""
    web_servers: int = 1
    commands: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class WorkerInfo(Record):
    """One live worker."""

    name: str
    host: str = ""
    pid: int | None = None
    state: str = ""
    queues: tuple[str, ...] = ()
    slots: int = 0
    capabilities: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    memory_mb: int = 0
    """What one of its jobs may take, in MiB; 0: it does not say."""
    cpus: int = 0
    restricted: bool = False
    """Whether it takes jobs of some tenants only."""
    serves_you: bool = True
    version: str | None = None
    uptime_s: float | None = None
    rss_bytes: int | None = None
    beat_age_s: float | None = None
    jobs: tuple[str, ...] = ()


class Page(Record):
    """One page of jobs, newest first."""

    jobs: tuple[Job, ...] = ()
    total: int = 0
    next_cursor: str | None = None


class Change(Record):
    """What an act on many jobs did."""

    matched: int = 0
    changed: int = 0
    skipped: int = 0
    """Matched, but not in a state that the act applies to."""
    more: bool = False
    """The limit left some out: ask again."""


class Upload(Record):
    """A file that was sent, or is being sent."""

    id: str
    size_bytes: int = 0
    offset_bytes: int = 0
    """How much of it the server has."""
    complete: bool = False
    sha256: str | None = None
    name: str | None = None
    media_type: str = "application/octet-stream"
    created_at: datetime | None = None
    expires_at: datetime | None = None
    """When it goes, if it is not used until then and no job needs it."""
    href: str | None = None

    @property
    def ref(self) -> dict[str, str]:
        """What a request names it by: ``{"upload": id}``."""
        return {"upload": self.id}


class UploadPage(Record):
    """One page of uploads, newest first."""

    uploads: tuple[Upload, ...] = ()
    kept_bytes: int = 0
    quota_bytes: int = 0
    next_cursor: str | None = None


class LogPage(Record):
    """One page of log lines, oldest first."""

    lines: tuple[LogLine, ...] = ()
    total: int = 0
    next_offset: int | None = None


class Preset(Record):
    """A domain with sites and goals. ``priority``: 1 is the most important."""

    name: str
    title: str = ""
    priority: int
    is_high_priority: bool
    max_tools: int
    cache_s: int
    sites: tuple[str, ...]
    goals: tuple[str, ...]
    job_priority: int = 50
    requests: tuple[dict[str, Any], ...]


class Presets(Record):
    """The domains that a server knows, and how many sites of one it wants looked at side by side."""

    parallel_limit: int
    presets: tuple[Preset, ...]

    def named(self, name: str) -> Preset:
        """Return the domain of this name.

        Raises:
            NotFound: there is none.
        """
        found = next((one for one in self.presets if one.name == name), None)
        if found is None:
            raise NotFound(f"no domain {name!r}: there are {', '.join(one.name for one in self.presets)}")
        return found
