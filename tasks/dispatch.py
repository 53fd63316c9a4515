"""Submit, cancel, retry and erase: the ledger first, then the carrier, without waiting for it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection

from tasks.core.callbacks.records import OwnCallback, Webhook
from tasks.core.carriage import Carriage
from tasks.core.clock import now
from tasks.core.errors import InputRejected
from tasks.core.events import EventsUnavailable
from tasks.core.follow_ups.plans import Plan
from tasks.core.ids import new_id
from tasks.core.kernel import Kernel
from tasks.core.ledger import accepting, batches, follow_ups, job_batches, pauses, replaying, transitions
from tasks.core.ledger.accepting import Accepted, Idempotency
from tasks.core.ledger.audit import Actor
from tasks.core.ledger.job_batches import JobBatch
from tasks.core.ledger.pauses import Pause, Scope
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.webhooks import own_webhook
from tasks.core.records import Backend, Cause, Job, JobState
from tasks.core.relay import announce, announce_all
from tasks.core.spec import JobSpec

# Jobs of a chain that have not ended are one, and a few more where somebody has retried what had failed.
_MOST_OF_CHAIN = 1000


@dataclass(frozen=True, slots=True)
class Submission:
    """A validated request for one job. ``request`` is the kind's own model, dumped to JSON types.

    Args:
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
    uploads: Mapping[str, str] = field(default_factory=dict)
    callback: OwnCallback | None = None
    plan: Plan = field(default_factory=Plan)


@dataclass(frozen=True, slots=True)
class BatchAccepted:
    """The batch that answers a request. ``replayed``: it was there before."""

    batch_id: str
    replayed: bool


def submit(kernel: Kernel, carrier: Carriage, spec: JobSpec, submission: Submission) -> Accepted:
    """Accept the job: one transaction, then 'published soon' if nothing else waits in its queue.

    Raises:
        InputRejected: ``timeout_s`` or ``max_attempts`` is over the kind's limit, or an upload was removed meanwhile.
        IdempotencyKeyReused: the key stands for another request.
        LedgerUnavailable: nothing was accepted.
    """
    job = new_job(
        spec,
        submission,
        limited=kernel.limits.parks(submission.tenant_id, spec.kind),
        paused_by=_paused_by(kernel, spec, submission),
    )
    key = _idempotency(kernel, spec, submission)
    # Whether a live worker has what the kind needs is the dispatcher's to know.
    may_publish = carrier.is_open and not spec.capabilities and submission.backend != Backend.LOCAL
    accepted = accepting.accept(
        kernel.ledger,
        job,
        idempotency=key,
        may_publish=may_publish,
        uploads=list(submission.uploads),
        callback=next(iter(_asked_for(kernel, job, submission.callback)), None),
        plan=submission.plan or None,
    )
    if not accepted.is_new:
        return accepted
    if accepted.published:
        carrier.offer(accepted.job)
    else:
        carrier.soon(kernel.events.ring)
    return accepted


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
        LedgerUnavailable: its limits could not be read.
    """
    job = new_job(spec, submission, limited=kernel.limits.parks(submission.tenant_id, spec.kind))
    callback = next(iter(_asked_for(kernel, job, submission.callback)), None)
    return Ready(job, list(submission.uploads), callback, submission.plan or None)


def accept_ready(connection: Connection, made: Ready, *, idempotency: Idempotency | None = None) -> Accepted:
    """Accept a job in the transaction of ``connection``, once for a key. The dispatcher carries it.

    Raises:
        IdempotencyKeyReused: the key stands for another request.
        InputRejected: an upload was removed meanwhile.
    """
    return accepting.accept_within(
        connection, made.job, idempotency=idempotency, uploads=made.uploads, callback=made.callback, plan=made.plan
    )


def submit_many(kernel: Kernel, carrier: Carriage, items: Sequence[tuple[JobSpec, Submission]]) -> list[Accepted]:
    """Accept many jobs in one transaction, all or none; answer in the same order. The dispatcher carries them.

    Raises:
        InputRejected: ``timeout_s`` or ``max_attempts`` of an item is over its kind's limit, it has a unique key, or
            an upload was removed.
        IdempotencyKeyReused: the key of an item stands for another request.
        LedgerUnavailable: nothing was accepted.
    """
    members = _new_jobs(kernel, items)
    jobs = [(job, _idempotency(kernel, *item)) for job, item in zip(members, items, strict=True)]
    uploads = {job.id: list(submission.uploads) for (job, _), (_, submission) in zip(jobs, items, strict=True)}
    callbacks = _own_webhooks(kernel, members, items)
    plans = _plans(members, items)
    accepted = accepting.accept_many(kernel.ledger, jobs, uploads=uploads, callbacks=callbacks, plans=plans)
    carrier.soon(kernel.events.ring)
    return accepted


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


def submit_batch(
    kernel: Kernel, carrier: Carriage, plan: BatchPlan, items: Sequence[tuple[JobSpec, Submission]]
) -> BatchAccepted:
    """Accept a batch and all its jobs in one transaction, or none of them. The dispatcher carries them.

    Raises:
        InputRejected: ``timeout_s`` or ``max_attempts`` of an item is over its kind's limit, it has a unique key, or
            an upload was removed.
        IdempotencyKeyReused: the key of the plan stands for another request.
        LedgerUnavailable: nothing was accepted.
    """
    batch = JobBatch(
        id=new_id(),
        tenant_id=plan.tenant_id,
        name=plan.name,
        size=len(items),
        parallel_limit=plan.parallel_limit,
        fail_fast=plan.fail_fast,
        created_at=now(),
    )
    members = _new_jobs(kernel, items, batch=batch)
    uploads = {job.id: list(submission.uploads) for job, (_, submission) in zip(members, items, strict=True)}
    key = _batch_idempotency(kernel, plan, items)
    callbacks = _own_webhooks(kernel, members, items) + _asked_for(kernel, batch, plan.callback)
    earlier = accepting.accept_batch(
        kernel.ledger,
        batch,
        members,
        idempotency=key,
        uploads=uploads,
        callbacks=callbacks,
        plans=_plans(members, items),
    )
    carrier.soon(kernel.events.ring)
    return BatchAccepted(earlier or batch.id, replayed=earlier is not None)


def cancel_batch(kernel: Kernel, carrier: Carriage, batch: JobBatch) -> int:
    """Begin no further job of the batch, and cancel those that have not ended; return how many that concerned.

    Should this process die in between, the dispatcher goes on with it.
    """
    job_batches.stop(kernel.ledger, batch.id)
    wanted = Filter(tenant_id=batch.tenant_id, batch_id=batch.id)
    return cancel_matching(kernel, carrier, wanted, limit=batch.size)


def cancel_chain(kernel: Kernel, carrier: Carriage, chain_id: str, *, tenant_id: str) -> int:
    """Let nothing more begin in a chain, and cancel what has not ended; return how many jobs that concerned."""
    follow_ups.stop_chain(kernel.ledger, chain_id)
    wanted = Filter(tenant_id=tenant_id, chain_id=chain_id)
    changed = cancel_matching(kernel, carrier, wanted, limit=_MOST_OF_CHAIN)
    # What began in the moment before has been cancelled now; should it end otherwise, nothing follows that, either.
    follow_ups.stop_chain(kernel.ledger, chain_id)
    return changed


def cancel(kernel: Kernel, job_id: str, *, tenant_id: str) -> Job:
    """Cancel the job: a queued one now, a running one through its worker's beat.

    Raises:
        NotFound: no such job for this tenant.
        Conflict: the job has ended otherwise.
    """
    job = transitions.request_cancel(kernel.ledger, job_id, tenant_id=tenant_id)
    if job.state is JobState.CANCELLED:
        announce(kernel.ledger, kernel.events, job)
    return job


def retry(
    kernel: Kernel,
    carrier: Carriage,
    job_id: str,
    *,
    tenant_id: str,
    priority: int | None = None,
    timeout_s: float | None = None,
) -> Job:
    """Run a failed or cancelled job again, as a new attempt of the same job.

    ``priority`` and ``timeout_s`` replace the job's own; the latter is within its kind's limit.

    Raises:
        NotFound: no such job for this tenant.
        Conflict: it is queued or running (so a second retry at the same time changes nothing), or it has succeeded.
    """
    job = replaying.replay(
        kernel.ledger,
        job_id,
        tenant_id=tenant_id,
        may_publish=carrier.is_open,
        priority=priority,
        timeout_s=timeout_s,
    )
    carrier.soon(partial(announce, kernel.ledger, kernel.events, job))
    if job.published_at is not None:
        carrier.offer(job)
    else:
        carrier.soon(kernel.events.ring)
    return job


def erase(kernel: Kernel, job_id: str, *, tenant_id: str) -> None:
    """Erase a finished job: its rows, then its files, then its stream (which expires by itself if Redis is away).

    Raises:
        NotFound: no such job for this tenant.
        Conflict: the job has not ended.
    """
    transitions.erase(kernel.ledger, job_id, tenant_id=tenant_id)
    remove_remains(kernel, [job_id])


def remove_remains(kernel: Kernel, job_ids: Sequence[str]) -> None:
    """Delete the files and streams of jobs whose rows are gone; streams expire by themselves if Redis is away."""
    for job_id in job_ids:
        kernel.artifacts.erase(job_id)
    with suppress(EventsUnavailable):
        for job_id in job_ids:
            kernel.events.erase(job_id)


def cancel_matching(kernel: Kernel, carrier: Carriage, wanted: Filter, *, limit: int, by: Actor | None = None) -> int:
    """Cancel at most ``limit`` jobs, queued ones now and running ones through their workers; return how many."""
    changed = 0
    for batch in batches.cancel(kernel.ledger, wanted, limit=limit, by=by):
        cancelled = [job for job in batch if job.state is JobState.CANCELLED]
        carrier.soon(partial(announce_all, kernel.ledger, kernel.events, cancelled))
        changed += len(batch)
    return changed


def purge_matching(kernel: Kernel, carrier: Carriage, wanted: Filter, *, limit: int, by: Actor) -> int:
    """Cancel at most ``limit`` queued jobs with the cause ``purged``; return how many."""
    changed = 0
    for batch in batches.purge(kernel.ledger, wanted, limit=limit, by=by):
        carrier.soon(partial(announce_all, kernel.ledger, kernel.events, batch))
        changed += len(batch)
    return changed


def pause(
    kernel: Kernel,
    carrier: Carriage,
    scope: Scope,
    *,
    by: Actor,
    reason: str | None = None,
    until: datetime | None = None,
) -> tuple[Pause, bool]:
    """Let no job of ``scope`` begin from now on; return the pause, and whether it is new."""
    made = pauses.pause(kernel.ledger, scope, by=by, reason=reason, until=until)
    kernel.pauses.look_again()
    carrier.soon(kernel.events.ring)
    return made


def resume(kernel: Kernel, carrier: Carriage, pause_id: str, *, by: Actor) -> Pause:
    """End a pause; the dispatcher carries at once what it held.

    Raises:
        NotFound: none that holds has this id.
    """
    ended = pauses.resume(kernel.ledger, pause_id, by=by)
    kernel.pauses.look_again()
    carrier.soon(kernel.events.ring)
    return ended


def retry_matching(kernel: Kernel, carrier: Carriage, wanted: Filter, *, limit: int, by: Actor | None = None) -> int:
    """Run at most ``limit`` failed or cancelled jobs again, as the dispatcher finds room for them; return how many."""
    changed = 0
    for batch in batches.replay(kernel.ledger, wanted, limit=limit, by=by):
        carrier.soon(partial(announce_all, kernel.ledger, kernel.events, batch))
        carrier.soon(kernel.events.ring)
        changed += len(batch)
    return changed


def erase_matching(kernel: Kernel, wanted: Filter, *, limit: int, by: Actor | None = None) -> int:
    """Erase at most ``limit`` finished jobs with all they left; return how many."""
    changed = 0
    for batch in batches.erase(kernel.ledger, wanted, limit=limit, by=by):
        remove_remains(kernel, [job.id for job in batch])
        changed += len(batch)
    return changed


def _new_jobs(
    kernel: Kernel, items: Sequence[tuple[JobSpec, Submission]], *, batch: JobBatch | None = None
) -> list[Job]:
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
            paused_by=_paused_by(kernel, spec, submission),
        )
        for spec, submission in items
    ]


def _paused_by(kernel: Kernel, spec: JobSpec, submission: Submission) -> str | None:
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
        InputRejected: ``timeout_s`` or ``max_attempts`` is over the kind's limit.
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
    )


def _plans(members: Sequence[Job], items: Sequence[tuple[JobSpec, Submission]]) -> dict[str, Plan]:
    planned = zip(members, items, strict=True)
    return {job.id: submission.plan for job, (_, submission) in planned if submission.plan}


def _own_webhooks(kernel: Kernel, members: Sequence[Job], items: Sequence[tuple[JobSpec, Submission]]) -> list[Webhook]:
    pairs = zip(members, items, strict=True)
    return [one for job, (_, submission) in pairs for one in _asked_for(kernel, job, submission.callback)]


def _asked_for(kernel: Kernel, owner: Job | JobBatch, asked: OwnCallback | None) -> list[Webhook]:
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


def _idempotency(kernel: Kernel, spec: JobSpec, submission: Submission) -> Idempotency | None:
    if submission.idempotency_key is None:
        return None
    text = _same(spec, submission)
    return Idempotency(submission.idempotency_key, _digest(text), kernel.settings.idempotency_ttl_s)


def _batch_idempotency(
    kernel: Kernel, plan: BatchPlan, items: Sequence[tuple[JobSpec, Submission]]
) -> Idempotency | None:
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
    if submission.plan:
        same["follow_ups"] = asdict(submission.plan)
    text = json.dumps(same, sort_keys=True)
    for upload_id, sha256 in submission.uploads.items():
        # Who sends a file again because an answer got lost sends the same request.
        text = text.replace(upload_id, sha256)
    return text
