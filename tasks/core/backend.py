"""The ledger as Celery's result backend.

``AsyncResult``, ``celery result`` and Flower read job rows through it. What Celery wants to store is known
already, because ``core.run`` wrote it, with one exception: a killed child can write nothing, so its parent does.
"""

from typing import Any

import structlog
from celery import states
from celery.backends.base import BaseBackend
from celery.exceptions import Ignore, TaskRevokedError

from tasks.core.errors import AttemptEnded
from tasks.core.kernel import Kernel
from tasks.core.ledger import queries
from tasks.core.records import Job, JobState
from tasks.core.settling import cause_of, settle_for_child, settle_held_by

log = structlog.get_logger()

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
        cause, message = cause_of(result, self._kernel.memory_kills)
        # Quiet without the ledger: an error from here would keep Celery from killing a child over its hard limit.
        child_pid = getattr(request, "child_pid", None)
        if child_pid is None:
            settle_for_child(
                self._kernel, task_id, worker=request.hostname, carry=int(request.carry), cause=cause, message=message
            )
        else:
            settle_held_by(self._kernel, worker=request.hostname, child_pid=child_pid, cause=cause, message=message)
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
