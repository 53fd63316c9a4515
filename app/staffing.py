"""How many workers a queue needs, by what was measured of it: the rule, and the reasons in words."""

import math
from dataclasses import dataclass

from tasks.core.spec import Queue

# Jobs that a worker of the queue runs at a time (workers/profiles.py: a test compares).
SLOTS_PER_WORKER = {
    Queue.CRITICAL: 2,
    Queue.AI: 1,
    Queue.CRAWLER: 2,
    Queue.VOICE: 1,
    Queue.ANALYTICS: 1,
    Queue.MAINTENANCE: 1,
}
# A queue whose slots are busy for more of the time grows by chance alone; what waits is to be gone within this time.
MOST_BUSY, CLEARED_WITHIN_S = 0.7, 600.0


@dataclass(frozen=True, slots=True)
class Demand:
    """What was measured of a queue.

    Args:
        arrivals_per_s: the greater of those of the last minutes and of the last hour, so that more workers come soon
            and go late.
        job_s: how long a job ran on the average; None when none has ended.
        slots_per_worker: those of its live workers, on the average; else as its profile says.
    """

    queue: Queue
    waiting: int
    running: int
    arrivals_per_s: float
    job_s: float | None
    slots_per_worker: float

    @property
    def is_idle(self) -> bool:
        """Whether nothing came and nothing is there."""
        return not (self.waiting or self.running or self.arrivals_per_s)


@dataclass(frozen=True, slots=True)
class Staffing:
    """So many workers are advised, and why."""

    workers: int
    reasons: tuple[str, ...]


def staffing(demand: Demand) -> Staffing:
    """Return how many workers the queue needs: at least one, so that a job begins at once."""
    if demand.is_idle:
        return Staffing(1, ("Nothing came within the hour: one, so that a job begins at once.",))
    if demand.job_s is None:
        return _unmeasured(demand)
    steady = demand.arrivals_per_s * demand.job_s / MOST_BUSY
    backlog = demand.waiting * demand.job_s / CLEARED_WITHIN_S
    slots = max(demand.running, math.ceil(steady + backlog), 1)
    each = f"{demand.job_s:.3g} s each"
    reasons = [f"{demand.arrivals_per_s * 60:.3g} jobs a minute of {each}, at most {MOST_BUSY:.0%} busy: {steady:.3g}."]
    if demand.waiting:
        reasons.append(f"{demand.waiting} wait and are to be done in {CLEARED_WITHIN_S / 60:g} minutes: {backlog:.3g}.")
    if demand.running == slots > math.ceil(steady + backlog):
        reasons.append(f"{demand.running} run now, and none is to be interrupted.")
    return _of_slots(slots, demand, reasons)


def _unmeasured(demand: Demand) -> Staffing:
    # How long its jobs take is not guessed: whoever is busy stays, and one more begins with what waits.
    slots = demand.running + (1 if demand.waiting else 0)
    return _of_slots(max(1, slots), demand, ["No job has ended within the hour, so how long one takes is not known."])


def _of_slots(slots: int, demand: Demand, reasons: list[str]) -> Staffing:
    workers = max(1, math.ceil(slots / demand.slots_per_worker))
    at_once = f"{slots} at a time, {demand.slots_per_worker:g} to a worker: {workers}."
    return Staffing(workers, (*reasons, at_once))
