"""The one process that carries what waits, carries again what Redis lost, rescues, and relays state events.

It judges a worker "gone" by its own monotonic clock since that worker's counter last changed, never by comparing wall
clocks, and judges nobody during its first lease, or during the first lease after the ledger was away.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event

import redis
import structlog
from celery import Celery

from tasks.core.breaker import Breaker
from tasks.core.carrier import Publisher
from tasks.core.clock import now
from tasks.core.errors import DispatchFailed, LedgerUnavailable
from tasks.core.events import EventsUnavailable
from tasks.core.kernel import Kernel
from tasks.core.ledger import carrying, fleet, queries, state_events
from tasks.core.ledger.fleet import WorkerState
from tasks.core.outcome import settle_lost
from tasks.core.records import Cause, Job
from tasks.core.redis_events import BELL_KEY, connect
from tasks.core.relay import announce, relay_unsent
from tasks.core.spec import Queue

log = structlog.get_logger()

_TICK_S = 1.0
# State events younger than this are still on their way by the hand of whoever made them.
_RELAY_AFTER_S = 2.0
_FORGET_WORKERS_AFTER_S = 24 * 3600.0
_FORGET_EVERY_S = 600.0


@dataclass(slots=True)
class Census:
    """Who beats, by this process's own clock."""

    clock: Callable[[], float] = time.monotonic
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    _watching_since: float | None = None

    def reset(self) -> None:
        """Forget everything: judge nobody for a full lease."""
        self._seen.clear()
        self._watching_since = None

    def gone(self, beats: dict[str, int], holders: set[str], *, lease_s: float) -> set[str]:
        """Name the workers whose counter stood still for a lease, or that hold jobs without being live at all."""
        at = self.clock()
        if self._watching_since is None:
            self._watching_since = at
        for name, beat in beats.items():
            if name not in self._seen or self._seen[name][0] != beat:
                self._seen[name] = (beat, at)
        self._seen = {name: seen for name, seen in self._seen.items() if name in beats}
        if at - self._watching_since < lease_s:
            return set()
        still = {name for name, (_, changed_at) in self._seen.items() if at - changed_at >= lease_s}
        return still | (holders - beats.keys())


class Dispatcher:
    """Ticks at least once a second, and at once when the bell rings or more can be carried."""

    def __init__(self, kernel: Kernel, celery: Celery) -> None:
        self._kernel = kernel
        self._publisher = Publisher(celery)
        self._key_prefix = str(celery.conf.broker_transport_options.get("global_keyprefix", ""))
        self._redis = connect(kernel.settings.redis_url, timeout_s=_TICK_S + 1.0)
        self._breaker = Breaker()
        self._census = Census()
        self._stopping = Event()
        self._forgot_at = 0.0

    def run(self) -> None:
        """Tick until ``stop``."""
        log.info("dispatcher_started")
        while not self._stopping.is_set():
            try:
                self.tick()
            except LedgerUnavailable as exc:
                log.warning("dispatcher_without_ledger", code=exc.code)
                self._census.reset()
            except Exception:  # without a dispatcher nothing is rescued: it must outlive a surprise
                log.exception("tick_failed")
            self._await_bell()
        self._publisher.close()
        self._redis.close()
        log.info("dispatcher_stopped")

    def stop(self) -> None:
        """Let ``run`` return after the present tick."""
        self._stopping.set()

    def tick(self) -> None:
        """Do everything once.

        Raises:
            LedgerUnavailable: nothing can be done without the ledger.
        """
        self._rescue()
        if not self._breaker.is_open:
            try:
                for queue in Queue:
                    self._carry(queue)
                self._relay()
                self._breaker.succeeded()
            except (DispatchFailed, EventsUnavailable, redis.RedisError) as exc:
                self._breaker.failed()
                log.warning("dispatcher_without_broker", reason=str(exc))

    def _await_bell(self) -> None:
        if self._breaker.is_open:
            self._stopping.wait(_TICK_S)
            return
        try:
            self._redis.blpop([BELL_KEY], timeout=_TICK_S)
        except redis.RedisError:
            self._breaker.failed()
            self._stopping.wait(_TICK_S)

    def _carry(self, queue: Queue) -> None:
        self._publish(carrying.take_due(self._kernel.ledger, queue))
        cutoff = now() - timedelta(seconds=self._kernel.settings.carry_again_s)
        with self._kernel.ledger.read() as connection:
            oldest = queries.oldest_published(connection, queue)
            published = carrying.published_count(connection, queue)
        if oldest is None or oldest > cutoff:
            return
        held = int(self._redis.llen(self._key_prefix + queue))
        if held < published:
            again = carrying.take_stale(self._kernel.ledger, queue, published_before=cutoff)
            log.warning("carried_again", queue=queue.value, jobs=len(again), published=published, in_redis=held)
            self._publish(again)

    def _publish(self, carried: list[Job]) -> None:
        if not carried:
            return
        try:
            self._publisher.publish(carried)
        except DispatchFailed:
            carrying.put_back(self._kernel.ledger, [(job.id, job.carry) for job in carried])
            raise

    def _relay(self) -> None:
        before = now() - timedelta(seconds=_RELAY_AFTER_S)
        unsent = state_events.unsent_events(self._kernel.ledger, before=before)
        if unsent:
            relay_unsent(self._kernel.ledger, self._kernel.events, unsent)

    def _rescue(self) -> None:
        ledger = self._kernel.ledger
        # Holders first: who registers and claims between the two questions must not look like a holder without a row.
        holders = fleet.holders(ledger)
        beats = {worker.name: worker.beat for worker in fleet.live_workers(ledger)}
        gone = self._census.gone(beats, holders, lease_s=self._kernel.settings.lease_s)
        for name in gone:
            for held in fleet.held_by(ledger, name):
                job = settle_lost(
                    ledger,
                    held.job_id,
                    worker=name,
                    cause=Cause.WORKER_LOST,
                    message=f"The worker {name} stopped beating.",
                    fence=held.fence,
                )
                if job is not None:
                    log.warning(
                        "job_rescued",
                        job_id=job.id,
                        correlation_id=job.correlation_id,
                        worker=name,
                        state=str(job.state),
                    )
                    announce(ledger, self._kernel.events, job)
            if name in beats:
                fleet.set_state(ledger, name, WorkerState.GONE)
                log.warning("worker_gone", worker=name)
        if time.monotonic() - self._forgot_at > _FORGET_EVERY_S:
            self._forgot_at = time.monotonic()
            fleet.forget(ledger, older_than_s=_FORGET_WORKERS_AFTER_S)
