"""Bring state events from the ledger into the live stream: at once by whoever made them, again by the dispatcher."""

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock

import structlog

from tasks.core.errors import LedgerUnavailable
from tasks.core.events import Events, EventsUnavailable
from tasks.core.ledger import Ledger, state_events
from tasks.core.records import Job, StateEvent

log = structlog.get_logger()

# Jobs whose events go to Redis in one exchange, which takes it a few milliseconds.
_JOBS_AT_ONCE = 100


class Opening:
    """Tells that an attempt has begun: before anything else of it is told, or a little later, or with its end.

    Most attempts report something or last a while. One that does neither costs a single call for both its states.
    """

    def __init__(self, ledger: Ledger, events: Events, claimed: Job) -> None:
        self._ledger = ledger
        self._events = events
        self._untold: list[StateEvent] = state_events.so_far(claimed)
        self._telling = Lock()

    def tell(self) -> None:
        """Append what is not told yet; quiet as ``announce`` is."""
        with self._telling:
            pending, self._untold = self._untold, []
            if pending:
                _quietly(lambda: relay_job(self._ledger, self._events, pending))

    def take_with(self, ended: Job) -> list[StateEvent]:
        """Leave to the caller to tell what is not told yet, with the transition that ended the attempt."""
        with self._telling:
            pending, self._untold = [*self._untold, state_events.state_event_of(ended)], []
            return pending


# An attempt that has ended: how it began is known to its viewers or not, and how its job ended.
Ended = tuple[Opening, Job]


def tell_ends(ledger: Ledger, events: Events, ends: Sequence[Ended]) -> None:
    """Tell how attempts of this process ended, once the disk has it, and what is not told yet of how they began.

    Quiet as ``announce`` is. Should this process be gone before: the ledger has the events, and the dispatcher sees
    that Redis lacks them.
    """
    try:
        ledger.sync()
    except LedgerUnavailable as exc:  # its cause is the disk
        log.error("end_not_on_disk", job_ids=[job.id for _, job in ends], code=exc.code)
        return
    pending = [opening.take_with(job) for opening, job in ends]
    for first in range(0, len(pending), _JOBS_AT_ONCE):
        some = pending[first : first + _JOBS_AT_ONCE]
        _quietly(partial(_relay_jobs, ledger, events, some))


def announce(ledger: Ledger, events: Events, job: Job) -> None:
    """Append the transition that ``job`` has just made, and any earlier one that the stream lacks.

    Quiet when Redis is away, or the ledger when it is needed: the dispatcher relays it later.
    """
    _quietly(lambda: relay_job(ledger, events, [state_events.state_event_of(job)]))


def _quietly(relay: Callable[[], None]) -> None:
    try:
        relay()
    except (EventsUnavailable, LedgerUnavailable):
        return


def announce_all(ledger: Ledger, events: Events, jobs: Sequence[Job]) -> None:
    """Append the transitions that these jobs have just made, and note in the ledger that the streams have them.

    Quiet when Redis or the ledger is away: the dispatcher relays them later.
    """
    try:
        relay_unsent(ledger, events, [state_events.state_event_of(job) for job in jobs])
    except (EventsUnavailable, LedgerUnavailable):
        return


def relay_job(ledger: Ledger, events: Events, pending: Sequence[StateEvent]) -> None:
    """Append one job's pending state events, in order, and before them any earlier ones that the stream lacks.

    Raises:
        EventsUnavailable: Redis is away.
    """
    have = events.append_states(pending)
    if have < pending[-1].n:
        _fill(ledger, events, pending[0].job_id, after=have)


def _fill(ledger: Ledger, events: Events, job_id: str, *, after: int) -> None:
    found = state_events.events_of(ledger, job_id, after=after)
    if found:  # else the job was erased meanwhile
        ledger.sync_seen({(job_id, event.n): event.at for event in found})
        events.append_states(found)


def relay_unsent(ledger: Ledger, events: Events, unsent: Sequence[StateEvent]) -> int:
    """Append every state event in ``unsent`` and note it in the ledger; return how many were.

    A note that is lost costs a second look: Redis says then that it has the event.

    Raises:
        EventsUnavailable: Redis went away; what was noted stays noted.
    """
    by_job: dict[str, list[StateEvent]] = {}
    for event in unsent:
        by_job.setdefault(event.job_id, []).append(event)
    sent: list[StateEvent] = []
    try:
        # Nearly all of them are there, because whoever makes a transition tells of it at once.
        have = events.newest_states(by_job)
        lacking = [pending for job_id, pending in by_job.items() if have[job_id] < pending[-1].n]
        sent += [event for job_id, pending in by_job.items() if have[job_id] >= pending[-1].n for event in pending]
        for first in range(0, len(lacking), _JOBS_AT_ONCE):
            some = lacking[first : first + _JOBS_AT_ONCE]
            _relay_jobs(ledger, events, some)
            sent += [event for pending in some for event in pending]
    finally:
        state_events.mark_sent(ledger, sent)
    return len(sent)


def _relay_jobs(ledger: Ledger, events: Events, jobs: Sequence[Sequence[StateEvent]]) -> None:
    for pending, have in zip(jobs, events.append_states_of_jobs(jobs), strict=True):
        if have < pending[-1].n:
            _fill(ledger, events, pending[0].job_id, after=have)
