"""F8: Redis is killed under load and comes back: with its append-only file, and wiped empty."""

import time

from tests.chaos.bursts import BURST_QUEUE, QUEUES, catch_in_a_burst
from tests.chaos.house import House, open_house
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.submitter import Submitter
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge

# The table names no limit; this is what F3 and F7 allow.
_RECOVERED_WITHIN_S = 30.0


def play(trial: Trial) -> Verdict:
    """Kill Redis under load, once with its file (not in the quick run) and once without; accept all the while."""
    with open_house(trial, heard=not trial.quick) as house:
        house.furnish(queues=QUEUES)
        submitter, bursts = house.submitter(), house.submitter(queue=BURST_QUEUE)
        # More than is done meanwhile, so that the broker holds messages when it dies.
        first = submitter.submit_many(trial.pick(quick=20, full=100), seconds=0.3)
        house.view(submitter.ids[-1])
        submitter.start(every_s=0.2, seconds=0.3)
        outages = [False, True] if not trial.quick else [True]
        recoveries_s = [_outage(house, submitter, bursts, wiped=wiped) for wiped in outages]
        submitter.stop()
        for told in first[:10]:  # keys are remembered by the ledger, so they outlive Redis
            submitter.resend(told, seconds=0.3)
        house.drain(within_s=trial.pick(quick=40, full=120))
        slowest_s = max(submitter.answers_s)
        back = [seconds for seconds in recoveries_s if seconds is not None]
        return judge(
            house,
            Claim(
                "accept answered 202 throughout",
                f"{len(submitter.answers_s)} times 202, else {dict(submitter.refusals) or 'nothing'}",
                not submitter.refusals,
            ),
            Claim(
                f"jobs start again within {_RECOVERED_WITHIN_S:g} s of Redis' return",
                ", ".join("never" if seconds is None else f"{seconds:.1f} s" for seconds in recoveries_s),
                len(back) == len(outages) and max(back) <= _RECOVERED_WITHIN_S,
            ),
            recoveries_s=back,
            notes=[f"Redis was killed {len(outages)} times; the slowest 202 took {slowest_s:.2f} s"],
        )


def _outage(house: House, submitter: Submitter, bursts: Submitter, *, wiped: bool) -> float | None:
    """Kill Redis for a while, as children run brief jobs in one go; return how long after its return a job started."""
    trial = house.trial
    trial.sleep(trial.pick(quick=0.0, full=4))
    catch_in_a_burst(house, bursts, due_in_s=1.5, jobs=trial.pick(quick=40, full=200))
    before = len(submitter.told)
    trial.say("killing Redis" + (" and wiping it" if wiped else ""))
    house.redis.kill()
    if wiped:
        house.redis.wipe()
    trial.sleep(trial.pick(quick=3, full=10))
    trial.say(f"Redis comes back; {len(submitter.told) - before} jobs were accepted without it")
    house.redis.start()
    back_at = time.time()

    def started() -> float | None:
        return next((start.at - back_at for start in house.sink.starts() if start.at > back_at), None)

    try:
        return trial.await_true(started, "a job starts", within_s=2 * _RECOVERED_WITHIN_S)  # type: ignore[no-any-return]
    except AssertionError:
        return None


SCENARIOS = (
    Scenario(
        "F8",
        "Redis kill -9 and restart, with AOF and wiped empty",
        play,
        bound_s=600,
    ),
)
