"""Requests and results of the maintenance kinds."""

from pydantic import Field

from tasks.core.spec import FAST, Contract, JobSpec, Queue, Retention

PING = "maintenance.ping"
SWEEP = "maintenance.sweep"


class PingRequest(Contract):
    """Ask a worker for a sign of life."""

    message: str = Field("", max_length=200, description="Comes back in the result.", examples=["hello"])


class PingResult(Contract):
    """What the worker answered."""

    message: str = Field(max_length=200)


class SweepRequest(Contract):
    """Remove what is older than its kind's retention, and unused uploads: of this tenant, or of all for the system."""

    batch: int = Field(200, ge=1, le=1000, description="Jobs or rows per transaction.")
    max_seconds: float = Field(60.0, gt=0, le=600, description="When to stop, though there is more.")
    dry_run: bool = Field(False, description="Only tell what would go.")
    older_than_hours: float | None = Field(
        None,
        ge=1,
        le=100_000,
        description="What finished jobs left goes at this age, whatever their kinds say, rows included.",
        examples=[24],
    )


class Freed(Contract):
    """What went, or would go."""

    rows: int = Field(0, ge=0, description="Of the table that the name tells, or jobs whose files went.")
    files: int = Field(0, ge=0)
    size_bytes: int = Field(0, ge=0, description="Of those files.")


class SweepResult(Contract):
    """What was freed, by what it was."""

    freed: dict[str, Freed] = Field(
        max_length=40,
        description="By `results`, `artifacts`, `streams`, `jobs`, `uploads`, `idempotency_keys`, `domain_events`, "
        "`callback_deliveries`, `audit`, `pauses`, `cached_results`, `workers`, `batches`, `ledger_streams`, `orphans` "
        "and `lost_uploads` (folders of what is not in the ledger).",
    )
    more: bool = Field(description="Whether the time was over before all was looked at.")
    dry_run: bool
    seconds: float = Field(ge=0)


SPECS = (
    JobSpec(
        kind=PING,
        queue=Queue.MAINTENANCE,
        request=PingRequest,
        result=PingResult,
        summary="Answer at once: proves that accept, broker, worker and ledger work together.",
        soft_limit_s=10,
        hard_limit_s=15,
        retry=FAST,
        example={"message": "hello"},
    ),
    JobSpec(
        kind=SWEEP,
        queue=Queue.MAINTENANCE,
        request=SweepRequest,
        result=SweepResult,
        summary="Remove old results, artifacts, streams, records and whatever else no job needs any more.",
        soft_limit_s=900,
        hard_limit_s=930,
        silence_s=300,
        retry=FAST,
        retention=Retention(artifacts_s=24 * 3600, row_s=7 * 24 * 3600),
        example={"dry_run": True},
    ),
)
