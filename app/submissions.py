"""Accept: a typed job becomes a row of the ledger, then an answer."""

import re
from difflib import get_close_matches
from functools import partial
from typing import Annotated, Any

import structlog
from flask import Response, g, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, Field
from pydantic_core import to_json

from app.answers import job_answer
from app.attachments import attached, check_takes_files, named_uploads
from app.auth import tenant_id
from app.callbacks import own_callback
from app.discovery import demand_budget
from app.earlier_answers import answering
from app.errors import FieldsRejected, Refusal
from app.follow_ups import planned
from app.forms import read_form, refused_times
from app.inputs import Input, checked, one_if_large, read_json, validate_body
from app.openapi import SECURITY, answer, problems
from app.quotas import demand_quota
from app.receiving import takes_files
from app.relaying import MuchWork, answered_aside, aside_if_large
from app.services import Services, services
from app.waiting import LONGEST_WAIT_S, wait_until
from tasks.core.errors import NotFound, OverQuota
from tasks.core.follow_ups.plans import kinds_in
from tasks.core.ledger import queries
from tasks.core.ledger.accepting import Accepted, is_key_used
from tasks.core.matching import Requires
from tasks.core.records import Backend, Job, JobRecord
from tasks.core.spec import JobSpec
from tasks.dispatch import submit
from tasks.submission import Submission

log = structlog.get_logger()

bp = APIBlueprint("submissions", __name__, abp_tags=[Tag(name="jobs")], abp_security=SECURITY)
MODELS: tuple[type[BaseModel], ...] = (JobRecord,)

# RFC 7240: preferences are separated by commas or semicolons; what we do not know is ignored.
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,6})\"?\s*(?=[,;]|$)", re.IGNORECASE)
_LONGEST_PREFER = 200
_HOW_IT_WAS_MADE = ("Idempotency-Replayed", "Job-Duplicate")
_ACCEPTED_HEADERS = ("Location", *_HOW_IT_WAS_MADE, "Preference-Applied", "RateLimit", "RateLimit-Policy")
ACCEPTED_ANSWERS: ResponseDict = {
    200: answer(JobRecord, "The job ended within `Prefer: wait`, whatever its end.", headers=_ACCEPTED_HEADERS),
    202: answer(JobRecord, "Accepted.", headers=_ACCEPTED_HEADERS),
    **problems(400, 401, 402, 404, 413, 415, 422, 429, 503, 507),
}


class KindPath(Input):
    """Which kind."""

    kind: str = Field(description="`family.verb`, as `/api/kinds` lists it.")


class WaitHeaders(Input):
    """Whether to wait for the job's end."""

    prefer: Annotated[str, Field(max_length=_LONGEST_PREFER)] | None = Field(
        None, alias="Prefer", description="`wait=20`: answer when the job has ended, or after that many seconds."
    )


class SubmitHeaders(WaitHeaders):
    """What may come beside the body."""

    idempotency_key: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,255}$")] | None = Field(
        None, alias="Idempotency-Key", description="The same key with the same body never makes a second job."
    )


def _waited(response: Response) -> Response:
    """Wait for the end of a job that was just queued elsewhere, where the client prefers that."""
    prefer, job_id = request.headers.get("Prefer"), response.headers.get("Location", "").rpartition("/")[2]
    if response.status_code != 202 or prefer is None or _wanted_wait_s(prefer) is None:
        return response
    at = services()
    job = queries.job(at.kernel.ledger, job_id, tenant_id=tenant_id())
    if job is None:  # erased meanwhile
        return response
    waited = answer_queued(at, job, WaitHeaders(Prefer=prefer[:_LONGEST_PREFER]))
    for name in _HOW_IT_WAS_MADE:
        if name in response.headers:
            waited.headers[name] = response.headers[name]
    return waited


@bp.post("/api/jobs", responses=ACCEPTED_ANSWERS)
@takes_files
@partial(aside_if_large, then=_waited)
@checked
def submit_any(header: SubmitHeaders) -> Response:
    """Submit a job; the body names its kind, or the part `request` of a form with files does."""
    at = services()
    if request.mimetype == "multipart/form-data":
        return _answer_form(at, None, header)
    with one_if_large():
        body = read_json()
        accepted = _accept(at, named_spec(at, body), body, key=header.idempotency_key)
    return answer_accepted(at, accepted, header)


@bp.post("/api/jobs/<kind:kind>", responses=ACCEPTED_ANSWERS)
@takes_files
@partial(aside_if_large, then=_waited)
@checked
def submit_kind(path: KindPath, header: SubmitHeaders) -> Response:
    """Submit a job of this kind."""
    at = services()
    spec = _spec_of(at, path.kind)
    if request.mimetype == "multipart/form-data":
        check_takes_files(spec)
        return _answer_form(at, spec, header)
    with one_if_large():
        accepted = _accept(at, spec, read_json(), key=header.idempotency_key)
    return answer_accepted(at, accepted, header)


def _answer_form(at: Services, spec: JobSpec | None, header: SubmitHeaders) -> Response:
    with attached(at, partial(named_spec, at) if spec is None else lambda _: spec) as sent:
        response: Response | None = None
        try:
            accepted = _accept(at, sent.spec, sent.body, key=header.idempotency_key)
        except MuchWork:
            named = {} if spec else {"kind": sent.spec.kind}
            response = answered_aside(at, to_json(sent.body | named))
            is_kept = response.status_code < 400 and not any(name in response.headers for name in _HOW_IT_WAS_MADE)
        else:
            is_kept = accepted.is_new
    if not is_kept:
        sent.discard(at)
    return answer_accepted(at, accepted, header) if response is None else _waited(response)


def named_spec(at: Services, body: dict[str, Any]) -> JobSpec:
    """Return the spec of the kind that ``body`` names, and take the name out of it."""
    kind = body.pop("kind", None)
    if not isinstance(kind, str):
        raise FieldsRejected([Refusal(field="kind", message="Required: add it, as `/api/kinds` lists it.")])
    return _spec_of(at, kind)


def accept_job(at: Services, kind: str, body: dict[str, Any]) -> Job:
    """Accept a job for the tenant that asks, from a body as ``POST /api/jobs/{kind}`` takes it.

    Raises:
        NotFound: there is no such kind.
        InputRejected: the body is refused.
    """
    return accept(at, kind, body, key=None).job


def accept(at: Services, kind: str, body: dict[str, Any], *, key: str | None) -> Accepted:
    """Accept a job as ``accept_job`` does; with ``key``, an ``Idempotency-Key``, once.

    Raises:
        IdempotencyKeyReused: the key stands for another request.
    """
    with one_if_large():
        return _accept(at, _spec_of(at, kind), body, key=key)


def _spec_of(at: Services, kind: str) -> JobSpec:
    spec = at.specs.get(kind)
    if spec is None:
        raise unknown_kind(at, kind)
    return spec


def _accept(at: Services, spec: JobSpec, body: dict[str, Any], *, key: str | None) -> Accepted:
    demand_budget(at, spec, key=key)
    submission = submission_of(at, spec, body, key=key)
    for kind in kinds_in(submission.plan):
        demand_budget(at, at.specs[kind], key=key)
    demand_room(at, 1, key=key)
    at_once = answering(at, spec, submission)
    accepted = submit(at.kernel, at.carrier, spec, submission, end_at_once=at_once)
    if accepted.is_new:
        at.quotas.add(submission.tenant_id, 1)
    (at.metrics.accepted if accepted.is_new else at.metrics.replayed).labels(spec.kind).inc()
    log.info(
        "job_accepted",
        job_id=accepted.job.id,
        kind=spec.kind,
        replayed=accepted.replayed,
        duplicate=accepted.duplicate,
    )
    return accepted


def demand_room(at: Services, count: int, *, key: str | None) -> None:
    """Go on only if the tenant that asks may have so many more jobs, or has them already (by its key).

    Raises:
        OverQuota: it may not.
    """
    try:
        demand_quota(at.quotas, tenant_id(), count)
    except OverQuota:
        if key is None or not is_key_used(at.kernel.ledger, tenant_id(), key):
            raise


def submission_of(at: Services, spec: JobSpec, body: dict[str, Any], *, key: str | None = None) -> Submission:
    """Check a body as ``POST /api/jobs/{kind}`` takes it, and return what the tenant that asks submits with it.

    Raises:
        InputRejected: the body is refused.
    """
    form = read_form(validate_body(at.forms[spec.kind], body))
    if refusals := refused_times(form):
        raise FieldsRejected(refusals)
    _demand_backend(at, form.backend)
    demand_known_job(at, form.requires)
    following = planned(at, spec, form)
    return Submission(
        tenant_id=tenant_id(),
        request=form.params.model_dump(mode="json"),
        priority=form.priority,
        timeout_s=form.timeout_s,
        max_attempts=form.max_attempts,
        expires_in_s=form.expires_in_s,
        not_before=form.not_before,
        expires_at=form.expires_at,
        reference=form.reference,
        labels=form.labels,
        site=form.site,
        correlation_id=g.correlation_id,
        traceparent=g.span.traceparent,
        idempotency_key=key,
        backend=form.backend,
        concurrency_key=form.concurrency_key,
        unique_key=form.unique_key,
        requires=None if form.requires is None else form.requires.asked(),
        uploads=named_uploads(at, spec, form.params) | following.uploads,
        callback=own_callback(at.settings, form.callback),
        plan=following.plan,
    )


def _demand_backend(at: Services, wanted: Backend) -> None:
    if wanted is Backend.QUEUE and not at.settings.needs_redis:
        message = "There is no queue here: this server's profile is `local`. Send `auto` or `local`."
        raise FieldsRejected([Refusal(field="backend", message=message, value=wanted.value)])


def demand_known_job(at: Services, requires: Requires | None) -> None:
    """Go on only if the job that ``same_worker_as`` names is one of the tenant that asks.

    Raises:
        FieldsRejected: it is not.
    """
    if requires is None or requires.same_worker_as is None:
        return
    if queries.job(at.kernel.ledger, requires.same_worker_as, tenant_id=tenant_id()) is None:
        message = "You have no such job: name one by its id."
        raise FieldsRejected([Refusal(field="requires.same_worker_as", message=message, value=requires.same_worker_as)])


def answer_accepted(at: Services, accepted: Accepted, header: WaitHeaders) -> Response:
    """Answer with a job that was accepted, or with its end where the client prefers to wait for that."""
    response = answer_queued(at, accepted.job, header)
    if accepted.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    if accepted.duplicate:
        response.headers["Job-Duplicate"] = "true"
    return response


def unknown_kind(at: Services, kind: str) -> NotFound:
    """Make the error for a kind that nobody registered, with the nearest one as a hint."""
    near = get_close_matches(kind[:100], at.specs, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`GET /api/kinds` lists what there is."
    return NotFound(f"No kind {kind[:100]!r}: {hint}", field="kind", code="unknown_kind")


def answer_queued(at: Services, job: Job, header: WaitHeaders) -> Response:
    """Answer with a job that was just queued, or with its end where the client prefers to wait for that."""
    wait_s = _wanted_wait_s(header.prefer)
    if wait_s is not None:
        job = wait_for_end(at, job, wait_s)
    ended_in_time = wait_s is not None and job.state.is_terminal
    response = job_answer(at, job, status=200 if ended_in_time else 202)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    if wait_s is not None:
        response.headers["Preference-Applied"] = f"wait={min(wait_s, LONGEST_WAIT_S):g}"
    return response


def wait_for_end(at: Services, job: Job, wait_s: float) -> Job:
    """Wait for the job's end, ``LONGEST_WAIT_S`` at most; return it as it is then."""

    def look() -> bool:
        nonlocal job
        if job.state.is_terminal:
            return True
        pulse = queries.pulse(at.kernel.ledger, job.id)
        if pulse is None or not pulse.state.is_terminal:
            return False  # a request of many rows is not read before its job has ended
        job = queries.job(at.kernel.ledger, job.id) or job
        return job.state.is_terminal

    wait_until(look, job.id, waiter=at.waiter, version_seen=None, timeout_s=wait_s)
    return job


def _wanted_wait_s(prefer: str | None) -> float | None:
    found = _WAIT.search(prefer or "")
    return float(found.group(1)) if found else None
