"""Work that does nothing but take its time."""

import time
from random import Random

from tasks.connectors.contract import SimulateRequest, SimulateResult
from tasks.connectors.engine.pausing import pause
from tasks.core.errors import Permanent, Transient
from tasks.core.job import JobContext


def simulate(request: SimulateRequest, job: JobContext) -> SimulateResult:
    """Take the time that was asked for, in equal steps.

    Raises:
        Transient, Permanent: ``simulated_failure``, for the share of attempts that was asked for.
    """
    began = time.monotonic()
    # By the attempt, too: else a job that fails once would fail in all its attempts.
    chance = Random(f"{job.id if request.seed is None else request.seed}:{job.attempt}")  # noqa: S311  # a simulation
    fails_at = chance.randint(1, request.steps) if chance.random() < request.failure_rate else None
    for step in range(1, request.steps + 1):
        # Against the whole, so that what a step takes too long is not added up.
        pause(job, began + request.duration_s * step / request.steps - time.monotonic())
        if step == fails_at:
            failure = Transient if request.failure == "transient" else Permanent
            raise failure(f"Simulated, at step {step} of {request.steps}.", code="simulated_failure")
        job.report("simulating", step, request.steps, f"Step {step} of {request.steps}")
    return SimulateResult(steps=request.steps, attempt=job.attempt, took_s=round(time.monotonic() - began, 3))
