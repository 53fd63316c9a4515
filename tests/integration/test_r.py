"""R in a worker: what stops it, what its end is called, and that nothing is left of it, by both ways to R."""

import time
from pathlib import Path

import psutil
import pytest

from tasks.core.records import Job, JobState
from tests.calibration.r_library import built_library
from tests.faulty.contract import R
from tests.integration.house import House
from tests.integration.processes import await_true

BRIDGES = ("rpy2", "rscript")


@pytest.fixture(scope="module")
def worker_options() -> tuple[str, ...]:
    """One child, so that the next job meets what the last one left."""
    return ("-Q", "ai", "--concurrency", "1")


@pytest.fixture(scope="module")
def house_settings() -> dict[str, str]:
    return {"r_library": str(built_library()), "child_memory_mb": "400"}


def _submit(house: House, act: str, bridge: str, **options: object) -> Job:
    return house.submit(act, kind=R, bridge=bridge, **options)


def _is_clean(house: House, job: Job, child_pid: int | None) -> None:
    """No folder of the job, no process of the child's but the child, no folder of R's outside of the job's."""
    await_true(lambda: not list((house.folder / "var" / "work").glob(f"{job.id}-*")), what="the folders are removed")

    def strangers() -> list[int]:
        return [pid for pid in house.marked(child_pid or 0) if pid != child_pid]

    await_true(lambda: not strangers(), what="no process is left", within_s=30)


def _next_is_right(house: House, bridge: str) -> Job:
    after = house.await_end(_submit(house, "answer", bridge))
    assert JobState.SUCCEEDED == after.state
    return after


@pytest.mark.parametrize("bridge", BRIDGES)
@pytest.mark.parametrize("act", ["loop", "sleep"])
def test_cancel_stops_r_and_keeps_the_child(house: House, act: str, bridge: str) -> None:
    """R is interrupted, or its process killed; the child goes on with the next job."""
    job = _submit(house, act, bridge)
    started = house.await_start(job)
    began = time.monotonic()

    house.cancel(job)

    ended = house.await_end(job)
    took_s = time.monotonic() - began
    print(f"cancelled in {took_s:.2f} s")  # well under 2 s where the machine has nothing else to do
    assert took_s < 30
    assert JobState.CANCELLED == ended.state
    _is_clean(house, job, started.child_pid)
    _next_is_right(house, bridge)
    assert started.child_pid == house.child_of(_next_is_right(house, bridge))


@pytest.mark.parametrize("bridge", BRIDGES)
def test_cancel_kills_what_does_not_look_for_interrupts(house: House, bridge: str) -> None:
    """The worker's beat does, after the grace time: R, what R started, and the child where R is inside of it."""
    job = _submit(house, "system", bridge)
    started = house.await_start(job)
    began = time.monotonic()

    house.cancel(job)

    ended = house.await_end(job)
    took_s = time.monotonic() - began
    print(f"killed in {took_s:.2f} s")
    assert took_s < 30
    assert (JobState.CANCELLED, ["cancelled"]) == (ended.state, [row.outcome for row in house.attempts(job)])
    _is_clean(house, job, started.child_pid)
    after = _next_is_right(house, bridge)
    assert (bridge == "rscript") == (house.child_of(after) == started.child_pid)


@pytest.mark.parametrize("bridge", BRIDGES)
@pytest.mark.parametrize("act", ["loop", "sleep"])
def test_soft_limit_stops_r(house: House, act: str, bridge: str) -> None:
    """The cause is the limit, and the child goes on."""
    job = house.await_end(_submit(house, act, bridge, timeout_s=2, max_attempts=1))

    assert (JobState.FAILED, "timeout") == (job.state, job.cause)
    assert "ran longer than its 2 s" in job.error["message"]
    child = house.child_of(job)
    _is_clean(house, job, child)
    assert child == house.child_of(_next_is_right(house, bridge))


@pytest.mark.parametrize("bridge", BRIDGES)
def test_hard_limit_ends_what_the_soft_one_cannot(house: House, bridge: str) -> None:
    """R does not come back to Python; Celery's parent kills the child, and nothing is left."""
    job = house.await_end(_submit(house, "system", bridge, timeout_s=2, max_attempts=1))

    assert (JobState.FAILED, "timeout") == (job.state, job.cause)
    _is_clean(house, job, house.child_of(job))
    _next_is_right(house, bridge)


@pytest.mark.parametrize(
    ("bridge", "cause", "words"), [("rpy2", "worker_lost", "SIGSEGV"), ("rscript", "permanent", "SIGSEGV")]
)
def test_crash_is_named(house: House, bridge: str, cause: str, words: str) -> None:
    """Inside the child it takes the child with it; as a process it is R's own."""
    job = house.await_end(_submit(house, "crash", bridge, max_attempts=1))

    assert (JobState.FAILED, cause) == (job.state, job.cause)
    assert words in job.error["message"]
    _is_clean(house, job, house.child_of(job))
    _next_is_right(house, bridge)


def test_crash_is_tried_again_in_another_child(house: House) -> None:
    """As for every lost child, while attempts remain."""
    job = house.await_end(_submit(house, "crash", "rpy2", until_attempt=1))

    assert (JobState.SUCCEEDED, 2) == (job.state, job.attempt)


@pytest.mark.parametrize("bridge", BRIDGES)
@pytest.mark.parametrize(
    ("act", "words"), [("gobble", "over the limit of 400"), ("unmemorable", "R ran out of memory")]
)
def test_want_of_memory_is_named(house: House, act: str, words: str, bridge: str) -> None:
    """Whether R noticed it or the worker did."""
    job = house.await_end(_submit(house, act, bridge, max_attempts=1))

    assert (JobState.FAILED, "out_of_memory") == (job.state, job.cause)
    assert words in job.error["message"]
    _is_clean(house, job, house.child_of(job))
    _next_is_right(house, bridge)


def test_killed_child_leaves_no_folder(house: House) -> None:
    """R's session had its temporary folder in the job's; the parent removes it, as R itself cannot any more."""
    job = _submit(house, "sleep", "rpy2", max_attempts=1)
    started = house.await_start(job)
    (folder,) = (house.folder / "var" / "work").glob(f"{job.id}-*")
    assert [path for path in folder.rglob("Rtmp*") if any(path.iterdir())]

    psutil.Process(started.child_pid).kill()

    assert "worker_lost" == house.await_end(job).cause
    _is_clean(house, job, started.child_pid)


def test_r_starts_in_a_child_only(house: House) -> None:
    """The worker's parent never loads it, nor do the dispatcher and the web process."""
    job = _submit(house, "sleep", "rpy2")
    started = house.await_start(job)

    def has_r(pid: int) -> bool:
        return "libR.so" in Path(f"/proc/{pid}/maps").read_text()

    assert has_r(started.child_pid)
    assert not has_r(house.worker.pid)
    house.cancel(job)
    house.await_end(job)
