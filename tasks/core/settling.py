"""What a worker's parent does for a child that cannot tell its own end any more."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from billiard.exceptions import SoftTimeLimitExceeded, Terminated, TimeLimitExceeded, WorkerLostError

from tasks.core.errors import LedgerUnavailable
from tasks.core.kernel import Kernel
from tasks.core.ledger import fleet
from tasks.core.memory import MemoryKills
from tasks.core.outcome import settle_lost
from tasks.core.places import remove_workdirs
from tasks.core.records import Cause, Job
from tasks.core.relay import announce

log = structlog.get_logger()

# A parent notices a dead child within about a second.
_KILLED_FOR_S = 10.0


def settle_for_child(kernel: Kernel, job_id: str, *, worker: str, carry: int, cause: str, message: str) -> None:
    """End the attempt of a killed child or a hard limit, announce it, and remove the attempt's folder.

    Changes nothing where the attempt has ended already. Quiet when the ledger is away: the beat settles it later.
    """
    with _put_off_without_ledger(cause):
        _announce_settled(
            kernel, settle_lost(kernel.ledger, job_id, worker=worker, cause=cause, message=message, carry=carry), cause
        )


def settle_held_by(kernel: Kernel, *, worker: str, child_pid: int, cause: str, message: str) -> None:
    """End the attempt that a child was at when it was killed, which need not be the one it was sent; see above."""
    with _put_off_without_ledger(cause):
        for held in fleet.held_by(kernel.ledger, worker):
            if held.child_pid == child_pid:
                settled = settle_lost(
                    kernel.ledger, held.job_id, worker=worker, cause=cause, message=message, fence=held.fence
                )
                _announce_settled(kernel, settled, cause)


@contextmanager
def _put_off_without_ledger(cause: str) -> Iterator[None]:
    try:
        yield
    except LedgerUnavailable as exc:
        log.warning("settling_put_off", cause=cause, code=exc.code)


def _announce_settled(kernel: Kernel, job: Job | None, cause: str) -> None:
    if job is None:
        return
    log.warning("attempt_settled", job_id=job.id, correlation_id=job.correlation_id, cause=cause, state=str(job.state))
    announce(kernel.ledger, kernel.events, job)
    remove_workdirs(kernel.settings.state_dir, job.id, up_to=job.fence)


def cause_of(error: BaseException, memory_kills: MemoryKills) -> tuple[str, str]:
    """Return the cause and the message for what ended a child's attempt from outside its engine."""
    if isinstance(error, SoftTimeLimitExceeded):  # between the engine and the writing of its end
        return Cause.TIMEOUT, "The attempt ran into its soft time limit."
    if isinstance(error, TimeLimitExceeded):
        return Cause.TIMEOUT, "The attempt ran into its hard time limit and its processes were killed."
    if isinstance(error, (WorkerLostError, Terminated)):
        return cause_of_loss(str(error), memory_kills)
    return "internal_error", f"{type(error).__name__}: {error}"[:500]


def cause_of_loss(ending: str, memory_kills: MemoryKills) -> tuple[str, str]:
    """Return the cause and the message for a child that was lost; ``ending`` names the signal that killed it."""
    if "SIGKILL" in ending and memory_kills.happened_within(_KILLED_FOR_S):
        return Cause.OUT_OF_MEMORY, "The kernel killed the attempt's process because memory had run out."
    return Cause.WORKER_LOST, f"The worker's child process was lost: {ending}"
