"""How an attempt ended is written, with the beginning of the next where one waits."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog

from tasks.core.attempt import Attempt
from tasks.core.claiming import note_void
from tasks.core.errors import (
    AppError,
    EngineFailed,
    JobCancelled,
    JobInterrupted,
    JobSuperseded,
    LedgerUnavailable,
    Transient,
)
from tasks.core.kernel import Kernel
from tasks.core.ledger import transitions
from tasks.core.outcome import end_attempt
from tasks.core.records import Cause, Delivery, Job, JobState

log = structlog.get_logger()

# Pause between tries to tell a ledger that is down how an attempt ended.
_LEDGER_PAUSE_S = 0.5

Outcome = dict[str, Any] | AppError | JobInterrupted


class Ran(NamedTuple):
    """How an attempt ended, or None if it was superseded; and the job that was begun as it ended, if one was."""

    ended: Job | None
    following: Job | None


def write_end(
    kernel: Kernel, job: Job, attempt: Attempt, outcome: Outcome, *, take: Callable[[], Delivery | None]
) -> Ran:
    """Write how the attempt ended, however long the ledger is away.

    Args:
        outcome: the result, or why there is none.
        take: gives the delivery of a job that this child may run next; asked only if both can be written at once.
    """
    if isinstance(outcome, dict) and not attempt.emissions.emitted:
        taken = take()
        ran = None if taken is None else _succeed_and_claim(kernel, job, attempt, outcome, taken)
        if ran is not None:
            return ran
    return Ran(_patiently(lambda: _write_end(kernel, job, attempt, outcome)), None)


def _write_end(kernel: Kernel, job: Job, attempt: Attempt, outcome: Outcome) -> Job | None:
    ledger, progress = kernel.ledger, attempt.last_progress
    if isinstance(outcome, JobSuperseded):
        return None
    if isinstance(outcome, JobCancelled):
        return transitions.finish(
            ledger, job.id, fence=job.fence, state=JobState.CANCELLED, cause=Cause.CANCEL_REQUESTED, progress=progress
        )
    if isinstance(outcome, AppError):
        retryable = isinstance(outcome, (Transient, LedgerUnavailable))
        if not isinstance(outcome, EngineFailed):
            log.info("attempt_refused", code=outcome.code)
        return end_attempt(
            ledger, job, cause=outcome.code, message=outcome.message, retryable=retryable, field=outcome.field
        )
    assert isinstance(outcome, dict)  # noqa: S101  # the only case left
    return transitions.finish(
        ledger,
        job.id,
        fence=job.fence,
        state=JobState.SUCCEEDED,
        cause=Cause.COMPLETED,
        result=outcome,
        progress=_whole(progress),
        emitted=attempt.emissions.emitted,
        may_vanish=_is_told_meanwhile(kernel),
    )


def _succeed_and_claim(
    kernel: Kernel, job: Job, attempt: Attempt, result: dict[str, Any], taken: Delivery
) -> Ran | None:
    """End the job and begin the next in one write. None: neither was done, and the delivery is gone."""
    try:
        ended, following = transitions.succeed_and_claim(
            kernel.ledger,
            job,
            result=result,
            progress=_whole(attempt.last_progress),
            following=taken,
            may_vanish=_is_told_meanwhile(kernel),
        )
    except LedgerUnavailable as exc:
        log.warning("claim_failed", job_id=taken.job_id, code=exc.code)  # it will be carried again, as in ``_claim``
        return None
    if following is None:
        note_void(kernel, taken.job_id)
    return Ran(ended, following)


def _whole(progress: dict[str, Any] | None) -> dict[str, Any] | None:
    return progress | {"percent": 100.0, "eta_s": 0.0} if progress is not None and progress["total"] else progress


def _is_told_meanwhile(kernel: Kernel) -> bool:
    # Then ``_tell`` waits for the disk, and the next job does not.
    return kernel.meanwhile is not None


def _patiently(write: Callable[[], Job | None]) -> Job | None:
    # Without a limit of its own: giving up would leave the job running for ever, and the hard limit ends this as well.
    while True:
        try:
            return write()
        except LedgerUnavailable:
            log.warning("ledger_awaited")
            time.sleep(_LEDGER_PAUSE_S)
