"""What ``/metrics`` tells of the queues: the ledger's figures, the same from every web process."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from app.live import LiveWorkers
from app.standing import standings
from tasks.core.ledger import Ledger, fleet, rates
from tasks.core.ledger.rates import Traffic
from tasks.core.matching import offers_of
from tasks.core.spec import Queue


def queue_metrics(ledger: Ledger, live: LiveWorkers, *, at: datetime) -> Iterable[Metric]:
    """Return the metrics of all six queues.

    Raises:
        LedgerUnavailable: there is none to be told.
    """
    jobs = GaugeMetricFamily("switchyard_queue_jobs", "Active jobs.", labels=("queue", "state"))
    oldest = GaugeMetricFamily("switchyard_queue_oldest_seconds", "Age of the oldest due job.", labels=("queue",))
    advised = GaugeMetricFamily("switchyard_workers_advised", "Workers that the queue needs.", labels=("queue",))
    for one in standings(ledger, live, at=at):
        for state in ("waiting", "delayed", "published", "running"):
            jobs.add_metric((one.queue, state), getattr(one.depth, state))
        oldest.add_metric((one.queue,), one.oldest_waiting_s or 0.0)
        advised.add_metric((one.queue,), one.staffing.workers)
    return (jobs, oldest, advised, *_of_workers(ledger), *_of_traffic(ledger))


def _of_workers(ledger: Ledger) -> Iterable[Metric]:
    workers = fleet.live_workers(ledger)
    up = GaugeMetricFamily("switchyard_workers", "Workers that beat.", labels=("queue", "state"))
    slots = GaugeMetricFamily("switchyard_worker_slots", "Jobs that live workers can run.", labels=("queue",))
    for queue in Queue:
        serving = [worker for worker in workers if queue in offers_of(worker).queues]
        for state in sorted(fleet.LIVE):
            up.add_metric((queue, state), sum(worker.state == state for worker in serving))
        ready = (worker for worker in serving if worker.state != fleet.WorkerState.STANDBY)
        slots.add_metric((queue,), sum(worker.slots for worker in ready))
    return up, slots


def _of_traffic(ledger: Ledger) -> Iterable[Metric]:
    """Only what was counted, which a job that is erased does not take back: a counter must not go down."""
    counted = rates.since_the_beginning(ledger)
    arrived = CounterMetricFamily("switchyard_queue_arrived", "Jobs accepted, since counted.", labels=("queue",))
    ended = CounterMetricFamily("switchyard_queue_ended", "Jobs that ended.", labels=("queue", "state"))
    waited = HistogramMetricFamily("switchyard_queue_wait_seconds", "Until the first start.", labels=("queue",))
    ran = HistogramMetricFamily("switchyard_queue_run_seconds", "Of the last attempt.", labels=("queue",))
    for queue in Queue:
        traffic = counted.get(queue) or Traffic()
        arrived.add_metric((queue,), traffic.arrived)
        for state in ("succeeded", "failed", "cancelled"):
            ended.add_metric((queue, state), getattr(traffic, state))
        waited.add_metric((queue,), traffic.waited.cumulative(), traffic.waited.sum_s)
        ran.add_metric((queue,), traffic.ran.cumulative(), traffic.ran.sum_s)
    return arrived, ended, waited, ran
