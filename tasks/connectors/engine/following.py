"""Work that was submitted to a service: begun once, followed across attempts, cancelled with its job."""

import time
from dataclasses import dataclass, replace
from typing import Any

import structlog

from tasks.connectors.engine.pausing import pause
from tasks.connectors.engine.telling import REMOTE_FAILED, UNREADABLE, Teller, is_name
from tasks.connectors.engine.wire import NOT_FOUND, UNREACHABLE, Answer, Wire
from tasks.connectors.service import HTTPService, Polling
from tasks.core.errors import AppError, JobCancelled, Permanent, Transient
from tasks.core.job import JobContext

log = structlog.get_logger()

# A service that restarts is away for seconds; one that is away for longer is the next attempt's concern.
_MAX_FAILURES_IN_ROW = 5
# A cancelled attempt is killed after SWITCHYARD_CANCEL_GRACE_S, two seconds by default.
_SUBMIT_GRACE_S = 0.5
_CANCEL_TIMEOUT_S = 1.0
# After these nothing of the work is left that could be followed.
_OVER = frozenset({REMOTE_FAILED, NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Followed:
    """The last answer, and how it was come by."""

    answer: Answer
    remote: dict[str, str]
    polls: int
    resumed: bool


class Follower:
    """Submits one job's work and follows it to its end."""

    def __init__(self, wire: Wire, service: HTTPService, job: JobContext, *, given: dict[str, Any]) -> None:
        assert service.poll is not None  # noqa: S101  # whoever asks has looked
        self._wire = wire
        self._service = service
        self._poll: Polling = service.poll
        self._job = job
        self._given = given
        self._teller = Teller(job, wire.hidden, service.poll)
        self._polls = 0
        # How often work of this job has come to an end at the service; a retry on request begins another.
        self._submission = 0
        self._cancelled: JobCancelled | None = None
        self._cancelled_at = 0.0

    def run(self) -> Followed:
        """Return the service's result.

        Raises:
            InputRejected: a template of any of the calls cannot be filled; nothing was sent.
            Transient, Permanent: as ``Wire.send``; ``remote_failed``: the service says that the work failed;
                ``remote_unsure``: whether an earlier attempt had submitted is not known, and must not be tried.
        """
        remote = self._remote_of_earlier()
        resumed = remote is not None
        if remote is None:
            remote = self._submit()
        else:
            self._job.log(f"Going on with what an earlier attempt submitted: {self._teller.shown(remote)}")
        try:
            if self._cancelled is not None:
                raise self._cancelled
            answer = self._followed(remote)
        except JobCancelled:
            # Control flow that goes on its way: only the service is told first, as nobody else could.
            self._cancel(remote)
            self._forget()
            raise
        except Permanent as exc:
            if exc.code in _OVER:
                self._forget()
            raise
        shown = {name: self._wire.hidden.struck_from(value) for name, value in remote.items()}
        return Followed(answer, shown, self._polls, resumed)

    def _remote_of_earlier(self) -> dict[str, str] | None:
        state = self._job.resume.load() or {}
        remote, submission = state.get("remote"), state.get("submission")
        self._submission = submission if isinstance(submission, int) else 0
        if isinstance(remote, dict):
            return {str(name): str(value) for name, value in remote.items()}
        if state.get("is_submitting") and self._poll.if_unsure == "fail":
            raise Permanent(
                "An earlier attempt ended while it submitted: whether the service has begun is not known. "
                "Look there, and submit anew.",
                code="remote_unsure",
            )
        return None

    def _submit(self) -> dict[str, str]:
        request = self._wire.prepare(self._service.request, given=self._given, remote={})
        if not any(name.lower() == "idempotency-key" for name in request.headers):
            key = f"{self._job.id}-{self._submission}" if self._submission else self._job.id
            request = replace(request, headers={**request.headers, "Idempotency-Key": key})
        self._prepare_all()
        self._job.report("submitting", 0, None)
        self._note(is_submitting=True)
        try:
            answer = self._wire.send(request, meanwhile=self._hear)
        except (Permanent, Transient) as exc:
            if isinstance(exc, Permanent) or exc.code == UNREACHABLE:
                self._note()
            raise
        remote = {name: self._named(name, answer.at(pointer)) for name, pointer in self._poll.remote.items()}
        self._note(remote=remote)
        self._job.log(f"Submitted: {self._teller.shown(remote)}")
        return remote

    def _prepare_all(self) -> None:
        """Find out before anything is sent whether each later call can be made, too."""
        remote = dict.fromkeys(self._poll.remote, "x")
        for call in (self._poll.status, self._poll.result, self._poll.cancel):
            if call is not None:
                self._wire.prepare(call, given=self._given, remote=remote)

    def _hear(self) -> None:
        """Let the answer to a submission come for a moment when the job is cancelled: it names what is to be ended."""
        try:
            self._job.checkpoint()
        except JobCancelled as exc:
            self._cancelled = exc
            self._cancelled_at = self._cancelled_at or time.monotonic()
        if self._cancelled is not None and time.monotonic() - self._cancelled_at > _SUBMIT_GRACE_S:
            raise self._cancelled

    def _note(self, **state: object) -> None:
        self._job.resume.save({"submission": self._submission, **state})

    def _forget(self) -> None:
        """Let a later attempt of the job submit anew, under another key: this work is over."""
        self._submission += 1
        self._note()

    def _named(self, name: str, value: object) -> str:
        if not is_name(value):
            raise Permanent(
                f"The answer to the submission has no {name} at {self._poll.remote[name] or 'its top'!r}: a text or a "
                "whole number is needed.",
                code=UNREADABLE,
            )
        return str(value)

    def _followed(self, remote: dict[str, str]) -> Answer:
        poll = self._poll
        failures = 0
        while True:
            try:
                answer = self._wire.send(self._wire.prepare(poll.status, given=self._given, remote=remote))
                failures = 0
            except Transient as exc:
                failures += 1
                if failures > _MAX_FAILURES_IN_ROW:
                    raise
                self._job.log(exc.message, level="warning")
                pause(self._job, poll.interval_s)
                continue
            self._polls += 1
            if self._has_ended(answer):
                break
            pause(self._job, max(poll.interval_s, answer.retry_after_s))
        if poll.result is None:
            return answer
        return self._wire.send(self._wire.prepare(poll.result, given=self._given, remote=remote))

    def _has_ended(self, answer: Answer) -> bool:
        document = answer.document()
        word = self._teller.word(document)
        if word is None:
            raise Permanent(
                f"The answer to `status` does not say at {self._poll.state!r} how the work stands.", code=UNREADABLE
            )
        if self._teller.has_ended(word, document):
            return True
        self._teller.report(document, step=self._polls, otherwise=word)
        return False

    def _cancel(self, remote: dict[str, str]) -> None:
        if self._poll.cancel is None:
            return
        try:
            request = self._wire.prepare(self._poll.cancel, given=self._given, remote=remote)
            self._wire.send(request, meanwhile=lambda: None, timeout_s=_CANCEL_TIMEOUT_S)
        except AppError as exc:
            # The job is cancelled all the same; that its work goes on elsewhere, somebody should know.
            log.warning("remote_not_cancelled", code=exc.code)
            self._job.log(f"The service did not cancel: {exc.message}", level="warning")
        else:
            self._job.log("The service was told to cancel.")
