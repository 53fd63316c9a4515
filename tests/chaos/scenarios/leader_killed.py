"""F19: of two dispatchers, the one that leads is killed just when something is due by the clock."""

import time
from collections import Counter
from datetime import datetime

import sqlalchemy as sa

from tasks.core.ledger import leases
from tasks.core.ledger.schema import jobs
from tasks.core.schedules.records import SCHEDULE_LABEL, TICK_LABEL
from tasks.maintenance.contract import PING, SWEEP
from tests.chaos.house import House, open_house
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge
from tests.integration.processes import LocalProcess

# Each comes once a second, whoever leads.
_SCHEDULES = 5


def play(trial: Trial) -> Verdict:
    """Kill the leader around the moment when a period of ``maintenance.sweep`` begins, again and again."""
    # A period must outlast a lease, or the one that takes over would find that its time has passed.
    every_s, kills = trial.pick(quick=10, full=30), trial.pick(quick=2, full=6)
    with open_house(trial, settings={"sweep_every_s": str(every_s)}) as house:
        house.start_web()
        dispatchers = [house.start_dispatcher(), house.start_dispatcher()]
        house.start_worker("-Q", "critical,maintenance")
        submitter = house.submitter()
        submitter.start(every_s=0.5, seconds=0.1)
        scheduled = _schedules(house)
        first = _period(every_s) + 1
        recoveries_s = []
        for _ in range(kills):
            _sleep_until(trial, (_period(every_s) + 1) * every_s + trial.chance.uniform(-0.3, 0.7))
            victim = _leader(house, dispatchers)
            victim.kill("SIGKILL")
            at = time.monotonic()
            dispatchers.remove(victim)
            trial.say(f"killed the leader, dispatcher {victim.pid}")
            trial.await_true(lambda: _leader(house, dispatchers), "the other one leads", within_s=60)
            recoveries_s.append(time.monotonic() - at)
            dispatchers.append(house.start_dispatcher())
        _sleep_until(trial, (_period(every_s) + 1) * every_s - 1)
        last = _period(every_s)
        submitter.stop()
        _stop(house, scheduled)
        house.drain(within_s=90)
        times = _sweeps(house, every_s)
        periods = range(first, last + 1)
        missed = [period for period in periods if times[period] == 0]
        twice = [period for period in times if times[period] > 1]
        ticks, made, again = _ticks(house, scheduled)
        return judge(
            house,
            Claim(
                "each period's sweep was submitted once",
                f"{len(periods)} periods, {len(missed)} without, {len(twice)} with more than one",
                not missed and not twice and len(periods) >= kills,
            ),
            Claim(
                "each tick of a schedule made one job",
                f"{ticks} ticks due, {made} jobs made, {again} ticks with more than one",
                ticks == made and again == 0 and made > _SCHEDULES * every_s,
            ),
            Claim("the other one took over", f"{len(recoveries_s)} of {kills} times", len(recoveries_s) == kills),
            recoveries_s=recoveries_s,
        )


def _period(every_s: int) -> int:
    return int(time.time() // every_s)


def _sleep_until(trial: Trial, at: float) -> None:
    trial.sleep(max(0.0, at - time.time()))


def _leader(house: House, dispatchers: list[LocalProcess]) -> LocalProcess | None:
    """Return the living dispatcher that holds the lease, by what it has logged of that."""
    lease = leases.lease(house.ledger, leases.DISPATCHER)
    if lease is None or lease.is_free:
        return None
    return next((one for one in dispatchers if _has_led_as(one, lease.holder)), None)


def _has_led_as(dispatcher: LocalProcess, holder: str) -> bool:
    return any("dispatcher_leads" in line and holder in line for line in dispatcher.logs().decode().splitlines())


def _sweeps(house: House, every_s: int) -> Counter[int]:
    """Count the sweeps by the period in which they were submitted."""
    with house.ledger.read() as connection:
        rows = connection.execute(sa.select(jobs.c.created_at).where(jobs.c.kind == SWEEP)).scalars().all()
    return Counter(int(created_at.timestamp() // every_s) for created_at in rows)


def _schedules(house: House) -> list[str]:
    with house.client() as client:
        wanted = {"job": {"kind": PING}, "every_s": 1, "catch_up": "all"}
        answers = [client.post("/api/schedules", json=wanted).raise_for_status() for _ in range(_SCHEDULES)]
    return [str(answer.json()["id"]) for answer in answers]


def _stop(house: House, scheduled: list[str]) -> None:
    with house.client() as client:
        for schedule_id in scheduled:
            client.patch(f"/api/schedules/{schedule_id}", json={"enabled": False}).raise_for_status()


def _ticks(house: House, scheduled: list[str]) -> tuple[int, int, int]:
    """Count the ticks that were due from each schedule's first to its last, their jobs, and ticks with several."""
    with house.ledger.read() as connection:
        labels = connection.execute(sa.select(jobs.c.labels).where(jobs.c.kind == PING)).scalars().all()
    found = Counter((one[SCHEDULE_LABEL], datetime.fromisoformat(one[TICK_LABEL])) for one in labels)
    due = 0
    for schedule_id in scheduled:
        times = [at for one, at in found if one == schedule_id]
        due += round((max(times) - min(times)).total_seconds()) + 1 if times else 0
    return due, found.total(), sum(count > 1 for count in found.values())


SCENARIOS = (
    Scenario(
        "F19", "the leader is killed when something is due; two dispatchers", play, bound_s=420, quick_bound_s=180
    ),
)
