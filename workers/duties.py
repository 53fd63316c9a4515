"""A dispatcher's duties in a house without Redis, beside a local runner: everything but carrying."""

import platform
import secrets
from functools import partial
from threading import Event, Thread

import structlog

from tasks.core.errors import LedgerUnavailable
from tasks.core.events import EventsUnavailable
from tasks.core.kernel import Kernel
from tasks.core.outbox_relay import OutboxRelay
from tasks.registry import load_specs
from workers.apart import done_apart
from workers.callbacks import SenderKeeper
from workers.census import WatchedTime
from workers.flow import Flow
from workers.judge import Judge, relay_late
from workers.leadership import Leadership
from workers.schedules import FIRES_AGAIN_S, Scheduler

log = structlog.get_logger()

_LONGEST_TICK_S = 1.0


class Duties:
    """A thread of its own. Of several runners on one ledger, the holder of the dispatcher's lease acts."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        lease_s = kernel.settings.lease_s
        # A short lease must still be watched several times before it is over.
        self._tick_s = min(_LONGEST_TICK_S, lease_s / 8)
        holder = f"local@{platform.node()}#{secrets.token_hex(4)}"
        self._leadership = Leadership(kernel.ledger, holder=holder, lease_s=lease_s)
        self._judge = Judge(kernel, clock=WatchedTime(longest_step_s=2 * self._tick_s))
        self._outbox = OutboxRelay(kernel.ledger, None)
        self._callbacks = SenderKeeper(kernel.ledger)
        self._flow = Flow(kernel)
        self._scheduler = Scheduler(kernel, load_specs(kernel.settings.extra_families))
        self._term: int | None = None
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="duties", daemon=True)

    def start(self) -> None:
        """Lead when it is our turn, and act while we do, until ``stop``."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the present round and give the lease back."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._act()
            except (LedgerUnavailable, EventsUnavailable) as exc:
                log.warning("duties_without_ledger", reason=str(exc))
                self._judge.reset()
            except Exception:  # without this thread nothing is rescued: it must outlive a surprise
                log.exception("duties_failed")
            self._stopping.wait(FIRES_AGAIN_S if self._scheduler.is_busy else self._tick_s)
        self._leadership.resign()
        self._callbacks.stop()

    def _act(self) -> None:
        if not self._leadership.holds():
            return
        if self._leadership.term != self._term:
            self._term = self._leadership.term
            self._judge.reset()
        self._judge.act()
        done_apart(self._flow.tick, named="flow")
        done_apart(self._outbox.tick, named="outbox")
        done_apart(self._callbacks.look_after, named="callbacks")
        done_apart(partial(relay_late, self._kernel), named="relay", passing_on=(EventsUnavailable, LedgerUnavailable))
        done_apart(self._scheduler.tick, named="schedules")
