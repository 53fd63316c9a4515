"""The pace that a host asks for, kept by all crawls of a machine together."""

import asyncio
import fcntl
import itertools
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.crawling.engine import shared_turns
from tasks.crawling.engine.politeness import Politeness
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


def reserved(folder: Path, *hosts: str) -> list[float]:
    """Return when the next requests to these hosts may start, one after another."""

    async def run() -> list[float]:
        with SharedTurns(folder) as turns:
            return [await turns.reserve(host, 60.0) for host in hosts]

    return asyncio.run(run())


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


def test_turn_of_before_a_restart_of_the_machine_is_forgotten(tmp_path: Path) -> None:
    """The clock began again, so that it lies years ahead."""
    (tmp_path / "crawl-turns").write_bytes(struct.pack("=d", time.monotonic() + 1e8) * 4096)
    (start,) = reserved(tmp_path, "a")
    assert start <= time.monotonic()


def test_lock_that_nobody_gives_back_holds_no_crawl_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was stopped with it: the crawl goes on at its own pace."""
    monkeypatch.setattr(shared_turns, "_TRIES", 3)
    reserved(tmp_path, "a")
    held = os.open(tmp_path / "crawl-turns", os.O_RDWR)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        (start,) = reserved(tmp_path, "a")
        assert start <= time.monotonic()
    finally:
        os.close(held)


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
    (last,) = {at for (at,) in struct.iter_unpack("=d", (tmp_path / "crawl-turns").read_bytes()) if at}
    assert began + 5 * DELAY_S <= last <= time.monotonic()
