"""The only policy around an engine: claim, run, end. Engines know nothing of it; tasks do nothing else."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task
from celery.exceptions import Ignore
from pydantic import BaseModel

from tasks.core import at_work
from tasks.core.attempt import Attempt
from tasks.core.errors import (
    AppError,
    AttemptEnded,
    EngineFailed,
    EngineUnavailable,
    JobCancelled,
    JobInterrupted,
    JobSuperseded,
    LedgerUnavailable,
    Permanent,
    SoftLimitReached,
    TooLarge,
    Transient,
)
from tasks.core.job import Engine, JobContext
from tasks.core.kernel import Kernel
from tasks.core.ledger import pauses, transitions
from tasks.core.outcome import end_attempt
from tasks.core.places import remove_keepdir, workdir_of
from tasks.core.records import Cause, Job, JobState
from tasks.core.relay import Opening
from tasks.core.spec import JobSpec
from tasks.core.streak_telling import MOST, RESULT_CHARACTERS, Delivery, Followed, Told, beginning_of
from tasks.core.telemetry import Telemetry

if TYPE_CHECKING:
    from tasks.core.browser import JobBrowser
    from tasks.core.egress import Egress, EgressPolicy

log = structlog.get_logger()

# Pause between tries to tell a ledger that is down how an attempt ended.
_LEDGER_PAUSE_S = 0.5


Returned = dict[str, Any] | Told


class JobTask(Task):  # type: ignore[misc]  # Celery has no types
    """Base of every kind's Celery task."""

    abstract = True
    Request = "tasks.core.request:JobRequest"
    throws = (AttemptEnded,)
    resultrepr_maxsize = RESULT_CHARACTERS


def run_job(task: JobTask, spec: JobSpec, load_engine: Callable[[], Engine[Any]]) -> Returned:
    """Claim the delivered job, run its engine, write the end; return the result.

    In a worker's child, brief jobs of the same kind may be run behind it; then ``Told`` is returned.

    Raises:
        Ignore: the delivery is void (a duplicate, or the job was cancelled or taken over); nothing was changed.
        AttemptEnded: the attempt failed, was cancelled or goes back to the queue; the ledger says which.
    """
    request, streaks, began = task.request, task.app.streaks, time.monotonic()
    result = _run_delivered(task, spec, load_engine, Delivery(request.id, int(request.carry)))
    followed: list[Followed] = []
    while streaks is not None and len(followed) < MOST:
        queue, limits = request.delivery_info["routing_key"], tuple(request.timelimit)
        following = streaks.take(spec.kind, queue=queue, limits=limits, began=began)
        if following is None:
            break
        at = time.monotonic()
        try:
            text = beginning_of(_run_delivered(task, spec, load_engine, following))
        except Ignore:  # nobody is told of a void delivery
            continue
        except AttemptEnded:
            text = None
        followed.append(Followed(following.job_id, time.monotonic() - at, text))
    return Told(result, followed) if followed else result


def _run_delivered(
    task: JobTask, spec: JobSpec, load_engine: Callable[[], Engine[Any]], delivery: Delivery
) -> dict[str, Any]:
    kernel: Kernel = task.app.kernel
    began = time.monotonic()
    job = _claim(kernel, delivery, worker=task.request.hostname)
    telemetry: Telemetry = task.app.telemetry
    with (
        structlog.contextvars.bound_contextvars(
            job_id=job.id, kind=job.kind, attempt=job.attempt, correlation_id=job.correlation_id
        ),
        telemetry.attempt_span(job) as span,
    ):
        opening = Opening(kernel.ledger, kernel.events, job)
        kernel.soon.call(opening.tell)
        log.info("attempt_started", worker=job.worker, fence=job.fence)
        ended = _run_claimed(kernel, spec, job, load_engine, telemetry, opening=opening)
        if ended is None:
            log.warning("attempt_superseded", fence=job.fence)
            raise Ignore("another claim owns the job")
        _meanwhile(kernel, partial(_tell, kernel, opening, ended))
        log.info("attempt_ended", state=str(ended.state), cause=ended.cause)
        if ended.state is not JobState.SUCCEEDED:
            span.fail(ended.cause)
    if task.app.streaks is not None:
        task.app.streaks.note(spec.kind, time.monotonic() - began)
    if ended.state is not JobState.SUCCEEDED:
        raise AttemptEnded(f"{ended.state}: {ended.cause}")
    return ended.result or {}


def _meanwhile(kernel: Kernel, call: Callable[[], None]) -> None:
    if kernel.meanwhile is None:
        call()
    else:
        kernel.meanwhile.call(call)


def _tell(kernel: Kernel, opening: Opening, ended: Job) -> None:
    # Should this process be gone before: the ledger has the event, and the dispatcher sees that Redis lacks it.
    try:
        kernel.ledger.sync()
    except LedgerUnavailable as exc:
        log.error("end_not_on_disk", job_id=ended.id, code=exc.code)  # its cause is the disk
    else:
        opening.tell_with(ended)


def _claim(kernel: Kernel, delivery: Delivery, *, worker: str) -> Job:
    job_id, carry = delivery
    try:
        job = transitions.claim(kernel.ledger, job_id, carry=carry, worker=worker, child_pid=os.getpid())
    except LedgerUnavailable as exc:
        # The job is still published in the ledger and its message is gone now, so it will be carried again.
        log.warning("claim_failed", job_id=job_id, code=exc.code)
        raise Ignore(exc.message) from exc
    if job is None:
        log.info("delivery_void", job_id=job_id, held=_hold(kernel, job_id))
        raise Ignore("a duplicate, cancelled meanwhile, or paused")
    return job


def _hold(kernel: Kernel, job_id: str) -> bool:
    try:
        return pauses.hold_job(kernel.ledger, job_id)
    except LedgerUnavailable:
        return False  # it stays published, so it will be carried, and refused, again


def _run_claimed(
    kernel: Kernel,
    spec: JobSpec,
    job: Job,
    load_engine: Callable[[], Engine[Any]],
    telemetry: Telemetry,
    *,
    opening: Opening,
) -> Job | None:
    # The beat takes the note for the sign that the attempt goes on.
    note = at_work.note_of(kernel.settings.state_dir, worker=job.worker or "", child_pid=os.getpid())
    at_work.begin(note, job.id, job.fence)
    folder = workdir_of(kernel.settings.state_dir, job.id, job.fence)
    attempt = Attempt(
        kernel,
        job,
        workdir=folder,
        open_http=lambda: _egress(kernel),
        open_browser=lambda context: _browser(kernel, context),
        opening=opening,
    )
    with _soft_limit_restored():
        try:
            outcome = _call_engine(spec, job, attempt, load_engine, telemetry)
        finally:
            _ignore_soft_limit()
            attempt.close()
            if folder.exists():
                shutil.rmtree(folder, ignore_errors=True)
            at_work.end(note)
        ended = _patiently(lambda: _write_end(kernel, job, attempt, outcome))
    if ended is not None and ended.state.is_terminal:
        remove_keepdir(kernel.settings.state_dir, job.id)
    if attempt.emissions.emitted and ended is not None:
        kernel.events.ring()  # the dispatcher numbers them, which their readers wait for
    return ended


def _egress(kernel: Kernel) -> "Egress":
    from tasks.core.egress import Egress  # noqa: PLC0415  # half a second, so on the first job

    return Egress(_egress_policy(kernel))


def _egress_policy(kernel: Kernel) -> "EgressPolicy":
    from tasks.core.egress import EgressPolicy  # noqa: PLC0415  # as above

    return EgressPolicy.of(kernel.settings)


def _browser(kernel: Kernel, context: JobContext) -> "JobBrowser":
    try:
        from tasks.core.browser import JobBrowser, WarmBrowser, options_from  # noqa: PLC0415  # only where it is used
    except ModuleNotFoundError as exc:
        raise EngineUnavailable(f"This worker has no {exc.name}: install the extra `browser`.") from exc
    policy = _egress_policy(kernel)
    warm = kernel.warm.get("browser", lambda: WarmBrowser(options_from(kernel.settings, policy)))
    return JobBrowser(warm, context)


def _call_engine(
    spec: JobSpec, job: Job, attempt: Attempt, load_engine: Callable[[], Engine[Any]], telemetry: Telemetry
) -> dict[str, Any] | AppError | JobInterrupted:
    try:
        engine = load_engine()
        result = engine(spec.request.model_validate(job.request), attempt)
        _ignore_soft_limit()
        return _bounded(spec, result)
    except SoftTimeLimitExceeded:
        return SoftLimitReached(
            f"The attempt ran longer than its {job.timeout_s:g} s; raise timeout_s or ask for less."
        )
    except JobInterrupted as exc:
        return exc
    except AppError as exc:
        attempt.log(f"{exc.code}: {exc.message}", level="error", stream="kernel")
        return exc
    except MemoryError as exc:
        attempt.log(f"MemoryError: {exc}", level="error", stream="kernel")
        return Transient("The engine asked for more memory than there was.", code=Cause.OUT_OF_MEMORY)
    except Exception as exc:
        # The one place that catches everything: an engine's bug must end its job, not its worker.
        log.exception("engine_raised")
        telemetry.capture(exc)
        attempt.log(f"{type(exc).__name__}: {exc}", level="error", stream="kernel")
        return Permanent(f"The engine raised {type(exc).__name__}: {exc}"[:500], code="engine_error")


def _bounded(spec: JobSpec, result: BaseModel) -> dict[str, Any]:
    size = len(result.model_dump_json().encode())
    if size > spec.max_result_bytes:
        raise TooLarge(
            f"The result is {size} bytes, over the kind's {spec.max_result_bytes}; save an artifact instead."
        )
    return result.model_dump(mode="json")


def _write_end(
    kernel: Kernel, job: Job, attempt: Attempt, outcome: dict[str, Any] | AppError | JobInterrupted
) -> Job | None:
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
    if progress is not None and progress["total"]:
        progress = progress | {"percent": 100.0, "eta_s": 0.0}
    return transitions.finish(
        ledger,
        job.id,
        fence=job.fence,
        state=JobState.SUCCEEDED,
        cause=Cause.COMPLETED,
        result=outcome,
        progress=progress,
        emitted=attempt.emissions.emitted,
        may_vanish=kernel.meanwhile is not None,  # until ``_tell``, which the next job does not wait for
    )


def _patiently(write: Callable[[], Job | None]) -> Job | None:
    # Without a limit of its own: giving up would leave the job running for ever, and the hard limit ends this as well.
    while True:
        try:
            return write()
        except LedgerUnavailable:
            log.warning("ledger_awaited")
            time.sleep(_LEDGER_PAUSE_S)


def _ignore_soft_limit() -> None:
    """Keep a late soft-limit signal from tearing the writing of the end."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


@contextmanager
def _soft_limit_restored() -> Iterator[None]:
    """Give the next job of this child the handler that this one may switch off."""
    before = signal.getsignal(signal.SIGUSR1)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)
