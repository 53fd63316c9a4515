"""A worker's heart: a thread in its parent that says it lives, enforces cancels and drains, and cleans up."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Thread

import psutil
import structlog

from tasks.core import at_work
from tasks.core.errors import AppError
from tasks.core.kernel import Kernel
from tasks.core.ledger import fleet, transitions
from tasks.core.ledger.fleet import Held, WorkerState
from tasks.core.outcome import settle_lost
from tasks.core.places import remove_workdirs
from tasks.core.processes import held_bytes
from tasks.core.records import Cause, Job
from tasks.core.relay import announce
from workers.leftovers import Leftovers
from workers.orphans import is_own_child, kill_group, kill_group_if, kill_orphans

log = structlog.get_logger()

# Reading every process's environment takes a few milliseconds, so not at each beat.
_SWEEP_EVERY_S = 3.0
# Celery's parent reports a dead child within a second or two. If it has not by then (the ledger was away just then,
# say), the job would be held for ever by a worker that lives.
_CHILDLESS_FOR_S = 5.0
# A child that works on a job notes so, and only writes the end after it has taken that back. One that was told that
# its claim failed, although the ledger had committed it, does neither: nobody works on that job.
_IDLE_FOR_S = 15.0


@dataclass(slots=True)
class Beat:
    """Runs until ``stop``; owns the worker's row.

    Args:
        is_stopping: tells whether Celery was asked to shut down; from then on the worker drains.
        children: lists the pids of the pool's children, busy or not.
    """

    kernel: Kernel
    worker: fleet.Worker
    is_stopping: Callable[[], bool]
    children: Callable[[], list[int]]
    _said: WorkerState = WorkerState.STARTING
    _told_to_stop: bool = False
    _hurry: Event = field(default_factory=Event)
    _stopped: Event = field(default_factory=Event)
    _thread: Thread | None = None
    _registered: bool = False
    _cancel_seen: dict[tuple[str, int], float] = field(default_factory=dict)
    _idle_seen: dict[tuple[str, int], float] = field(default_factory=dict)
    _draining_since: float | None = None
    _swept_at: float = 0.0
    _process: psutil.Process = field(default_factory=psutil.Process)
    _leftovers: Leftovers = field(init=False)

    def __post_init__(self) -> None:
        self._leftovers = Leftovers(self.kernel, self.worker.name)

    def start(self) -> None:
        """Register the worker, so that its row is there before its first claim, and begin beating."""
        try:
            self._register()
        except AppError as exc:
            log.warning("beat_missed", code=exc.code)
        self._thread = Thread(target=self._run, name="beat", daemon=True)
        self._thread.start()

    def say(self, state: WorkerState) -> None:
        """Note whether the worker takes jobs from now on (``UP``) or waits to be needed (``STANDBY``)."""
        self._said = state

    def drain(self) -> None:
        """Note that the worker was told to stop, and write so at once. Safe in a signal handler of another thread."""
        self._told_to_stop = True
        self._hurry.set()

    def stop(self) -> None:
        """Stop beating and write that the worker has left."""
        self._stopped.set()
        self._hurry.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        try:
            fleet.set_state(self.kernel.ledger, self.worker.name, WorkerState.STOPPED)
        except AppError as exc:
            log.warning("worker_row_not_closed", code=exc.code)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._once()
            except AppError as exc:
                # The ledger is away. The dispatcher cannot judge us either, and nothing runs without a claim.
                log.warning("beat_missed", code=exc.code)
                self._idle_seen.clear()  # a child that waits for the ledger to write its end works on nothing
            except Exception:  # a worker whose heart stops is taken for dead while it goes on working
                log.exception("beat_failed")
            self._hurry.wait(self.kernel.settings.beat_s)
            self._hurry.clear()

    def _once(self) -> None:
        ledger = self.kernel.ledger
        state = self._state()
        rss_bytes = self._process.memory_info().rss
        if not self._registered or not fleet.beat(ledger, self.worker.name, rss_bytes=rss_bytes, state=state):
            self._register()  # the first time, or after a restored ledger forgot us
        self.kernel.memory_kills.look()
        held = fleet.held_by(ledger, self.worker.name)
        self._enforce_cancels(held)
        self._enforce_memory(held)
        self._settle_childless(held)
        self._leftovers.look(held)
        if state is WorkerState.DRAINING:
            self._enforce_drain(held)
        if time.monotonic() - self._swept_at > _SWEEP_EVERY_S:
            self._swept_at = time.monotonic()
            if killed := kill_orphans():
                log.warning("orphans_killed", pids=killed)
            self._leftovers.remove()

    def _register(self) -> None:
        fleet.register(self.kernel.ledger, self.worker)
        self._registered = True

    def _state(self) -> WorkerState:
        if not (self._told_to_stop or self.is_stopping()):
            return self._said
        if self._draining_since is None:
            self._draining_since = time.monotonic()
            log.info("worker_draining", worker=self.worker.name)
        return WorkerState.DRAINING

    def _enforce_cancels(self, held: list[Held]) -> None:
        now = time.monotonic()
        asked = {(job.job_id, job.fence): job for job in held if job.cancel_requested}
        self._cancel_seen = {key: self._cancel_seen.get(key, now) for key in asked}
        for key, job in asked.items():
            if now - self._cancel_seen[key] < self.kernel.settings.cancel_grace_s:
                continue
            # The attempt may have ended meanwhile, and its child may work on another job: its note tells.
            # Celery's parent notices the dead child and ends the attempt, as cancelled, through the result backend.
            if kill_group_if(job.child_pid, partial(self._is_worked_on, job)):
                log.info("cancel_enforced", job_id=job.job_id, child_pid=job.child_pid)

    def _enforce_memory(self, held: list[Held]) -> None:
        limit_mb = self.kernel.settings.child_memory_mb
        if limit_mb == 0:
            return
        for job in (job for job in held if not job.cancel_requested and is_own_child(job.child_pid)):
            held_mb = held_bytes(job.child_pid) >> 20
            if held_mb <= limit_mb:
                continue
            # Settled first: once the child is dead, Celery's parent would settle it without knowing why.
            message = f"The attempt's processes held {held_mb} MiB, over the limit of {limit_mb}; they were killed."
            settled = self._settle(job.job_id, fence=job.fence, cause=Cause.OUT_OF_MEMORY, message=message)
            if settled is None:  # it has just ended, and its child may be on the next one
                continue
            kill_group_if(job.child_pid, partial(self._is_worked_on, job))
            remove_workdirs(self.kernel.settings.state_dir, job.job_id, up_to=job.fence)
            log.warning("memory_limit_enforced", job_id=job.job_id, child_pid=job.child_pid, held_mb=held_mb)
            self._tell(settled)

    def _settle(self, job_id: str, *, fence: int, cause: str, message: str) -> Job | None:
        return settle_lost(
            self.kernel.ledger, job_id, worker=self.worker.name, cause=cause, message=message, fence=fence
        )

    def _settle_childless(self, held: list[Held]) -> None:
        now = time.monotonic()
        limits = {(job.job_id, job.fence): self._idle_limit_s(job) for job in held}
        self._idle_seen = {key: self._idle_seen.get(key, now) for key, limit_s in limits.items() if limit_s is not None}
        for (job_id, fence), since in self._idle_seen.items():
            if now - since < (limits[job_id, fence] or 0.0):
                continue
            message = "The worker's child process was lost, or never began."
            settled = self._settle(job_id, fence=fence, cause=Cause.WORKER_LOST, message=message)
            if settled is not None:
                log.warning(
                    "childless_job_settled",
                    job_id=job_id,
                    correlation_id=settled.correlation_id,
                    state=str(settled.state),
                )
                self._tell(settled)

    def _idle_limit_s(self, job: Held) -> float | None:
        """Tell how long nobody may seem to work on the job; None: somebody does."""
        if not is_own_child(job.child_pid):
            return _CHILDLESS_FOR_S
        return None if self._is_worked_on(job) else _IDLE_FOR_S

    def _is_worked_on(self, job: Held) -> bool:
        note = at_work.note_of(self.kernel.settings.state_dir, worker=self.worker.name, child_pid=job.child_pid)
        return at_work.attempt_in(note) == (job.job_id, job.fence)

    def _enforce_drain(self, held: list[Held]) -> None:
        assert self._draining_since is not None  # noqa: S101  # set by _state
        if time.monotonic() - self._draining_since < self.kernel.settings.drain_grace_s:
            return
        # A job that is to be cancelled is not handed back: Celery's parent ends it as cancelled once its child is dead.
        for job in (job for job in held if not job.cancel_requested):
            back = transitions.requeue(
                self.kernel.ledger, job.job_id, fence=job.fence, cause=Cause.DRAINED, counted=False
            )
            if back is not None:
                log.info("job_handed_back", job_id=job.job_id, correlation_id=back.correlation_id)
                self._tell(back)
        # All of them, because one may still work on what was taken from it, and Celery would wait for that.
        for child_pid in self.children():
            kill_group(child_pid)
        for job in held:
            remove_workdirs(self.kernel.settings.state_dir, job.job_id, up_to=job.fence)

    def _tell(self, job: Job) -> None:
        announce(self.kernel.ledger, self.kernel.events, job)
        self.kernel.events.ring()
