"""F10: jobs that ruin the process they run in, among others that do not."""

import statistics
import time
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from tasks.core.ledger.schema import jobs
from tests.chaos.house import House, open_house
from tests.chaos.ledger_reading import attempts_by_job
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.submitter import Submitter, Told
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge, percentile

CAUSES = {"exit": "worker_lost", "segfault": "worker_lost", "hog": "out_of_memory", "spin": "timeout"}
ATTEMPTS = 2
_MOST_RATIO = 2.0
_JOB_S = 0.5
_SETTINGS = {"child_memory_mb": "300"}


def play(trial: Trial) -> Verdict:
    """Compare how long good jobs take in a calm while and in one with poison; see each poison end dead, and why."""
    runs, while_s = trial.pick(quick=1, full=3), trial.pick(quick=8.0, full=40.0)
    with open_house(trial, settings=_SETTINGS) as house:
        house.start_web()
        house.start_dispatcher()
        house.start_workers(2)
        good, bad = house.submitter(), house.submitter(resend_every=0)
        good.submit_many(8, seconds=_JOB_S)  # every child has loaded everything once
        house.drain(within_s=90)
        ratios, shown = [], []
        for number in range(runs):
            calm = _while(house, good, while_s)
            poisoned = _while(house, good, while_s, lambda act: bad.submit(act=act, options=_options(act)))
            house.drain(within_s=180)
            calm_s, poisoned_s = _p95(house, calm), _p95(house, poisoned)
            ratios.append(poisoned_s / calm_s)
            shown.append(f"{calm_s:.2f} -> {poisoned_s:.2f} s")
            trial.say(f"round {number + 1}: p95 of {len(calm)} and {len(poisoned)} good jobs {shown[-1]}")
        ratio = statistics.median(ratios)
        return judge(
            house,
            *(_dead(house, act, [told.id for told in bad.told if _act_of(house, told.id) == act]) for act in CAUSES),
            Claim(
                "the good jobs succeeded",
                f"{len(good.told)}",
                all(
                    house.watch.ends[told.id].state == "succeeded" for told in good.told if told.id in house.watch.ends
                ),
            ),
            Claim(
                f"the good jobs' p95 within {_MOST_RATIO:g}x",
                f"median {ratio:.2f} of {[round(one, 2) for one in ratios]} ({', '.join(shown)})"
                + (" (does not decide in a quick run)" if trial.quick else ""),
                trial.quick or ratio <= _MOST_RATIO,
            ),
            notes=[f"{len(CAUSES) * runs} poison jobs with {ATTEMPTS} attempts each"],
            all_succeed=False,
        )


def _options(act: str) -> dict[str, float]:
    return {"max_attempts": ATTEMPTS} | ({"timeout_s": 2.0} if act == "spin" else {})


def _while(
    house: House, submitter: Submitter, seconds: float, poison: Callable[[str], object] = lambda _: None
) -> Sequence[Told]:
    """Submit good jobs steadily for a while, and each poison at its time in it; return the good ones."""
    before = len(submitter.told)
    submitter.start(every_s=0.4, seconds=_JOB_S)
    for act in CAUSES:
        poison(act)
        house.trial.sleep(seconds / len(CAUSES))
    submitter.stop()
    return submitter.told[before:]


def _p95(house: House, told: Sequence[Told]) -> float:
    """Return the p95 of the time from acceptance to effect."""
    at = {arrival.job: arrival.at for arrival in house.sink.arrivals() if arrival.phase == "effect"}
    value = percentile([at.get(one.id, time.time()) - one.at for one in told], 95)
    assert value is not None
    return value


def _act_of(house: House, job_id: str) -> str:
    with house.ledger.read() as connection:
        request = connection.execute(sa.select(jobs.c.request).where(jobs.c.id == job_id)).scalar_one()
    return str(request["act"])


def _dead(house: House, act: str, ids: Sequence[str]) -> Claim:
    """Claim that each of these jobs used up its attempts and is dead, with the cause named in state and error."""
    statement = sa.select(jobs.c.id, jobs.c.state, jobs.c.dead, jobs.c.cause, jobs.c.error).where(jobs.c.id.in_(ids))
    with house.ledger.read() as connection:
        rows = connection.execute(statement).all()
    tries = attempts_by_job(house.ledger)
    found = {(row.state, row.dead, row.cause, (row.error or {}).get("code"), len(tries[row.id])) for row in rows}
    expected = ("failed", True, CAUSES[act], CAUSES[act], ATTEMPTS)
    return Claim(
        f"{act}: dead after {ATTEMPTS} attempts as {CAUSES[act]}", f"{len(rows)} jobs {found}", found == {expected}
    )


SCENARIOS = (
    Scenario(
        "F10",
        "poison jobs: os._exit, a segfault, out of memory, an endless loop",
        play,
        bound_s=600,
        quick_bound_s=240,
    ),
)
