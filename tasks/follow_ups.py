"""Starts what follows jobs that have ended: fills the template, checks the request, and has it accepted as a job.

Whoever leads calls it. It may be killed between any two lines: see ``ledger.follow_ups``.
"""

from collections.abc import Mapping
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from tasks.calibration.shelf import SHELF
from tasks.calibration.store import LedgerShelf
from tasks.core.callbacks.records import OwnCallback, Webhook
from tasks.core.clock import now
from tasks.core.errors import AppError, InputRejected, LedgerUnavailable
from tasks.core.follow_ups.plans import BRANCH_OF, Branch, Plan
from tasks.core.follow_ups.templates import TemplateRefused, condition, document_of, filled, generations
from tasks.core.ids import new_id
from tasks.core.kernel import Kernel
from tasks.core.ledger import follow_ups, queries
from tasks.core.ledger.accepting import accept_follow_up
from tasks.core.ledger.follow_ups import Due
from tasks.core.ledger.webhooks import own_webhook
from tasks.core.records import Job
from tasks.core.sealing import SealBroken
from tasks.core.spec import JobSpec
from tasks.core.storable import storable_data
from tasks.core.uploads.references import references
from tasks.submission import Submission, held_by, new_job

log = structlog.get_logger()

# A follow-up takes a transaction of its own; between these many, whoever leads does its other work.
_MOST_AT_ONCE = 20


def start_due(kernel: Kernel, specs: Mapping[str, JobSpec]) -> int:
    """Start what follows at most 20 jobs that have ended; return how many of these were looked at.

    Raises:
        LedgerUnavailable: what was started stays started; the rest is found again.
    """
    found = follow_ups.due(kernel.ledger, limit=_MOST_AT_ONCE)
    for one in found:
        _settle(kernel, specs, one)
    return len(found)


def _settle(kernel: Kernel, specs: Mapping[str, JobSpec], found: Due) -> None:
    branch = BRANCH_OF.get(found.job.state)
    step = None if branch is None else found.link.plan.of(branch)
    if branch is None or step is None:
        follow_ups.note_skipped(kernel.ledger, found)
        return
    try:
        if not _is_wanted(kernel, found, step):
            follow_ups.note_skipped(kernel.ledger, found)
            return
        _start(kernel, specs, found, branch, step)
    except LedgerUnavailable:
        raise
    except AppError as exc:
        _fail(kernel, found, branch, exc)
    except Exception as exc:
        # A kind's own check may raise anything: that must neither stop whoever leads, nor be tried for ever.
        log.exception("follow_up_raised", job_id=found.job.id)
        _fail(kernel, found, branch, AppError(f"Making it raised {type(exc).__name__}."))


def _start(kernel: Kernel, specs: Mapping[str, JobSpec], found: Due, branch: Branch, step: dict[str, Any]) -> None:
    spec = specs.get(step["kind"])
    if spec is None:
        raise InputRejected(f"There is no kind {step['kind']!r} any more.", field="kind", code="unknown_kind")
    request = _request(kernel, spec, found, step)
    submission = _submission(found.job, step, request)
    limited = kernel.limits.parks(found.job.tenant_id, spec.kind)
    job = new_job(spec, submission, limited=limited, paused_by=held_by(kernel, spec, submission))
    started = accept_follow_up(
        kernel.ledger,
        found,
        branch,
        job,
        plan=submission.plan,
        uploads=list(dict.fromkeys(one.upload_id for one in references(request))),
        callback=_callback(kernel, found.job, step, job),
    )
    if started:
        log.info(
            "follow_up_started",
            job_id=job.id,
            kind=job.kind,
            parent_id=found.job.id,
            branch=branch.value,
            correlation_id=job.correlation_id,
        )


def _is_wanted(kernel: Kernel, found: Due, step: dict[str, Any]) -> bool:
    """Tell whether what the step's ``when`` leads to is something."""
    if step.get("when") is None:
        return True
    template = condition(step["when"])
    document = _document(kernel, found.job, found.link.parent_id, generations(template))
    return bool(filled(template, document))


def _request(kernel: Kernel, spec: JobSpec, found: Due, step: dict[str, Any]) -> BaseModel:
    """Return the follow-up's request.

    Raises:
        InputRejected: a pointer leads nowhere, or the kind refuses what the template has become.
    """
    document = _document(kernel, found.job, found.link.parent_id, generations(step["params"]))
    try:
        params = storable_data(filled(step["params"], document))
    except TemplateRefused as exc:
        raise InputRejected(exc.message, field=".".join(map(str, ("params", *exc.path)))) from exc
    # What a request may name of the ledger, as where it is sent over HTTP.
    context = {SHELF: LedgerShelf(kernel.ledger, lambda: found.job.tenant_id)}
    try:
        return spec.request.model_validate_json(to_json(params), strict=True, context=context)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, ("params", *first["loc"])))
        more = f" (and {exc.error_count() - 1} more)" if exc.error_count() > 1 else ""
        raise InputRejected(f"{first['msg'].removeprefix('Value error, ')}{more}"[:500], field=place[:200]) from exc


def _document(kernel: Kernel, job: Job, parent_id: str | None, back: int) -> dict[str, Any]:
    """Return what pointers lead into, so many generations back as they reach and the ledger still has."""
    parent = None
    if back and parent_id is not None and (before := queries.job(kernel.ledger, parent_id, tenant_id=job.tenant_id)):
        link = follow_ups.link_of(kernel.ledger, before.id)
        parent = _document(kernel, before, None if link is None else link.parent_id, back - 1)
    return document_of(job, parent)


def _submission(parent: Job, step: dict[str, Any], request: BaseModel) -> Submission:
    return Submission(
        tenant_id=parent.tenant_id,
        request=request.model_dump(mode="json"),
        priority=parent.priority,
        timeout_s=step.get("timeout_s"),
        max_attempts=step.get("max_attempts"),
        expires_in_s=step.get("expires_in_s"),
        reference=step.get("reference", parent.reference),
        labels=step.get("labels", parent.labels),
        site=step.get("site", parent.site),
        correlation_id=parent.correlation_id,
        traceparent=parent.traceparent,
        backend=parent.backend,
        concurrency_key=step.get("concurrency_key"),
        requires=_requires(parent, step),
        plan=Plan.after(step),
    )


def _requires(parent: Job, step: dict[str, Any]) -> dict[str, Any] | None:
    if not step.get("same_worker"):
        return step.get("requires")
    return dict(sorted({**step.get("requires", {}), "same_worker_as": parent.id}.items()))


def _callback(kernel: Kernel, parent: Job, step: dict[str, Any], job: Job) -> Webhook | None:
    """Return the follow-up's own callback: the one that the step names, else its parent's."""
    named = step.get("callback")
    if named is not None:
        asked = OwnCallback(named["url"], named["events"])
        return own_webhook(asked, job.tenant_id, webhook_id=new_id(), sealed=None, at=job.created_at, job_id=job.id)
    inherited = follow_ups.own_callback_of(kernel.ledger, parent.id)
    if inherited is None:
        return None
    webhook_id, sealed = new_id(), None
    if inherited.sealed is not None:
        sealed = _sealed_again(kernel, inherited.id, inherited.sealed, webhook_id)
    asked = OwnCallback(inherited.url, inherited.events)
    return own_webhook(asked, job.tenant_id, webhook_id=webhook_id, sealed=sealed, at=job.created_at, job_id=job.id)


def _sealed_again(kernel: Kernel, webhook_id: str, sealed: bytes, for_id: str) -> bytes:
    from tasks.core.callbacks.signing import seal_secret, valid_secrets  # noqa: PLC0415  # only where it is needed

    try:
        secret = valid_secrets(kernel.settings, webhook_id, sealed, at=now())[0]
    except SealBroken as exc:
        message = "The callback's secret does not open: SWITCHYARD_SECRET_KEY is another than when it was stored."
        raise InputRejected(message, field="callback.secret") from exc
    return seal_secret(kernel.settings, for_id, secret)


def _fail(kernel: Kernel, found: Due, branch: Branch, exc: AppError) -> None:
    field = ".".join(part for part in (branch.value, exc.field) if part)
    error = {"code": exc.code, "message": exc.message, "field": field}
    if follow_ups.note_failed(kernel.ledger, found, branch, error):
        log.warning(
            "follow_up_failed",
            job_id=found.job.id,
            branch=branch.value,
            code=exc.code,
            field=field,
            correlation_id=found.job.correlation_id,
        )
