"""The pace that a host asks for, kept by all crawls of a machine together."""

import asyncio
import fcntl
import itertools
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.crawling.engine import shared_turns
from tasks.crawling.engine.politeness import HostGate, Politeness
from tasks.crawling.engine.shared_turns import SharedTurns

DELAY_S = 0.05
ROOT = Path(__file__).parents[2]
# Another crawl's process: prints when it may start.
_TURNS = """
import asyncio, sys
from pathlib import Path
from tasks.crawling.engine.shared_turns import SharedTurns

async def main():
    with SharedTurns(Path(sys.argv[1])) as turns:
        for _ in range(10):
            print(await turns.reserve("a", float(sys.argv[2])))

asyncio.run(main())
"""


def reserved(folder: Path, *hosts: str, delay_s: float = 60.0) -> list[float]:
    """Return when the next requests to these hosts may start, one after another."""

    async def run() -> list[float | None]:
        with SharedTurns(folder) as turns:
            return [await turns.reserve(host, delay_s) for host in hosts]

    starts = asyncio.run(run())
    assert None not in starts
    return [start for start in starts if start is not None]


def test_processes_never_get_turns_closer_than_the_delay(tmp_path: Path) -> None:
    """Three at once, whoever comes first; each turn is one's own."""
    command = [sys.executable, "-c", _TURNS, str(tmp_path), str(DELAY_S)]
    others = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    starts = sorted(float(line) for one in others for line in one.communicate()[0].split())
    assert len(starts) == 30
    assert all(later - earlier > DELAY_S - 1e-6 for earlier, later in itertools.pairwise(starts))


def test_hosts_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """The second turn at a host is a delay later, the first at another one is now."""
    first, second, other = reserved(tmp_path, "a", "a", "b")
    assert second == first + 60
    assert other < first + 60


def test_no_turn_is_given_twice_whatever_delay_it_was_for(tmp_path: Path) -> None:
    """Two agents whose delays differ, or hosts that share a place: the short one goes behind the long ones."""
    long = reserved(tmp_path, "a", "a", "a", "a", delay_s=10)
    (short,) = reserved(tmp_path, "a", delay_s=0.5)
    (after,) = reserved(tmp_path, "a", delay_s=10)
    assert [long[0] + 10 * n for n in range(4)] == long
    assert (long[-1] + 0.5, long[-1] + 10.5) == (short, after)


@pytest.mark.parametrize("ahead_s", [400.0, 1e8])
def test_turns_of_before_a_restart_of_the_machine_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    """The clock began again, so that they lie ahead: a little, or years."""
    boot_id = tmp_path / "boot_id"
    monkeypatch.setattr(shared_turns, "_BOOT_ID", boot_id)
    boot_id.write_text("81bb3196-30bc-4de3-bfc0-9e3784f3e685\n")
    reserved(tmp_path, "a", "a", delay_s=ahead_s)
    assert reserved(tmp_path, "a")[0] > time.monotonic()
    boot_id.write_text("5a0d1f0c-6f1c-4d0b-9d3c-0f6f4d1c2b3a\n")
    first, second = reserved(tmp_path, "a", "a")
    assert first <= time.monotonic()
    assert second == first + 60


def test_file_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    """Such as one of times alone."""
    (tmp_path / "crawl-turns").write_bytes(struct.pack("=d", time.monotonic() + 1e8) * 4096)
    (start,) = reserved(tmp_path, "a")
    assert start <= time.monotonic()


def lock_held(folder: Path) -> int:
    """Make the file, and hold its lock as a process does that was stopped."""
    held = os.open(folder / "crawl-turns", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    return held


def without_a_folder(folder: Path) -> int:
    """Let there be no place for the file."""
    (folder / "crawl-turns").mkdir()
    return -1


@pytest.mark.parametrize(
    ("spoil", "needle"), [(lock_held, "holds the lock of"), (without_a_folder, "crawl-turns: Is a directory")]
)
def test_turns_that_cannot_be_shared_hold_no_crawl_up_and_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], int], needle: str
) -> None:
    """The crawl keeps the delay alone then."""
    monkeypatch.setattr(shared_turns, "_TRIES", 3)
    told: list[str] = []

    async def run() -> list[float]:
        starts = []
        with SharedTurns(tmp_path, warn=told.append) as shared:
            gate = Politeness(delay_s=0, concurrency=8, shared=shared).gate("a")
            gate.slow_to(DELAY_S)
            for _ in range(3):
                async with gate.turn():
                    starts.append(time.monotonic())
        return starts

    held = spoil(tmp_path)
    try:
        starts = asyncio.run(run())
    finally:
        if held >= 0:
            os.close(held)
    (line,) = told
    assert needle in line
    assert all(later - earlier > DELAY_S / 2 for earlier, later in itertools.pairwise(starts))


def test_crawls_that_a_host_held_back_do_not_begin_together(tmp_path: Path) -> None:
    """A Retry-After that comes while their turns are waited for: they take others when it has passed."""
    delay_s, pause_s = 0.2, 0.5

    async def run() -> list[float]:
        with SharedTurns(tmp_path) as one, SharedTurns(tmp_path) as other:
            gates = [Politeness(delay_s=0, concurrency=8, shared=shared).gate("a") for shared in (one, other)]
            starts: list[float] = []

            async def turn(gate: HostGate) -> None:
                async with gate.turn():
                    starts.append(time.monotonic())

            for gate in gates:
                gate.slow_to(delay_s)
            await one.reserve("a", delay_s)
            await one.reserve("a", delay_s)
            turns = [asyncio.create_task(turn(gate)) for gate in gates]
            await asyncio.sleep(delay_s * 1.2)  # both have a turn by now, and wait for it
            paused = time.monotonic()
            for gate in gates:
                gate.pause(pause_s)
            await asyncio.gather(*turns)
            return [start - paused for start in sorted(starts)]

    first, second = asyncio.run(run())
    assert first >= pause_s
    assert second - first > delay_s / 2


def test_two_crawls_keep_the_stated_delay_together(tmp_path: Path) -> None:
    """Each of six turns is a delay after the one before; a host that states no delay is each crawl's own affair."""

    async def run(*, is_stated: bool) -> None:
        with SharedTurns(tmp_path) as one, SharedTurns(tmp_path) as other:

            async def turns(shared: SharedTurns) -> None:
                gate = Politeness(delay_s=0, concurrency=8, shared=shared).gate("a")
                if is_stated:
                    gate.slow_to(DELAY_S)
                for _ in range(3):
                    async with gate.turn():
                        pass

            await asyncio.gather(turns(one), turns(other))

    asyncio.run(run(is_stated=False))
    assert not (tmp_path / "crawl-turns").exists()
    began = time.monotonic()
    asyncio.run(run(is_stated=True))
    file = (tmp_path / "crawl-turns").read_bytes()[40:]
    (last,) = {at for (at,) in struct.iter_unpack("=d", file) if at}
    assert began + 5 * DELAY_S <= last <= time.monotonic()
