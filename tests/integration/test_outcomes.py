"""The ledger, ``AsyncResult``, ``celery result`` and Flower tell the same outcome."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from celery import states
from celery.result import AsyncResult

from tasks.core.records import Job, JobState
from tests.integration.house import House
from tests.integration.processes import REPOSITORY, await_true
from tests.servers import free_port


class Flower:
    """Flower's HTTP API, as an operator with the password sees it."""

    def __init__(self, url: str, *, password: str) -> None:
        self._http = httpx.Client(base_url=url, auth=("operator", password), timeout=30)

    def get(self, path: str) -> dict[str, Any]:
        """Return what Flower knows; nothing while it is not up, or does not know the thing yet."""
        try:
            answer = self._http.get(path)
        except httpx.TransportError:
            return {}
        return answer.json() if answer.is_success else {}

    def status(self, method: str, path: str, *, signed: bool = True) -> int:
        """Return the status code alone."""
        return self._http.request(method, path, **({} if signed else {"auth": None})).status_code

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


@pytest.fixture(scope="module")
def flower(celery_setup: House) -> Iterator[Flower]:
    """Flower, started as ours is, and seeing the worker."""
    port = free_port()
    env = {"SWITCHYARD_FLOWER_PASSWORD": "watchful"}
    celery_setup.start("flower", "-m", "workers", "flower", "--port", str(port), prompt=None, env=env)
    flower = Flower(f"http://127.0.0.1:{port}", password="watchful")
    name = celery_setup.row(celery_setup.worker).name
    await_true(lambda: name in flower.get("/api/workers?refresh=1"), what="Flower sees the worker")
    yield flower
    flower.close()


def _succeeded(house: House) -> Job:
    return house.submit()


def _failed(house: House) -> Job:
    return house.submit("fail")


def _cancelled_while_running(house: House) -> Job:
    job = house.submit("sleep", seconds=100)
    house.await_start(job)
    return house.cancel(job)


def _cancelled_by_force(house: House) -> Job:
    job = house.submit("stubborn", seconds=1000)
    house.await_start(job)
    return house.cancel(job)


def _cancelled_while_queued(house: House) -> Job:
    blocker = house.submit("sleep", seconds=100)
    house.await_start(blocker)
    job = house.cancel(house.submit())
    house.cancel(blocker)
    return job


def _over_the_hard_limit(house: House) -> Job:
    return house.submit("hang", seconds=1000, timeout_s=1, max_attempts=1)


def _killed_child(house: House) -> Job:
    return house.submit("exit", max_attempts=1)


def _killed_child_then_succeeded(house: House) -> Job:
    return house.submit("exit", until_attempt=1)


@pytest.mark.parametrize(
    ("scenario", "state", "celery_state", "words"),
    [
        (_succeeded, JobState.SUCCEEDED, states.SUCCESS, "'attempt': 1"),
        (_failed, JobState.FAILED, states.FAILURE, "hopeless: This cannot work."),
        (_cancelled_while_running, JobState.CANCELLED, states.REVOKED, "cancel_requested"),
        (_cancelled_by_force, JobState.CANCELLED, states.REVOKED, "cancel_requested"),
        (_cancelled_while_queued, JobState.CANCELLED, states.REVOKED, "cancel_requested"),
        (_over_the_hard_limit, JobState.FAILED, states.FAILURE, "timeout: The attempt ran into its hard time limit"),
        (_killed_child, JobState.FAILED, states.FAILURE, "worker_lost: The worker's child process was lost"),
        (_killed_child_then_succeeded, JobState.SUCCEEDED, states.SUCCESS, "'attempt': 2"),
    ],
)
def test_every_view_tells_the_same_outcome(
    house: House, flower: Flower, scenario: Callable[[House], Job], state: JobState, celery_state: str, words: str
) -> None:
    """The record, AsyncResult, celery result, Flower's result and Flower's own history agree, in state and words."""
    job = house.await_end(scenario(house))

    result = AsyncResult(job.id, app=house.app)
    printed = _celery_result(house, job)
    told = flower.get(f"/api/task/result/{job.id}")
    await_true(lambda: _history(flower, job).get("state") == celery_state, what=f"Flower's history says {celery_state}")

    assert state == job.state
    assert (celery_state, True) == (result.state, result.ready())
    assert celery_state == told["state"]
    for text in (str(result.result), printed, str(told["result"])):
        assert words in text
    if state is JobState.FAILED:
        assert words in str(_history(flower, job)["exception"])


def _history(flower: Flower, job: Job) -> dict[str, Any]:
    return flower.get(f"/api/task/info/{job.id}")


def _celery_result(house: House, job: Job) -> str:
    """Return all that ``celery result`` prints; it ends with an error for a job that did not succeed."""
    command = [sys.executable, "-m", "celery", "-A", "tasks", "result", job.id]
    done = subprocess.run(
        command, env=house.env, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert (job.state is JobState.SUCCEEDED) == (done.returncode == 0)
    return done.stdout + done.stderr


def test_running_and_queued_jobs_look_alike_everywhere(house: House, flower: Flower) -> None:
    """A running job is STARTED and a waiting one PENDING, for Celery and for Flower."""
    running = house.submit("sleep", seconds=100)
    house.await_start(running)
    queued = house.submit()

    seen = [flower.get(f"/api/task/result/{job.id}")["state"] for job in (running, queued)]
    house.cancel(queued)
    house.cancel(running)

    assert [states.STARTED, states.PENDING] == seen


def test_flower_is_closed_and_read_only(house: House, flower: Flower) -> None:
    """Without the password Flower answers 401, and with it nothing can be changed."""
    worker = house.row(house.worker).name.replace("#", "%23")

    assert 401 == flower.status("GET", "/api/workers", signed=False)
    assert 401 == flower.status("GET", "/api/task/result/any", signed=False)
    assert 403 == flower.status("POST", f"/api/worker/shutdown/{worker}")
