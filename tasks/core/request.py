"""How a worker's parent tells Celery's event stream, hence Flower, what became of an attempt."""

from typing import Any

from billiard.einfo import ExceptionInfo
from celery.exceptions import Ignore
from celery.worker.request import Request

from tasks.core.errors import LedgerUnavailable
from tasks.core.ledger import queries
from tasks.core.records import Job, JobState
from tasks.core.streak_telling import Followed, beginning_of, read_told

# What a message of ours says of a job besides its id, see ``tasks.core.carrier``.
_PLAIN = {"kwargs": "{}", "parent_id": None, "retries": 0, "eta": None, "expires": None}


class JobRequest(Request):  # type: ignore[misc]  # Celery has no types
    """Celery calls every attempt that did not succeed failed; the ledger knows whether it was.

    ``celery.worker.request.Request`` (Celery 5.7) is meant to be replaced through ``Task.Request``.
    """

    def acknowledge(self) -> None:
        """Tell Redis nothing: Kombu's note of what was taken is not kept (``no_ack``, see ``celeryconfig``).

        Kombu would all the same ask Redis to delete it, on a client made anew for each message.
        """
        self.acknowledged = True

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Note which child has the message: whatever that is at when it dies, the attempt ends with it."""
        super().on_accepted(pid, time_accepted)
        self._context.child_pid = pid

    def send_event(self, type: str, **fields: Any) -> None:  # upstream's name
        """Send ``task-succeeded`` for a whole streak, and ``task-failed`` as what happened, as the ledger knows it."""
        if type == "task-succeeded":
            self._send_succeeded(**fields)
        elif type == "task-failed":
            self._send_outcome(self._job(self.id), **fields)
        else:
            super().send_event(type, **fields)

    def on_failure(self, exc_info: ExceptionInfo, **options: Any) -> None:
        """Tell also of a job that was cancelled while it waited, which Celery takes for a task to be ignored."""
        super().on_failure(exc_info, **options)
        if isinstance(exc_info.exception, Ignore):
            job = self._job(self.id)
            if job is not None and job.state is JobState.CANCELLED:
                self._send_outcome(job)

    def _send_succeeded(self, *, result: str, runtime: float) -> None:
        first, followed = read_told(result)
        alone_s = runtime - sum(one.runtime_s for one in followed)
        super().send_event("task-succeeded", result=first, runtime=max(0.0, alone_s))
        for one in followed:
            self._send_followed(one)

    def _send_followed(self, one: Followed) -> None:
        args = f"('{one.job_id}',)"
        self._send("task-received", one.job_id, **_PLAIN, name=self.name, args=args, root_id=one.job_id)
        self._send("task-started", one.job_id)
        if one.result is None:
            self._send_outcome(self._job(one.job_id), exception="", traceback=None)
        else:
            self._send("task-succeeded", one.job_id, result=one.result, runtime=one.runtime_s)

    def _send_outcome(self, job: Job | None, **fields: Any) -> None:
        """Send what became of an attempt that Celery holds for failed: a failure, a retry, a cancel, or nothing new."""
        if job is None or job.state is JobState.FAILED:
            error = (job and job.error) or {}
            told = {"exception": f"{error['code']}: {error['message']}", "traceback": None} if error else {}
            self._send("task-failed", self.id if job is None else job.id, **(fields | told))
        elif job.state is JobState.CANCELLED:
            self._send("task-revoked", job.id, terminated=True, signum="SIGKILL", expired=False)
        elif job.state is not JobState.SUCCEEDED:
            self._send("task-retried", job.id, **fields)
        elif job.worker == self.hostname:  # its child died later, at a job that it ran behind this one
            self._send("task-succeeded", job.id, result=beginning_of(job.result), runtime=_runtime_s(job))
        # Else it is a late report of an attempt that another has made good.

    def _send(self, type_: str, job_id: str, **fields: Any) -> None:
        if self._eventer and self._eventer.enabled and self.task.send_events:
            self._eventer.send(type_, uuid=job_id, **fields)

    def _job(self, job_id: str) -> Job | None:
        try:
            return queries.job(self._app.kernel.ledger, job_id)
        except LedgerUnavailable:
            return None


def _runtime_s(job: Job) -> float:
    return (job.finished_at - job.claimed_at).total_seconds() if job.finished_at and job.claimed_at else 0.0
