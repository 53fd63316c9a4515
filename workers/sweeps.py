"""The clock that has ``maintenance.sweep`` run: an ordinary job, submitted once per period by whoever dispatches."""

from dataclasses import dataclass, field

import structlog

from tasks.core.clock import now
from tasks.core.kernel import Kernel
from tasks.core.ledger import accepting, tenants
from tasks.core.ledger.accepting import Idempotency
from tasks.core.ledger.audit import Actor
from tasks.maintenance.contract import SPECS, SWEEP
from tasks.submission import Submission, held_by, new_job

log = structlog.get_logger()

_SPEC = next(spec for spec in SPECS if spec.kind == SWEEP)


@dataclass(slots=True)
class SweepTimer:
    """Submits one sweep when a period of ``SWITCHYARD_SWEEP_EVERY_S`` begins.

    The period that this process starts in is not its own to sweep, so that a start does no work. Two that see the same
    period begin submit one job, because the period's number is its idempotency key: a leader that takes over submits
    again what the one before it may have submitted.
    """

    kernel: Kernel
    _period: int = field(init=False)

    def __post_init__(self) -> None:
        self._period = self._now()

    def tick(self) -> None:
        """Submit a sweep if a new period has begun since the last tick.

        Raises:
            LedgerUnavailable: it is submitted at the next tick.
        """
        period = self._now()
        if period <= self._period:
            return
        every_s = self.kernel.settings.sweep_every_s
        submission = self._submission()
        job = new_job(_SPEC, submission, paused_by=held_by(self.kernel, _SPEC, submission))
        key = Idempotency(f"sweep-{every_s}-{period}", "sweep", ttl_s=2 * every_s)
        accepted = accepting.accept(self.kernel.ledger, job, idempotency=key)
        self._period = period
        log.info("sweep_submitted", job_id=accepted.job.id, replayed=accepted.replayed)

    def _now(self) -> int:
        every_s = self.kernel.settings.sweep_every_s
        return int(now().timestamp() // every_s) if every_s else 0

    def _submission(self) -> Submission:
        tenant = tenants.named(self.kernel.ledger, tenants.SYSTEM, by=Actor("switchyard"))
        params = _SPEC.request().model_dump(mode="json")
        return Submission(tenant.id, params, priority=0, labels={"by": "switchyard"})
