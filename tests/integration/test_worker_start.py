"""What a plain ``celery -A tasks worker`` says of itself, and when it refuses to start."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.core.ledger.fleet import WorkerState
from tasks.core.spec import Queue
from tests.integration.house import House, LocalBroker, worker_arguments
from tests.integration.processes import REPOSITORY, RedisContainer
from workers.preflight import find_capabilities


@pytest.fixture(scope="module")
def worker_options() -> tuple[str, ...]:
    """No ``-Q``."""
    return ()


def test_worker_without_queues_takes_all_six(celery_setup: House) -> None:
    """With no -Q the worker registers the six queues and what its machine offers, and beats."""
    celery_setup.await_row(celery_setup.worker, WorkerState.UP)
    row = celery_setup.row(celery_setup.worker)

    assert sorted(queue.value for queue in Queue) == row.queues
    assert (WorkerState.UP, find_capabilities(), 1) == (row.state, row.capabilities, row.slots)
    assert row.name.startswith("all@")
    celery_setup.await_beat(celery_setup.worker, after=row.beat)


def test_worker_with_a_queue_registers_that_queue(celery_setup: House) -> None:
    """With -Q crawler the worker registers that queue and its profile's slots."""
    worker = celery_setup.start_worker("-Q", "crawler")

    row = celery_setup.row(worker)

    assert (["crawler"], 2) == (row.queues, row.slots)
    assert row.name.startswith("crawler@")


def test_setup_answers_celerys_own_ping(celery_setup: House) -> None:
    """Celery's remote control reaches the worker, as Flower needs."""
    assert celery_setup.ready(control=True)
    assert celery_setup.app.control.ping(timeout=5)


def _start_refused(
    env: Mapping[str, str], *options: str, cwd: Path = REPOSITORY, path: str = str(REPOSITORY)
) -> list[str]:
    done = subprocess.run(
        [sys.executable, *worker_arguments(*options)],
        env={**env, "PYTHONPATH": path},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 2 == done.returncode, done.stdout + done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("- ")]


def test_mistyped_queue_is_refused(house_env: dict[str, str]) -> None:
    """A queue that does not exist stops the worker with exit code 2."""
    (reason,) = _start_refused(house_env, "-Q", "crawlr")

    assert "queue 'crawlr' does not exist" in reason


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_pool_that_cannot_beat_is_refused(house_env: dict[str, str], pool: str) -> None:
    """Any pool but prefork stops the worker with exit code 2."""
    (reason,) = _start_refused(house_env, "-Q", "ai", "-P", pool)

    assert "use prefork" in reason


def test_every_reason_is_listed_at_once(house_env: dict[str, str], folder: Path) -> None:
    """Unsafe configuration, options, queues and Redis are all named in one refusal."""
    (folder / "celeryconfig.py").write_text(
        f"import runpy\nglobals().update(runpy.run_path({json.dumps(str(REPOSITORY / 'celeryconfig.py'))}))\n"
        "task_acks_late = True\nworker_prefetch_multiplier = 4\naccept_content = ['json', 'pickle']\n"
        "broker_transport_options = {'global_keyprefix': 'sy:'}\n"
    )
    broker = LocalBroker(RedisContainer(folder, "--maxmemory-policy", "allkeys-lru"))
    broker.ready()
    env = {**house_env, "SWITCHYARD_REDIS_URL": broker.url}

    reasons = "\n".join(_start_refused(env, "-Q", "crawlr", "-P", "solo", cwd=folder, path=f"{folder}:{REPOSITORY}"))

    broker.teardown()
    for named in (
        "task_acks_late",
        "worker_prefetch_multiplier",
        "accept_content",
        "socket_timeout",
        "socket_connect_timeout",
        "socket_keepalive",
        "health_check_interval",
        "crawlr",
        "use prefork",
        "allkeys-lru",
    ):
        assert named in reasons


def test_bad_settings_are_refused(house_env: dict[str, str]) -> None:
    """Settings out of bounds stop the worker with exit code 2, each one named, without a traceback."""
    env = {**house_env, "SWITCHYARD_LEASE_S": "0", "SWITCHYARD_REDIS_URL": "http://nowhere"}

    done = subprocess.run(
        [sys.executable, *worker_arguments()],
        env=env,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 2 == done.returncode
    assert "SWITCHYARD_LEASE_S" in done.stderr
    assert "SWITCHYARD_REDIS_URL" in done.stderr
    assert "Traceback" not in done.stderr
