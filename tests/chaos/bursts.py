"""Many brief jobs that become due at the same moment, so that children run them in one go."""

from datetime import timedelta

from tasks.core.clock import now, rfc3339
from tasks.core.spec import Queue
from tests.chaos.house import QUEUE, House
from tests.chaos.ledger_reading import Running, running_jobs, unfinished
from tests.chaos.submitter import Submitter

# Of a kind of their own: one long job among them, and they are not brief.
BURST_QUEUE = Queue.MAINTENANCE
QUEUES = (QUEUE, BURST_QUEUE)
"""What workers are to serve."""


# How often the ledger is looked at while a burst is run, which takes some tenths of a second.
_LOOK_S = 0.005


def catch_in_a_burst(house: House, submitter: Submitter, *, due_in_s: float, jobs: int = 40) -> Running:
    """Submit brief jobs by way of ``BURST_QUEUE`` and return one of them as it runs; again, if none was seen to."""
    while True:
        due = rfc3339(now() + timedelta(seconds=due_in_s))
        burst = {told.id for told in submitter.submit_many(jobs, options={"not_before": due}, seconds=0)}
        while unfinished(house.ledger, burst):
            for one in running_jobs(house.ledger):
                if one.job in burst:
                    return one
            house.trial.sleep(_LOOK_S)
