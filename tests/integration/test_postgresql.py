"""The ledger on PostgreSQL, with real workers: killed, cancelled, and the server itself stopped.

Tests imported from other modules run here against PostgreSQL.
"""

from pathlib import Path

import pytest

from tasks.core.errors import LedgerUnavailable
from tasks.core.records import JobState
from tests.integration.house import House
from tests.integration.test_cancelling import *  # noqa: F403  # the same tests on another database
from tests.integration.test_dying import (
    fates,
    test_hard_limit_ends_a_hung_job_as_timeout,
    test_job_survives_a_killed_child,
    test_killed_child_costs_attempts_until_the_job_is_dead,
)
from tests.servers import PostgreSQL

__all__ = [
    "fates",
    "test_hard_limit_ends_a_hung_job_as_timeout",
    "test_job_survives_a_killed_child",
    "test_killed_child_costs_attempts_until_the_job_is_dead",
]


@pytest.fixture(scope="module")
def house_settings(postgresql: PostgreSQL, folder: Path) -> dict[str, str]:
    """A database of this module's own; the state folder stays beside it."""
    url = postgresql.create(f"house_{folder.name.replace('-', '_')}")
    return {"ledger_url": url.replace("postgresql+psycopg://", "postgresql://"), "lease_s": "3"}


def test_finished_work_is_written_when_the_server_is_back(house: House, postgresql: PostgreSQL) -> None:
    """PostgreSQL stops while a job runs: nothing can be accepted, and the job ends once, in its first attempt."""
    job = house.submit("sleep", seconds=2)
    house.await_start(job)
    postgresql.stop()
    try:
        with pytest.raises(LedgerUnavailable):
            house.submit()
    finally:
        postgresql.start()
    ended = house.await_end(job)
    assert (JobState.SUCCEEDED, 1, [(1, 1)]) == (ended.state, ended.attempt, house.effects(job))


def test_job_of_a_killed_worker_is_finished_by_another(house: House) -> None:
    """After kill -9 of the worker's parent in the middle of a job, another worker ends it: one success."""
    job = house.submit("sleep", seconds=1000, until_attempt=1)
    house.await_start(job)
    house.worker.kill()
    house.start_worker("-Q", "analytics")
    ended = house.await_end(job)
    assert (JobState.SUCCEEDED, 2) == (ended.state, ended.attempt)
    assert ["retried", "succeeded"] == [row.outcome for row in house.attempts(job)]
