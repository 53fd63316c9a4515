"""F2: the parent of one of two workers is killed every 20 s, and what is done in the meantime is compared."""

import os
import signal
import statistics
import time
from collections.abc import Callable

import psutil

from tests.chaos.house import QUEUE, House, open_house
from tests.chaos.ledger_reading import lost_attempts, running_jobs
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge, next_starts
from tests.integration.processes import LocalProcess

_KILL_EVERY_S = 20.0
_LEAST_RATIO = 0.9
_JOB_S = 0.5
# Five jobs a second, where the two workers together could do eight.
_EVERY_S = 0.2


def play(trial: Trial) -> Verdict:
    """Compare what two supervised workers get done in an undisturbed while and while one of them is killed again.

    Under a load for which two of them are enough and one is not: what waits for the killed one must be made up for.
    """
    runs, kills = trial.pick(quick=1, full=3), trial.pick(quick=1, full=3)
    # In a quick run the comparison decides nothing.
    calm_s, every_s = trial.pick(quick=1.0, full=40.0), trial.pick(quick=5.0, full=_KILL_EVERY_S)
    settings = {"lease_s": "2"} if trial.quick else {}
    with open_house(trial, settings=settings, heard=not trial.quick) as house:
        victim, _ = [_supervised(house) for _ in range(2)]
        house.furnish(workers=0)
        house.trial.await_true(lambda: len(_up(house)) == 2, "both workers are up", within_s=90)
        submitter = house.submitter()
        house.view(submitter.submit(seconds=3).id)
        submitter.submit_many(8, seconds=_JOB_S)
        house.drain(within_s=90)  # every child has loaded everything once
        submitter.start(every_s=_EVERY_S, seconds=_JOB_S)
        trial.sleep(2)
        ratios: list[float] = []
        killed: dict[tuple[str, int], float] = {}
        for _ in range(runs):
            calm = _effects_per_s(house, lambda: trial.sleep(calm_s))
            rough = _effects_per_s(house, lambda: _kill_again(house, victim, killed, kills=kills, every_s=every_s))
            ratios.append(rough / calm)
            trial.say(f"{calm:.2f} jobs/s undisturbed, {rough:.2f} with kills: {rough / calm:.0%}")
        submitter.stop()
        house.drain(within_s=trial.pick(quick=50, full=120))
        lost = [(job, killed[job, fence]) for job, fence in lost_attempts(house.ledger) if (job, fence) in killed]
        # What the worker finished in the moment before the kill need not run again.
        recoveries_s = next_starts(house, lost)
        ratio = statistics.median(ratios)
        shown = f"median {ratio:.0%} of {[f'{one:.0%}' for one in ratios]}"
        return judge(
            house,
            Claim(
                "every attempt that was lost ran again",
                f"{len(recoveries_s)} of {len(lost)}",
                len(recoveries_s) == len(lost),
            ),
            Claim(
                "throughput with kills is at least 90 % of the undisturbed",
                shown + (" (does not decide in a quick run)" if trial.quick else ""),
                trial.quick or ratio >= _LEAST_RATIO,
            ),
            recoveries_s=recoveries_s,
            notes=[f"{runs * kills} kills of a worker's parent took {len(killed)} running attempts along"],
        )


def _supervised(house: House) -> LocalProcess:
    """Start a worker as in production, where something starts it again."""
    return house.start("workers", "-m", "workers", "-Q", QUEUE)


def _up(house: House) -> list[int]:
    return [row.pid for row in house.live_workers() if row.state == "up" and psutil.pid_exists(row.pid)]


def _effects_per_s(house: House, while_: Callable[[], None]) -> float:
    began = time.time()
    while_()
    ended = time.time()
    done = sum(one.phase == "effect" and began <= one.at < ended for one in house.sink.arrivals())
    return done / (ended - began)


def _kill_again(
    house: House, supervisor: LocalProcess, killed: dict[tuple[str, int], float], *, kills: int, every_s: float
) -> None:
    for _ in range(kills):
        due = time.monotonic() + every_s
        parent = house.trial.await_true(lambda: _worker_of(house, supervisor), "the worker is up again", within_s=60)
        name = next(row.name for row in house.live_workers() if row.pid == parent)
        os.kill(parent, signal.SIGKILL)
        at = time.time()
        held = [one for one in running_jobs(house.ledger) if one.worker == name]
        killed |= {(one.job, one.fence): at for one in held}
        house.trial.say(f"killed worker {parent}, which ran {len(held)} jobs")
        house.trial.sleep(due - time.monotonic())


def _worker_of(house: House, supervisor: LocalProcess) -> int | None:
    mine = {child.pid for child in psutil.Process(supervisor.pid).children()}
    return next((pid for pid in _up(house) if pid in mine), None)


SCENARIOS = (
    Scenario(
        "F2",
        "kill -9 a worker's parent every 20 s, one of two workers",
        play,
        bound_s=900,
        mutants=("rescue",),
    ),
)
