"""F3: a worker dies between taking a message from Redis and recording the start in the ledger."""

import os
import signal
import time

import psutil

from tests.chaos.house import QUEUE, House, open_house
from tests.chaos.ledger_reading import queued_jobs
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge, next_starts, recovered_within
from tests.integration.processes import LocalProcess, family_of, freeze

# Where Celery keeps what waits: `global_keyprefix` and the queue's name.
_REDIS_LIST = f"sy:{QUEUE}"


def play(trial: Trial) -> Verdict:
    """Freeze the pool children, so that the parent takes messages that nobody claims; then kill."""
    rounds = trial.pick(quick=2, full=8)
    with open_house(trial) as house:
        worker = house.furnish(workers=1)[0]
        submitter = house.submitter(resend_every=0)
        submitter.submit(seconds=0.1)  # the children have loaded everything once
        house.drain(within_s=60)
        taken: list[tuple[str, float]] = []
        for number in range(rounds):
            whole = number % 2 == 1
            taken += _die_with_messages(house, worker, whole=whole)
            if whole:
                worker = house.start_worker()
            house.drain(within_s=90)
        submitter.submit_many(trial.pick(quick=5, full=50), seconds=0.1)
        house.drain(within_s=trial.pick(quick=60, full=120))
        recoveries_s = next_starts(house, taken)
        return judge(
            house,
            Claim("messages were taken and never recorded", f"{len(taken)} in {rounds} rounds", len(taken) >= rounds),
            recovered_within(
                recoveries_s, trial.patient_s(30.0), expected=len(taken), what="carried and started again"
            ),
            recoveries_s=recoveries_s,
        )


def _die_with_messages(house: House, worker: LocalProcess, *, whole: bool) -> list[tuple[str, float]]:
    """Let the worker take messages, kill its children (and, if ``whole``, its parent) before they claim.

    Returns the jobs whose messages are gone, with the time of the kill.
    """
    trial, submitter = house.trial, house.submitters[0]
    children = _pool_of(house, worker)
    freeze(children, house.ledger)
    sent = {told.id for told in submitter.submit_many(len(children), seconds=0.1)}
    trial.await_true(
        lambda: sent <= set(queued_jobs(house.ledger, published=True)) and not house.redis.client.llen(_REDIS_LIST),
        "the worker takes the messages",
        within_s=30,
    )
    trial.sleep(0.5)  # from the socket to the child's pipe
    if whole:
        os.kill(worker.pid, signal.SIGKILL)
    for child in children:
        child.kill()
    at = time.time()
    lost = sorted(sent & set(queued_jobs(house.ledger, published=True)))
    trial.say(f"killed {'a whole worker' if whole else 'its children'} with {len(lost)} messages in hand")
    return [(job, at) for job in lost]


def _pool_of(house: House, worker: LocalProcess) -> list[psutil.Process]:
    """List the pool's children: they lead groups of their own."""

    def find() -> list[psutil.Process]:
        slots = house.await_up(worker.pid).slots
        below = family_of(worker.pid)[1:]
        leaders = [child for child in below if os.getpgid(child.pid) == child.pid]
        return leaders if len(leaders) == slots else []

    found: list[psutil.Process] = house.trial.await_true(find, "the pool is complete", within_s=60)
    return found


SCENARIOS = (
    Scenario(
        "F3",
        "a worker dies between taking a message and recording it",
        play,
        bound_s=600,
    ),
)
