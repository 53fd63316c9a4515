"""F6 and F7: Redis lives, but the way to it does not: connections are reset, or hang without being closed."""

import time

import sqlalchemy as sa

from tasks.core.ledger.schema import attempts
from tests.chaos.house import House, open_house
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge
from tests.proxy import Proxy

_RESET_S = 4.0
_JOB_S = 0.2


def play_reset(trial: Trial) -> Verdict:
    """Reset every connection to Redis, old and new, for four seconds under load."""
    with open_house(trial, proxied=True) as house:
        proxy = _furnish(house)
        submitter = house.submitter()
        submitter.submit_many(trial.pick(quick=20, full=80), seconds=_JOB_S)
        house.view(submitter.ids[-1])
        submitter.start(every_s=0.1, seconds=_JOB_S)
        trial.sleep(2)
        trial.say(f"resetting every connection to Redis for {_RESET_S:g} s ({proxy.open_connections} are open)")
        proxy.cut()
        trial.sleep(_RESET_S)
        submitter.stop()
        proxy.forward()
        back_at = time.time()
        drained = house.drain(within_s=trial.patient_s(60.0))
        took_s = time.time() - back_at
        starts = [start.at - back_at for start in house.sink.starts() if start.at > back_at]
        limit_s = trial.patient_s(15.0)
        return judge(
            house,
            Claim(
                f"drained within {limit_s:g} s of the last reset",
                f"{took_s:.1f} s" if drained else "never",
                drained and took_s <= limit_s,
            ),
            recoveries_s=starts[:1],
        )


def play_half_open(trial: Trial) -> Verdict:
    """Leave every open connection to Redis half-open for good; new ones work."""
    with open_house(trial, proxied=True) as house:
        proxy = _furnish(house)
        submitter = house.submitter()
        submitter.submit_many(10, seconds=_JOB_S)
        submitter.start(every_s=0.3, seconds=_JOB_S)
        trial.sleep(3)
        trial.say(f"{proxy.open_connections} connections to Redis hang from now on")
        proxy.strand()
        at = time.time()
        workers = {row.name for row in house.live_workers()}
        # What was on its way into a child when the connections froze is no sign of consuming.
        back: dict[str, float] = {}

        def all_consume() -> bool:
            back.update(_first_starts(house, after=at + 2 * _JOB_S))
            return workers <= back.keys()

        try:
            trial.await_true(all_consume, "every worker consumes again", within_s=trial.patient_s(60.0))
        except AssertionError:
            trial.say(f"only {len(back)} of {len(workers)} workers consume again")
        recoveries_s = [seconds - at for seconds in back.values()]
        trial.say(f"{len(back)} of {len(workers)} workers consume again")
        submitter.stop()
        house.drain(within_s=trial.pick(quick=60, full=120))
        limit_s = trial.patient_s(30.0)
        return judge(
            house,
            Claim(
                f"every worker consumes again within {limit_s:g} s",
                f"{[round(seconds, 1) for seconds in recoveries_s]} of {len(workers)} workers",
                workers == back.keys() and max(recoveries_s, default=0.0) <= limit_s,
            ),
            recoveries_s=recoveries_s,
        )


def _furnish(house: House) -> Proxy:
    house.furnish()
    assert house.proxy is not None
    return house.proxy


def _first_starts(house: House, *, after: float) -> dict[str, float]:
    """Return when each worker first claimed a job after ``after``, in seconds since 1970."""
    with house.ledger.read() as connection:
        rows = connection.execute(sa.select(attempts.c.worker, attempts.c.started_at)).all()
    found: dict[str, float] = {}
    for row in rows:
        at = row.started_at.timestamp()
        if at > after:
            found[row.worker] = min(at, found.get(row.worker, at))
    return found


SCENARIOS = (
    Scenario("F6", "every broker connection reset for 4 s", play_reset, bound_s=600),
    Scenario("F7", "half-open broker sockets (frozen, not closed)", play_half_open, bound_s=600),
)
