"""F1: a pool child is killed in the middle of a job, many times."""

import os
import signal
import time
from collections import Counter

from tests.chaos.bursts import BURST_QUEUE, QUEUES, catch_in_a_burst
from tests.chaos.house import House, open_house
from tests.chaos.ledger_reading import Running, lost_attempts, running_jobs
from tests.chaos.registry import Scenario
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge, next_starts, recovered_within

# Four slots could do six jobs a second; a killed child costs its slot a few seconds.
_EVERY_S = 0.6
_JOB_S = 0.7
# A job has five attempts; it must be able to spare those that are taken from it.
_MOST_KILLS_OF_ONE = 3
# Each so manieth child is killed while it runs brief jobs in one go.
_BURST_EVERY = 4


def play(trial: Trial) -> Verdict:
    """Kill the child of a random running job again and again, under a load that leaves the workers some room.

    With a backlog, what was killed would wait behind it, and the time until it runs again would say nothing.
    """
    kills = trial.pick(quick=4, full=40)
    with open_house(trial, heard=True) as house:
        house.furnish(queues=QUEUES)
        submitter, bursts = house.submitter(), house.submitter(queue=BURST_QUEUE)
        house.view(submitter.submit(seconds=3).id)
        submitter.start(every_s=_EVERY_S, seconds=_JOB_S)
        killed: dict[tuple[str, int], float] = {}
        while len(killed) < kills:
            if len(killed) % _BURST_EVERY == _BURST_EVERY - 1:
                victim = catch_in_a_burst(house, bursts, due_in_s=2.0)
            else:
                victim = _victim(house, killed)
            os.kill(victim.child_pid, signal.SIGKILL)
            killed[victim.job, victim.fence] = time.time()
            trial.say(f"killed child {victim.child_pid} ({len(killed)} of {kills})")
            trial.sleep(trial.chance.uniform(1.0, 3.0))
        submitter.stop()
        house.drain(within_s=trial.pick(quick=40, full=150))
        # A child may have finished its job in the moment before the kill; then there is nothing to run again.
        lost = [(job, killed[job, fence]) for job, fence in lost_attempts(house.ledger) if (job, fence) in killed]
        recoveries_s = next_starts(house, lost)
        return judge(
            house,
            recovered_within(recoveries_s, trial.patient_s(15.0), expected=len(lost), what="killed attempts ran again"),
            recoveries_s=recoveries_s,
            notes=[f"{len(killed)} children killed, {len(lost)} of them before their job had ended"],
        )


def _victim(house: House, killed: dict[tuple[str, int], float]) -> Running:
    times = Counter(job for job, _ in killed)

    def find() -> Running | None:
        started = {(start.job, start.fence) for start in house.sink.starts()}
        mortal = [
            one
            for one in running_jobs(house.ledger)
            if (one.job, one.fence) in started
            and times[one.job] < _MOST_KILLS_OF_ONE
            and (one.job, one.fence) not in killed
        ]
        return house.trial.chance.choice(mortal) if mortal else None

    found: Running = house.trial.await_true(find, "a job runs", within_s=60)
    return found


SCENARIOS = (Scenario("F1", "kill -9 a pool child in the middle of a job, many times", play, bound_s=600),)
