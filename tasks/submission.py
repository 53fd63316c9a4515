"""What is submitted, and the row of a job that is made of it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tasks.core.callbacks.records import OwnCallback, Webhook
from tasks.core.clock import now
from tasks.core.errors import InputRejected
from tasks.core.follow_ups.plans import Plan
from tasks.core.ids import new_id
from tasks.core.kernel import Kernel
from tasks.core.ledger.accepting import Idempotency
from tasks.core.ledger.job_batches import JobBatch
from tasks.core.ledger.webhooks import own_webhook
from tasks.core.matching import with_needs
from tasks.core.records import Backend, Cause, Job, JobState
from tasks.core.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Submission:
    """A validated request for one job. ``request`` is the kind's own model, dumped to JSON types.

    Args:
        requires: what the job needs of a worker, as ``matching.Requires.asked`` returns it; None: nothing of its own.
        uploads: the SHA-256 of each upload that the request names, by its id.
    """

    tenant_id: str
    request: Mapping[str, Any]
    priority: int = 50
    timeout_s: float | None = None
    max_attempts: int | None = None
    expires_in_s: float | None = None
    not_before: datetime | None = None
    expires_at: datetime | None = None
    reference: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    site: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    idempotency_key: str | None = None
    backend: str = Backend.AUTO
    concurrency_key: str | None = None
    unique_key: str | None = None
    requires: Mapping[str, Any] | None = None
    uploads: Mapping[str, str] = field(default_factory=dict)
    callback: OwnCallback | None = None
    plan: Plan = field(default_factory=Plan)


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What a batch is besides its jobs.

    Args:
        parallel_limit: how many of its jobs may be under way at a time; None: any number.
        fail_fast: once a job has failed, cancel those that have not ended.
    """

    tenant_id: str
    name: str | None = None
    parallel_limit: int | None = None
    fail_fast: bool = False
    callback: OwnCallback | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """A job that is all but accepted, to be accepted as part of a transaction: see ``accept_ready``."""

    job: Job
    uploads: Sequence[str]
    callback: Webhook | None
    plan: Plan | None


def ready(kernel: Kernel, spec: JobSpec, submission: Submission) -> Ready:
    """Make the job of a submission, for a transaction that accepts it.

    Raises:
        InputRejected: ``timeout_s`` or ``max_attempts`` is over the kind's limit.
        LedgerUnavailable: its limits and pauses could not be read.
    """
    limited = kernel.limits.parks(submission.tenant_id, spec.kind)
    job = new_job(spec, submission, limited=limited, paused_by=held_by(kernel, spec, submission))
    callback = next(iter(callback_of(kernel, job, submission.callback)), None)
    return Ready(job, list(submission.uploads), callback, submission.plan or None)


def new_jobs(
    kernel: Kernel, items: Sequence[tuple[JobSpec, Submission]], *, batch: JobBatch | None = None
) -> list[Job]:
    """Make the rows of jobs that are accepted together.

    Raises:
        InputRejected: as ``new_job``; or one of them has a unique key.
        LedgerUnavailable: limits and pauses could not be read.
    """
    if any(submission.unique_key is not None for _, submission in items):
        raise InputRejected("A job of a batch has no unique_key: submit it alone.", field="unique_key")
    limited = {
        (submission.tenant_id, spec.kind): kernel.limits.parks(submission.tenant_id, spec.kind)
        for spec, submission in items
    }
    return [
        new_job(
            spec,
            submission,
            batch=batch,
            limited=limited[submission.tenant_id, spec.kind],
            paused_by=held_by(kernel, spec, submission),
        )
        for spec, submission in items
    ]


def held_by(kernel: Kernel, spec: JobSpec, submission: Submission) -> str | None:
    """Return the id of the pause that holds such a job, as far as this process knows, for ``new_job``.

    Raises:
        LedgerUnavailable: the pauses could not be read.
    """
    found = kernel.pauses.holding(queue=spec.queue, kind=spec.kind, tenant_id=submission.tenant_id)
    return None if found is None else found.id


def new_job(
    spec: JobSpec,
    submission: Submission,
    *,
    batch: JobBatch | None = None,
    limited: bool = False,
    paused_by: str | None = None,
) -> Job:
    """Make the row of a job that was just submitted: queued, never carried, and parked where a limit may concern it.

    ``limited``: one of its tenant or kind does. ``paused_by``: the pause that holds it, as far as is known here.

    Raises:
        InputRejected: ``timeout_s`` or ``max_attempts`` is over the kind's limit, or ``requires`` forbids
            what the kind needs.
    """
    timeout_s = _within(submission.timeout_s, spec.soft_limit_s, name="timeout_s", kind=spec.kind)
    attempts = _within(submission.max_attempts, spec.retry.max_attempts, name="max_attempts", kind=spec.kind)
    at, expires_at = now(), submission.expires_at
    if submission.expires_in_s is not None:
        expires_at = at + timedelta(seconds=submission.expires_in_s)
    return Job(
        id=new_id(),
        tenant_id=submission.tenant_id,
        kind=spec.kind,
        queue=spec.queue,
        state=JobState.QUEUED,
        version=1,
        priority=submission.priority,
        request=dict(submission.request),
        reference=submission.reference,
        labels=dict(submission.labels),
        site=submission.site,
        correlation_id=submission.correlation_id,
        traceparent=submission.traceparent,
        created_at=at,
        not_before=submission.not_before,
        published_at=None,
        started_at=None,
        claimed_at=None,
        finished_at=None,
        cancel_requested_at=None,
        timeout_s=timeout_s,
        hard_limit_s=timeout_s + spec.hard_limit_s - spec.soft_limit_s,
        silence_s=spec.silence_s,
        expires_at=expires_at,
        retry=spec.retry.name,
        attempt=0,
        max_attempts=int(attempts),
        fence=0,
        carry=0,
        worker=None,
        child_pid=None,
        dead=False,
        cause=Cause.ACCEPTED,
        signs=0,
        progress=None,
        resume=None,
        result=None,
        error=None,
        backend=submission.backend,
        batch_id=None if batch is None else batch.id,
        concurrency_key=submission.concurrency_key,
        parked=limited
        or paused_by is not None
        or submission.concurrency_key is not None
        or (batch is not None and batch.parallel_limit is not None),
        limited=limited,
        unique_key=submission.unique_key,
        paused_by=paused_by,
        requires=_requires(spec, submission),
    )


def _requires(spec: JobSpec, submission: Submission) -> dict[str, Any] | None:
    if submission.requires is None:
        return None
    needs = spec.needs(submission.request)
    refused = sorted(name for name in needs if submission.requires.get(name) is False)
    if refused:
        raise InputRejected(f"{spec.kind} needs {refused[0]}.", field=f"requires.{refused[0]}")
    return with_needs(submission.requires, needs)


def plans_of(members: Sequence[Job], items: Sequence[tuple[JobSpec, Submission]]) -> dict[str, Plan]:
    """Return what follows the jobs, by their ids."""
    planned = zip(members, items, strict=True)
    return {job.id: submission.plan for job, (_, submission) in planned if submission.plan}


def callbacks_of(kernel: Kernel, members: Sequence[Job], items: Sequence[tuple[JobSpec, Submission]]) -> list[Webhook]:
    """Make the rows of the jobs' own callbacks."""
    pairs = zip(members, items, strict=True)
    return [one for job, (_, submission) in pairs for one in callback_of(kernel, job, submission.callback)]


def callback_of(kernel: Kernel, owner: Job | JobBatch, asked: OwnCallback | None) -> list[Webhook]:
    """Make the row of the owner's callback, if it asked for one."""
    if asked is None:
        return []
    from tasks.core.callbacks.signing import seal_secret  # noqa: PLC0415  # only where somebody asks for it

    webhook_id = new_id()
    sealed = None if asked.secret is None else seal_secret(kernel.settings, webhook_id, asked.secret)
    whose = {"job_id" if isinstance(owner, Job) else "batch_id": owner.id}
    return [own_webhook(asked, owner.tenant_id, webhook_id=webhook_id, sealed=sealed, at=owner.created_at, **whose)]


def _within(wanted: float | None, limit: float, *, name: str, kind: str) -> float:
    if wanted is None:
        return limit
    if wanted > limit:
        raise InputRejected(f"{name} {wanted:g} is over the limit of {kind}, {limit:g}.", field=name)
    return wanted


def idempotency_of(kernel: Kernel, spec: JobSpec, submission: Submission) -> Idempotency | None:
    """Return the key of a submission, with what it stands for; None: it has none."""
    if submission.idempotency_key is None:
        return None
    text = _same(spec, submission)
    return Idempotency(submission.idempotency_key, _digest(text), kernel.settings.idempotency_ttl_s)


def idempotency_of_batch(
    kernel: Kernel, plan: BatchPlan, items: Sequence[tuple[JobSpec, Submission]]
) -> Idempotency | None:
    """Return the key of a batch, with what it stands for; None: it has none."""
    if plan.idempotency_key is None:
        return None
    same: dict[str, Any] = {"name": plan.name, "parallel_limit": plan.parallel_limit, "fail_fast": plan.fail_fast}
    if plan.callback is not None:
        same["callback"] = asdict(plan.callback)
    text = "\n".join([json.dumps(same), *(_same(spec, submission) for spec, submission in items)])
    return Idempotency(plan.idempotency_key, _digest(text), kernel.settings.idempotency_ttl_s)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _same(spec: JobSpec, submission: Submission) -> str:
    """Return what two submissions have alike when they are the same."""
    same = {
        "kind": spec.kind,
        "request": dict(submission.request),
        "priority": submission.priority,
        "timeout_s": submission.timeout_s,
        "max_attempts": submission.max_attempts,
        "expires_in_s": submission.expires_in_s,
        "reference": submission.reference,
        "labels": dict(submission.labels),
        "site": submission.site,
    }
    if submission.backend != Backend.AUTO:  # a key that was given before there was a choice stands for the same
        same["backend"] = submission.backend
    for name in ("not_before", "expires_at"):
        moment: datetime | None = getattr(submission, name)
        if moment is not None:
            same[name] = moment.isoformat()
    if submission.callback is not None:
        same["callback"] = asdict(submission.callback)
    if submission.concurrency_key is not None:
        same["concurrency_key"] = submission.concurrency_key
    if submission.unique_key is not None:
        same["unique_key"] = submission.unique_key
    if submission.requires is not None:
        same["requires"] = submission.requires
    if submission.plan:
        same["follow_ups"] = asdict(submission.plan)
    text = json.dumps(same, sort_keys=True)
    for upload_id, sha256 in submission.uploads.items():
        # Who sends a file again because an answer got lost sends the same request.
        text = text.replace(upload_id, sha256)
    return text
