"""Events made by comparing a record with its last reading, for where no stream gets through."""

import time
from collections.abc import Iterator
from typing import Any

from client import calls
from client.limits import Limits
from client.models import Event, Job
from client.steps import Answer, Request


class Poller:
    """Remembers the last reading of one record. Log lines and streamed text do not show in a record, so not here."""

    def __init__(self, job_id: str, limits: Limits) -> None:
        self._job_id = job_id
        self._limits = limits
        self._etag: str | None = None
        self._last: Job | None = None
        self._asked_at = 0.0

    @property
    def wait_s(self) -> int:
        """How long the next request asks the server to hold its answer: the first not at all."""
        return int(self._limits.long_poll_s) if self._etag else 0

    def request(self) -> Request:
        """Return the next request."""
        self._asked_at = time.monotonic()
        return calls.poll(self._job_id, wait_s=self.wait_s, etag=self._etag)

    def pause_s(self) -> float:
        """Return how long to leave the server alone now; a server without ETags is asked once a second."""
        gap_s = self._limits.poll_gap_s if self._etag else 1.0
        return max(0.0, self._asked_at + gap_s - time.monotonic())

    def events(self, answer: Answer, *, is_first_sight: bool) -> Iterator[Event]:
        """Yield what changed since the last reading, oldest first, the state last."""
        if answer.status == 304:
            return
        record = answer.json()
        job, last = calls.parsed(Job, record), self._last
        self._etag, self._last = answer.headers.get("etag"), job
        if last is None and is_first_sight:
            yield self._event("snapshot", job, {"reason": "start", "record": record})
        known = {artifact.name for artifact in last.artifacts} if last else set()
        for artifact in job.artifacts if last else ():
            if artifact.name not in known:
                yield self._event("artifact", job, artifact.model_dump(mode="json"))
        if last and job.progress and job.progress != last.progress:
            yield self._event("progress", job, job.progress.model_dump(mode="json"))
        moved = last is not None and (job.state, job.version) != (last.state, last.version)
        if moved or (last is None and (job.is_terminal or not is_first_sight)):
            yield self._event("state", job, _state(job))

    def _event(self, type_: str, job: Job, data: dict[str, Any]) -> Event:
        return Event(type=type_, job_id=job.id, attempt=job.attempt, data=data)


def _state(job: Job) -> dict[str, Any]:
    error = {"error": job.error.model_dump(mode="json")} if job.error else {}
    return {"state": job.state, "cause": job.cause, **error}
