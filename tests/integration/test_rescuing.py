"""Workers that vanish or freeze: their jobs are rescued, and what they write too late is refused."""

import pytest

from tasks.core.ledger.fleet import WorkerState
from tasks.core.matching import offers_of
from tasks.core.records import JobState
from tests.integration.house import House
from tests.integration.processes import await_true, family_of, freeze, thaw


@pytest.fixture(scope="module")
def house_settings() -> dict[str, str]:
    """A short lease, so that the dispatcher soon gives a worker up."""
    return {"lease_s": "2"}


@pytest.fixture(scope="module")
def worker_options() -> tuple[str, ...]:
    """The module's own worker takes none of the jobs; each test starts its victim."""
    return ("-Q", "maintenance")


def test_job_of_a_killed_worker_is_finished_by_another(house: House) -> None:
    """After kill -9 of a worker's parent in the middle of a job, another worker ends it: one success."""
    victim = house.start_worker("-Q", "analytics")
    job = house.submit("sleep", seconds=1000, until_attempt=1)
    house.await_start(job)

    victim.kill()
    other = house.start_worker("-Q", "analytics")

    ended = house.await_end(job)
    assert (JobState.SUCCEEDED, 2) == (ended.state, ended.attempt)
    assert ["retried", "succeeded"] == [row.outcome for row in house.attempts(job)]
    assert 1 == house.events(job).count("succeeded")
    house.await_row(victim, WorkerState.GONE)
    other.teardown()


def test_job_with_requirements_of_a_killed_worker_goes_to_the_other_that_fits(house: House) -> None:
    """Also where that one serves a few tenants only, and so takes nothing but what comes to its own queue."""
    victim = house.start_worker("-Q", "analytics", settings={"worker_labels": "gpu, big"})
    job = house.submit("sleep", seconds=1000, until_attempt=1, requires={"labels": ["gpu"]})
    assert house.row(victim).name == house.await_start(job).worker

    victim.kill()
    heir = house.start_worker("-Q", "analytics", settings={"worker_labels": "gpu", "worker_tenants": "tests"})

    ended = house.await_end(job)
    assert (JobState.SUCCEEDED, house.row(heir).name) == (ended.state, ended.worker)
    assert ([], ["analytics"]) == (house.row(heir).queues, offers_of(house.row(heir)).queues)
    heir.teardown()


def test_late_writer_is_refused(house: House) -> None:
    """A worker that was frozen until its job was rescued and finished cannot change the end."""
    frozen = house.start_worker("-Q", "analytics")
    job = house.submit("stubborn", seconds=3, until_attempt=1)
    house.await_start(job)
    tree = family_of(frozen.pid)
    freeze(tree, house.kernel.ledger)

    other = house.start_worker("-Q", "analytics")
    ended = house.await_end(job)
    thaw(tree)
    await_true(lambda: "attempt_superseded" in frozen.logs(), what="the late writer is refused")

    assert (JobState.SUCCEEDED, {"attempt": 2, "fence": 2}) == (ended.state, ended.result)
    assert ended == house.job(job)
    assert ["queued", "running", "queued", "running", "succeeded"] == house.events(job)
    house.await_row(frozen, WorkerState.UP)
    other.teardown()
    frozen.teardown()
