"""Batches: many jobs in one request, accepted together or not at all, watched and cancelled as one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import structlog
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import actor, tenant_id
from app.callbacks import BatchCallback, own_callback
from app.discovery import demand_budget
from app.errors import FieldsRejected, Refusal, refusals_of
from app.inputs import Input, Text, checked, one_if_large
from app.openapi import SECURITY, answer, problems
from app.relaying import aside_if_large
from app.services import Services, services
from app.submissions import demand_room, named_spec, submission_of
from tasks.core.errors import InputRejected, NotFound
from tasks.core.follow_ups.plans import kinds_in
from tasks.core.ledger import job_batches
from tasks.core.ledger.job_batches import JobBatch
from tasks.core.records import BatchState
from tasks.core.spec import JobSpec
from tasks.dispatch import BatchAccepted, cancel_batch, submit_batch
from tasks.submission import BatchPlan, Submission

log = structlog.get_logger()

bp = APIBlueprint("job_batches", __name__, abp_tags=[Tag(name="jobs")], abp_security=SECURITY)

MOST_JOBS = 1000


class BatchPath(Input):
    """Which batch."""

    batch_id: str = Field(description="The batch's id.", json_schema_extra={"format": "uuid"})


class BatchHeaders(Input):
    """What may come beside the body."""

    idempotency_key: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,255}$")] | None = Field(
        None, alias="Idempotency-Key", description="The same key with the same body never makes a second batch."
    )


class BatchSubmission(Input):
    """Jobs, and what holds for all of them."""

    jobs: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=MOST_JOBS,
        description="Each as `POST /api/jobs` takes it, with its `kind`. One that is refused has all refused.",
    )
    name: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(None, description="For people.")
    parallel_limit: int | None = Field(
        None, ge=1, le=MOST_JOBS, description="At most so many of its jobs are under way at a time."
    )
    callback: BatchCallback | None = Field(None, description="Tells a URL when the batch has ended.")
    fail_fast: bool = Field(False, description="Once a job has failed, those that have not ended are cancelled.")


class BatchCounts(BaseModel):
    """How many of the jobs are in each state; those that were erased are in none."""

    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


class BatchRecord(BaseModel):
    """A batch."""

    id: str
    name: str | None
    state: BatchState
    size: int = Field(description="How many jobs were accepted.")
    counts: BatchCounts
    parallel_limit: int | None
    fail_fast: bool
    created_at: datetime
    stopped_at: datetime | None = Field(description="Since when no further job of it begins.")
    finished_at: datetime | None = Field(description="When all of its jobs had ended; a later retry leaves it.")
    links: dict[str, str]


class AcceptedBatch(BatchRecord):
    """A batch that was accepted, with the ids of its jobs in the order in which they were sent."""

    job_ids: list[str]


MODELS: tuple[type[BaseModel], ...] = (BatchRecord, AcceptedBatch)


@bp.post(
    "/api/jobs/batch",
    responses={
        202: answer(
            AcceptedBatch, "Accepted.", headers=("Location", "Idempotency-Replayed", "RateLimit", "RateLimit-Policy")
        ),
        **problems(400, 401, 402, 413, 415, 422, 429, 503),
    },
)
@aside_if_large
@checked
def submit_jobs(header: BatchHeaders, body: BatchSubmission) -> Response:
    """Submit up to 1,000 jobs as a batch: all are accepted, or none."""
    at = services()
    accepted = accept_batch(at, body, key=header.idempotency_key)
    record = record_of_batch(at, find_batch(at, accepted.batch_id))
    ids = job_batches.job_ids(at.kernel.ledger, accepted.batch_id)
    response = json_answer(AcceptedBatch(**record.model_dump(), job_ids=ids), status=202)
    response.headers["Location"] = record.links["self"]
    if accepted.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


@bp.get("/api/jobs/batch/<job:batch_id>", responses={200: answer(BatchRecord, "The batch."), **problems(401, 404, 503)})
@checked
def read_batch(path: BatchPath) -> Response:
    """Read how a batch stands."""
    at = services()
    return json_answer(record_of_batch(at, find_batch(at, path.batch_id)))


@bp.post(
    "/api/jobs/batch/<job:batch_id>/cancel",
    responses={202: answer(BatchRecord, "Its jobs are cancelled, or told to stop."), **problems(401, 404, 503)},
)
@checked
def cancel_jobs_of_batch(path: BatchPath) -> Response:
    """Cancel a batch: queued jobs at once, running ones within seconds. One that has ended is left as it is."""
    at = services()
    changed = cancel_batch(at.kernel, at.carrier, find_batch(at, path.batch_id), by=actor())
    log.info("batch_cancelled", batch_id=path.batch_id, changed=changed)
    return json_answer(record_of_batch(at, find_batch(at, path.batch_id)), status=202)


def accept_batch(at: Services, sent: BatchSubmission, *, key: str | None = None) -> BatchAccepted:
    """Accept a batch for the tenant that asks.

    Raises:
        FieldsRejected: some of the jobs are refused; all of those are named.
        IdempotencyKeyReused: the key stands for another request.
    """
    with one_if_large():
        items = _checked_items(at, sent.jobs)
    kinds = {spec.kind for spec, _ in items} | {kind for _, one in items for kind in kinds_in(one.plan)}
    for kind in sorted(kinds):
        demand_budget(at, at.specs[kind], key=key)
    plan = BatchPlan(
        tenant_id=tenant_id(),
        name=sent.name,
        parallel_limit=sent.parallel_limit,
        fail_fast=sent.fail_fast,
        callback=own_callback(at.settings, sent.callback),
        idempotency_key=key,
    )
    demand_room(at, len(items), key=key)
    accepted = submit_batch(at.kernel, at.carrier, plan, items)
    if not accepted.replayed:
        at.quotas.add(plan.tenant_id, len(items))
    counter = at.metrics.replayed if accepted.replayed else at.metrics.accepted
    for spec, _ in items:
        counter.labels(spec.kind).inc()
    log.info("batch_accepted", batch_id=accepted.batch_id, jobs=len(items), replayed=accepted.replayed)
    return accepted


def _checked_items(at: Services, bodies: Sequence[dict[str, Any]]) -> list[tuple[JobSpec, Submission]]:
    items: list[tuple[JobSpec, Submission]] = []
    refusals: list[Refusal] = []
    for index, body in enumerate(bodies):
        try:
            rest = dict(body)
            spec = named_spec(at, rest)
            submission = submission_of(at, spec, rest)
            if submission.unique_key is not None:
                refusals.append(Refusal(field=f"jobs.{index}.unique_key", message="Not in a batch: submit it alone."))
            items.append((spec, submission))
        except InputRejected as exc:
            refusals += [_inside(index, refusal) for refusal in refusals_of(exc)]
        except NotFound as exc:
            refusals.append(Refusal(field=f"jobs.{index}.{exc.field or 'kind'}", message=exc.message))
    if refusals:
        raise FieldsRejected(refusals)
    return items


def _inside(index: int, refusal: Refusal) -> Refusal:
    field = f"jobs.{index}.{refusal.field}".removesuffix(".")
    return refusal.model_copy(update={"field": field})


def find_batch(at: Services, batch_id: str) -> JobBatch:
    """Return this tenant's batch.

    Raises:
        NotFound: this tenant has no such batch.
    """
    found = job_batches.batch(at.kernel.ledger, batch_id, tenant_id=tenant_id())
    if found is None:
        raise NotFound(f"No batch {batch_id}.")
    return found


def record_of_batch(at: Services, batch: JobBatch) -> BatchRecord:
    """Return the batch as its tenant sees it."""
    counts = job_batches.counts(at.kernel.ledger, batch.id)
    path = f"/api/jobs/batch/{batch.id}"
    return BatchRecord(
        id=batch.id,
        name=batch.name,
        state=counts.state,
        size=batch.size,
        counts=BatchCounts(**counts.as_data()),
        parallel_limit=batch.parallel_limit,
        fail_fast=batch.fail_fast,
        created_at=batch.created_at,
        stopped_at=batch.stopped_at,
        finished_at=batch.finished_at,
        links={
            "self": path,
            "jobs": f"/api/jobs?batch={batch.id}",
            "cancel": f"{path}/cancel",
            "events": f"/api/events?job_id={batch.id}",
        },
    )
