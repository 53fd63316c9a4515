"""The older VA calibration service's paths for jobs under ``/api/v1``, but for its batches: docs/older-clients.md."""

from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import tenant_id
from app.compat.va import REFUSED_BODY, JobPath, submit_va, va_filter, va_job, va_record
from app.compat.va_requests import KeyQuery, VACalibration
from app.compat.va_words import (
    VAMetadata,
    VAProgress,
    VAResult,
    Word,
    described,
    metadata_of,
    ours,
    progress_of,
    result_of,
    va_paths,
    word_of,
)
from app.inputs import TRUE_OR_FALSE, WHOLE_NUMBER, Moment, Text
from app.logs import LEVELS, log_rows
from app.openapi import answer
from app.record import record_of, summaries_of
from app.services import Services, services
from tasks.calibration.causes import AgeGroup
from tasks.calibration.terms import KIND
from tasks.core.clock import now
from tasks.core.errors import Conflict, InputRejected, NotFound
from tasks.core.ledger import queries
from tasks.core.records import JobState
from tasks.dispatch import cancel, erase_matching, retry

aliases = va_paths("va_v1")
bp = aliases.blueprint

# How many jobs one call may erase.
_MOST_ERASED = 10_000
Level = Literal["debug", "info", "warning", "error", "critical"]


class StatusQuery(KeyQuery):
    """Which log lines come along."""

    log_level: Level | None = Field(None, description="The least level that is shown.")
    log_limit: Annotated[int, Field(ge=1, le=1000), WHOLE_NUMBER] = 100
    log_offset: Annotated[int, Field(ge=0, le=10**9), WHOLE_NUMBER] = 0


class ListQuery(KeyQuery):
    """Which jobs, and which page of them."""

    status: Word | None = None
    job_type: Literal["calibration"] | None = None
    age_group: AgeGroup | None = None
    country: Annotated[Text, Field(max_length=100)] | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    page: Annotated[int, Field(ge=1, le=100_000), WHOLE_NUMBER] = 1
    page_size: Annotated[int, Field(ge=1, le=100), WHOLE_NUMBER] = 20


class RetryQuery(KeyQuery):
    """What changes."""

    new_priority: Annotated[int, Field(ge=1, le=10), WHOLE_NUMBER] | None = None
    new_timeout: Annotated[int, Field(ge=1, le=120), WHOLE_NUMBER] | None = Field(None, description="Minutes.")


class ConfirmQuery(KeyQuery):
    """That this is meant."""

    confirm: Annotated[bool, TRUE_OR_FALSE] = Field(False, description="Without `true` nothing is done.")


class VAJobId(BaseModel):
    """A job was created."""

    job_id: str
    status: Literal["created"] = "created"


class VALogEntry(BaseModel):
    """One line of a job's log."""

    timestamp: datetime
    level: Level
    message: str
    component: str | None
    data: dict[str, Any] | None = None


class VAStatus(BaseModel):
    """A job with its progress and log."""

    job_id: str
    status: Word
    progress: VAProgress
    metadata: VAMetadata
    logs: list[VALogEntry]
    result_summary: dict[str, int | str | None] | None
    error_details: dict[str, str] | None


class VAJobResult(BaseModel):
    """A finished job's result."""

    job_id: str
    status: Word
    result: VAResult
    metadata: VAMetadata
    cache_info: dict[str, str] | None


class VAJobState(BaseModel):
    """A job that was changed."""

    job_id: str
    status: Word
    message: str


class VAJobPage(BaseModel):
    """A page of jobs, newest first."""

    jobs: list[VAMetadata]
    total_count: int
    page: int
    page_size: int
    has_next: bool


class VACleared(BaseModel):
    """What was removed."""

    message: str
    count: int


MODELS: tuple[type[BaseModel], ...] = (
    *(VAJobId, VALogEntry, VAStatus, VAJobResult, VAJobState, VAJobPage, VACleared),
    *(VAMetadata, VAProgress),
)


@aliases.route(
    "POST",
    "/api/v1/calibrate/async",
    successor=f"/api/jobs/{KIND}",
    responses={200: answer(VAJobId, "Created."), **REFUSED_BODY},
)
def v1_create_job(body: VACalibration) -> Response:
    """Create a calibration job."""
    return json_answer(VAJobId(job_id=submit_va(body).id))


@aliases.route(
    "GET",
    "/api/v1/calibrate/<any_id:job_id>/status",
    successor="/api/jobs/{job_id}",
    responses={200: answer(VAStatus, "Now."), **described(401, 404, 422, 503)},
)
def v1_read_status(path: JobPath, query: StatusQuery) -> Response:
    """Read a job with its progress and log."""
    at = services()
    record = va_record(at, path.job_id)
    summary = None
    if record.result is not None:
        result = result_of(record)
        summary = {
            "algorithms_processed": len(result.calibrated),
            "age_group": result.age_group,
            "country": result.country,
            "completion_time": result.completed_at.isoformat(),
        }
    error = record.error
    return json_answer(
        VAStatus(
            job_id=record.id,
            status=word_of(record),
            progress=progress_of(record, at=now()),
            metadata=metadata_of(record),
            logs=_logs(at, path.job_id, query),
            result_summary=summary,
            error_details=None if error is None else {"error_type": error.code, "error_message": error.message},
        )
    )


def _logs(at: Services, job_id: str, query: StatusQuery) -> list[VALogEntry]:
    least = LEVELS.index(query.log_level or "debug")
    rows = [row for row in log_rows(at.kernel, va_job(at, job_id)) if LEVELS.index(row["level"]) >= least]
    return [
        VALogEntry(timestamp=row["at"], level=row["level"], message=row["line"], component=row["stream"])
        for row in rows[query.log_offset : query.log_offset + query.log_limit]
    ]


@aliases.route(
    "GET",
    "/api/v1/calibrate/<any_id:job_id>/result",
    successor="/api/jobs/{job_id}",
    responses={200: answer(VAJobResult, "It has succeeded."), **described(401, 404, 409, 422, 503)},
)
def v1_read_result(path: JobPath) -> Response:
    """Read the result of a job that has succeeded."""
    record = va_record(services(), path.job_id)
    if not JobState(record.state).is_terminal:
        raise Conflict(f"Job {record.id} is not completed (status: {word_of(record)}).")
    if record.result is None:
        raise NotFound(f"Results not found for job {record.id} (status: {word_of(record)}).")
    result = result_of(record)
    return json_answer(
        VAJobResult(
            job_id=record.id,
            status=word_of(record),
            result=result,
            metadata=metadata_of(record),
            cache_info=result.cache_info,
        )
    )


@aliases.route(
    "DELETE",
    "/api/v1/calibrate/<any_id:job_id>",
    successor="/api/jobs/{job_id}/cancel",
    responses={200: answer(VAJobState, "It is cancelled, or told to stop."), **described(401, 404, 409, 422, 503)},
)
def v1_cancel_job(path: JobPath) -> Response:
    """Cancel a job."""
    at = services()
    job = record_of(at, cancel(at.kernel, va_job(at, path.job_id).id, tenant_id=tenant_id()))
    message = "cancelled" if job.state == JobState.CANCELLED else "told to stop"
    return json_answer(VAJobState(job_id=job.id, status=word_of(job), message=f"Job {job.id} was {message}."))


@aliases.route(
    "GET",
    "/api/v1/jobs",
    successor="/api/jobs",
    responses={200: answer(VAJobPage, "A page."), **described(401, 422, 503)},
)
def v1_list_jobs(query: ListQuery) -> Response:
    """List calibration jobs, newest first."""
    at = services()
    labels = [(name, value) for name in ("age_group", "country") if (value := getattr(query, name)) is not None]
    wanted = va_filter(query.status, labels=labels, created_from=query.created_after, created_to=query.created_before)
    offset = (query.page - 1) * query.page_size
    found = queries.listing(at.kernel.ledger, wanted, limit=query.page_size, offset=offset)
    return json_answer(
        VAJobPage(
            jobs=[metadata_of(job) for job in summaries_of(at, found.jobs)],
            total_count=found.total,
            page=query.page,
            page_size=query.page_size,
            has_next=found.next_cursor is not None,
        )
    )


@aliases.route(
    "POST",
    "/api/v1/jobs/<any_id:job_id>/retry",
    successor="/api/jobs/{job_id}/retry",
    responses={200: answer(VAJobState, "It is queued again."), **described(401, 404, 409, 422, 503)},
)
def v1_retry_job(path: JobPath, query: RetryQuery) -> Response:
    """Run a failed or cancelled job again, with another priority or limit if that is wanted."""
    at = services()
    job = retry(
        at.kernel,
        at.carrier,
        va_job(at, path.job_id).id,
        tenant_id=tenant_id(),
        priority=None if query.new_priority is None else ours(query.new_priority),
        timeout_s=None if query.new_timeout is None else query.new_timeout * 60.0,
    )
    return json_answer(VAJobState(job_id=job.id, status="pending", message=f"Job {job.id} is queued again."))


@aliases.route(
    "DELETE",
    "/api/v1/jobs",
    successor="/api/jobs",
    responses={200: answer(VACleared, "Done."), **described(401, 422, 503)},
)
def v1_clear_jobs(query: ConfirmQuery) -> Response:
    """Erase all calibrations that have ended."""
    at = services()
    wanted = va_filter(None)
    if not query.confirm:
        raise unconfirmed("erase all calibrations that have ended")
    count = erase_matching(at.kernel, wanted, limit=_MOST_ERASED)
    return json_answer(VACleared(message=f"{count} jobs deleted", count=count))


def unconfirmed(what: str) -> InputRejected:
    """Make the refusal of what was not confirmed."""
    return InputRejected(
        f"This would {what}: repeat it with confirm=true.", field="confirm", code="confirmation_required"
    )
