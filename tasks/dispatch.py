"""Submit, cancel, retry and erase: the ledger first, then the carrier, without waiting for it."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy.engine import Connection

from tasks.core.carriage import Carriage
from tasks.core.clock import now
from tasks.core.events import EventsUnavailable
from tasks.core.ids import new_id
from tasks.core.kernel import Kernel
from tasks.core.ledger import accepting, batches, follow_ups, job_batches, pauses, replaying, transitions
from tasks.core.ledger.accepting import Accepted, Idempotency
from tasks.core.ledger.audit import Actor
from tasks.core.ledger.job_batches import JobBatch
from tasks.core.ledger.pauses import Pause, Scope
from tasks.core.ledger.queries import Filter
from tasks.core.records import Backend, Job, JobState
from tasks.core.relay import announce, announce_all
from tasks.core.spec import JobSpec
from tasks.submission import (
    BatchPlan,
    Ready,
    Submission,
    callback_of,
    callbacks_of,
    idempotency_of,
    idempotency_of_batch,
    new_jobs,
    plans_of,
    ready,
)

# Jobs of a chain that have not ended are one, and a few more where somebody has retried what had failed.
_MOST_OF_CHAIN = 1000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class BatchAccepted:
    """The batch that answers a request. ``replayed``: it was there before."""

    batch_id: str
    replayed: bool


def submit(
    kernel: Kernel,
    carrier: Carriage,
    spec: JobSpec,
    submission: Submission,
    *,
    end_at_once: Callable[[Job], Job | None] | None = None,
) -> Accepted:
    """Accept the job: one transaction, then 'published soon' if nothing else waits in its queue.

    Args:
        end_at_once: ends a job that was accepted here and waits for nothing, or returns None: then it is carried.

    Raises:
        InputRejected: ``timeout_s`` or ``max_attempts`` is over the kind's limit, or an upload was removed meanwhile.
        IdempotencyKeyReused: the key stands for another request.
        LedgerUnavailable: nothing was accepted, as far as is known; see there.
    """
    made = ready(kernel, spec, submission)
    key = idempotency_of(kernel, spec, submission)
    # Whether a live worker has what the kind needs is the dispatcher's to know.
    needs_nothing = submission.requires is None and not spec.needs(submission.request)
    may_publish = carrier.is_open and needs_nothing and submission.backend != Backend.LOCAL and end_at_once is None
    accepted = accepting.accept(
        kernel.ledger,
        made.job,
        idempotency=key,
        may_publish=may_publish,
        uploads=made.uploads,
        callback=made.callback,
        plan=made.plan,
    )
    if not accepted.is_new:
        return accepted
    job = accepted.job
    if end_at_once is not None and not job.parked and job.not_before is None:
        ended = _quietly(end_at_once, job)
        if ended is not None:
            return replace(accepted, job=ended)
    if accepted.published:
        carrier.offer(accepted.job)
    else:
        carrier.soon(kernel.events.ring)
    return accepted


def _quietly(end_at_once: Callable[[Job], Job | None], job: Job) -> Job | None:
    try:
        return end_at_once(job)
    except Exception:  # the job is accepted, whatever is wrong here, and its sender must not hear otherwise
        log.exception("not_ended_at_once", job_id=job.id)
        return None


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
        LedgerUnavailable: nothing was accepted, as far as is known; see there.
    """
    members = new_jobs(kernel, items)
    jobs = [(job, idempotency_of(kernel, *item)) for job, item in zip(members, items, strict=True)]
    uploads = {job.id: list(submission.uploads) for (job, _), (_, submission) in zip(jobs, items, strict=True)}
    callbacks = callbacks_of(kernel, members, items)
    plans = plans_of(members, items)
    accepted = accepting.accept_many(kernel.ledger, jobs, uploads=uploads, callbacks=callbacks, plans=plans)
    carrier.soon(kernel.events.ring)
    return accepted


def submit_batch(
    kernel: Kernel, carrier: Carriage, plan: BatchPlan, items: Sequence[tuple[JobSpec, Submission]]
) -> BatchAccepted:
    """Accept a batch and all its jobs in one transaction, or none of them. The dispatcher carries them.

    Raises:
        InputRejected: ``timeout_s`` or ``max_attempts`` of an item is over its kind's limit, it has a unique key, or
            an upload was removed.
        IdempotencyKeyReused: the key of the plan stands for another request.
        LedgerUnavailable: nothing was accepted, as far as is known; see there.
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
    members = new_jobs(kernel, items, batch=batch)
    uploads = {job.id: list(submission.uploads) for job, (_, submission) in zip(members, items, strict=True)}
    key = idempotency_of_batch(kernel, plan, items)
    callbacks = callbacks_of(kernel, members, items) + callback_of(kernel, batch, plan.callback)
    earlier = accepting.accept_batch(
        kernel.ledger,
        batch,
        members,
        idempotency=key,
        uploads=uploads,
        callbacks=callbacks,
        plans=plans_of(members, items),
    )
    carrier.soon(kernel.events.ring)
    return BatchAccepted(earlier or batch.id, replayed=earlier is not None)


def cancel_batch(kernel: Kernel, carrier: Carriage, batch: JobBatch, *, by: Actor | None = None) -> int:
    """Begin no further job of the batch, and cancel those that have not ended; return how many that concerned.

    Should this process die in between, the dispatcher goes on with it.
    """
    job_batches.stop(kernel.ledger, batch.id)
    wanted = Filter(tenant_id=batch.tenant_id, batch_id=batch.id)
    return cancel_matching(kernel, carrier, wanted, limit=batch.size, by=by)


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
