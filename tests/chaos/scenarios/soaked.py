"""F21: all queues mixed, for long, while children and workers are killed and connections reset at random."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import psutil

from tasks.core.spec import Queue
from tests.chaos.house import House, open_house
from tests.chaos.ledger_reading import running_jobs
from tests.chaos.memory import Memory
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.submitter import Submitter
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge, next_starts
from tests.integration.processes import LocalProcess

_SOAK_S = 600.0
_QUICK_SOAK_S = 40.0
# A shorter run says nothing of an hour: its slope is noise, and is printed only.
_DECIDES_FROM_S = 3600.0
_MOST_MIB_PER_H = 1.0
_RESET_S = 4.0
# How long a finished job's stream stays, so that Redis' keys come to a level within the run.
_STREAM_TTL_S = 60
# What stays when all is done: bindings, queues, the bell, the outbox's stream.
_MOST_KEYS_LEFT = 50
_MOST_WAITING = 60


def soak_s(trial: Trial) -> float:
    """Return how long the trial soaks: ``SOAK_S``, or ten minutes."""
    return float(os.environ.get("SOAK_S", trial.pick(quick=_QUICK_SOAK_S, full=_SOAK_S)))


def play(trial: Trial) -> Verdict:
    """Submit to every queue all the time; every 10 to 30 seconds something is killed or reset."""
    # The bound was set for ten minutes.
    trial.bound_s += max(0.0, soak_s(trial) - _SOAK_S)
    settings = {"stream_ttl_s": str(_STREAM_TTL_S)}
    with open_house(trial, proxied=True, settings=settings) as house:
        web, dispatcher = house.start_web(), house.start_dispatcher()
        steady = house.start_worker("-Q", ",".join(Queue), "--concurrency", "2")
        mortal = [house.start_worker("-Q", ",".join(Queue), "--concurrency", "2")]
        load = [house.submitter(queue=queue) for queue in Queue]
        for submitter in load:
            submitter.start(every_s=1.0, unless=lambda: _waiting(house, load) > _MOST_WAITING, seconds=0.2)
        # Without their children: those are killed here, and replaced anyway after so many jobs.
        memory, keys = Memory(with_children=False), []
        done: Counter[str] = Counter()
        killed: dict[str, float] = {}
        ends_at, next_at = time.monotonic() + soak_s(trial), time.monotonic() + 10
        while time.monotonic() < ends_at:
            trial.sleep(2)
            memory.look({"web": _server_below(web), "dispatcher": dispatcher.pid, "steady worker": steady.pid})
            keys.append(_keys(house))
            if time.monotonic() > next_at:
                name = trial.chance.choice(sorted(_FAULTS))
                done[name] += 1
                trial.say(f"{name}; {sum(len(one.told) for one in load)} jobs accepted so far")
                killed |= _FAULTS[name](house, mortal)
                next_at = time.monotonic() + trial.chance.uniform(10, 30)
        for submitter in load:
            submitter.stop()
        house.drain(within_s=180)
        trial.sleep(_STREAM_TTL_S + 2)
        left = _keys(house)
        by_queue = {str(queue): len(one.told) for queue, one in zip(Queue, load, strict=True)}
        recoveries_s = next_starts(house, killed.items())
        return judge(
            house,
            Claim("every queue had jobs", f"{by_queue}", min(by_queue.values()) > 0),
            Claim("faults happened", f"{dict(done)}", sum(done.values()) > 0),
            Claim(
                f"Redis' keys are bounded: at most {_MOST_KEYS_LEFT} are left when the streams have expired",
                f"{left}; at most {max(keys)} meanwhile, {sum(by_queue.values())} jobs",
                left <= _MOST_KEYS_LEFT,
            ),
            *(_flat(trial, memory, name) for name in memory.samples),
            recoveries_s=recoveries_s,
        )


def _server_below(web: LocalProcess) -> int:
    """Return the process that answers requests; the one above it only looks after it."""
    return next((child.pid for child in psutil.Process(web.pid).children()), web.pid)


def _waiting(house: House, load: list[Submitter]) -> int:
    return sum(len(one.told) for one in load) - len(house.watch.ends)


def _keys(house: House) -> int:
    return int(house.redis.client.dbsize())


def _flat(trial: Trial, memory: Memory, name: str) -> Claim:
    slope = memory.slope(name)
    decides = soak_s(trial) >= _DECIDES_FROM_S
    holds = slope is not None and slope.mib_per_h - 2 * slope.error_mib_per_h < _MOST_MIB_PER_H
    return Claim(
        f"memory slope under {_MOST_MIB_PER_H:g} MiB/h",
        memory.told(name) + ("" if decides else f" (decides only from {_DECIDES_FROM_S:g} s)"),
        holds or not decides,
    )


# ---- faults: each returns the jobs it has disturbed, with the time


def _kill_a_child(house: House, _mortal: list[LocalProcess]) -> dict[str, float]:
    running = running_jobs(house.ledger)
    if not running:
        return {}
    victim = house.trial.chance.choice(running)
    with suppress(ProcessLookupError):
        os.kill(victim.child_pid, signal.SIGKILL)
    return {}  # it may have ended just before


def _kill_a_worker(house: House, mortal: list[LocalProcess]) -> dict[str, float]:
    victim = mortal.pop()
    name = next((row.name for row in house.live_workers() if row.pid == victim.pid), None)
    os.kill(victim.pid, signal.SIGKILL)
    at = time.time()
    with suppress(psutil.Error):
        psutil.Process(victim.pid).wait(timeout=5)
    held = {one.job: at for one in running_jobs(house.ledger) if one.worker == name}
    mortal.append(house.start_worker("-Q", ",".join(Queue), "--concurrency", "2"))
    return held


def _reset_connections(house: House, _mortal: list[LocalProcess]) -> dict[str, float]:
    assert house.proxy is not None
    house.proxy.cut()
    house.trial.sleep(_RESET_S)
    house.proxy.forward()
    return {}


_FAULTS: dict[str, Callable[[House, list[LocalProcess]], dict[str, float]]] = {
    "kill -9 a child": _kill_a_child,
    "kill -9 a worker": _kill_a_worker,
    "reset every connection to Redis": _reset_connections,
}


SCENARIOS = (
    Scenario("F21", "soak: all queues mixed, with random kills and resets", play, bound_s=1200, quick_bound_s=300),
)
