"""The older VA calibration service's batches: calibrations sent together. See docs/older-clients.md."""

from datetime import datetime
from typing import Annotated, Literal

from flask import Response
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.compat.va import REFUSED_BODY
from app.compat.va_requests import VACalibration, body_of
from app.compat.va_words import described, va_paths
from app.errors import FieldsRejected, Refusal, refusals_of
from app.inputs import Input, Text
from app.job_batches import BatchSubmission, accept_batch, find_batch, record_of_batch
from app.openapi import answer
from app.services import services
from tasks.calibration.terms import KIND
from tasks.core.errors import InputRejected, NotFound
from tasks.core.ids import is_id
from tasks.core.ledger import job_batches
from tasks.core.records import BatchState

aliases = va_paths("va_batches")
bp = aliases.blueprint

BatchWord = Literal["pending", "running", "completed", "partial", "failed"]
_WORDS: dict[BatchState, BatchWord] = {
    BatchState.QUEUED: "pending",
    BatchState.RUNNING: "running",
    BatchState.SUCCEEDED: "completed",
    BatchState.PARTIAL: "partial",
    BatchState.FAILED: "failed",
    BatchState.CANCELLED: "failed",
}
_SUCCESSOR = "/api/jobs/batch"


class VABatch(Input):
    """Calibrations, and what holds for all of them."""

    jobs: list[VACalibration] = Field(min_length=1, max_length=50)
    name: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    parallel_limit: int = Field(5, ge=1, le=10, description="At most so many run at a time.")
    fail_fast: bool = Field(False, description="Once one has failed, those that have not ended are cancelled.")


class BatchPath(Input):
    """Which batch."""

    batch_id: str = Field(description="The batch's id.", json_schema_extra={"format": "uuid"})


class VABatchId(BaseModel):
    """A batch was created."""

    batch_id: str
    status: Literal["created"] = "created"
    job_ids: list[str] = Field(description="In the order in which they were sent.")
    total_jobs: int


class VABatchStatus(BaseModel):
    """How a batch stands."""

    batch_id: str
    name: str | None
    status: BatchWord
    total_jobs: int
    completed_jobs: int
    failed_jobs: int = Field(description="Those that were cancelled are among them.")
    running_jobs: int
    pending_jobs: int
    job_ids: list[str]
    created_at: datetime
    completed_at: datetime | None


MODELS: tuple[type[BaseModel], ...] = (VABatchId, VABatchStatus)
REQUESTS: tuple[type[BaseModel], ...] = (VABatch,)


@aliases.route(
    "POST",
    "/api/v1/calibrate/batch",
    successor=_SUCCESSOR,
    responses={200: answer(VABatchId, "Created."), **REFUSED_BODY},
)
def v1_create_batch(body: VABatch) -> Response:
    """Create a batch of calibrations: all of them, or none."""
    at = services()
    sent = BatchSubmission(
        jobs=[{"kind": KIND} | one for one in _bodies(body)],
        name=body.name,
        parallel_limit=body.parallel_limit,
        fail_fast=body.fail_fast,
    )
    batch_id = accept_batch(at, sent).batch_id
    ids = job_batches.job_ids(at.kernel.ledger, batch_id)
    return json_answer(VABatchId(batch_id=batch_id, job_ids=ids, total_jobs=len(ids)))


@aliases.route(
    "GET",
    "/api/v1/calibrate/batch/<any_id:batch_id>/status",
    successor=_SUCCESSOR + "/{batch_id}",
    responses={200: answer(VABatchStatus, "Now."), **described(401, 404, 503)},
)
def v1_read_batch(path: BatchPath) -> Response:
    """Read how a batch stands."""
    at = services()
    if not is_id(path.batch_id):
        raise NotFound(f"Batch {path.batch_id[:100]} not found.")
    batch = find_batch(at, path.batch_id)
    record = record_of_batch(at, batch)
    counts = record.counts
    return json_answer(
        VABatchStatus(
            batch_id=record.id,
            name=record.name,
            status=_WORDS[record.state],
            total_jobs=record.size,
            completed_jobs=counts.succeeded,
            failed_jobs=counts.failed + counts.cancelled,
            running_jobs=counts.running,
            pending_jobs=counts.queued,
            job_ids=job_batches.job_ids(at.kernel.ledger, record.id),
            created_at=record.created_at,
            completed_at=record.finished_at,
        )
    )


def _bodies(sent: VABatch) -> list[dict[str, object]]:
    bodies: list[dict[str, object]] = []
    refusals: list[Refusal] = []
    for index, one in enumerate(sent.jobs):
        try:
            bodies.append(body_of(one))
        except InputRejected as exc:
            refusals += [
                refusal.model_copy(update={"field": f"jobs.{index}.{refusal.field}"}) for refusal in refusals_of(exc)
            ]
    if refusals:
        raise FieldsRejected(refusals)
    return bodies
