"""Many brief jobs that become due at the same moment, so that children run them in one go."""

from datetime import timedelta

from tasks.core.clock import now, rfc3339
from tasks.core.spec import Queue
from tests.chaos.house import QUEUE, House
from tests.chaos.ledger_reading import Running, running_jobs
from tests.chaos.submitter import Submitter

# Of a kind of their own: one long job among them, and they are not brief.
BURST_QUEUE = Queue.MAINTENANCE
QUEUES = (QUEUE, BURST_QUEUE)
"""What workers are to serve."""


def submit_burst(submitter: Submitter, *, due_in_s: float, jobs: int = 40) -> set[str]:
    """Submit them by way of ``BURST_QUEUE``; return their ids."""
    due = rfc3339(now() + timedelta(seconds=due_in_s))
    return {told.id for told in submitter.submit_many(jobs, options={"not_before": due}, seconds=0)}


def running_of(house: House, burst: set[str]) -> Running:
    """Wait until one of them runs, and return it."""

    def find() -> Running | None:
        return next((one for one in running_jobs(house.ledger) if one.job in burst), None)

    found: Running = house.trial.await_true(find, "a job of a burst runs", within_s=60)
    return found
