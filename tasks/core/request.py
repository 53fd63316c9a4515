"""How a worker's parent tells Celery's event stream, hence Flower, what became of an attempt."""

from typing import Any

from celery.worker.request import Request

from tasks.core.errors import LedgerUnavailable
from tasks.core.ledger import queries
from tasks.core.records import Job, JobState


class JobRequest(Request):  # type: ignore[misc]  # Celery has no types
    """Celery calls every attempt that did not succeed failed; the ledger knows whether it was.

    ``celery.worker.request.Request`` (Celery 5.7) is meant to be replaced through ``Task.Request``.
    """

    def send_event(self, type: str, **fields: Any) -> None:  # upstream's name
        """Send ``task-failed`` as ``task-revoked`` or ``task-retried`` where that is what happened."""
        if type == "task-failed":
            job = self._job()
            if job is not None and job.state is JobState.CANCELLED:
                super().send_event("task-revoked", terminated=True, signum="SIGKILL", expired=False)
                return
            if job is not None and not job.state.is_terminal:
                type = "task-retried"
        super().send_event(type, **fields)

    def _job(self) -> Job | None:
        try:
            return queries.job(self._app.kernel.ledger, self.id)
        except LedgerUnavailable:
            return None  # then Celery's own word must do
