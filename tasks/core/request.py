"""How a worker's parent tells Celery's event stream, hence Flower, what became of an attempt."""

from typing import Any

from billiard.einfo import ExceptionInfo
from celery.exceptions import Ignore
from celery.worker.request import Request

from tasks.core.errors import LedgerUnavailable
from tasks.core.ledger import queries
from tasks.core.records import Job, JobState


class JobRequest(Request):  # type: ignore[misc]  # Celery has no types
    """Celery calls every attempt that did not succeed failed; the ledger knows whether it was.

    ``celery.worker.request.Request`` (Celery 5.7) is meant to be replaced through ``Task.Request``.
    """

    def acknowledge(self) -> None:
        """Tell Redis nothing: Kombu's note of what was taken is not kept (``no_ack``, see ``celeryconfig``).

        Kombu would all the same ask Redis to delete it, on a client made anew for each message.
        """
        self.acknowledged = True

    def send_event(self, type: str, **fields: Any) -> None:  # upstream's name
        """Send ``task-failed`` as what happened: a failure, a retry or a cancel, with the ledger's words for it."""
        if type != "task-failed":
            super().send_event(type, **fields)
            return
        job = self._job()
        if job is None or job.state is JobState.FAILED:
            error = (job and job.error) or {}
            told = {"exception": f"{error['code']}: {error['message']}", "traceback": None} if error else {}
            super().send_event("task-failed", **(fields | told))
        elif job.state is JobState.CANCELLED:
            self._send_cancelled()
        elif job.state is not JobState.SUCCEEDED:  # a late report of an attempt that another has made good is no news
            super().send_event("task-retried", **fields)

    def on_failure(self, exc_info: ExceptionInfo, **options: Any) -> None:
        """Tell also of a job that was cancelled while it waited, which Celery takes for a task to be ignored."""
        super().on_failure(exc_info, **options)
        if isinstance(exc_info.exception, Ignore):
            job = self._job()
            if job is not None and job.state is JobState.CANCELLED:
                self._send_cancelled()

    def _send_cancelled(self) -> None:
        super().send_event("task-revoked", terminated=True, signum="SIGKILL", expired=False)

    def _job(self) -> Job | None:
        try:
            return queries.job(self._app.kernel.ledger, self.id)
        except LedgerUnavailable:
            return None
