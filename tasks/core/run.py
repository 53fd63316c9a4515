"""The only policy around an engine: claim, run, end. Engines know nothing of it; tasks do nothing else."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task
from celery.exceptions import Ignore

from tasks.core import at_work
from tasks.core.attempt import Attempt
from tasks.core.claiming import claim
from tasks.core.ending import Outcome, Ran, write_end
from tasks.core.errors import (
    AppError,
    AttemptEnded,
    EngineUnavailable,
    JobInterrupted,
    Permanent,
    SoftLimitReached,
    Transient,
)
from tasks.core.job import Engine, JobContext
from tasks.core.kernel import Kernel
from tasks.core.ledger import transitions
from tasks.core.outcome import bounded
from tasks.core.places import remove_keepdir, workdir_of
from tasks.core.records import Cause, Delivery, Job, JobState
from tasks.core.relay import Opening, announce, tell_ends
from tasks.core.settling import cause_of, settle_held_by
from tasks.core.spec import JobSpec
from tasks.core.streak_telling import MOST, RESULT_CHARACTERS, Followed, Told, beginning_of
from tasks.core.telemetry import Telemetry

if TYPE_CHECKING:
    from tasks.core.browser import JobBrowser
    from tasks.core.egress import Egress, EgressPolicy

log = structlog.get_logger()

# No job of a streak begins later than this after its first message was sent, see ``streak.LONGEST_S``.
_LATEST_S = 0.6

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

    def take() -> Delivery | None:
        if streaks is None or len(followed) >= MOST:
            return None
        queue, limits = request.delivery_info["routing_key"], tuple(request.timelimit)
        taken: Delivery | None = streaks.take(
            spec.kind, queue=queue, limits=limits, began=began, followed=len(followed)
        )
        return taken

    followed: list[Followed] = []
    job = claim(task.app.kernel, Delivery(request.id, int(request.carry)), worker=request.hostname)
    # Nothing is taken before the first has ended: it would end later by one exchange with Redis, mostly for nothing.
    ran = _run_claimed(task, spec, load_engine, job, take=lambda: None)
    result = _result_of(ran)
    try:
        while (following := ran.following or _claim_next(task, take)) is not None:
            at = time.monotonic()
            if at - began > _LATEST_S:  # the ledger took long to write: the parent would end it so much too early
                _give_back(task.app.kernel, following)
                break
            more = take if len(followed) + 1 < MOST else lambda: None
            ran = _run_claimed(task, spec, load_engine, following, take=more)
            if ran.ended is not None:  # nobody is told of a void delivery
                text = beginning_of(ran.ended.result or {}) if ran.ended.state is JobState.SUCCEEDED else None
                followed.append(Followed(following.id, time.monotonic() - at, text))
    except Exception as exc:  # the parent would take it for the end of the first
        log.exception("streak_broken")
        cause, message = cause_of(exc, task.app.kernel.memory_kills)
        settle_held_by(task.app.kernel, worker=request.hostname, child_pid=os.getpid(), cause=cause, message=message)
    return Told(result, followed) if followed else result


def _result_of(ran: Ran) -> dict[str, Any]:
    if ran.ended is None:
        raise Ignore("another claim owns the job")
    if ran.ended.state is not JobState.SUCCEEDED:
        raise AttemptEnded(f"{ran.ended.state}: {ran.ended.cause}")
    return ran.ended.result or {}


def _give_back(kernel: Kernel, job: Job) -> None:
    back = transitions.requeue(kernel.ledger, job.id, fence=job.fence, cause=Cause.DRAINED, counted=False)
    if back is not None:
        announce(kernel.ledger, kernel.events, back)
        kernel.events.ring()


def _claim_next(task: JobTask, take: Callable[[], Delivery | None]) -> Job | None:
    while (taken := take()) is not None:
        with suppress(Ignore):
            return claim(task.app.kernel, taken, worker=task.request.hostname)
    return None


def _run_claimed(
    task: JobTask,
    spec: JobSpec,
    load_engine: Callable[[], Engine[Any]],
    job: Job,
    *,
    take: Callable[[], Delivery | None],
) -> Ran:
    kernel: Kernel = task.app.kernel
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
        note = partial(_note_time, task, spec)
        ran = _run_engine(kernel, spec, job, load_engine, telemetry, opening=opening, take=take, took=note)
        if ran.ended is None:
            log.warning("attempt_superseded", fence=job.fence)
            return ran
        _tell(kernel, opening, ran)
        log.info("attempt_ended", state=str(ran.ended.state), cause=ran.ended.cause)
        if ran.ended.state is not JobState.SUCCEEDED:
            span.fail(ran.ended.cause)
    return ran


def _note_time(task: JobTask, spec: JobSpec, took_s: float) -> None:
    if task.app.streaks is not None:
        task.app.streaks.note(spec.kind, took_s)


def _tell(kernel: Kernel, opening: Opening, ran: Ran) -> None:
    if ran.ended is None:
        return
    # PostgreSQL's disk has the end by now. Where nothing follows, another thread would but take turns with this one,
    # which has nothing better to do.
    if kernel.meanwhile is None or (ran.following is None and not kernel.ledger.is_sqlite):
        tell_ends(kernel.ledger, kernel.events, [(opening, ran.ended)])
    else:
        kernel.meanwhile.leave((opening, ran.ended), may_wait=ran.following is not None)


def _run_engine(
    kernel: Kernel,
    spec: JobSpec,
    job: Job,
    load_engine: Callable[[], Engine[Any]],
    telemetry: Telemetry,
    *,
    opening: Opening,
    take: Callable[[], Delivery | None],
    took: Callable[[float], None],
) -> Ran:
    # The beat takes the note for the sign that the attempt goes on.
    note = at_work.note_of(kernel.settings.state_dir, worker=job.worker or "", child_pid=os.getpid())
    folder = workdir_of(kernel.settings.state_dir, job.id, job.fence)
    attempt = Attempt(
        kernel,
        job,
        workdir=folder,
        open_http=lambda: _egress(kernel),
        open_browser=lambda context: _browser(kernel, context),
        opening=opening,
    )
    began = time.monotonic()
    with _soft_limit_restored():
        try:
            at_work.begin(note, job.id, job.fence)
            outcome = _call_engine(spec, job, attempt, load_engine, telemetry)
        finally:
            _ignore_soft_limit()
            took(time.monotonic() - began)
            attempt.close()
            if folder.exists():
                shutil.rmtree(folder, ignore_errors=True)
            at_work.end(note)
        ran = write_end(kernel, job, attempt, outcome, take=take)
    if ran.ended is not None and ran.ended.state.is_terminal:
        remove_keepdir(kernel.settings.state_dir, job.id)
    if attempt.emissions.emitted and ran.ended is not None:
        kernel.events.ring()  # the dispatcher numbers them, which their readers wait for
    return ran


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
) -> Outcome:
    try:
        engine = load_engine()
        result = engine(spec.request.model_validate(job.request), attempt)
        _ignore_soft_limit()
        return bounded(spec, result)
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
