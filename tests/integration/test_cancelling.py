"""Cancelling: at once while queued, soon while running, and nothing of the job lives on."""

from tasks.core.records import JobState
from tests.integration.house import House
from tests.integration.processes import await_true


def test_cancelled_queued_job_never_runs(house: House) -> None:
    """A queued job is cancelled in the call itself; its message, already in the broker, is void."""
    blocker = house.submit("sleep", seconds=100)
    house.await_start(blocker)
    job = house.submit()

    cancelled = house.cancel(job)
    house.cancel(blocker)
    house.await_end(house.submit())

    assert JobState.CANCELLED == cancelled.state
    assert JobState.CANCELLED == house.job(job).state
    assert [] == house.effects(job)


def test_running_job_stops_at_its_next_checkpoint(house: House) -> None:
    """A cooperative engine is cancelled without its child being killed."""
    job = house.submit("sleep", seconds=100)
    started = house.await_start(job)

    house.cancel(job)

    ended = house.await_end(job)
    assert (JobState.CANCELLED, "cancel_requested") == (ended.state, ended.cause)
    assert started.child_pid == house.child_of(house.await_end(house.submit()))


def test_stubborn_job_is_killed_after_the_grace_time(house: House) -> None:
    """An engine that swallows its cancellation is killed; the job is cancelled, its workdir removed."""
    job = house.submit("stubborn", seconds=1000)
    started = house.await_start(job)

    house.cancel(job)

    ended = house.await_end(job)
    assert (JobState.CANCELLED, ["cancelled"]) == (ended.state, [row.outcome for row in house.attempts(job)])
    assert started.child_pid not in [child.pid for child in house.worker.children()]
    await_true(lambda: not list((house.folder / "var" / "work").glob(f"{job.id}-*")), what="the workdir is removed")


def test_cancelled_job_leaves_no_process_behind(house: House) -> None:
    """Even a grandchild in a session of its own is found by its mark and killed."""
    job = house.submit("grandchild", seconds=1000)
    started = house.await_start(job)
    await_true(lambda: house.marked(started.child_pid), what="the grandchild lives")

    house.cancel(job)

    assert JobState.CANCELLED == house.await_end(job).state
    await_true(lambda: not house.marked(started.child_pid), what="no marked process lives")


def test_cancelled_job_that_waits_for_its_retry_is_cancelled_at_once(house: House) -> None:
    """Between two attempts a job is queued, and cancelled like any queued one."""
    job = house.submit("exit")
    house.await_job(job, lambda seen: seen.state is JobState.QUEUED and seen.attempt == 1, what="waits for its retry")

    assert JobState.CANCELLED == house.cancel(job).state
    assert ["queued", "running", "queued", "cancelled"] == house.events(job)
