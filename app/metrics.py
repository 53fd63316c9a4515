"""Prometheus metrics of this process, and of the queues as the ledger knows them when it is asked."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.live import LiveDispatcher
from tasks.core.clock import now
from tasks.core.errors import LedgerUnavailable
from tasks.core.ledger import Ledger, cached_results, deliveries, fleet, outbox, pauses, queries, tenants, totals
from tasks.core.ledger.queries import QueueDepth
from tasks.core.matching import offers_of
from tasks.core.spec import Queue

# From what an accept takes to what a long poll may.
_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """What this process counts. ``open_streams`` is counted by whoever serves streams, by transport."""

    def __init__(self, ledger: Ledger, dispatcher: LiveDispatcher) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "switchyard_http_requests",
            "HTTP requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.request_seconds = Histogram(
            "switchyard_http_request_seconds",
            "Time to the answer's first byte.",
            ("method", "route"),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self.accepted = Counter("switchyard_jobs_accepted", "Jobs accepted.", ("kind",), registry=self._registry)
        self.replayed = Counter(
            "switchyard_jobs_replayed", "Submissions answered with an earlier job.", ("kind",), registry=self._registry
        )
        self.upload_bytes = Counter(
            "switchyard_upload_bytes", "Bytes of uploads received, of refused ones too.", registry=self._registry
        )
        self.uploads = Counter(
            "switchyard_uploads",
            "Uploads completed, and requests with files, or pieces of one, that were refused.",
            ("outcome",),
            registry=self._registry,
        )
        self.open_streams = Gauge(
            "switchyard_open_streams", "Streams that clients hold open here.", ("transport",), registry=self._registry
        )
        self._registry.register(_LedgerCollector(ledger, dispatcher))

    def submissions(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return how many jobs were accepted, and answered with an earlier one, by kind."""
        accepted, replayed = (
            {
                sample.labels["kind"]: int(sample.value)
                for metric in counter.collect()
                for sample in metric.samples
                if sample.name.endswith("_total")
            }
            for counter in (self.accepted, self.replayed)
        )
        return accepted, replayed

    def add_submissions(self, accepted: Mapping[str, int], replayed: Mapping[str, int]) -> None:
        """Count what another process accepted for this one."""
        for counter, counts in ((self.accepted, accepted), (self.replayed, replayed)):
            for kind, count in counts.items():
                counter.labels(kind).inc(count)

    def took(self, size_bytes: int) -> None:
        """Count bytes of an upload."""
        self.upload_bytes.inc(size_bytes)

    def completed(self) -> None:
        """Count an upload that is complete."""
        self.uploads.labels("complete").inc()

    def exposition(self) -> bytes:
        """Return every metric in the text format."""
        return generate_latest(self._registry)


class _LedgerCollector(Collector):
    def __init__(self, ledger: Ledger, dispatcher: LiveDispatcher) -> None:
        self._ledger = ledger
        self._dispatcher = dispatcher

    def describe(self) -> Iterable[Metric]:
        """Name nothing, so that registering reads no ledger."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Read the ledger; when it is down, say only that."""
        up = GaugeMetricFamily("switchyard_ledger_up", "Whether the ledger answered this scrape.")
        try:
            metrics = list(self._from_ledger())
        except LedgerUnavailable:
            up.add_metric((), 0)
            return [up]
        up.add_metric((), 1)
        return [up, *metrics]

    def _from_ledger(self) -> Iterable[Metric]:
        at = now()
        depths = queries.queue_depths(self._ledger, at=at)
        workers = fleet.live_workers(self._ledger)
        jobs = GaugeMetricFamily("switchyard_queue_jobs", "Active jobs.", labels=("queue", "state"))
        oldest = GaugeMetricFamily("switchyard_queue_oldest_seconds", "Age of the oldest due job.", labels=("queue",))
        up = GaugeMetricFamily("switchyard_workers", "Workers that beat.", labels=("queue", "state"))
        slots = GaugeMetricFamily("switchyard_worker_slots", "Jobs that live workers can run.", labels=("queue",))
        leads = GaugeMetricFamily("switchyard_dispatcher_up", "Whether a dispatcher leads; without one nobody rescues.")
        leads.add_metric((), self._dispatcher.leads())
        for queue in Queue:
            depth = depths.get(queue) or QueueDepth(queue, 0, 0, 0, 0, None)
            for state in ("waiting", "delayed", "published", "running"):
                jobs.add_metric((queue, state), getattr(depth, state))
            since = depth.oldest_waiting_at
            oldest.add_metric((queue,), 0.0 if since is None else max(0.0, (at - since).total_seconds()))
            serving = [worker for worker in workers if queue in offers_of(worker).queues]
            for state in sorted(fleet.LIVE):
                up.add_metric((queue, state), sum(worker.state == state for worker in serving))
            ready = (worker for worker in serving if worker.state != fleet.WorkerState.STANDBY)
            slots.add_metric((queue,), sum(worker.slots for worker in ready))
        others = (*self._of_pauses(), *self._of_outbox(), *self._of_callbacks(), *self._of_cache(), self._of_uploads())
        return (jobs, oldest, up, slots, leads, *others)

    def _of_pauses(self) -> Iterable[Metric]:
        paused = GaugeMetricFamily(
            "switchyard_paused", "Pauses that hold; * stands for any.", labels=("queue", "kind", "tenant")
        )
        held = GaugeMetricFamily("switchyard_paused_jobs", "Queued jobs that a pause holds.", labels=("queue",))
        found = pauses.in_effect_now(self._ledger)
        names = tenants.names(self._ledger) if found else {}
        for one in found:
            paused.add_metric((one.queue, one.kind, names.get(one.tenant_id, one.tenant_id)), 1)
        counts = pauses.held_counts(self._ledger)
        for queue in Queue:
            held.add_metric((queue,), sum(by_queue.get(queue, 0) for by_queue in counts.values()))
        return paused, held

    def _of_callbacks(self) -> Iterable[Metric]:
        count, since = deliveries.standing(self._ledger)
        age_s = 0.0 if since is None else max(0.0, (now() - since).total_seconds())
        return (
            GaugeMetricFamily("switchyard_callbacks_pending", "Callbacks to be tried, or tried again.", value=count),
            GaugeMetricFamily("switchyard_callbacks_oldest_seconds", "Age of the oldest of them.", value=age_s),
        )

    def _of_uploads(self) -> Metric:
        return CounterMetricFamily(
            "switchyard_uploads_expired",
            "Uploads removed because nobody used them, complete or not.",
            value=totals.read(self._ledger, totals.UPLOADS_EXPIRED),
        )

    def _of_cache(self) -> Iterable[Metric]:
        lookups = CounterMetricFamily(
            "switchyard_cache_lookups",
            "Jobs that looked for an earlier answer to the same request.",
            labels=("kind", "outcome"),
        )
        evictions = CounterMetricFamily(
            "switchyard_cache_evictions", "Earlier answers that made room for newer ones.", labels=("kind",)
        )
        for kind, counted in cached_results.lookups_by_kind(self._ledger).items():
            lookups.add_metric((kind, "hit"), counted.hits)
            lookups.add_metric((kind, "miss"), counted.misses)
            evictions.add_metric((kind,), counted.evictions)
        return lookups, evictions

    def _of_outbox(self) -> Iterable[Metric]:
        standing = outbox.standing(self._ledger)
        since = standing.oldest_at
        age_s = 0.0 if since is None else max(0.0, (now() - since).total_seconds())
        events = GaugeMetricFamily(
            "switchyard_domain_events", "Domain events not yet told to Redis.", labels=("state",)
        )
        events.add_metric(("pending",), standing.pending)
        events.add_metric(("dead",), standing.dead)
        oldest = GaugeMetricFamily(
            "switchyard_domain_events_oldest_seconds", "Age of the oldest pending domain event.", value=age_s
        )
        return (events, oldest)
