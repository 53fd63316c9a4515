"""How many workers are advised for what was measured, and in which words."""

from dataclasses import replace

import pytest

from app.staffing import SLOTS_PER_WORKER, Demand, staffing
from tasks.core.spec import Queue
from workers.profiles import PROFILES

QUIET = Demand(Queue.CRAWLER, waiting=0, running=0, arrivals_per_s=0.0, job_s=None, slots_per_worker=2)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1),
        # 0.35 a second of 20 s are 7 at a time, 10 at 70 %.
        ({"arrivals_per_s": 0.35, "job_s": 20.0}, 5),
        ({"arrivals_per_s": 0.36, "job_s": 20.0}, 6),
        # 120 of 20 s within 600 s are 4 at a time.
        ({"waiting": 120, "job_s": 20.0}, 2),
        ({"waiting": 120, "job_s": 20.0, "arrivals_per_s": 0.35}, 7),
        ({"waiting": 120, "job_s": 20.0, "slots_per_worker": 1}, 4),
        # None is interrupted.
        ({"running": 6, "job_s": 1.0, "arrivals_per_s": 0.001}, 3),
        ({"running": 6, "waiting": 1}, 4),
        ({"running": 0, "waiting": 500}, 1),
        ({"arrivals_per_s": 0.5}, 1),
    ],
)
def test_workers_follow_rate_backlog_and_what_runs(changes: dict[str, float], expected: int) -> None:
    """Each by its own rule; together where they add up."""
    assert expected == staffing(replace(QUIET, **changes)).workers


def test_reasons_are_words_with_the_figures() -> None:
    """A person sees what the number comes from."""
    found = staffing(replace(QUIET, waiting=120, job_s=20.0, arrivals_per_s=0.35))
    assert (
        "21 jobs a minute of 20 s each, at most 70% busy: 10.",
        "120 wait and are to be done in 10 minutes: 4.",
        "14 at a time, 2 to a worker: 7.",
    ) == found.reasons
    assert "none is to be interrupted" in staffing(replace(QUIET, running=6, job_s=1.0)).reasons[1]
    assert "is not known" in staffing(replace(QUIET, waiting=1)).reasons[0]


def test_workers_have_as_many_slots_as_is_reckoned_with() -> None:
    """They are set elsewhere."""
    assert {queue: profile.concurrency for queue, profile in PROFILES.items()} == SLOTS_PER_WORKER
