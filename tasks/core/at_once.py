"""A job that needs no worker is begun and ended by the process that accepted it, as an attempt like any other.

Nothing is promised by that: the ledger has the job before, and the claim decides who has it. A process that dies in
between is a worker that died in between, and the job goes its way through the queue.
"""

import os
import platform
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

import structlog
from pydantic import BaseModel

from tasks.core.attempt import Attempt
from tasks.core.errors import AppError, EngineUnavailable, JobInterrupted, LedgerUnavailable
from tasks.core.job import JobContext
from tasks.core.kernel import Kernel
from tasks.core.ledger import transitions
from tasks.core.outcome import bounded
from tasks.core.places import workdir_of
from tasks.core.records import Cause, Job, JobState, door_name
from tasks.core.relay import Opening, announce, tell_ends
from tasks.core.setting_values import Profile
from tasks.core.spec import JobSpec
from tasks.core.telemetry import Telemetry

log = structlog.get_logger()

# Returns the job's result; None where it cannot be had here after all.
Give = Callable[[JobContext], BaseModel | None]


def end_at_once(kernel: Kernel, spec: JobSpec, job: Job, give: Give, *, telemetry: Telemetry) -> Job | None:
    """Claim the job that was just accepted and end it with what ``give`` returns. None: it stays queued.

    Whatever is in the way, a pause or a dispatcher that was faster, the queue deals with it.

    Args:
        give: takes a moment; gets no browser and no way out.
    """
    name = door_name(platform.node(), job.id, is_local=kernel.settings.profile is Profile.LOCAL)
    try:
        claimed = transitions.claim(kernel.ledger, job.id, carry=job.carry, worker=name, child_pid=os.getpid())
    except LedgerUnavailable:
        return None
    if claimed is None:
        return None
    ended: Job | None = None
    context = {"job_id": job.id, "kind": job.kind, "correlation_id": job.correlation_id}
    with structlog.contextvars.bound_contextvars(**context), telemetry.attempt_span(claimed):
        opening = Opening(kernel.ledger, kernel.events, claimed)
        try:
            ended = _ended(kernel, spec, claimed, give, opening)
        except (AppError, JobInterrupted, OSError) as exc:
            log.warning("not_ended_at_once", reason=f"{type(exc).__name__}: {exc}"[:200])
        finally:
            if ended is None:
                _give_back(kernel, claimed)
        if ended is not None:
            log.info("ended_at_once", state=str(ended.state), cause=ended.cause)
    return ended


def _ended(kernel: Kernel, spec: JobSpec, job: Job, give: Give, opening: Opening) -> Job | None:
    attempt = Attempt(
        kernel,
        job,
        workdir=workdir_of(kernel.settings.state_dir, job.id, job.fence),
        open_http=_none_here,
        open_browser=lambda _: _none_here(),
        opening=opening,
    )
    ended: Job | None = None
    try:
        given = give(attempt)
        if given is not None:
            ended = _succeed(kernel, job, attempt, bounded(spec, given))
    finally:
        # No request waits for Redis.
        kernel.soon.call(partial(_tell, kernel, attempt, opening, ended))
    return ended


def _tell(kernel: Kernel, attempt: Attempt, opening: Opening, ended: Job | None) -> None:
    attempt.close()
    if ended is not None:
        tell_ends(kernel.ledger, kernel.events, [(opening, ended)])


def _succeed(kernel: Kernel, job: Job, attempt: Attempt, result: dict[str, Any]) -> Job | None:
    return transitions.finish(
        kernel.ledger,
        job.id,
        fence=job.fence,
        state=JobState.SUCCEEDED,
        cause=Cause.COMPLETED,
        result=result,
        progress=attempt.last_progress,
        emitted=attempt.emissions.emitted,
    )


def _give_back(kernel: Kernel, job: Job) -> None:
    # Without the ledger the dispatcher takes it for lost, once a lease is over.
    with suppress(LedgerUnavailable):
        back = transitions.requeue(kernel.ledger, job.id, fence=job.fence, cause=Cause.DRAINED, counted=False)
        if back is not None:
            kernel.soon.call(partial(announce, kernel.ledger, kernel.events, back))


def _none_here() -> NoReturn:
    raise EngineUnavailable("What ends a job at once has no browser and no way out.")
