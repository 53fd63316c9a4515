"""The words of the earlier hub: what its clients submit, how they read a job, its states and its progress."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from app.errors import FieldsRejected, Refusal
from app.inputs import Input, Text, validate_body
from app.services import Services
from app.streams.feed import Frame
from app.submissions import accept
from tasks.core.clock import now, rfc3339
from tasks.core.errors import AppError
from tasks.core.records import TERMINAL, Cause, Job, JobRecord, JobState, JobSummary

DIALECT_LABEL, DIALECT = "dialect", "direct"
SERVICE_NAMES = ("service_required", "job_type", "type")
"""Where a submission names its service; the first that is there counts."""

Word = Literal[
    "pending",
    "queued",
    "assigned",
    "accepted",
    "in_progress",
    "completed",
    "failed",
    "cancelled",
    "timeout",
    "unworkable",
]
_WORDS: Mapping[str, str] = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "in_progress",
    JobState.SUCCEEDED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
_STATES = {
    **dict.fromkeys(("pending", "queued"), JobState.QUEUED),
    **dict.fromkeys(("assigned", "accepted", "in_progress"), JobState.RUNNING),
    **dict.fromkeys(("failed", "timeout"), JobState.FAILED),
    "completed": JobState.SUCCEEDED,
    "cancelled": JobState.CANCELLED,
}
LABELLED = ("customer_id", "workflow_id", "workflow_priority", "workflow_datetime", "step_number")
"""Kept as labels, so that they can be filtered by and told again."""
# The only requirement that the choice of a kind meets by itself.
_SAID_BY_SERVICE = frozenset({"service_type", "service_required"})
_Short = Annotated[Text, Field(min_length=1, max_length=200)]


class DirectJob(Input):
    """A submission of theirs."""

    service_required: _Short | None = None
    job_type: _Short | None = None
    type: _Short | None = None
    payload: dict[str, Any] = Field(default_factory=dict)
    priority: int = Field(50, ge=0, le=100)
    requirements: dict[str, Any] | None = None
    customer_id: _Short | None = None
    max_retries: int | None = Field(None, ge=0, le=1000)
    workflow_id: _Short | None = None
    workflow_priority: int | None = Field(None, ge=0, le=100)
    workflow_datetime: int | _Short | None = None
    step_number: int | None = Field(None, ge=0, le=10**9)
    timeout_minutes: float | None = Field(None, gt=0, le=10**6)

    @property
    def service(self) -> str | None:
        """What it asks for."""
        return self.service_required or self.job_type or self.type


class DirectAccepted(BaseModel):
    """A job was accepted."""

    success: Literal[True] = True
    job_id: str
    message: str = "Job submitted successfully"
    timestamp: datetime


def is_theirs(body: Mapping[str, Any]) -> bool:
    """Tell whether a submission is in this dialect."""
    return "kind" not in body and any(name in body for name in SERVICE_NAMES)


def accept_theirs(at: Services, body: dict[str, Any], *, key: str | None = None) -> Job:
    """Accept a submission of theirs for the tenant that asks.

    Raises:
        NotFound: no kind stands for its service.
        InputRejected: something does not fit.
    """
    asked = validate_body(DirectJob, body)
    if asked.service is None:
        raise FieldsRejected(
            [Refusal(field=SERVICE_NAMES[0], message="Required: name a service, or one of our kinds.")]
        )
    _check_requirements(asked)
    kind = at.settings.direct_kinds.get(asked.service, asked.service)
    labels = {name: str(value) for name in LABELLED if (value := getattr(asked, name)) is not None}
    # A workflow's steps go one after another: they share its priority.
    priority = asked.priority if asked.workflow_priority is None else asked.workflow_priority
    ours: dict[str, Any] = {
        "params": asked.payload,
        "priority": priority,
        "labels": {DIALECT_LABEL: DIALECT, "service": asked.service, **labels},
    }
    spec = at.specs.get(kind)
    if asked.max_retries is not None and spec is not None:
        ours["max_attempts"] = min(asked.max_retries + 1, spec.retry.max_attempts)
    if asked.timeout_minutes is not None:
        ours["timeout_s"] = asked.timeout_minutes * 60
    return accept(at, kind, ours, key=key).job


def _check_requirements(asked: DirectJob) -> None:
    """Refuse what would not be kept to, rather than run the job where it must not run."""
    unmet = [name for name, value in (asked.requirements or {}).items() if not _is_met(name, value, asked)]
    if unmet:
        message = "Not kept to here: which worker a job needs is its kind's to say. Remove it."
        raise FieldsRejected([Refusal(field=f"requirements.{name}"[:200], message=message) for name in unmet])


def _is_met(name: str, value: object, asked: DirectJob) -> bool:
    return value in (None, [], {}) or (name in _SAID_BY_SERVICE and value == asked.service)


def states_of(word: Word) -> tuple[Sequence[JobState], str | None, str | None]:
    """Return the states, the cause and the cause left out that a word stands for.

    Raises:
        FieldsRejected: jobs cannot be listed by it.
    """
    state = _STATES.get(word)
    if state is None:
        message = "Depends on the workers of the moment: list the pending ones."
        raise FieldsRejected([Refusal(field="status", message=message, value=word)])
    if state is not JobState.FAILED:
        return [state], None, None
    return [state], *((Cause.TIMEOUT, None) if word == "timeout" else (None, Cause.TIMEOUT))


def word_of(state: str, *, cause: str, waiting_for: str | None = None) -> str:
    """Return a state in its words."""
    if state == JobState.FAILED and cause == Cause.TIMEOUT:
        return "timeout"
    if state == JobState.QUEUED and waiting_for is not None:
        return "unworkable"
    return _WORDS[state]


def job_of(job: JobSummary) -> dict[str, Any]:
    """Describe a job in its shape."""
    labels, percent = job.labels, _percent(job)
    told: dict[str, Any] = {
        "id": job.id,
        "job_id": job.id,
        "service_required": labels.get("service", job.kind),
        "job_type": labels.get("service", job.kind),
        "status": _word(job),
        "priority": job.priority,
        "progress": percent,
        "worker_id": job.worker,
        "retry_count": max(0, job.attempt - 1),
        "max_retries": job.max_attempts - 1,
        "created_at": rfc3339(job.created_at),
        "assigned_at": _time(job.started_at),
        "started_at": _time(job.started_at),
        "completed_at": _time(job.finished_at) if job.state == JobState.SUCCEEDED else None,
        "failed_at": _time(job.finished_at) if job.state == JobState.FAILED else None,
        "error": None if job.error is None else job.error.message,
        **{name: labels.get(name) for name in LABELLED},
    }
    for name in ("workflow_priority", "step_number"):
        if (text := labels.get(name)) is not None and text.isdecimal():
            told[name] = int(text)
    if isinstance(job, JobRecord):
        told |= {"payload": job.request, "result": job.result, "queue_position": job.queue_position}
    return told


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def _word(job: JobSummary) -> str:
    return word_of(job.state, cause=job.cause, waiting_for=job.waiting_for)


def _percent(job: JobSummary) -> float:
    if job.state == JobState.SUCCEEDED:
        return 100.0
    return 0.0 if job.progress is None or job.progress.percent is None else job.progress.percent


def progress_of(frame: Frame) -> dict[str, Any] | None:
    """Return the ``progress`` message that one of our events gives; None for those that give none."""
    event = json.loads(frame.text)
    data, at = event["data"], event["at"]
    if frame.type == "snapshot":
        told = _of_record(JobRecord.model_validate(data["record"]), at=at)
    elif frame.type == "state":
        told = _of_state(data, attempt=event["attempt"])
    elif frame.type == "progress":
        told = _of_report(data, at=at)
    else:
        return None
    base = {"job_id": event["job_id"], "worker_id": None, "updated_at": at}
    return {"type": "progress", "job_id": event["job_id"], "data": base | told, "timestamp": at}


def _of_record(job: JobRecord, *, at: str) -> dict[str, Any]:
    report = {} if job.progress is None else _of_report(job.progress.model_dump(), at=at)
    error = {} if job.error is None else {"message": job.error.message}
    return report | {"progress": _percent(job), "status": _word(job), "worker_id": job.worker} | error


def _of_state(data: dict[str, Any], *, attempt: int) -> dict[str, Any]:
    state, cause = data["state"], data["cause"]
    error = data.get("error") or {}
    told: dict[str, Any] = {
        "status": word_of(state, cause=cause),
        "message": error.get("message", cause),
        "retry_count": max(0, attempt - 1),
    }
    if state == JobState.SUCCEEDED:
        told["progress"] = 100.0
    if error:
        told["will_retry"] = state not in TERMINAL
    return told


def _of_report(data: dict[str, Any], *, at: str) -> dict[str, Any]:
    eta_s = data.get("eta_s")
    due = None if eta_s is None else rfc3339(datetime.fromisoformat(at) + timedelta(seconds=eta_s))
    return {
        "progress": data.get("percent") or 0.0,
        "status": _WORDS[JobState.RUNNING],
        "message": data.get("message") or data.get("stage") or "",
        "current_step": data.get("step"),
        "total_steps": data.get("total"),
        "estimated_completion": due,
    }


def reason_of(exc: AppError) -> str:
    """Return what was refused, in one line."""
    refusals = getattr(exc, "refusals", ())
    return "; ".join(f"{one.field}: {one.message}" for one in refusals[:5]) or exc.message


def stamped(message: dict[str, Any]) -> dict[str, Any]:
    """Add the time to a message that has none."""
    return {"timestamp": rfc3339(now())} | message
