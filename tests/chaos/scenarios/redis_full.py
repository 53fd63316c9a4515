"""F9: Redis is full and answers every write with an error, as ``noeviction`` asks it to."""

import time
from collections import Counter

import sqlalchemy as sa

from tasks.core.ledger.schema import jobs
from tests.chaos.house import House, open_house
from tests.chaos.ledger_reading import attempts_by_job
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge

_JOB_S = 0.3
# The table names no limit; this is what F3 and F7 allow.
_RECOVERED_WITHIN_S = 30.0


def play(trial: Trial) -> Verdict:
    """Fill Redis under load, with messages in it and jobs running; make room again after a while."""
    with open_house(trial) as house:
        house.start_web()
        house.start_dispatcher()
        workers = house.start_workers(2)
        submitter = house.submitter()
        submitter.submit_many(trial.pick(quick=20, full=100), seconds=_JOB_S)
        house.view(submitter.ids[-1])
        submitter.start(every_s=0.2, seconds=_JOB_S)
        trial.sleep(trial.pick(quick=1, full=5))
        errors = _fill(house)
        full_at, before = time.time(), len(submitter.told)
        trial.sleep(trial.pick(quick=8, full=30))
        meanwhile = len(submitter.told) - before
        submitter.stop()
        alive = sum(worker.status == "running" for worker in workers)
        trial.say(f"{meanwhile} jobs were accepted meanwhile; there is room again")
        refused = _write_errors(house) - errors
        house.redis.client.config_set("maxmemory", 0)
        back_at = time.time()
        drained = house.drain(within_s=trial.patient_s(60.0))
        starts = [start.at for start in house.sink.starts()]
        after = [at - back_at for at in starts if at > back_at]
        limit_s = trial.patient_s(_RECOVERED_WITHIN_S)
        return judge(
            house,
            Claim(
                "accept answered 202 throughout",
                f"{meanwhile} times meanwhile, else {dict(submitter.refusals) or 'nothing'}",
                meanwhile > 0 and not submitter.refusals,
            ),
            Claim("Redis refused writes for want of memory", f"{refused} times", refused > 0),
            Claim("no worker died of it", f"{alive} of {len(workers)} live", alive == len(workers)),
            Claim(
                f"what was accepted meanwhile starts within {limit_s:g} s of the room",
                f"first after {after[0]:.1f} s" if after else "never",
                drained and bool(after) and after[0] <= limit_s,
            ),
            _nothing_half_made(house),
            recoveries_s=after[:1],
            notes=[f"{sum(full_at < at < back_at for at in starts)} jobs started while Redis was full"],
        )


def _fill(house: House) -> int:
    """Let Redis take no more; return how many errors of that kind it had told before."""
    errors = _write_errors(house)
    house.redis.client.config_set("maxmemory", 1)
    house.trial.say("Redis is full")
    return errors


def _write_errors(house: House) -> int:
    stats = house.redis.client.info("errorstats")
    return int(stats.get("errorstat_OOM", {}).get("count", 0))


def _nothing_half_made(house: House) -> Claim:
    """Claim that each job has its key, its events and, once it ran, its attempts; and each attempt an end."""
    with house.ledger.read() as connection:
        ids = set(connection.execute(sa.select(jobs.c.id)).scalars())
    told = set(house.accepted)
    open_attempts = [job for job, outcomes in attempts_by_job(house.ledger).items() if None in outcomes]
    runs = Counter(len(outcomes) for outcomes in attempts_by_job(house.ledger).values())
    return Claim(
        "no half-made job: the ledger holds exactly what was accepted, and every attempt has ended",
        f"{len(ids)} rows for {len(told)} accepted, {len(open_attempts)} open attempts, jobs by attempts {dict(runs)}",
        ids == told and not open_attempts,
    )


SCENARIOS = (Scenario("F9", "Redis full: errors on write", play, bound_s=240, quick_bound_s=180),)
