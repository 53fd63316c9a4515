"""When the workers of a bench count as started up."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import contestants


class Workers(contestants.RawCelery):
    """Has used so much of the processors, process by process, whenever somebody looks."""

    def __init__(self, folder: Path, looks: Sequence[dict[int, float]]) -> None:
        super().__init__(folder, "redis://127.0.0.1:1")
        self.looks = list(looks)

    def _processor_s(self) -> dict[int, float]:
        return self.looks.pop(0)


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.contestants.time.sleep", lambda _seconds: None)


@pytest.mark.parametrize(
    ("looks", "left"),
    [
        ([{1: 5.0, 2: 3.0}, {1: 5.9}, {1: 5.95}, {}], 1),
        ([{1: 5.0}, {1: 5.0, 2: 0.0}, {1: 5.0, 2: 0.9}, {1: 5.0, 2: 0.9}, {}], 1),
        ([dict.fromkeys(range(20), 1.0), dict.fromkeys(range(20), 1.05), {}], 1),
        ([dict.fromkeys(range(20), 1.0), dict.fromkeys(range(20), 1.2), dict.fromkeys(range(20), 1.2), {}], 1),
    ],
    ids=["one-exits", "one-comes", "many-idle", "many-busy"],
)
@pytest.mark.usefixtures("_no_waiting")
def test_workers_are_at_rest_once_the_same_ones_do_next_to_nothing(
    tmp_path: Path, looks: list[dict[int, float]], left: int
) -> None:
    """Of each process; what one that exits has used is not taken for idleness."""
    workers = Workers(tmp_path, looks)
    workers.await_rest()
    assert left == len(workers.looks)


def test_workers_that_have_ended_are_told(tmp_path: Path) -> None:
    """With what they said last."""
    workers = contestants.RawCelery(tmp_path, "redis://127.0.0.1:1")
    workers.run(sys.executable, "-S", "-c", "print('no such module')")
    (worker,) = workers.workers()
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    try:
        with pytest.raises(RuntimeError, match=r"celery: its workers have ended\nno such module"):
            workers.await_rest()
    finally:
        workers.close()
