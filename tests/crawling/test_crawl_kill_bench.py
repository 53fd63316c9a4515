"""The bench that kills a crawl: what it counts, and attempts that end otherwise than it means them to."""

import sys
from pathlib import Path

import pytest

from bench.crawl_kill import measure


def test_kill_in_the_middle_is_measured_and_loses_nothing() -> None:
    """The second attempt goes on behind the pages that the first one kept."""
    told = measure(pages=200, kill_at=5, concurrency=2)
    assert (0, 0) == (told["lost"], told["twice"])
    assert 5 <= told["killed_at"] < 200
    assert 0 <= told["fetched_again"] <= 2 * 2


def test_attempt_that_is_over_before_the_kill_is_told() -> None:
    """Whether it had all pages or died."""
    with pytest.raises(RuntimeError, match=r"first attempt ended with 0 before --kill-at \(100 pages\)"):
        measure(pages=3, kill_at=100, concurrency=2)


def test_second_attempt_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With how it ended."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *"--attempt 2") exit 3;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(RuntimeError, match="second attempt ended with 3 and kept no artifact"):
        measure(pages=10, kill_at=2, concurrency=1)
