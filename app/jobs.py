"""Jobs that are there already: the record, the list, cancel and erase."""

from typing import Annotated

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field
from werkzeug.http import parse_etags

from app.answers import job_answer, json_answer, record_answer
from app.auth import tenant_id
from app.inputs import SECONDS, TRUE_OR_FALSE, WHOLE_NUMBER, Input, Moment, Text, checked
from app.openapi import SECURITY, answer, bare_answer, problems
from app.record import etag_of, record_of, summaries_of
from app.services import Services, services
from app.waiting import LONGEST_WAIT_S, wait_until
from tasks.core.errors import Conflict, NotFound
from tasks.core.ledger import queries
from tasks.core.ledger.queries import Filter
from tasks.core.records import Job, JobRecord, JobState, JobSummary
from tasks.core.spec import Queue
from tasks.dispatch import cancel, erase

bp = APIBlueprint("jobs", __name__, abp_tags=[Tag(name="jobs")], abp_security=SECURITY)

_Cursor = Annotated[Text, Field(max_length=200)]
_Id = Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
_Pair = Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,63}:[^\x00]{0,200}$")]


class JobPath(Input):
    """Which job."""

    job_id: str = Field(description="The job's id.", json_schema_extra={"format": "uuid"})


class RecordQuery(Input):
    """How long to wait."""

    wait: Annotated[float, Field(ge=0, le=LONGEST_WAIT_S), SECONDS] | None = Field(
        None, description="Wait this many seconds for the end; with If-None-Match for any change."
    )


class RecordHeaders(Input):
    """What the client has."""

    if_none_match: Annotated[str, Field(max_length=1000)] | None = Field(
        None, alias="If-None-Match", description="The ETag of the record that the client has."
    )


class FilterQuery(Input):
    """Which jobs; all that is given must hold."""

    state: list[JobState] = Field([], max_length=5, description="Repeatable.")
    kind: Annotated[Text, Field(max_length=100)] | None = None
    queue: Queue | None = None
    site: Annotated[Text, Field(max_length=253)] | None = None
    reference: Annotated[Text, Field(max_length=200)] | None = None
    batch: _Id | None = Field(None, description="Only the jobs of this batch.")
    parent: _Id | None = Field(None, description="Only what follows this job.")
    chain: _Id | None = Field(None, description="Only the jobs of the chain that this job began.")
    label: list[_Pair] = Field([], max_length=16, description="`key:value`; repeatable, all must match.")
    created_from: Moment | None = Field(None, description="RFC 3339, with a zone; at or after.")
    created_to: Moment | None = Field(None, description="RFC 3339, with a zone; before.")
    dead: Annotated[bool, TRUE_OR_FALSE] | None = Field(None, description="Whether the attempts were used up.")
    text: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        None, description="Part of the id, kind, reference, site or cause."
    )


class ListQuery(FilterQuery):
    """Which jobs, and which page of them."""

    limit: Annotated[int, Field(ge=1, le=200), WHOLE_NUMBER] = 50
    cursor: _Cursor | None = Field(None, description="`next_cursor` of the page before.")


class JobPage(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobSummary]
    total: int = Field(description="How many match in all.")
    next_cursor: str | None = Field(None, description="Asks for the next page; null on the last one.")


MODELS: tuple[type[BaseModel], ...] = (JobRecord, JobPage)


def find_job(at: Services, job_id: str) -> Job:
    """Return this tenant's job.

    Raises:
        NotFound: this tenant has no such job.
    """
    job = queries.job(at.kernel.ledger, job_id, tenant_id=tenant_id())
    if job is None:
        raise NotFound(f"No job {job_id}.")
    return job


@bp.get(
    "/api/jobs/<job:job_id>",
    responses={
        200: answer(JobRecord, "The record.", headers=("ETag",)),
        304: bare_answer("The client has the newest record."),
        **problems(401, 404, 422, 503),
    },
)
@checked
def read_job(path: JobPath, query: RecordQuery, header: RecordHeaders) -> Response:
    """Read a job's record; `?wait=` waits for its end or, with If-None-Match, for any change."""
    at = services()
    job = find_job(at, path.job_id)
    record = record_of(at, job)
    known = parse_etags(header.if_none_match)
    watches = header.if_none_match is not None

    def is_worth_telling() -> bool:
        if watches:
            return record.state in {"succeeded", "failed", "cancelled"} or not known.contains_weak(etag_of(record))
        return JobState(record.state).is_terminal

    def look() -> bool:
        nonlocal record
        if is_worth_telling():
            return True
        record = record_of(at, find_job(at, path.job_id))
        return is_worth_telling()

    if query.wait:
        seen = job.version if watches else None
        wait_until(look, job.id, waiter=at.waiter, version_seen=seen, timeout_s=query.wait)
    response = record_answer(record)
    if watches and known.contains_weak(etag_of(record)):
        return Response(status=304, headers={"ETag": response.headers["ETag"]})
    return response


@bp.get("/api/jobs", responses={200: answer(JobPage, "A page."), **problems(401, 422, 503)})
@checked
def list_jobs(query: ListQuery) -> Response:
    """List jobs, newest first, with filters, a cursor and the true total."""
    at = services()
    found = queries.listing(at.kernel.ledger, filter_of(query), limit=query.limit, cursor=query.cursor)
    return json_answer(JobPage(jobs=summaries_of(at, found.jobs), total=found.total, next_cursor=found.next_cursor))


def filter_of(query: FilterQuery) -> Filter:
    """Return what this tenant asks for."""
    return Filter(
        tenant_id=tenant_id(),
        states=query.state,
        kind=query.kind,
        queue=query.queue,
        site=query.site,
        reference=query.reference,
        batch_id=query.batch,
        parent_id=query.parent,
        chain_id=query.chain,
        labels=[_pair(label) for label in query.label],
        created_from=query.created_from,
        created_to=query.created_to,
        dead=query.dead,
        text=query.text,
    )


def _pair(label: str) -> tuple[str, str]:
    key, _, value = label.partition(":")
    return key, value


@bp.post(
    "/api/jobs/<job:job_id>/cancel",
    responses={
        200: answer(JobRecord, "It is cancelled.", headers=("ETag",)),
        202: answer(JobRecord, "It runs, and was told to stop.", headers=("ETag",)),
        **problems(401, 404, 409, 503),
    },
)
@checked
def cancel_job(path: JobPath) -> Response:
    """Cancel a job: a queued one at once, a running one within seconds."""
    at = services()
    job = cancel(at.kernel, path.job_id, tenant_id=tenant_id())
    return job_answer(at, job, status=200 if job.state is JobState.CANCELLED else 202)


@bp.delete(
    "/api/jobs/<job:job_id>",
    responses={
        202: answer(JobRecord, "It had not ended, and was told to stop.", headers=("ETag",)),
        204: bare_answer("It is erased, with its artifacts, logs and stream."),
        **problems(401, 404, 503),
    },
)
@checked
def delete_job(path: JobPath) -> Response:
    """Cancel a job that has not ended; erase one that has."""
    at = services()
    stopped = delete_or_cancel(at, find_job(at, path.job_id))
    return Response(status=204) if stopped is None else job_answer(at, stopped, status=202)


def delete_or_cancel(at: Services, job: Job) -> Job | None:
    """Erase a job of the tenant that has ended; cancel and return one that has not."""
    if not job.state.is_terminal:
        try:
            return cancel(at.kernel, job.id, tenant_id=tenant_id())
        except Conflict:  # it ended meanwhile, so it can be erased
            pass
    erase(at.kernel, job.id, tenant_id=tenant_id())
    return None
