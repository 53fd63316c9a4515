"""A delivery becomes an attempt, or turns out to be void."""

import os

import structlog
from celery.exceptions import Ignore

from tasks.core.errors import LedgerUnavailable
from tasks.core.kernel import Kernel
from tasks.core.ledger import pauses, transitions
from tasks.core.records import Delivery, Job

log = structlog.get_logger()


def claim(kernel: Kernel, delivery: Delivery, *, worker: str) -> Job:
    """Begin an attempt of the delivered job in this process.

    Raises:
        Ignore: the delivery is void, or the ledger could not be asked; then it will be carried again.
    """
    job_id, carry = delivery
    try:
        job = transitions.claim(kernel.ledger, job_id, carry=carry, worker=worker, child_pid=os.getpid())
    except LedgerUnavailable as exc:
        # The job is still published in the ledger and its message is gone now, so it will be carried again.
        log.warning("claim_failed", job_id=job_id, code=exc.code)
        raise Ignore(exc.message) from exc
    if job is None:
        note_void(kernel, job_id)
        raise Ignore("a duplicate, cancelled meanwhile, or paused")
    return job


def note_void(kernel: Kernel, job_id: str) -> None:
    """Hold the job, should it be paused, of which a delivery was refused."""
    log.info("delivery_void", job_id=job_id, held=_hold(kernel, job_id))


def _hold(kernel: Kernel, job_id: str) -> bool:
    try:
        return pauses.hold_job(kernel.ledger, job_id)
    except LedgerUnavailable:
        return False  # it stays published, so it will be carried, and refused, again
