"""What a kind is: one frozen ``JobSpec`` beside the models of its family."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO, TypeAlias

from pydantic import BaseModel, ConfigDict


class Queue(StrEnum):
    """The six classes of resource; the only queue names there are."""

    CRITICAL = "critical"
    AI = "ai"
    CRAWLER = "crawler"
    VOICE = "voice"
    ANALYTICS = "analytics"
    MAINTENANCE = "maintenance"


class Contract(BaseModel):
    """Base of request and result models: frozen, and refusing fields it does not know.

    What one sender writes is not kept for the next one's sake, as Pydantic does with 16,384 short texts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", cache_strings="keys")


HOST_CHARS = r"""a-z0-9._~!$&'()*+,;=:"`{}\[\]-"""
"""What an address may name a host and its port with (WHATWG URL: no forbidden domain code point), as a class in a
pattern has it. Names of sites are made of them, since a crawled site is named after its host."""

# Opens the content of an upload, by its id.
OpenUpload: TypeAlias = Callable[[str], BinaryIO]


@dataclass(frozen=True, slots=True)
class RetryPreset:
    """How often a kind is tried, and how long it waits in between.

    The wait before attempt n+1 is drawn uniformly from ``[0, min(cap_s, base_s * 2**(n-1))]`` (full jitter:
    M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    """

    name: str
    max_attempts: int
    base_s: float
    cap_s: float = 600.0


FAST = RetryPreset("FAST", 3, 1.0)
STANDARD = RetryPreset("STANDARD", 5, 2.0)
HEAVY = RetryPreset("HEAVY", 8, 5.0)
CRITICAL = RetryPreset("CRITICAL", 12, 10.0)
NONE = RetryPreset("NONE", 1, 0.0)
RETRY_PRESETS: Mapping[str, RetryPreset] = {preset.name: preset for preset in (FAST, STANDARD, HEAVY, CRITICAL, NONE)}


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what a job leaves behind is kept after its end, in seconds; ``maintenance.sweep`` removes it then.

    Args:
        stream_s: its live events; ``SWITCHYARD_STREAM_TTL_S`` at most.
        artifacts_s: its files, the log among them.
        result_s: its result; None: as long as its row.
        row_s: its record, with attempts, state events and labels, and whatever else is still there.
    """

    stream_s: float = 24 * 3600
    artifacts_s: float = 7 * 24 * 3600
    result_s: float | None = None
    row_s: float = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Aging:
    """Rows of a family's own table that ``maintenance.sweep`` removes when they are old.

    Args:
        name: what the sweep calls them in its result.
        table, key, time: names of the table, of its primary key and of the column that tells their age.
        keep_s: how long they are kept, in seconds.
    """

    name: str
    table: str
    key: str
    time: str
    keep_s: float


@dataclass(frozen=True, slots=True)
class Option:
    """A value of a request's field that needs more of a worker than its kind does.

    Args:
        field: of the request, at its top.
        capability: what a worker must have found at start.
    """

    field: str
    value: str
    capability: str


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Everything the kernel must know of one kind.

    Args:
        kind: ``family.verb``; also the name of the Celery task.
        soft_limit_s: after this long the engine gets ``SoftLimitReached`` (transient).
        hard_limit_s: after this long the child's process group is killed; larger than the soft limit.
        retention: how long what a job leaves is kept.
        aging: rows of the family's tables that go when they are old, whichever job wrote them.
        silence_s: an attempt without a sign of life (report, log line, checkpoint) for so long is stuck; None: never.
        capabilities: what a worker must have found at start, such as ``chromium``. A job waits, and shows it as
            ``waiting_for``, while no live worker of the queue has all of it; workers of one queue should not differ.
        options: values of fields with which a single job needs more; it waits likewise.
        example: a valid request, shown in the catalogue and used by tests.
        check_uploads: refuses, with pydantic's ``ValidationError``, what only the content of a request's uploads can
            tell. Called when the job is accepted, in the web process, for requests that name uploads.
    """

    kind: str
    queue: Queue
    request: type[BaseModel]
    result: type[BaseModel]
    summary: str
    soft_limit_s: float
    hard_limit_s: float
    silence_s: float | None = None
    retry: RetryPreset = STANDARD
    retention: Retention = Retention()
    aging: tuple[Aging, ...] = ()
    capabilities: frozenset[str] = frozenset()
    options: tuple[Option, ...] = ()
    max_result_bytes: int = 256 * 1024
    example: Mapping[str, object] = field(default_factory=dict)
    check_uploads: Callable[[Any, OpenUpload], object] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.soft_limit_s < self.hard_limit_s:
            raise ValueError(f"{self.kind}: need 0 < soft_limit_s < hard_limit_s")
        if self.silence_s is not None and self.silence_s <= 0:
            raise ValueError(f"{self.kind}: need 0 < silence_s, or None")

    def needs(self, request: Mapping[str, object]) -> frozenset[str]:
        """Return what a worker must have found for a job with this request."""
        chosen = (option for option in self.options if request.get(option.field) == option.value)
        return self.capabilities | {option.capability for option in chosen}

    @property
    def family(self) -> str:
        """The package under ``tasks`` that owns this kind."""
        return self.kind.split(".", 1)[0]
