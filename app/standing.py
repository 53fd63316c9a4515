"""How the queues stand: what waits and runs, who serves them, what came and ended, and how many workers are advised."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.live import LiveWorkers
from app.staffing import SLOTS_PER_WORKER, Demand, Staffing, staffing
from tasks.core.ledger import Ledger, fleet, queries, rates, routing
from tasks.core.ledger.fleet import WorkerState
from tasks.core.ledger.queries import QueueDepth
from tasks.core.ledger.rates import Traffic
from tasks.core.matching import offers_of, place_among
from tasks.core.spec import Queue

HOUR, MINUTES = timedelta(hours=1), timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Standing:
    """One queue, over all tenants. Rates are those of the last five minutes.

    What a limit or a pause keeps back, or nobody alive can run, asks for no workers: ``oldest_ready_s`` and ``demand``
    leave it out.
    """

    queue: Queue
    depth: QueueDepth
    oldest_waiting_s: float | None
    oldest_ready_s: float
    workers: int
    slots: int
    last_hour: Traffic
    arrived_per_s: float
    ended_per_s: float
    demand: Demand
    staffing: Staffing
    unmatched: Counter[str]


def standings(ledger: Ledger, live: LiveWorkers, *, at: datetime) -> list[Standing]:
    """Return how each of the six queues stands.

    Raises:
        LedgerUnavailable: nothing is known without it.
    """
    depths, unmatched = queries.queue_depths(ledger, at=at), unmatched_jobs(ledger, live)
    hour, minutes = rates.windows(ledger, at=at, lengths=(HOUR, MINUTES))
    up = [worker for worker in fleet.live_workers(ledger) if worker.state == WorkerState.UP]
    found = []
    for queue in Queue:
        depth = depths.get(queue) or QueueDepth(queue, 0, 0, 0, 0, None)
        serving = [worker for worker in up if queue in offers_of(worker).queues]
        slots = sum(worker.slots for worker in serving)
        of_hour, of_minutes = hour.of(queue), minutes.of(queue)
        demand = Demand(
            queue=queue,
            waiting=max(0, depth.waiting - depth.parked - unmatched[queue].total()),
            running=depth.running,
            arrivals_per_s=max(of_hour.arrived / hour.seconds, of_minutes.arrived / minutes.seconds),
            job_s=of_minutes.ran.mean_s or of_hour.ran.mean_s,
            slots_per_worker=slots / len(serving) if slots else SLOTS_PER_WORKER[queue],
        )
        found.append(
            Standing(
                queue=queue,
                depth=depth,
                oldest_waiting_s=_age_s(depth.oldest_waiting_at, at),
                oldest_ready_s=_age_s(depth.oldest_ready_at, at) or 0.0,
                workers=len(serving),
                slots=slots,
                last_hour=of_hour,
                arrived_per_s=of_minutes.arrived / minutes.seconds,
                ended_per_s=of_minutes.ended / minutes.seconds,
                demand=demand,
                staffing=staffing(demand),
                unmatched=unmatched[queue],
            )
        )
    return found


def unmatched_jobs(ledger: Ledger, live: LiveWorkers) -> dict[str, Counter[str]]:
    """Count the queued jobs that no live worker can run, by queue and by what nobody offers."""
    found = defaultdict[str, Counter[str]](Counter)
    counted = routing.unmatched_counts(ledger)
    ran_on = routing.ran_on(ledger, [line for line, _, _ in counted])
    workers = live.all() if counted else []
    for line, backend, count in counted:
        unmet = live.unmet_for(line.asked(place_among(workers, ran_on.get(line))), backend=backend)
        if unmet is not None:
            found[line.queue][unmet.what] += count
    return found


def _age_s(since: datetime | None, at: datetime) -> float | None:
    return None if since is None else max(0.0, (at - since).total_seconds())
