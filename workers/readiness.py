"""Whether the workers of this machine take jobs, as their own rows in the ledger say."""

import platform
from dataclasses import dataclass

from tasks.core.ledger import Ledger, fleet
from tasks.core.ledger.fleet import WorkerState

_READY = frozenset({WorkerState.UP, WorkerState.STANDBY})


@dataclass(frozen=True, slots=True)
class Readiness:
    """The verdict, and what it rests on."""

    is_ready: bool
    reason: str


def readiness(ledger: Ledger, *, lease_s: float, name: str | None = None, pid: int | None = None) -> Readiness:
    """Judge the workers of this machine, or the one named: ready when there is one, and each is up or stands by.

    A worker writes ``draining`` at the moment it is told to stop, and its row goes stale ``lease_s`` after it dies.

    Raises:
        LedgerUnavailable: the ledger cannot be asked.
    """
    here = [
        worker
        for worker in fleet.beating(ledger, host=platform.node(), within_s=lease_s)
        if name in {None, worker.name} and pid in {None, worker.pid}
    ]
    if not here:
        return Readiness(is_ready=False, reason="no such worker beats here")
    reason = ", ".join(f"{worker.name} is {worker.state}" for worker in here)
    return Readiness(is_ready=all(worker.state in _READY for worker in here), reason=reason)
