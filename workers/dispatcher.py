"""The process that carries what waits, carries again what Redis lost, rescues, expires, and relays state events.

Several may run; the holder of the lease in the ledger acts. It judges by its own monotonic clock and only by what it
saw itself, so it judges nobody during its first lease, or during the first lease after the ledger was away. Whatever it
does is compare-and-set on jobs: a leader that was frozen and is one no longer can do no harm in the tick it is in.
"""

import platform
import secrets
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
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
from tasks.core.ledger import carrying, fleet, state_events, transitions
from tasks.core.ledger.carrying import Backlog
from tasks.core.ledger.fleet import WorkerState
from tasks.core.outcome import settle_lost
from tasks.core.records import Cause, Job
from tasks.core.relay import announce, relay_unsent
from tasks.core.spec import Queue
from workers.broker import Broker, Losses
from workers.census import Census, Listening, WatchedTime
from workers.leadership import Leadership
from workers.pace import SHORTEST_S, Pace

log = structlog.get_logger()

_LONGEST_TICK_S = 1.0
# State events younger than this are still on their way by the hand of whoever made them.
_RELAY_AFTER_S = 2.0
_RELAY_EVERY_S = 0.25
_FORGET_WORKERS_AFTER_S = 24 * 3600.0
_FORGET_EVERY_S = 600.0


class Dispatcher:
    """Ticks at least once a second, at once when the bell rings, and sooner while a backlog keeps workers busy."""

    def __init__(self, kernel: Kernel, celery: Celery) -> None:
        settings = kernel.settings
        self._kernel = kernel
        self._publisher = Publisher(celery)
        # A short lease must still be watched several times before it is over.
        self._tick_s = min(_LONGEST_TICK_S, settings.lease_s / 8)
        prefix = str(celery.conf.broker_transport_options.get("global_keyprefix", ""))
        self._broker = Broker(settings.redis_url, key_prefix=prefix, longest_wait_s=self._tick_s)
        self._breaker = Breaker()
        holder = f"dispatcher@{platform.node()}#{secrets.token_hex(4)}"
        self._leadership = Leadership(kernel.ledger, holder=holder, lease_s=settings.lease_s)
        watched = WatchedTime(longest_step_s=2 * self._tick_s)
        self._census = Census(clock=watched)
        self._listening = Listening(clock=watched)
        self._losses = Losses(settings.carry_again_s, clock=watched)
        self._pace = Pace(self._tick_s)
        self._pause_s = self._tick_s
        self._stopping = Event()
        self._judges = _Every(self._tick_s / 2)
        self._relays = _Every(_RELAY_EVERY_S)
        self._looks_for_losses = _Every(settings.carry_again_s / 10)
        self._forgets = _Every(_FORGET_EVERY_S)

    def run(self) -> None:
        """Lead when it is our turn, and tick while we do, until ``stop``."""
        log.info("dispatcher_started")
        leads_in: int | None = None
        while not self._stopping.is_set():
            began = time.monotonic()
            leads = False
            try:
                leads = self._leadership.holds()
                if leads and self._leadership.term != leads_in:
                    leads_in = self._leadership.term
                    self._judge_anew()
                if leads:
                    self.tick()
            except LedgerUnavailable as exc:
                log.warning("dispatcher_without_ledger", code=exc.code)
                self._judge_anew()
                leads = False
            except Exception:  # without a dispatcher nothing is rescued: it must outlive a surprise
                log.exception("tick_failed")
            self._rest(listens=leads, began=began)
        self._leadership.resign()
        self._publisher.close()
        self._broker.close()
        log.info("dispatcher_stopped")

    def stop(self) -> None:
        """Let ``run`` return after the present tick."""
        self._stopping.set()

    def tick(self) -> None:
        """Do everything once.

        Raises:
            LedgerUnavailable: nothing can be done without the ledger.
        """
        if self._judges.is_due():
            self._rescue()
            self._retry_silent()
            self._expire()
            self._forget_old_workers()
        self._pause_s = self._tick_s
        if not self._breaker.is_open:
            try:
                self._work_with_broker()
                self._breaker.succeeded()
            except (DispatchFailed, EventsUnavailable, redis.RedisError) as exc:
                self._breaker.failed()
                log.warning("dispatcher_without_broker", reason=str(exc))

    def _judge_anew(self) -> None:
        self._census.reset()
        self._listening.reset()

    def _rest(self, *, listens: bool, began: float) -> None:
        """Wait for the bell; who does not lead must leave it to the leader."""
        if not listens or self._breaker.is_open:
            self._stopping.wait(self._tick_s)
            return
        try:
            self._broker.await_bell(at_most_s=self._pause_s)
        except redis.RedisError:
            self._breaker.failed()
            self._stopping.wait(self._tick_s)
        # A thousand submits a second ring as often.
        self._stopping.wait(max(0.0, SHORTEST_S - (time.monotonic() - began)))

    # ---- what needs Redis

    def _work_with_broker(self) -> None:
        wiped = not self._broker.is_known()
        if wiped or self._looks_for_losses.is_due():
            self._carry_again(wiped=wiped)
        if wiped:
            self._broker.mark()
        waiting = carrying.backlogs(self._kernel.ledger, list(Queue))
        self._pause_s = self._pace.pause_s([(backlog, self._carry(backlog)) for backlog in waiting])
        if self._relays.is_due():
            self._relay()

    def _carry(self, backlog: Backlog) -> int:
        if not backlog.room:
            return 0
        carried = carrying.take_due(self._kernel.ledger, backlog.queue)
        self._publish(carried)
        return len(carried)

    def _carry_again(self, *, wiped: bool) -> None:
        published = carrying.published(self._kernel.ledger, list(Queue))
        for queue in Queue:
            held = partial(self._broker.held, queue)
            lost = self._losses.lost(queue, published.get(queue, set()), held=held, wiped=wiped)
            if lost:
                again = carrying.take_again(self._kernel.ledger, lost)
                log.warning("carried_again", queue=queue.value, jobs=len(again), wiped=wiped)
                self._publish(again)

    def _publish(self, carried: Sequence[Job]) -> None:
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

    # ---- what needs the ledger only

    def _rescue(self) -> None:
        ledger = self._kernel.ledger
        # Holders first: who registers and claims between the two questions must not look like a holder without a row.
        holders = fleet.holders(ledger)
        beats = {worker.name: worker.beat for worker in fleet.live_workers(ledger)}
        for name in self._census.gone(beats, holders, lease_s=self._kernel.settings.lease_s):
            for held in fleet.held_by(ledger, name):
                message = f"The worker {name} stopped beating."
                self._settle(held.job_id, held.fence, worker=name, cause=Cause.WORKER_LOST, message=message)
            if name in beats:
                fleet.set_state(ledger, name, WorkerState.GONE)
                log.warning("worker_gone", worker=name)

    def _retry_silent(self) -> None:
        for attempt in self._listening.silent(fleet.watched(self._kernel.ledger)):
            message = f"The attempt gave no sign of life for {attempt.silence_s:g} s."
            self._settle(attempt.job_id, attempt.fence, worker=attempt.worker, cause=Cause.SILENT, message=message)

    def _settle(self, job_id: str, fence: int, *, worker: str, cause: Cause, message: str) -> None:
        ledger = self._kernel.ledger
        job = settle_lost(ledger, job_id, worker=worker, cause=cause, message=message, fence=fence)
        if job is not None:
            log.warning(
                "job_rescued",
                job_id=job.id,
                correlation_id=job.correlation_id,
                worker=worker,
                cause=cause.value,
                state=str(job.state),
            )
            announce(ledger, self._kernel.events, job)

    def _expire(self) -> None:
        for job in transitions.expire(self._kernel.ledger):
            log.info("job_expired", job_id=job.id, correlation_id=job.correlation_id)
            announce(self._kernel.ledger, self._kernel.events, job)

    def _forget_old_workers(self) -> None:
        if self._forgets.is_due():
            fleet.forget(self._kernel.ledger, older_than_s=_FORGET_WORKERS_AFTER_S)


class _Every:
    """Tells, at most once in ``period_s``, that something is due; the first time at once."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._last_at: float | None = None

    def is_due(self) -> bool:
        at = time.monotonic()
        if self._last_at is not None and at - self._last_at < self._period_s:
            return False
        self._last_at = at
        return True
