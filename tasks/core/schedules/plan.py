"""What is done about the ticks of a schedule that have come: which one makes a job, and which one is looked at next."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.core.schedules.records import CatchUp
from tasks.core.schedules.timing import Timing

MOST_CAUGHT_UP = 100
"""So many of the ticks that were missed are made up for by ``CatchUp.ALL``: the newest."""

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """One step.

    Args:
        tick: that makes a job now; None: none does.
        next_at: the tick to be looked at next; None: there is none.
        skipped: the first and the last of the ticks that make none, for they were missed.
    """

    tick: datetime | None
    next_at: datetime | None
    skipped: tuple[datetime, datetime] | None = None


def planned(timing: Timing, catch_up: CatchUp, due: datetime, *, at: datetime, grace_s: float) -> Plan:
    """Return what to do about ``due``, a tick that has come, and those after it until now, ``at``.

    A tick is missed when it is more than ``grace_s`` ago; every other one makes its job, however many they are.
    """
    missed_until = at - timedelta(seconds=grace_s)
    if due > missed_until:
        return Plan(due, timing.after(due))
    before = due - _INSTANT
    if catch_up is CatchUp.ALL:
        first = (timing.newest(before, missed_until, most=MOST_CAUGHT_UP) or [due])[0]
        if first <= due:
            return Plan(due, timing.after(due))
        return _skipping(timing, due, first)
    # None where `due` is no tick any more, because the rules of its time zone are others since.
    newest = (timing.newest(before, missed_until) or [due])[0]
    following = timing.after(newest)
    if catch_up is CatchUp.SKIP or (following is not None and following <= at):
        return _skipping(timing, due, following)  # what comes on time makes up for the missed ones as well
    if newest <= due:
        return Plan(due, following)
    return Plan(newest, following, _skipping(timing, due, newest).skipped)


def _skipping(timing: Timing, due: datetime, following: datetime | None) -> Plan:
    missed = [due] if following is None else timing.newest(due - _INSTANT, following - _INSTANT)
    return Plan(None, following, (due, missed[0] if missed else due))
