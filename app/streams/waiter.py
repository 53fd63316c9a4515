"""How a request waits for a job: woken by the hub, sure by the ledger."""

import time

from app.streams.feed import Bell, Feed
from app.streams.hub import Hub
from tasks.core.ledger import Ledger, queries
from tasks.core.records import TERMINAL

# How often who waits sees to it that the hub, which looks into the ledger for everybody, is still there.
_STEP_S = 5.0


class HubWaiter:
    """Waits on the hub's one connection; reads the ledger at the start and at each transition."""

    def __init__(self, hub: Hub, ledger: Ledger) -> None:
        self._hub = hub
        self._ledger = ledger

    @property
    def is_draining(self) -> bool:
        """Whether this process was told to stop, so that nobody should wait here any more."""
        return self._hub.is_draining

    def wait(self, job_id: str, version_seen: int | None, timeout_s: float) -> None:
        """Return when the job has ended or is gone; with ``version_seen``, at another version or a new report, too.

        At the latest after ``timeout_s``, and at once while this process drains. The caller looks for itself.

        Raises:
            LedgerUnavailable: the ledger does not answer.
        """
        bell = Bell()
        deadline = time.monotonic() + timeout_s
        with self._hub.watching(job_id, bell, states_only=version_seen is None) as feed:
            if version_seen is None:
                self._wait_for_end(feed, bell, deadline=deadline)
            else:
                self._wait_for_change(feed, bell, version_seen=version_seen, deadline=deadline)

    def _wait_for_end(self, feed: Feed, bell: Bell, *, deadline: float) -> None:
        while True:
            pulse = queries.pulse(self._ledger, feed.job_id)
            if pulse is None or pulse.state in TERMINAL or not self._rings(bell, deadline):
                return
            if feed.newest is not None and feed.newest.is_terminal:
                self._ledger.note_on_disk((feed.job_id, feed.newest.n))
                return  # the caller reads the whole record anyway

    def _rings(self, bell: Bell, deadline: float) -> bool:
        """Wait for the bell; False when the time is over or this process drains."""
        while (left := deadline - time.monotonic()) > 0 and not self._hub.is_draining:
            if bell.wait(min(_STEP_S, left)):
                return not self._hub.is_draining
            self._hub.keep_running()
        return False

    def _wait_for_change(self, feed: Feed, bell: Bell, *, version_seen: int, deadline: float) -> None:
        changes = feed.changes
        job = first = queries.job(self._ledger, feed.job_id)
        while job is not None and first is not None and job.version == version_seen and job.progress == first.progress:
            left = deadline - time.monotonic()
            if left <= 0 or feed.changes != changes or self._hub.is_draining:
                return
            if not bell.wait(min(_STEP_S, left)):
                self._hub.keep_running()
            if feed.changes == changes:
                job = queries.job(self._ledger, feed.job_id)
