"""The ledger as Celery's result backend.

``AsyncResult``, ``celery result`` and Flower read job rows through it. What Celery wants to store is known
already, because ``core.run`` wrote it, with one exception: a killed child can write nothing, so its parent does.
"""

from typing import Any

import structlog
from billiard.exceptions import SoftTimeLimitExceeded, Terminated, TimeLimitExceeded, WorkerLostError
from celery import states
from celery.backends.base import BaseBackend
from celery.exceptions import Ignore, TaskRevokedError

from tasks.core.errors import AttemptEnded, LedgerUnavailable
from tasks.core.kernel import Kernel
from tasks.core.ledger import queries
from tasks.core.memory import MemoryKills
from tasks.core.outcome import settle_lost
from tasks.core.places import remove_workdirs
from tasks.core.records import Cause, Job, JobState
from tasks.core.relay import announce

log = structlog.get_logger()

# Celery's parent notices a dead child within about a second.
_KILLED_FOR_S = 10.0

_CELERY_STATE = {
    JobState.QUEUED: states.PENDING,
    JobState.RUNNING: states.STARTED,
    JobState.SUCCEEDED: states.SUCCESS,
    JobState.FAILED: states.FAILURE,
    JobState.CANCELLED: states.REVOKED,
}


class LedgerBackend(BaseBackend):  # type: ignore[misc]  # Celery has no types
    """Reads outcomes from the ledger; writes only what a dead child could not."""

    persistent = True
    supports_autoexpire = True  # rows age out by their spec's retention, not by Celery

    @property
    def _kernel(self) -> Kernel:
        kernel: Kernel = self.app.kernel
        return kernel

    def store_result(
        self, task_id: str, result: Any, state: str, _traceback: Any = None, request: Any = None, **_kwargs: Any
    ) -> Any:
        """Settle the attempt of a killed child or a hard limit; ignore what is in the ledger already."""
        if state != states.FAILURE or isinstance(result, (AttemptEnded, Ignore)):
            return result
        if request is None or getattr(request, "carry", None) is None:
            log.warning("result_without_request", job_id=task_id, error=repr(result))
            return result
        cause, message = _cause_of(result, self._kernel.memory_kills)
        try:
            job = settle_lost(
                self._kernel.ledger,
                task_id,
                worker=request.hostname,
                cause=cause,
                message=message,
                carry=int(request.carry),
            )
        except LedgerUnavailable as exc:
            # Raised from here, it would keep Celery from killing a child over its hard limit. The beat settles later.
            log.warning("settling_put_off", job_id=task_id, cause=cause, code=exc.code)
            return result
        if job is not None:
            log.warning(
                "attempt_settled",
                job_id=task_id,
                correlation_id=job.correlation_id,
                cause=cause,
                state=str(job.state),
            )
            announce(self._kernel.ledger, self._kernel.events, job)
            remove_workdirs(self._kernel.settings.state_dir, task_id, up_to=job.fence)
        return result

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        job = queries.job(self._kernel.ledger, task_id)
        if job is None:
            return {"task_id": task_id, "status": states.PENDING, "result": None}
        return {
            "task_id": task_id,
            "name": job.kind,
            "status": states.RETRY if job.state is JobState.QUEUED and job.attempt else _CELERY_STATE[job.state],
            "result": _result_of(job),
            "traceback": None,
            "children": [],
            "date_done": job.finished_at,
            "worker": job.worker,
            "queue": job.queue,
            "retries": max(0, job.attempt - 1),
        }

    def _forget(self, task_id: str) -> None:
        raise NotImplementedError("Erase a job with DELETE /api/jobs/{id}.")


def _result_of(job: Job) -> Any:
    if job.state is JobState.FAILED:
        error = job.error or {}
        return AttemptEnded(f"{error.get('code')}: {error.get('message')}")
    if job.state is JobState.CANCELLED:
        return TaskRevokedError(job.cause)
    return job.result


def _cause_of(error: BaseException, memory_kills: MemoryKills) -> tuple[str, str]:
    if isinstance(error, SoftTimeLimitExceeded):  # between the engine and the writing of its end
        return Cause.TIMEOUT, "The attempt ran into its soft time limit."
    if isinstance(error, TimeLimitExceeded):
        return Cause.TIMEOUT, "The attempt ran into its hard time limit and its processes were killed."
    if isinstance(error, WorkerLostError) and "SIGKILL" in str(error) and memory_kills.happened_within(_KILLED_FOR_S):
        return Cause.OUT_OF_MEMORY, "The kernel killed the attempt's process because memory had run out."
    if isinstance(error, (WorkerLostError, Terminated)):
        return Cause.WORKER_LOST, f"The worker's child process was lost: {error}"
    return "internal_error", f"{type(error).__name__}: {error}"[:500]
