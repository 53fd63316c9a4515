"""What happens to a job whose attempt did not succeed: the one place where retry or end is decided."""

import random
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from tasks.core.errors import TooLarge
from tasks.core.ledger import Ledger, queries, transitions
from tasks.core.records import Cause, Job, JobState
from tasks.core.spec import RETRY_PRESETS, JobSpec, RetryPreset
from tasks.core.storable import storable, storable_data

# Lost workers say nothing about the job, so it goes back soon; the backoff only keeps a poison job from spinning.
_LOST_CAP_S = 3.0


def backoff_s(preset: RetryPreset, attempt: int, *, cap_s: float | None = None) -> float:
    """Draw the wait before the next attempt: full jitter, see ``RetryPreset``."""
    ceiling = min(preset.cap_s if cap_s is None else cap_s, preset.base_s * 2 ** (attempt - 1))
    return random.uniform(0.0, ceiling)  # noqa: S311  # jitter, not a secret


def bounded(spec: JobSpec, result: BaseModel) -> dict[str, Any]:
    """Return an engine's result as it is kept, and as its readers get it: null for a number that is none.

    Raises:
        TooLarge: it is over what the kind may return.
    """
    try:
        content = result.model_dump_json().encode()
    except PydanticSerializationError:  # half of a surrogate pair, which is no reason to lose the work
        content = to_json(storable_data(_dumped(result)), inf_nan_mode="null")
    if len(content) > spec.max_result_bytes:
        raise TooLarge(
            f"The result is {len(content)} bytes, over the kind's {spec.max_result_bytes}; save an artifact instead."
        )
    kept: dict[str, Any] = from_json(content, cache_strings="keys")
    return kept


def _dumped(result: BaseModel) -> dict[str, Any]:
    try:
        return result.model_dump(mode="json")
    except UnicodeEncodeError:  # the half is in the key of a dict, which only Python can hold
        return result.model_dump()


def end_attempt(
    ledger: Ledger, job: Job, *, cause: str, message: str, retryable: bool, field: str | None = None
) -> Job | None:
    """End ``job``'s running attempt: cancelled if that was asked, else queued again, else failed.

    None: the attempt's fence no longer owns the job, so nothing was changed.
    """
    pulse = queries.pulse(ledger, job.id)  # asked anew: ``job`` may be as old as its claim
    if pulse is not None and pulse.cancel_requested:
        return transitions.finish(
            ledger, job.id, fence=job.fence, state=JobState.CANCELLED, cause=Cause.CANCEL_REQUESTED
        )
    error = {"code": cause, "message": storable(message)} | ({"field": storable(field)} if field else {})
    if retryable and job.attempt < job.max_attempts:
        cap_s = _LOST_CAP_S if cause == Cause.WORKER_LOST else None
        delay_s = backoff_s(RETRY_PRESETS[job.retry], job.attempt, cap_s=cap_s)
        return transitions.requeue(ledger, job.id, fence=job.fence, cause=cause, error=error, delay_s=delay_s)
    return transitions.finish(
        ledger, job.id, fence=job.fence, state=JobState.FAILED, cause=cause, error=error, dead=retryable
    )


def settle_lost(
    ledger: Ledger,
    job_id: str,
    *,
    worker: str,
    cause: str,
    message: str,
    carry: int | None = None,
    fence: int | None = None,
) -> Job | None:
    """End an attempt on behalf of a child that cannot: killed, over its hard limit, or gone with its worker.

    Acts only where id, ``running``, worker and (where given) carry and fence all match, so hearing of it twice changes
    nothing.
    """
    job = queries.job(ledger, job_id)
    if job is None or job.state is not JobState.RUNNING or job.worker != worker:
        return None
    if carry not in {None, job.carry} or fence not in {None, job.fence}:
        return None
    return end_attempt(ledger, job, cause=cause, message=message, retryable=True)
