"""The words of the older VA calibration service: its errors, its states, and how it writes jobs."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from flask import Response
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, Field

from app.compat.aliases import Aliases
from app.errors import Refusal, refusals_of, status_of
from tasks.core.errors import AppError
from tasks.core.records import Cause, JobRecord, JobState, JobSummary

# It counted priorities from 1 to 10 and work in five steps.
_PRIORITY_UNIT, _STEPS = 10, 5
_FIELDS = {"missmat_type": "mmat_type", "use_example": "va_data", "timeout_s": "timeout_minutes"}
_SHAPES = frozenset({"records", "matrix", "rows", "counts"})

Word = Literal["pending", "running", "success", "completed", "failed", "cancelled", "timeout"]
_WORDS: dict[str, Word] = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "running",
    JobState.SUCCEEDED: "success",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}


class VAError(BaseModel):
    """An error as its clients read it: the first refusal, and all of them."""

    error_code: str = Field(description="Ours: see docs/errors.md.")
    message: str
    field: str | None = None
    value: str | int | float | bool | None = None
    errors: list[Refusal] = []
    job_id: str | None = Field(None, description="The job that failed, of a request that waited for it.")


class VAMetadata(BaseModel):
    """What is known of a job besides its result."""

    job_id: str
    job_type: str = "calibration"
    status: Word
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    timeout_at: datetime | None
    priority: int = Field(ge=1, le=10, description="10 is the most urgent.")
    retry_count: int
    max_retries: int
    age_group: str | None
    country: str | None


class VAProgress(BaseModel):
    """How far a job is."""

    current_step: int = Field(ge=0, le=_STEPS)
    total_steps: int = _STEPS
    step_name: str
    progress_percentage: float = Field(ge=0, le=100)
    estimated_completion: datetime | None


class VAResult(BaseModel):
    """Fractions by algorithm and cause; bounds are null where there is no interval, and ``notes`` says why."""

    status: Literal["success"] = "success"
    job_id: str
    uncalibrated: dict[str, dict[str, float]]
    calibrated: dict[str, dict[str, dict[str, float | None]]] = Field(
        description="By algorithm: `mean`, `lower_ci` and `upper_ci` by cause."
    )
    age_group: str | None
    country: str | None
    completed_at: datetime
    is_example: bool = Field(description="The data are invented.")
    notes: list[str]
    cache_info: dict[str, str] | None = Field(None, description="`cached_at` and `source_job_id` of an earlier answer.")


def va_paths(name: str) -> Aliases:
    """Make a blueprint of its paths, with its keys and its errors."""
    made = Aliases(name, tag="va", key_header="X-API-Key", key_parameter="api_key")
    made.blueprint.register_error_handler(AppError, error_answer)
    return made


def error_answer(exc: AppError) -> Response:
    """Answer an error in its words."""
    refusals = [_renamed(refusal) for refusal in refusals_of(exc)]
    first = refusals[0] if refusals else None
    error = VAError(
        error_code=exc.code,
        message=exc.message if first is None else first.message,
        field=None if first is None else first.field,
        value=None if first is None else first.value,
        errors=refusals,
    )
    status = status_of(exc)
    response = Response(error.model_dump_json(), status, mimetype="application/json")
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="switchyard"'
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response


def _renamed(refusal: Refusal) -> Refusal:
    parts = refusal.field.removeprefix("params.").split(".")
    parts = [_FIELDS.get(part, part) for part in parts if part not in _SHAPES]
    return refusal.model_copy(update={"field": ".".join(parts)})


def described(*statuses: int) -> ResponseDict:
    """Describe its errors, by status."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{VAError.__name__}"}}}
    return {status: {"description": "An error.", "content": content} for status in statuses}


def word_of(job: JobSummary, *, done: Word = "success") -> Word:
    """Return the state in its words; the realtime paths say ``completed`` when a job is done."""
    if job.state == JobState.FAILED and job.cause == Cause.TIMEOUT:
        return "timeout"
    word = _WORDS[job.state]
    return done if word == "success" else word


def states_of(word: str) -> tuple[Sequence[JobState], str | None, str | None]:
    """Return the states, the cause and the cause left out that a word stands for."""
    if word == "timeout":
        return [JobState.FAILED], Cause.TIMEOUT, None
    state = JobState.SUCCEEDED if word == "completed" else next(key for key, value in _WORDS.items() if value == word)
    return [JobState(state)], None, Cause.TIMEOUT if state == JobState.FAILED else None


def percent_of(job: JobSummary) -> float:
    """Return how much is done, 0 to 100."""
    if job.state == JobState.SUCCEEDED:
        return 100.0
    return 0.0 if job.progress is None or job.progress.percent is None else job.progress.percent


def ours(priority: int) -> int:
    """Return our priority for one of its."""
    return priority * _PRIORITY_UNIT


def about(job: JobSummary) -> tuple[str | None, str | None]:
    """Return the age group and the country of a job, if it has them."""
    request = job.request if isinstance(job, JobRecord) else {}
    age_group, country = (job.labels.get(name) or request.get(name) for name in ("age_group", "country"))
    return age_group, country


def metadata_of(job: JobSummary) -> VAMetadata:
    """Describe a job."""
    age_group, country = about(job)
    return VAMetadata(
        job_id=job.id,
        status=word_of(job),
        created_at=job.created_at,
        started_at=job.started_at,
        completed_at=job.finished_at,
        timeout_at=None if job.started_at is None else job.started_at + timedelta(seconds=job.timeout_s),
        priority=min(10, max(1, round(job.priority / _PRIORITY_UNIT))),
        retry_count=max(0, job.attempt - 1),
        max_retries=job.max_attempts - 1,
        age_group=age_group,
        country=country,
    )


def stage_of(job: JobSummary) -> str:
    """Return what is being done, in words; empty before the first report."""
    return "" if job.progress is None else job.progress.message or job.progress.stage


def progress_of(job: JobSummary, *, at: datetime) -> VAProgress:
    """Say how far a job is, as of ``at``."""
    percent = percent_of(job)
    eta_s = None if job.progress is None or JobState(job.state).is_terminal else job.progress.eta_s
    return VAProgress(
        current_step=int(percent * _STEPS / 100),
        step_name=stage_of(job) or "Queued",
        progress_percentage=percent,
        estimated_completion=None if eta_s is None else at + timedelta(seconds=eta_s),
    )


def result_of(job: JobRecord) -> VAResult:
    """Return the result of a job that has succeeded."""
    found = job.result or {}
    # The example has more algorithms than a request may have asked for.
    wanted = job.labels.get("algorithms")
    fits: dict[str, Any] = {
        name: fit for name, fit in found["algorithms"].items() if wanted is None or name in wanted.split(",")
    }
    if found["ensemble"] is not None:
        fits["ensemble"] = found["ensemble"]
    age_group, country = about(job)
    mark = found.get("cache", {})
    assert job.finished_at is not None  # noqa: S101  # it has succeeded
    return VAResult(
        job_id=job.id,
        uncalibrated={name: _by_cause(fit, "uncalibrated") for name, fit in fits.items()},
        calibrated={
            name: {theirs: _by_cause(fit, field) for theirs, field in _ESTIMATES.items()} for name, fit in fits.items()
        },
        age_group=age_group,
        country=country,
        completed_at=job.finished_at,
        is_example=found["is_example"],
        notes=[*found["notes"], *_left_as_observed(fits)],
        cache_info={"cached_at": mark["at"], "source_job_id": mark["job"]} if mark.get("hit") else None,
    )


def _left_as_observed(fits: dict[str, Any]) -> list[str]:
    """Say which single causes have no bounds, and why; our own notes are about whole fits."""
    told: dict[tuple[str, str], list[str]] = {}
    for name, fit in fits.items():
        for cause in fit["causes"]:
            if cause["status"] in {"requested", "default", "indistinct"}:
                told.setdefault((name, cause["reason"] or cause["status"]), []).append(cause["cause"])
    return [f"{name}: {', '.join(causes)} without an interval: {why}." for (name, why), causes in told.items()]


_ESTIMATES = {"mean": "mean", "lower_ci": "lower", "upper_ci": "upper"}


def _by_cause(fit: dict[str, Any], field: str) -> dict[str, Any]:
    return {cause["cause"]: cause[field] for cause in fit["causes"]}
