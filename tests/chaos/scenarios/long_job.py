"""F4: jobs five times longer than every broker timeout, two workers, and a broker that delivers again all the while."""

import time

from tests.chaos.house import QUEUE, House, open_house
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.trial import SCALED, Trial
from tests.chaos.verdict import Verdict, judge
from tests.integration.processes import LocalProcess

_REDIS_LIST = f"sy:{QUEUE}"
# Kombu's visibility timeout; Redis' own clients give up after one second.
_TIMEOUT_S = 2.0
# `health_check_interval` of the broker's clients, which cannot be set.
_LONGEST_TIMEOUT_S = 10.0
_JOBS = 2


def play(trial: Trial) -> Verdict:
    """Put the very messages back into Redis after each timeout, while their jobs run and after they ended."""
    seconds = 5 * trial.pick(quick=_TIMEOUT_S, full=_LONGEST_TIMEOUT_S)
    # Nobody carries again what waits for a worker to start: the messages must stay those that the jobs are claimed by.
    settings = SCALED.settings() | {"redis_timeout_s": "1", "carry_again_s": "60"}
    with open_house(trial, settings=settings) as house:
        house.env["CHAOS_VISIBILITY_TIMEOUT_S"] = f"{_TIMEOUT_S:g}"
        house.furnish(workers=0)
        submitter = house.submitter()
        submitter.submit_many(_JOBS, seconds=seconds)
        house.view(submitter.ids[0])
        trial.await_true(lambda: house.redis.client.llen(_REDIS_LIST) >= _JOBS, "both are in Redis", within_s=60)
        trial.sleep(1)  # a dispatcher that has just begun to lead may carry once more what it has not seen itself
        messages = house.redis.client.lrange(_REDIS_LIST, 0, -1)
        workers = house.start_workers(2)  # four slots: half of them are free to take what comes again
        trial.await_true(lambda: len(house.sink.starts()) >= _JOBS, "both jobs start", within_s=90)
        delivered = len(messages) - _JOBS
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            trial.sleep(_TIMEOUT_S)
            delivered += _deliver_again(house, messages)
        house.drain(within_s=60)
        delivered += _deliver_again(house, messages)
        voids = _await_voids(house, workers, delivered)
        starts = len(house.sink.starts())
        return judge(
            house,
            Claim("one start per job", f"{starts} starts of {_JOBS} jobs", starts == _JOBS),
            Claim("every further delivery was refused", f"{voids} of {delivered}", voids == delivered),
            notes=[f"jobs of {seconds:g} s; visibility timeout {_TIMEOUT_S:g} s"],
        )


def _deliver_again(house: House, messages: list[bytes]) -> int:
    house.redis.client.lpush(_REDIS_LIST, *messages)
    house.trial.say(f"delivered {len(messages)} messages again")
    return len(messages)


def _await_voids(house: House, workers: list[LocalProcess], expected: int) -> int:
    def count() -> int:
        return sum(worker.logs().count(b"delivery_void") for worker in workers)

    try:
        house.trial.await_true(lambda: count() >= expected, "every delivery is refused", within_s=20)
    except AssertionError:
        house.trial.say("not every delivery was refused")
    return count()


SCENARIOS = (
    Scenario(
        "F4",
        "a job five times longer than every broker timeout, two workers",
        play,
        bound_s=600,
        mutants=("claim",),
    ),
)
