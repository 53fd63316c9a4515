"""The loop of the process that sends callbacks. Several may run: one at a time takes a delivery from the ledger."""

import random
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Lock

import structlog

from tasks.core.callbacks.patience import next_pause_s
from tasks.core.callbacks.posting import post
from tasks.core.callbacks.records import TEST, Tried
from tasks.core.callbacks.turns import share_out
from tasks.core.egress import Egress
from tasks.core.errors import LedgerUnavailable
from tasks.core.ledger import Ledger, callbacks, deliveries
from tasks.core.ledger.deliveries import Taken
from tasks.core.settings import Settings

log = structlog.get_logger()

PLACES = 32
"""Deliveries at a time."""
_LOOK_EVERY_S = 0.25
_AWAY_S = 1.0
_BATCH = 200
# Beside the try itself, what it takes to write down what came of it, on a machine that is busy.
_SPARE_S = 5.0


class Sender:
    """Turns events into deliveries, and sends what is due. ``egress`` belongs to whoever made it."""

    def __init__(self, ledger: Ledger, settings: Settings, egress: Egress) -> None:
        self._ledger = ledger
        self._settings = settings
        self._client = egress.client(
            max_connections=PLACES,
            connect_timeout_s=settings.callback_timeout_s,
            read_timeout_s=settings.callback_timeout_s,
            total_timeout_s=settings.callback_timeout_s,
        )
        self._pool = ThreadPoolExecutor(PLACES, thread_name_prefix="callback")
        self._chance = random.Random()  # noqa: S311  # jitter
        self._lock = Lock()
        self._by_lane: Counter[str] = Counter()
        self._by_tenant: Counter[str] = Counter()
        self._is_stopping = False
        self._woken = Event()

    def run(self) -> None:
        """Work until ``stop``; tries that are under way then are awaited."""
        log.info("callback_sender_started")
        while not self._is_stopping:
            pause_s = _LOOK_EVERY_S
            try:
                if self.tick():
                    pause_s = 0.0
            except LedgerUnavailable as exc:
                log.warning("callback_sender_without_ledger", code=exc.code)
                pause_s = _AWAY_S
            self._woken.wait(pause_s)
            self._woken.clear()
        self.close()
        log.info("callback_sender_stopped")

    def stop(self) -> None:
        """Let ``run`` return after the present round. Takes no lock, so that a handler of signals may call it."""
        self._is_stopping = True

    def close(self) -> None:
        """Await what is under way, and close the connections."""
        self._pool.shutdown()
        self._client.close()

    def tick(self) -> bool:
        """Do everything once; tell whether there is more to write down at once.

        Raises:
            LedgerUnavailable: what was written stays written.
        """
        keep_s = self._settings.callback_retry_s
        told = callbacks.tell_transitions(self._ledger, keep_trying_s=keep_s, limit=_BATCH)
        heard = callbacks.tell_domain_events(self._ledger, keep_trying_s=keep_s, limit=_BATCH)
        self._begin_what_is_due()
        return _BATCH in {told, heard}

    def _begin_what_is_due(self) -> None:
        with self._lock:
            free = PLACES - self._by_lane.total()
            by_lane, by_tenant = dict(self._by_lane), dict(self._by_tenant)
        if not free:
            return
        shares = share_out(deliveries.due_lanes(self._ledger), free=free, by_lane=by_lane, by_tenant=by_tenant)
        hold_s = 2 * self._settings.callback_timeout_s + _SPARE_S
        for lane, count in shares.items():
            for taken in deliveries.take(self._ledger, lane, limit=count, hold_s=hold_s):
                self._count(taken, 1)
                self._pool.submit(self._deliver, taken).add_done_callback(_tell_surprise)

    def _count(self, taken: Taken, change: int) -> None:
        with self._lock:
            for counter, name in (
                (self._by_lane, taken.delivery.lane),
                (self._by_tenant, taken.delivery.tenant_id),
            ):
                counter[name] += change
                if not counter[name]:
                    del counter[name]

    def _deliver(self, taken: Taken) -> None:
        try:
            if not taken.webhook.enabled and taken.delivery.type != TEST:
                deliveries.give_up(self._ledger, taken)
                return
            self._record(taken, post(self._client, self._settings, taken))
        except LedgerUnavailable as exc:
            # It becomes due again by itself, and is sent under the same id.
            log.warning("callback_not_recorded", delivery_id=taken.delivery.id, code=exc.code)
        finally:
            self._count(taken, -1)
            self._woken.set()

    def _record(self, taken: Taken, tried: Tried) -> None:
        delivery = taken.delivery
        pause_s = next_pause_s(
            delivery.tries, at=taken.now, give_up_at=delivery.give_up_at, chance=self._chance, asked_s=tried.wait_s
        )
        if tried.is_gone:
            pause_s = None
        off = deliveries.record(
            self._ledger, taken, tried, again_in_s=pause_s, off_after_s=self._settings.callback_off_after_s
        )
        named = {
            "delivery_id": delivery.id,
            "webhook_id": delivery.webhook_id,
            "job_id": delivery.job_id,
            "type": delivery.type,
            "tries": delivery.tries,
            "status": tried.status,
            "took_ms": round(tried.took_ms),
        }
        if tried.is_delivered:
            log.info("callback_delivered", **named)
        elif pause_s is None:
            log.warning("callback_dead", error=tried.error, **named)
        else:
            log.info("callback_failed", error=tried.error, again_in_s=round(pause_s, 1), **named)
        if off is not None:
            log.warning("webhook_switched_off", webhook_id=delivery.webhook_id, reason=off.value)


def _tell_surprise(done: Future[None]) -> None:
    # A bug of ours: the delivery becomes due again, and nobody would know why.
    if (surprise := done.exception()) is not None:
        log.error("callback_broke", exc_info=surprise)
