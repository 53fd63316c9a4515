"""A browser whose worker child or worker dies in the middle of a page: none of its processes outlives that."""

import os
import shutil
import signal
from collections.abc import Iterator

import psutil
import pytest

from tasks.core.records import Job, JobState
from tests.core.egress.raw_server import RawServer
from tests.integration.house import House
from tests.integration.processes import await_true

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here: make setup installs it")

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<title>there</title>"


@pytest.fixture(scope="module")
def silent() -> Iterator[RawServer]:
    """Takes requests and says nothing."""
    server = RawServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def friendly() -> Iterator[RawServer]:
    """Answers each connection with a page, and closes none."""
    server = RawServer(ANSWER.replace(b"Connection: close", b"Content-Length: 20"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def house_settings(silent: RawServer, friendly: RawServer) -> dict[str, str]:
    """Both may be visited."""
    return {"egress_allow": f"{silent.endpoint},{friendly.endpoint}"}


def browse_until_loading(house: House, silent: RawServer, **options: float) -> tuple[Job, list[psutil.Process]]:
    """Return a job whose page waits for its server, and the browser's processes, the main one first."""
    asked = silent.arrivals
    job = house.submit("browse", url=f"http://{silent.endpoint}/", seconds=100, until_attempt=1, **options)
    await_true(lambda: silent.arrivals > asked, what="the page is asked for")
    processes = chromium_below(house.job(job).child_pid)
    assert len(processes) > 3
    return job, processes


def chromium_below(pid: int) -> list[psutil.Process]:
    found = [process for process in psutil.Process(pid).children(recursive=True) if is_chromium(process)]
    return sorted(found, key=lambda process: os.getpgid(process.pid) != process.pid)


def is_chromium(process: psutil.Process) -> bool:
    try:
        return process.name() == "chromium"
    except psutil.NoSuchProcess:  # one of its helpers that has ended meanwhile
        return False


def await_gone(processes: list[psutil.Process]) -> None:
    await_true(lambda: not [one for one in processes if lives(one)], what="the browser is gone", within_s=60)


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_browser_of_a_killed_child_is_gone(house: House, silent: RawServer) -> None:
    """SIGKILL to the child while a page loads: the browser ends, and the next attempt succeeds."""
    job, processes = browse_until_loading(house, silent)

    os.kill(house.job(job).child_pid, signal.SIGKILL)

    await_gone(processes)
    assert JobState.SUCCEEDED == house.await_end(job).state


def test_frozen_browser_of_a_killed_child_is_hunted_down(house: House, silent: RawServer) -> None:
    """One that cannot notice that its child is dead is killed by a worker's beat."""
    job, processes = browse_until_loading(house, silent)
    processes[0].suspend()

    os.kill(house.job(job).child_pid, signal.SIGKILL)

    await_gone(processes)
    house.await_end(job)


def test_browser_of_a_child_over_its_hard_limit_is_gone(house: House, silent: RawServer) -> None:
    """A child that hears nothing any more is killed at the limit; its browser is gone soon after that."""
    job, processes = browse_until_loading(house, silent, timeout_s=10)
    psutil.Process(house.job(job).child_pid).suspend()

    house.await_job(job, lambda seen: seen.attempt > 1 or seen.cause == "timeout", what="the limit ends the attempt")

    await_true(lambda: not [one for one in processes if lives(one)], what="the browser is gone", within_s=30)
    assert JobState.SUCCEEDED == house.await_end(job).state
    assert ["retried", "succeeded"] == [row.outcome for row in house.attempts(job)]
    assert "timeout" == house.attempts(job)[0].cause


def test_cancelled_visit_leaves_the_child_and_its_browser_alive(house: House, silent: RawServer) -> None:
    """A cancel while a page loads ends the visit; nothing has to be killed for that."""
    job, processes = browse_until_loading(house, silent)

    house.cancel(job)

    assert JobState.CANCELLED == house.await_end(job).state
    assert lives(processes[0])
    assert ["cancelled"] == [row.outcome for row in house.attempts(job)]


def test_browser_of_a_stopped_worker_is_gone(house: House, friendly: RawServer) -> None:
    """An orderly stop closes a browser that is warm and idle."""
    job = house.submit("browse", url=f"http://{friendly.endpoint}/", seconds=60, max_attempts=1)
    assert JobState.SUCCEEDED == house.await_end(job).state
    processes = chromium_below(house.child_of(job))
    assert processes

    os.kill(house.worker.pid, signal.SIGTERM)

    await_gone(processes)


def test_browser_of_a_killed_worker_is_gone(house: House, silent: RawServer) -> None:
    """SIGKILL to the parent of the worker that has the job, while a page loads."""
    house.start_worker("-Q", "analytics")
    job, processes = browse_until_loading(house, silent)

    os.kill(psutil.Process(house.job(job).child_pid).ppid(), signal.SIGKILL)

    await_gone(processes)
    house.start_worker("-Q", "analytics")
    assert JobState.SUCCEEDED == house.await_end(job).state
