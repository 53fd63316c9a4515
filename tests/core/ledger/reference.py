"""What the ledger promises, in plain Python: one dict of jobs, no transactions, no SQL. The model test compares."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

KEY_TTL_S = 3600
LEAST_WINDOW = 2
WINDOW_PER_SLOT = 2
BATCH = 2
TERMINAL = ("succeeded", "failed", "cancelled")


class KeyReused(Exception):
    """The key stands for another request."""


class NotThere(Exception):
    """No such job."""


class Illegal(Exception):
    """The job is not in a state that allows this."""


@dataclass
class ReferenceAttempt:
    """One try."""

    attempt: int
    worker: str
    outcome: str | None = None
    cause: str | None = None


@dataclass
class ReferenceJob:
    """One job; ``seen`` holds what its events tell, oldest first."""

    id: str
    priority: int
    max_attempts: int
    expires_at: datetime | None = None
    state: str = "queued"
    attempt: int = 0
    fence: int = 0
    carry: int = 0
    published_at: datetime | None = None
    not_before: datetime | None = None
    worker: str | None = None
    cancel_requested: bool = False
    dead: bool = False
    cause: str = "accepted"
    error: str | None = None
    result: Any = None
    resume: Any = None
    progress: Any = None
    signs: int = 0
    given_attempts: int = field(init=False)
    seen: list[tuple[str, str]] = field(default_factory=lambda: [("queued", "accepted")])
    attempts: dict[int, ReferenceAttempt] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.given_attempts = self.max_attempts

    def row(self) -> dict[str, Any]:
        """Return what the job's row must say."""
        return {name: getattr(self, name) for name in COLUMNS} | {"version": len(self.seen)}

    def may_start(self, at: datetime) -> bool:
        """Tell whether it is queued and has not expired."""
        return self.state == "queued" and (self.expires_at is None or self.expires_at > at)

    def move(self, state: str, cause: str) -> None:
        self.state, self.cause = state, cause
        self.seen.append((state, cause))

    def end_attempt(self, outcome: str) -> None:
        newest = self.attempts[self.fence]
        newest.outcome, newest.cause = outcome, self.cause


# Columns that mean the same in the table; the model has no time of a cancel and only the code of an error.
COLUMNS = tuple(one.name for one in fields(ReferenceJob) if one.name not in {"seen", "attempts", "given_attempts"})


@dataclass
class ReferenceWorker:
    """A worker's row."""

    slots: int
    state: str
    beat: int = 0


class Reference:
    """Every job there is, by id, in the order they came."""

    def __init__(self) -> None:
        self.jobs: dict[str, ReferenceJob] = {}
        self.keys: dict[str, tuple[str, str, datetime]] = {}
        self.workers: dict[str, ReferenceWorker] = {}

    # ---- into the ledger, into the broker

    def accept(self, job: ReferenceJob, *, key: str | None, body: str, may_publish: bool, at: datetime) -> str:
        """Return the id of the job that answers."""
        if key in self.keys:
            first_body, first_id, since = self.keys[key]
            if since >= at - timedelta(seconds=KEY_TTL_S):
                if first_body != body:
                    raise KeyReused
                return first_id
        if key is not None:
            self.keys[key] = (body, job.id, at)
        if may_publish and self._nothing_waits(at):
            job.carry, job.published_at = 1, at
        self.jobs[job.id] = job
        return job.id

    def accept_many(self, items: Iterable[tuple[ReferenceJob, str | None, str]], *, at: datetime) -> list[str]:
        """Return the ids of the jobs that answer, in order; all are accepted, or none."""
        before = dict(self.jobs), dict(self.keys)
        try:
            return [self.accept(job, key=key, body=body, may_publish=False, at=at) for job, key, body in items]
        except KeyReused:
            self.jobs, self.keys = before
            raise

    def _nothing_waits(self, at: datetime) -> bool:
        return not self._due(at) and len(self.published()) < self.window

    def active(self) -> list[ReferenceJob]:
        """List the jobs that have not ended."""
        return [job for job in self.jobs.values() if job.state not in TERMINAL]

    @property
    def window(self) -> int:
        """How many published and unclaimed jobs the broker may hold."""
        slots = sum(worker.slots for worker in self.workers.values() if worker.state == "up")
        return max(LEAST_WINDOW, WINDOW_PER_SLOT * slots)

    def published(self) -> list[ReferenceJob]:
        """List the queued jobs that the broker has, as far as the ledger knows."""
        return [job for job in self.jobs.values() if job.state == "queued" and job.published_at is not None]

    def _due(self, at: datetime) -> list[ReferenceJob]:
        waiting = [job for job in self.jobs.values() if job.may_start(at) and job.published_at is None]
        due = [job for job in waiting if job.not_before is None or job.not_before <= at]
        return sorted(due, key=lambda job: (-job.priority, job.id))

    def take_due(self, at: datetime) -> list[tuple[str, int]]:
        room = max(0, self.window - len(self.published()))
        return [self._carry(job, at) for job in self._due(at)[:room]]

    def take_again(self, lost: Iterable[tuple[str, int]], at: datetime) -> list[tuple[str, int]]:
        """Carry again what was published under just these carries."""
        asked = set(lost)
        found = [job for job in self.published() if (job.id, job.carry) in asked and job.may_start(at)]
        return [self._carry(job, at) for job in sorted(found, key=lambda job: (-job.priority, job.id))]

    def _carry(self, job: ReferenceJob, at: datetime) -> tuple[str, int]:
        job.carry, job.published_at = job.carry + 1, at
        return job.id, job.carry

    def put_back(self, job_id: str, carry: int) -> None:
        job = self.jobs.get(job_id)
        if job is not None and job.state == "queued" and job.carry == carry:
            job.published_at = None

    # ---- attempts

    def claim(self, job_id: str, *, carry: int, worker: str, at: datetime) -> bool:
        job = self.jobs.get(job_id)
        if job is None or not job.may_start(at) or job.carry != carry:
            return False
        job.move("running", "claimed")
        job.attempt, job.fence, job.worker = job.attempt + 1, job.fence + 1, worker
        job.published_at = job.not_before = job.error = job.progress = None
        job.attempts[job.fence] = ReferenceAttempt(job.attempt, worker)
        return True

    def owned(self, job_id: str, *, fence: int) -> ReferenceJob | None:
        """Return the job if ``fence`` still owns it."""
        job = self.jobs.get(job_id)
        return job if job is not None and job.state == "running" and job.fence == fence else None

    def finish(self, job_id: str, *, fence: int, state: str, cause: str, **values: Any) -> bool:
        job = self.owned(job_id, fence=fence)
        if job is None:
            return False
        self._end(job, state=state, cause=cause, **values)
        return True

    def _end(
        self, job: ReferenceJob, *, state: str, cause: str, error: str | None = None, dead: bool = False, **values: Any
    ) -> None:
        job.move(state, cause)
        job.error, job.dead, job.resume = error, dead, None
        for name, value in values.items():
            setattr(job, name, value)
        job.end_attempt(state)

    def fail(self, job_id: str, *, fence: int, cause: str, retryable: bool) -> bool:
        """End an attempt that did not succeed: cancelled if that was asked, else tried again, else failed."""
        job = self.owned(job_id, fence=fence)
        if job is None:
            return False
        if job.cancel_requested:
            self._end(job, state="cancelled", cause="cancel_requested")
        elif retryable and job.attempt < job.max_attempts:
            self._back(job, cause=cause, outcome="retried")
            job.error = cause
        else:
            self._end(job, state="failed", cause=cause, error=cause, dead=retryable)
        return True

    def drain(self, job_id: str, *, fence: int) -> bool:
        """Hand the job back; the attempt does not count."""
        job = self.owned(job_id, fence=fence)
        if job is None:
            return False
        if job.cancel_requested:
            self._end(job, state="cancelled", cause="cancel_requested")
        else:
            self._back(job, cause="drained", outcome="drained")
            job.attempt, job.error = job.attempt - 1, None
        return True

    def _back(self, job: ReferenceJob, *, cause: str, outcome: str) -> None:
        job.move("queued", cause)
        job.worker, job.carry = None, job.carry + 1
        job.end_attempt(outcome)

    def keep(self, job_id: str, *, fence: int, name: str, value: Any) -> bool:
        """Keep ``resume``, ``progress`` or a bare sign of life."""
        job = self.owned(job_id, fence=fence)
        if job is None:
            return False
        if name != "sign":
            setattr(job, name, value)
        job.signs += name in ("progress", "sign")
        return True

    def held_by(self, worker: str) -> set[tuple[str, int]]:
        """List the running jobs of a worker, with their fences."""
        return {(job.id, job.fence) for job in self.jobs.values() if job.state == "running" and job.worker == worker}

    # ---- from outside

    def expire(self, at: datetime) -> set[str]:
        """End what nobody started in time; return the ids."""
        late = {job.id for job in self.jobs.values() if job.state == "queued" and not job.may_start(at)}
        for job_id in late:
            job = self.jobs[job_id]
            job.move("failed", "expired")
            job.error, job.resume = "expired", None
        return late

    def cancel(self, job_id: str) -> None:
        job = self._existing(job_id)
        if job.state in ("succeeded", "failed"):
            raise Illegal
        if job.state == "queued":
            job.move("cancelled", "cancel_requested")
            job.resume = None
        job.cancel_requested = True

    def replay(self, job_id: str, *, may_publish: bool, at: datetime) -> None:
        """Queue a failed or cancelled job again, with as many attempts as it was given at first."""
        job = self._existing(job_id)
        if job.state not in ("failed", "cancelled"):
            raise Illegal
        published_at = at if may_publish and self._nothing_waits(at) else None
        job.move("queued", "replayed")
        job.max_attempts, job.carry, job.published_at = job.attempt + job.given_attempts, job.carry + 1, published_at
        job.not_before = job.expires_at = job.worker = job.error = job.progress = None
        job.dead = job.cancel_requested = False

    def change_many(self, verb: str, states: Iterable[str], *, limit: int, at: datetime) -> list[list[str]]:
        """Cancel, replay or erase what is in one of ``states`` (or in any), oldest first; return the ids by batch."""
        eligible = {
            "cancel": lambda job: job.state in ("queued", "running") and not job.cancel_requested,
            "replay": lambda job: job.state in ("failed", "cancelled"),
            "erase": lambda job: job.state in TERMINAL,
        }[verb]
        wanted = set(states)
        found = [job.id for job in self.jobs.values() if eligible(job) and (not wanted or job.state in wanted)]
        chosen = sorted(found)[:limit]
        for job_id in chosen:
            if verb == "replay":
                self.replay(job_id, may_publish=False, at=at)
            else:
                {"cancel": self.cancel, "erase": self.erase}[verb](job_id)
        return [chosen[first : first + BATCH] for first in range(0, len(chosen), BATCH)]

    def erase(self, job_id: str) -> None:
        job = self._existing(job_id)
        if job.state not in TERMINAL:
            raise Illegal
        del self.jobs[job_id]
        self.keys = {key: first for key, first in self.keys.items() if first[1] != job_id}

    def _existing(self, job_id: str) -> ReferenceJob:
        if job_id not in self.jobs:
            raise NotThere
        return self.jobs[job_id]
