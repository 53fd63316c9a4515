"""The clock that has ``maintenance.sweep`` run: an ordinary job, submitted once per period by whoever dispatches."""

from dataclasses import dataclass

import structlog

from tasks.core.clock import now
from tasks.core.kernel import Kernel
from tasks.core.ledger import accepting, tenants
from tasks.core.ledger.accepting import Idempotency
from tasks.dispatch import Submission, new_job
from tasks.maintenance.contract import SPECS, SWEEP

log = structlog.get_logger()

_SPEC = next(spec for spec in SPECS if spec.kind == SWEEP)


@dataclass(slots=True)
class SweepTimer:
    """Submits one sweep when a period of ``SWITCHYARD_SWEEP_EVERY_S`` begins.

    The period that this process starts in is not its own to sweep: a start does no work, and a leader that takes over
    waits for the next. Two that see the same period begin submit one job, because its number is the idempotency key.
    """

    kernel: Kernel
    _period: int | None = None

    def tick(self) -> None:
        """Submit a sweep if a new period has begun since the last tick.

        Raises:
            LedgerUnavailable: it is submitted at the next tick.
        """
        every_s = self.kernel.settings.sweep_every_s
        if every_s == 0:
            return
        period = int(now().timestamp() // every_s)
        if self._period is None:
            self._period = period
        if period <= self._period:
            return
        job = new_job(_SPEC, self._submission())
        key = Idempotency(f"sweep-{every_s}-{period}", "sweep", ttl_s=2 * every_s)
        accepted = accepting.accept(self.kernel.ledger, job, idempotency=key)
        self._period = period
        log.info("sweep_submitted", job_id=accepted.job.id, replayed=accepted.replayed)

    def _submission(self) -> Submission:
        tenant = tenants.named(self.kernel.ledger, tenants.SYSTEM)
        params = _SPEC.request().model_dump(mode="json")
        return Submission(tenant.id, params, priority=0, labels={"by": "switchyard"})
