"""The kernel's counter of kills for want of memory."""

from pathlib import Path

import pytest

from tasks.core.memory import MemoryKills
from tests.samples import FakeClock


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    path = tmp_path / "memory.events"
    path.write_text("low 0\noom 1\noom_kill 5\noom_group_kill 0\n")
    return path


def test_growth_is_remembered_for_a_while(counter: Path) -> None:
    """The counter has no date, so the look that finds it grown gives it one."""
    clock = FakeClock()
    kills = MemoryKills((counter,), clock=clock)
    kills.look()
    assert not kills.happened_within(10)
    counter.write_text("oom_kill 6\n")
    kills.look()
    clock.at += 9
    assert kills.happened_within(10)
    clock.at += 2
    assert not kills.happened_within(10)


def test_first_look_proves_nothing(counter: Path) -> None:
    """What was killed before this process looked is not its business."""
    assert not MemoryKills((counter,)).happened_within(10)


@pytest.mark.parametrize("content", ["", "oom_kill", "oom_kill many", "nr_free_pages 1"])
def test_unreadable_source_gives_way_to_the_next(tmp_path: Path, counter: Path, content: str) -> None:
    """Control groups are not everywhere."""
    odd = tmp_path / "odd"
    odd.write_text(content)
    kills = MemoryKills((tmp_path / "absent", odd, counter))
    kills.look()
    counter.write_text("oom_kill 6\n")
    assert kills.happened_within(10)


def test_this_machines_own_counter_can_be_read() -> None:
    """On Linux there is at least the machine's; nothing is killed by looking."""
    kills = MemoryKills()
    kills.look()
    assert kills._count is not None
