"""The older VA calibration service's paths for jobs: made, polled, cancelled. See docs/older-clients.md."""

from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import tenant_id
from app.compat.va_requests import KeyQuery, VACalibration, body_of
from app.compat.va_words import (
    VAError,
    VAResult,
    Word,
    described,
    percent_of,
    result_of,
    stage_of,
    states_of,
    va_paths,
    word_of,
)
from app.inputs import WHOLE_NUMBER, Input
from app.jobs import delete_or_cancel
from app.logs import log_rows
from app.openapi import answer
from app.record import record_of, summaries_of
from app.services import Services, services
from app.submissions import accept_job, wait_for_end
from app.waiting import LONGEST_WAIT_S
from tasks.calibration.terms import KIND
from tasks.core.errors import NotFound
from tasks.core.ids import is_id
from tasks.core.ledger import queries
from tasks.core.ledger.queries import Filter
from tasks.core.records import Job, JobRecord, JobState, JobSummary
from tasks.dispatch import cancel

# What it told its clients to expect, in seconds.
_ESTIMATE_S = 15
_SUBMIT_PATH = f"/api/jobs/{KIND}"

aliases = va_paths("va")
bp = aliases.blueprint


class JobPath(Input):
    """Which job."""

    job_id: str = Field(description="The job's id.", json_schema_extra={"format": "uuid"})


class OutputQuery(KeyQuery):
    """Which lines."""

    start_line: Annotated[int, Field(ge=0, le=10**9), WHOLE_NUMBER] = Field(0, description="Lines to skip.")


class ListQuery(KeyQuery):
    """Which jobs."""

    limit: Annotated[int, Field(ge=1, le=200), WHOLE_NUMBER] = 50
    status: Word | None = None


class VAUrls(BaseModel):
    """Where the job can be watched."""

    status: str
    websocket: str | None = Field(description="Null where there are no WebSockets.")


class VAAccepted(BaseModel):
    """A job goes on in the background."""

    status: Literal["accepted"] = "accepted"
    job_id: str
    message: str
    urls: VAUrls
    estimated_duration_seconds: int = _ESTIMATE_S


class VACreated(BaseModel):
    """A job was created."""

    job_id: str
    status: Literal["created", "pending"]
    message: str
    created_at: datetime


class VAJob(BaseModel):
    """A job as it stands."""

    job_id: str
    status: Word
    progress: int = Field(ge=0, le=100)
    created_at: datetime
    updated_at: datetime
    result: VAResult | None = None
    error: str | None = None
    execution_time: float | None = Field(None, description="Seconds.")


class VAJobList(BaseModel):
    """Jobs, newest first."""

    jobs: list[VAJob]
    total: int = Field(description="How many match in all.")


class VAOutput(BaseModel):
    """What R printed."""

    job_id: str
    r_output: list[str]
    has_more: bool = Field(description="Whether there may be more later.")


class VALiveStatus(BaseModel):
    """A job as its realtime clients see it."""

    job_id: str
    status: Word
    progress: float = Field(ge=0, le=100)
    stage: str
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    error: str | None
    has_result: bool


class VAMessage(BaseModel):
    """What was done."""

    message: str


MODELS: tuple[type[BaseModel], ...] = (
    *(VAError, VAResult, VAUrls, VAAccepted, VACreated, VAJob, VAJobList, VAOutput, VALiveStatus, VAMessage),
)
REQUESTS: tuple[type[BaseModel], ...] = (VACalibration,)
REFUSED_BODY = described(400, 401, 413, 415, 422, 503)


def va_job(at: Services, job_id: str, *, tenant: str | None = None) -> Job:
    """Return a calibration of the tenant: of the one that asks, unless it is named.

    Raises:
        NotFound: there is none.
    """
    job = queries.job(at.kernel.ledger, job_id, tenant_id=tenant or tenant_id()) if is_id(job_id) else None
    if job is None or job.kind != KIND:
        raise NotFound(f"Job {job_id[:100]} not found.")
    return job


def va_record(at: Services, job_id: str, *, tenant: str | None = None) -> JobRecord:
    """Return the record of a calibration of the tenant; see ``va_job``.

    Raises:
        NotFound: there is none.
    """
    return record_of(at, va_job(at, job_id, tenant=tenant))


def submit_va(asked: VACalibration) -> Job:
    """Accept a calibration for the tenant that asks.

    Raises:
        InputRejected: something does not fit.
    """
    return accept_job(services(), KIND, body_of(asked))


@aliases.route(
    "POST",
    "/calibrate",
    successor=_SUBMIT_PATH,
    responses={
        200: {
            "description": "The result; with `async` where to watch the job.",
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/VAResult"},
                            {"$ref": "#/components/schemas/VAAccepted"},
                        ]
                    }
                }
            },
        },
        202: answer(VAAccepted, "It took longer than a request may, and goes on."),
        500: {"description": "It failed.", "content": described(500)[500]["content"]},  # type: ignore[index]
        **REFUSED_BODY,
    },
)
def calibrate(body: VACalibration) -> Response:
    """Calibrate: answer with the result, or at once with `async`."""
    at = services()
    job = submit_va(body)
    if body.is_async:
        return json_answer(_accepted(at, job))
    job = wait_for_end(at, job, LONGEST_WAIT_S)
    if not job.state.is_terminal:
        return json_answer(_accepted(at, job), status=202)
    record = record_of(at, job)
    if job.state is JobState.SUCCEEDED:
        return json_answer(result_of(record))
    code, message = _error_of(record)
    return json_answer(VAError(error_code=code, message=message, job_id=job.id), status=500)


def _error_of(job: JobSummary) -> tuple[str, str]:
    if job.error is not None:
        return job.error.code, job.error.message
    return job.cause, f"The job was {job.state}."


def _accepted(at: Services, job: Job) -> VAAccepted:
    socket = f"/ws/calibrate/{job.id}/logs" if at.settings.serves_websocket else None
    return VAAccepted(
        job_id=job.id,
        message="Calibration job started. Poll the status, or connect to the WebSocket where there is one.",
        urls=VAUrls(status=f"/calibrate/{job.id}/status", websocket=socket),
    )


@aliases.route(
    "POST", "/jobs/calibrate", successor=_SUBMIT_PATH, responses={200: answer(VACreated, "Created."), **REFUSED_BODY}
)
def create_job(body: VACalibration) -> Response:
    """Create a calibration job, to be polled."""
    job = submit_va(body)
    return json_answer(
        VACreated(job_id=job.id, status="created", message="Calibration job created.", created_at=job.created_at)
    )


@aliases.route(
    "GET",
    "/calibrate/<any_id:job_id>/status",
    successor="/api/jobs/{job_id}",
    responses={200: answer(VALiveStatus, "Now."), **described(401, 404, 422, 503)},
)
def read_live_status(path: JobPath) -> Response:
    """Read how far a calibration is."""
    job = va_record(services(), path.job_id)
    return json_answer(
        VALiveStatus(
            job_id=job.id,
            status=word_of(job, done="completed"),
            progress=percent_of(job),
            stage=stage_of(job),
            created_at=job.created_at,
            started_at=job.started_at,
            completed_at=job.finished_at,
            error=None if job.error is None else job.error.message,
            has_result=job.result is not None,
        )
    )


@aliases.route(
    "GET",
    "/jobs",
    successor="/api/jobs",
    responses={200: answer(VAJobList, "A page."), **described(401, 422, 503)},
)
def list_va_jobs(query: ListQuery) -> Response:
    """List calibration jobs, newest first."""
    at = services()
    found = queries.listing(at.kernel.ledger, va_filter(query.status), limit=query.limit)
    return json_answer(VAJobList(jobs=[_job(job) for job in summaries_of(at, found.jobs)], total=found.total))


def va_filter(status: Word | None, **more: Any) -> Filter:
    """Return the tenant's calibrations in this state."""
    states, cause, not_cause = ((), None, None) if status is None else states_of(status)
    return Filter(tenant_id=tenant_id(), kind=KIND, states=states, cause=cause, not_cause=not_cause, **more)


@aliases.route(
    "GET",
    "/jobs/<any_id:job_id>",
    successor="/api/jobs/{job_id}",
    responses={200: answer(VAJob, "Now."), **described(401, 404, 422, 503)},
)
def read_va_job(path: JobPath) -> Response:
    """Read a calibration job, with its result once it has one."""
    return json_answer(_job(va_record(services(), path.job_id)))


def _job(job: JobSummary) -> VAJob:
    has_result = isinstance(job, JobRecord) and job.result is not None
    return VAJob(
        job_id=job.id,
        status=word_of(job),
        progress=int(percent_of(job)),
        created_at=job.created_at,
        updated_at=job.finished_at or job.started_at or job.created_at,
        result=result_of(job) if has_result and isinstance(job, JobRecord) else None,
        error=None if job.error is None else job.error.message,
        execution_time=job.timings.running_s if JobState(job.state).is_terminal else None,
    )


@aliases.route(
    "GET",
    "/jobs/<any_id:job_id>/output",
    successor="/api/jobs/{job_id}/logs",
    responses={200: answer(VAOutput, "From that line on."), **described(401, 404, 422, 503)},
)
def read_va_output(path: JobPath, query: OutputQuery) -> Response:
    """Read what R printed, from a line on."""
    at = services()
    job = va_job(at, path.job_id)
    lines = [row["line"] for row in log_rows(at.kernel, job)]
    has_more = not job.state.is_terminal
    return json_answer(VAOutput(job_id=job.id, r_output=lines[query.start_line :], has_more=has_more))


@aliases.route(
    "POST",
    "/jobs/<any_id:job_id>/cancel",
    successor="/api/jobs/{job_id}/cancel",
    responses={200: answer(VAJob, "It is cancelled, or told to stop."), **described(401, 404, 409, 422, 503)},
)
def cancel_va_job(path: JobPath) -> Response:
    """Cancel a calibration job."""
    at = services()
    job = cancel(at.kernel, va_job(at, path.job_id).id, tenant_id=tenant_id())
    return json_answer(_job(record_of(at, job)))


@aliases.route(
    "DELETE",
    "/jobs/<any_id:job_id>",
    successor="/api/jobs/{job_id}",
    responses={200: answer(VAMessage, "Done."), **described(401, 404, 422, 503)},
)
def delete_va_job(path: JobPath) -> Response:
    """Cancel a calibration job that has not ended; erase one that has."""
    at = services()
    stopped = delete_or_cancel(at, va_job(at, path.job_id))
    done = "was told to stop; delete it again once it has" if stopped is not None else "deleted successfully"
    return json_answer(VAMessage(message=f"Job {path.job_id} {done}"))
