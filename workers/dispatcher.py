"""The process that carries what waits, carries again what Redis lost, rescues, expires, and relays events.

Several may run; the holder of the lease in the ledger acts. It judges by its own monotonic clock and only by what it
saw itself, so it judges nobody during its first lease, or during the first lease after the ledger was away. Whatever it
does is compare-and-set on jobs: a leader that was frozen and is one no longer can do no harm in the tick it is in.
"""

import platform
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from threading import Event

import redis
import structlog
from celery import Celery

from tasks.core.breaker import Breaker
from tasks.core.carrier import Publisher
from tasks.core.errors import DispatchFailed, LedgerUnavailable
from tasks.core.events import EventsUnavailable
from tasks.core.kernel import Kernel
from tasks.core.ledger import carrying
from tasks.core.ledger.carrying import Backlog, Unserved
from tasks.core.ledger.shares import Shares
from tasks.core.outbox_relay import OutboxRelay
from tasks.core.records import Job
from tasks.core.spec import Queue
from tasks.core.tenant_streams import TenantStreams
from tasks.registry import load_specs
from workers.apart import done_apart
from workers.broker import Broker, Losses
from workers.callbacks import SenderKeeper
from workers.census import WatchedTime, unserved
from workers.flow import RELEASE_EVERY_S, Flow
from workers.judge import Every, Judge, relay_late
from workers.leadership import Leadership
from workers.matching import MATCHES_EVERY_S, Matching
from workers.pace import SHORTEST_S, Pace
from workers.schedules import FIRES_AGAIN_S, Scheduler

log = structlog.get_logger()

_LONGEST_TICK_S = 1.0
_RELAY_EVERY_S = 0.25
# How often it is looked whether a tenant was passed over in the broker, and how long that may last.
_GIVES_WAY_EVERY_S = 0.25
# For so long a queue whose jobs waited in the broker is taken to go on so: whoever comes next need not find out anew.
_STANDS_FOR_S = 1.0
# So few that they take less time than the workers need to empty the broker's window.
_RELAY_AT_ONCE = 100


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
        self._judge = Judge(kernel, clock=watched)
        self._losses = Losses(settings.carry_again_s, clock=watched)
        specs = load_specs(settings.extra_families)
        self._needy = [spec for spec in specs.values() if spec.capabilities or spec.options]
        self._unserved: Unserved = frozenset()
        self._looks_at_fleet = True
        self._pace = Pace(self._tick_s)
        self._pause_s = self._tick_s
        self._stopping = Event()
        self._judges = Every(self._tick_s / 2)
        self._relays = Every(_RELAY_EVERY_S)
        self._relays_more = False
        self._streams = TenantStreams(settings.redis_url)
        self._outbox = OutboxRelay(kernel.ledger, self._streams)
        self._relays_outbox = Every(_RELAY_EVERY_S)
        self._callbacks = SenderKeeper(kernel.ledger)
        self._flow = Flow(kernel)
        self._scheduler = Scheduler(kernel, specs)
        self._shares = Shares(kernel.limits.weight)
        self._gives_way = Every(_GIVES_WAY_EVERY_S)
        lost = Losses(settings.carry_again_s, clock=watched)
        self._matching = Matching(kernel, self._broker, specs, losses=lost, weigh=self._shares.weigh)
        self._stands_until: dict[str, float] = {}
        self._looks_for_losses = Every(settings.carry_again_s / 10)

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
                    self._judge.reset()
                if leads:
                    self.tick()
            except LedgerUnavailable as exc:
                log.warning("dispatcher_without_ledger", code=exc.code)
                self._judge.reset()
                leads = False
            except Exception:  # without a dispatcher nothing is rescued: it must outlive a surprise
                log.exception("tick_failed")
            self._rest(listens=leads, began=began)
        self._leadership.resign()
        self._callbacks.stop()
        self._publisher.close()
        self._broker.close()
        self._streams.close()
        log.info("dispatcher_stopped")

    def stop(self) -> None:
        """Let ``run`` return after the present tick."""
        self._stopping.set()

    def tick(self) -> None:
        """Do everything once. What is wrong with one thing keeps nobody from the others.

        Raises:
            LedgerUnavailable: nothing can be done without the ledger.
        """
        if self._judges.is_due():
            self._judge.act()
            self._unserved = unserved(self._needy, self._judge.live)
            self._looks_at_fleet = True
        if self._relays_outbox.is_due():
            done_apart(self._outbox.tick, named="outbox")
        done_apart(self._callbacks.look_after, named="callbacks")
        self._flow.tick()
        self._pause_s = self._tick_s
        if not self._breaker.is_open:
            try:
                self._work_with_broker()
                self._breaker.succeeded()
            except (DispatchFailed, EventsUnavailable, redis.RedisError) as exc:
                self._breaker.failed()
                log.warning("dispatcher_without_broker", reason=str(exc))
        if self._flow.is_busy:
            self._pause_s = min(self._pause_s, RELEASE_EVERY_S)
        if self._matching.is_busy:
            self._pause_s = min(self._pause_s, MATCHES_EVERY_S)
        # Last, so that nothing else waits for a schedule; what it accepts is carried in the next tick, which is soon.
        done_apart(self._scheduler.tick, named="schedules")
        if self._scheduler.is_busy:
            self._pause_s = min(self._pause_s, FIRES_AGAIN_S)

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
        if self._gives_way.is_due():
            for queue in Queue:
                self._give_way(queue)
        self._match()
        open_queues = [queue for queue in Queue if queue not in self._matching.closed]
        waiting = carrying.backlogs(
            self._kernel.ledger, open_queues, without=self._not_common, windows=self._pace.windows
        )
        self._pause_s = self._pace.pause_s([self._carry(backlog) for backlog in waiting])
        if self._relays.is_due() or self._relays_more:
            done_apart(self._relay, named="relay", passing_on=(EventsUnavailable, LedgerUnavailable))
        if self._relays_more:
            self._pause_s = SHORTEST_S
        if waiting:
            self._pause_s = min(self._pause_s, _GIVES_WAY_EVERY_S)

    def _relay(self) -> None:
        self._relays_more = False
        self._relays_more = relay_late(self._kernel, limit=_RELAY_AT_ONCE)

    @property
    def _not_common(self) -> Unserved:
        """What does not go into common lines now: nobody can run it, or not everybody who would get it."""
        return frozenset({*self._unserved, *self._matching.uneven})

    def _match(self) -> None:
        if self._looks_at_fleet:
            self._looks_at_fleet = False
            self._matching.look_at(self._judge.live)
        routed = self._matching.tick()
        self._publish([job for job, _ in routed], to={job.id: queue for job, queue in routed})

    def _give_way(self, queue: str) -> int:
        """Take the queue's jobs out of the broker if somebody is passed over there; return how many."""
        at = time.monotonic()
        is_known_to_stand = at < self._stands_until.get(queue, at)
        patience_s = 0.0 if is_known_to_stand else _GIVES_WAY_EVERY_S
        taken_back = carrying.give_way(self._kernel.ledger, queue, patience_s=patience_s, weigh=self._shares.weigh)
        if not taken_back:
            return 0
        self._pace.taken_back(queue, len(taken_back))
        if not is_known_to_stand:
            self._stands_until[queue] = at + _STANDS_FOR_S
        # Else workers would fetch, and refuse, each of them before what goes first now.
        self._broker.remove(queue, taken_back)
        log.info("jobs_gave_way", queue=str(queue), jobs=len(taken_back))
        return len(taken_back)

    def _carry(self, backlog: Backlog) -> tuple[Backlog, int]:
        """Fill the broker; return how much room there was, and how many jobs were carried."""
        if not backlog.room:
            taken_back = self._give_way(backlog.queue)
            if not taken_back:
                return backlog, 0
            backlog = replace(backlog, room=min(backlog.window, taken_back))
        carried = carrying.take_due(
            self._kernel.ledger,
            backlog.queue,
            shares=self._shares,
            without=self._not_common,
            window_of=self._pace.windows.get(backlog.queue, 0),
        )
        self._publish(carried)
        return backlog, len(carried)

    def _carry_again(self, *, wiped: bool) -> None:
        published = carrying.published(self._kernel.ledger, list(Queue))
        for queue in Queue:
            held = partial(self._broker.held, queue)
            lost = self._losses.lost(queue, published.get(queue, set()), held=held, wiped=wiped)
            if lost:
                again = carrying.take_again(self._kernel.ledger, lost)
                log.warning("carried_again", queue=queue.value, jobs=len(again), wiped=wiped)
                self._publish(again)
        self._matching.give_back_lost(wiped=wiped)

    def _publish(self, carried: Sequence[Job], *, to: Mapping[str, str] | None = None) -> None:
        if not carried:
            return
        try:
            self._publisher.publish(carried, to=to)
        except DispatchFailed:
            carrying.put_back(self._kernel.ledger, [(job.id, job.carry) for job in carried])
            raise
