"""F20: an engine hangs in C, with R or a browser below it; the hard limit must leave nothing behind."""

import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.chaos.family.contract import HARD_AFTER_SOFT_S
from tests.chaos.family.poison import engine_command
from tests.chaos.house import House, open_house
from tests.chaos.ledger_reading import running_jobs
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge
from workers.orphans import CHILD_MARK

_TIMEOUT_S = 4.0
_GONE_WITHIN_S = 10.0
# Celery looks at the clock once a second, and the child is one second old before it has begun.
_LATE_S = 3.0


def play(trial: Trial) -> Verdict:
    """Let jobs hang two at a time; look for whatever they started ten seconds after each has ended."""
    rounds = trial.pick(quick=1, full=4)
    with open_house(trial) as house:
        house.start_web()
        house.start_dispatcher()
        house.start_worker("--concurrency", "2")
        submitter = house.submitter(resend_every=0)
        left: list[str] = []
        seen, ended_after_s = 0, []
        for _ in range(rounds):
            found, took_s, survivors = _hang_two(house)
            seen += found
            ended_after_s += took_s
            left += survivors
        good = submitter.submit_many(4, seconds=0.1)
        house.drain(within_s=60)
        ends = house.watch.ends
        hung = [told.id for told in submitter.told if told not in good]
        causes = sorted({f"{ends[job].state} {ends[job].cause}" for job in hung if job in ends})
        limit_s = trial.patient_s(_TIMEOUT_S + HARD_AFTER_SOFT_S + _LATE_S)
        return judge(
            house,
            Claim("each ended as a timeout", f"{causes}", causes == ["failed timeout"]),
            Claim(
                f"each ended within {limit_s:g} s",
                f"{[round(seconds, 1) for seconds in ended_after_s]}",
                len(ended_after_s) == len(hung) and max(ended_after_s) <= limit_s,
            ),
            Claim("processes below the hung children were seen", f"{seen}", seen >= 2 * len(hung)),
            Claim(f"none lives {_GONE_WITHIN_S:g} s later", f"{len(left)}: {left[:5]}", not left),
            Claim(
                "the worker goes on",
                f"{[ends[told.id].state for told in good if told.id in ends]}",
                all(told.id in ends and ends[told.id].state == "succeeded" for told in good),
            ),
            notes=[f"what hung below the child: {Path(engine_command()[0]).name}, and a sleep in a session of its own"],
            all_succeed=False,
        )


def _hang_two(house: House) -> tuple[int, list[float], list[str]]:
    """Return how many processes the two jobs started, how long each job took to end, and what was left of them."""
    trial, submitter = house.trial, house.submitters[0]
    options = {"timeout_s": _TIMEOUT_S, "max_attempts": 1}
    told = [submitter.submit(act="hung_engine", options=options) for _ in range(2)]
    wanted = {one.id for one in told}
    held = trial.await_true(
        lambda: (running := [one for one in running_jobs(house.ledger) if one.job in wanted])[1:] and running,
        "two jobs hang",
        within_s=30,
    )
    trial.sleep(_TIMEOUT_S - 1)
    children = [one.child_pid for one in held]
    family = [process for pid in children for process in _below(pid)]
    trial.say(f"{len(family)} processes below {len(children)} hung children: {sorted({_name(one) for one in family})}")
    trial.await_true(lambda: house.watch.have_ended(wanted), "they end at their hard limit", within_s=60)
    began = {start.job: start.at for start in house.sink.starts()}
    took_s = [house.watch.ends[job].finished_at.timestamp() - began[job] for job in wanted]
    deadline = time.monotonic() + _GONE_WITHIN_S
    while time.monotonic() < deadline and _alive(family, children):
        trial.sleep(0.2)
    return len(family), took_s, _alive(family, children)


def _below(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return process.name()
    return "gone"


def _alive(family: list[psutil.Process], children: list[int]) -> list[str]:
    """Name what lives of the processes that were seen, and of all that carry a child's mark."""
    marked = [process for process in psutil.process_iter() if _is_marked(process, children)]
    found = {process.pid: process for process in (*family, *marked) if _lives(process)}
    return [f"{_name(process)} {pid}" for pid, process in found.items()]


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _is_marked(process: psutil.Process, children: list[int]) -> bool:
    with suppress(psutil.Error):
        return process.environ().get(CHILD_MARK, "").endswith(tuple(f":{pid}" for pid in children))
    return False


SCENARIOS = (Scenario("F20", "an engine hangs in C, with a browser below it", play, bound_s=240, quick_bound_s=150),)
