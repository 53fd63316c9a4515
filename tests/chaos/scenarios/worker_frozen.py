"""F5: a worker is frozen with SIGSTOP until its jobs are taken from it, and then goes on as if nothing had been."""

import time
from collections.abc import Callable

from tests.chaos.house import House, open_house
from tests.chaos.ledger_reading import Running, running_jobs
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge, next_starts
from tests.integration.processes import LocalProcess, family_of, freeze, thaw


def play(trial: Trial) -> Verdict:
    """Thaw once while the second attempts still run, and once when they have ended."""
    frozen_s = trial.pick(quick=6.0, full=60.0)
    settings = {"lease_s": "3"} if trial.quick else {}
    with open_house(trial, settings=settings, heard=not trial.quick) as house:
        worker = house.furnish(workers=1)[0]
        house.submitter(resend_every=0)
        zombies: list[tuple[Running, float]] = []
        zombies += _freeze(house, worker, frozen_s=frozen_s, seconds=0.9 * frozen_s, until=_have_started)
        zombies += _freeze(house, worker, frozen_s=frozen_s, seconds=1.5, until=_have_ended)
        house.drain(within_s=trial.pick(quick=40, full=120))
        trial.sleep(2 * trial.pace.beat_s)
        recoveries_s = next_starts(house, [(zombie.job, at) for zombie, at in zombies])
        fences = {(zombie.job, zombie.fence) for zombie, _ in zombies}
        late = [one for one in house.sink.arrivals() if (one.job, one.fence) in fences and one.phase == "effect"]
        refused = sum(not one.accepted for one in late)
        superseded = worker.logs().count(b"attempt_superseded")
        return judge(
            house,
            Claim(
                "the sink refused every late writer",
                f"{refused} of {len(zombies)}",
                refused == len(late) == len(zombies) > 0,
            ),
            Claim("so did the ledger", f"{superseded} of {len(zombies)}", superseded >= len(zombies)),
            Claim(
                "every frozen attempt ran again elsewhere",
                f"{len(recoveries_s)} of {len(zombies)}",
                len(recoveries_s) == len(zombies),
            ),
            recoveries_s=recoveries_s,
        )


def _have_started(house: House, zombies: list[Running]) -> bool:
    starts = {(start.job, start.fence) for start in house.sink.starts()}
    return all((zombie.job, zombie.fence + 1) in starts for zombie in zombies)


def _have_ended(house: House, zombies: list[Running]) -> bool:
    return house.watch.have_ended(zombie.job for zombie in zombies)


def _freeze(
    house: House,
    worker: LocalProcess,
    *,
    frozen_s: float,
    seconds: float,
    until: Callable[[House, list[Running]], bool],
) -> list[tuple[Running, float]]:
    """Freeze the only worker in the middle of its jobs, start another, thaw; return what was frozen, and when."""
    trial, submitter = house.trial, house.submitters[0]
    slots = house.await_up(worker.pid).slots
    told = submitter.submit_many(slots, act="blind", seconds=seconds)
    house.view(told[0].id)
    ours = {one.id for one in told}

    def all_run() -> bool:
        return ours <= {start.job for start in house.sink.starts()}

    trial.await_true(all_run, "the worker is full", within_s=90)
    held = [one for one in running_jobs(house.ledger) if one.job in ours]
    tree = family_of(worker.pid)
    freeze(tree, house.ledger)
    at = time.time()
    trial.say(f"froze a worker with {len(held)} jobs of {seconds:g} s for {frozen_s:g} s")
    other = house.start_worker()
    submitter.submit_many(trial.pick(quick=3, full=20), seconds=0.2)
    trial.sleep(at + frozen_s - time.time())
    trial.await_true(lambda: until(house, held), "other attempts take over", within_s=120)
    thaw(tree)
    trial.say("the worker goes on")
    house.drain(within_s=trial.pick(quick=40, full=150))
    other.stop(within_s=10)
    return [(one, at) for one in held]


SCENARIOS = (
    Scenario(
        "F5",
        "SIGSTOP a worker for 60 s, then SIGCONT",
        play,
        bound_s=600,
        mutants=("fence",),
    ),
)
