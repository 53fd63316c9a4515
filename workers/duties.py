"""temporary"""

from datetime import timedelta
from threading import Event, Thread

from tasks.core.clock import now
from tasks.core.errors import LedgerUnavailable
from tasks.core.ledger import fleet, state_events, streams
from tasks.core.outcome import settle_lost
from tasks.core.records import Cause
from tasks.core.relay import announce, relay_unsent
from workers.dispatcher import Census


class Duties:
    def __init__(self, kernel):
        self.kernel = kernel
        self._stopped = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self.census = Census()

    def start(self):
        self._thread.start()

    def stop(self):
        self._stopped.set()
        self._thread.join(timeout=5)

    def _run(self):
        while not self._stopped.wait(0.5):
            try:
                self._once()
            except LedgerUnavailable:
                self.census.reset()

    def _once(self):
        ledger = self.kernel.ledger
        holders = fleet.holders(ledger)
        beats = {w.name: w.beat for w in fleet.live_workers(ledger)}
        for name in self.census.gone(beats, holders, lease_s=self.kernel.settings.lease_s):
            for held in fleet.held_by(ledger, name):
                job = settle_lost(
                    ledger, held.job_id, worker=name, cause=Cause.WORKER_LOST, message="gone", fence=held.fence
                )
                if job:
                    announce(ledger, self.kernel.events, job)
            fleet.set_state(ledger, name, "gone")
        unsent = state_events.unsent_events(ledger, before=now() - timedelta(seconds=2))
        if unsent:
            relay_unsent(ledger, self.kernel.events, unsent)
        streams.sweep(ledger)
