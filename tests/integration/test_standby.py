"""A local runner that stands by: it takes jobs only while Redis is down, and Celery's workers have them otherwise."""

import os
import signal

from tasks.core.records import JobState
from tests.integration.house import House, LocalWorker
from tests.integration.processes import await_true

RUNNER = ("-m", "workers", "local", "-Q", "analytics", "--slots", "1", "--standby")


def test_standby_works_only_while_redis_is_down(house: House) -> None:
    """Jobs go to the Celery worker, with Redis frozen to the standby, then to the worker again; each has one effect."""
    runner = house.start("standby", *RUNNER, prompt="local_runner_ready")
    row = house.row(LocalWorker(runner, house.app))
    assert row.name.startswith("standby@")

    first = house.await_end(house.submit())
    house.broker.kill("SIGSTOP")
    waited_for = [house.await_end(house.submit()) for _ in range(3)]
    house.broker.kill("SIGCONT")
    await_true(lambda: house.row(LocalWorker(runner, house.app)).state == "standby", what="it steps back")
    last = house.await_end(house.submit())

    everything = [first, *waited_for, last]
    assert [(JobState.SUCCEEDED, 1)] * 5 == [(job.state, len(house.effects(job))) for job in everything]
    by_standby = [job.worker == row.name for job in everything]
    assert [False, True, True, True, False] == by_standby
    os.kill(runner.pid, signal.SIGTERM)
    assert 0 == runner.wait()
