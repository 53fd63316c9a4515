"""F16: one worker's wall clock jumps an hour ahead, and back; a preloaded library shifts it, for C code as well."""

import shutil
import struct
import subprocess
import time
from pathlib import Path

from tasks.core.clock import now
from tests.chaos.house import House, open_house
from tests.chaos.ledger_reading import attempts_by_job, lost_attempts
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge

_JUMP_S = 3600
_SOURCE = Path(__file__).parents[1] / "shifted_clock.c"


def play(trial: Trial) -> Verdict:
    """Shift one of two workers' clocks while both run jobs, and wait for more than two leases each time."""
    lease_s = trial.pick(quick=5.0, full=trial.pace.lease_s)
    while_s = 2.5 * lease_s
    with open_house(trial, settings={"lease_s": f"{lease_s:g}"}) as house:
        house.start_web()
        house.start_dispatcher()
        shift = trial.folder / "shift"
        _set(shift, 0)
        jumper = house.spawn_worker(env=_shifted_by(shift))
        steady = house.start_worker()
        house.await_up(jumper.pid)
        submitter = house.submitter()
        submitter.submit_many(4, seconds=2.5 * while_s)  # each slot runs one all the while
        submitter.start(every_s=0.5, seconds=0.2)
        trial.await_true(lambda: len({start.job for start in house.sink.starts()}) >= 4, "the long jobs run")
        ahead_s = [_jump(house, jumper.pid, shift, to_s=to_s, while_s=while_s) for to_s in (_JUMP_S, 0)]
        states = {row.pid: row.state for row in house.live_workers()}
        submitter.stop()
        house.drain(within_s=trial.pick(quick=90, full=150))
        lost = lost_attempts(house.ledger)
        tries = attempts_by_job(house.ledger)
        return judge(
            house,
            Claim(
                "the worker's clock did jump",
                f"its beats were {ahead_s[0]:.0f} s ahead, then {ahead_s[1]:.0f} s",
                abs(ahead_s[0] - _JUMP_S) < 30 and abs(ahead_s[1]) < 30,
            ),
            Claim("no job was rescued", f"{len(lost)} attempts taken for lost", not lost),
            Claim(
                "every job took one attempt",
                f"{sum(len(one) > 1 for one in tries.values())} of {len(tries)} took more",
                all(len(one) == 1 for one in tries.values()),
            ),
            Claim(
                "no worker was taken for gone",
                f"{states}",
                {states.get(process.pid) for process in (jumper, steady)} == {"up"},
            ),
        )


def _shifted_by(shift: Path) -> dict[str, str]:
    """Compile what shifts a process's clock by the seconds in ``shift``; return the environment that loads it."""
    library = shift.with_name("shifted_clock.so")
    compiler = shutil.which("cc")
    assert compiler, "no C compiler: install one (Debian: gcc, libc6-dev), as `make setup` does"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "CHAOS_SHIFT": str(shift)}


def _jump(house: House, pid: int, shift: Path, *, to_s: int, while_s: float) -> float:
    """Set the worker's clock, wait, and return how far ahead of ours its newest beat is by its own account."""
    _set(shift, to_s)
    house.trial.say(f"the worker's clock jumps to {to_s:+g} s")
    began = time.monotonic()
    while time.monotonic() - began < while_s:
        house.trial.sleep(0.5)
    row = next(row for row in house.live_workers() if row.pid == pid)
    return (row.beat_at - now()).total_seconds()


def _set(shift: Path, seconds: int) -> None:
    # In place: every process has mapped the file.
    with shift.open("r+b" if shift.exists() else "wb") as file:
        file.write(struct.pack("q", seconds))


SCENARIOS = (Scenario("F16", "a worker's clock jumps an hour, and back", play, bound_s=300, quick_bound_s=180),)
