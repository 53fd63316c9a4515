"""A local runner that stands by: it takes jobs only while Redis is down, and Celery's workers have them otherwise."""

import os
import signal

from app.factory import create_app
from app.services import services_of
from tasks.core.records import JobState, ran_in
from tests.faulty.contract import ACT
from tests.integration.house import House, LocalWorker
from tests.integration.processes import await_true, family_of, freeze, thaw

RUNNER = ("-m", "workers", "local", "-Q", "analytics", "--slots", "1", "--standby")


def test_standby_works_only_while_redis_is_down(house: House) -> None:
    """Jobs go to the Celery worker, with Redis frozen to the standby, then to the worker again; each has one effect.

    One that was put into Redis before is run by the standby, too, and its message finds it taken. Who asks for a
    backend gets that one.
    """
    runner = house.start("standby", *RUNNER, prompt="local_runner_ready")
    row = house.row(LocalWorker(runner, house.app))
    assert row.name.startswith("standby@")

    first = house.await_end(house.submit())
    mine = house.await_end(house.submit(backend="local"))
    celery = family_of(house.worker.pid)
    freeze(celery, house.kernel.ledger)
    await_true(lambda: house.waits_for_messages() == 0, what="Redis does not hand the next one out at once")
    carried = house.submit()
    await_true(lambda: house.messages(carried) == 1, what="its message lies in Redis")
    house.broker.kill("SIGSTOP")
    taken = house.await_end(carried)
    thaw(celery)
    theirs = house.submit(backend="queue")
    waited_for = [taken, *(house.await_end(house.submit()) for _ in range(2))]
    assert (200, "succeeded", "local") == preferring_to_wait(house)
    house.broker.kill("SIGCONT")
    await_true(lambda: house.row(LocalWorker(runner, house.app)).state == "standby", what="it steps back")
    last = house.await_end(house.submit())
    theirs = house.await_end(theirs)
    await_true(lambda: house.messages(carried) == 0, what="the late message is taken")

    everything = [first, mine, *waited_for, last, theirs]
    assert [(JobState.SUCCEEDED, 1)] * 7 == [(job.state, len(house.effects(job))) for job in everything]
    assert ["queue", *["local"] * 4, "queue", "queue"] == [ran_in(job.worker or "") for job in everything]
    assert [1] * 7 == [len(house.attempts(job)) for job in everything]
    os.kill(runner.pid, signal.SIGTERM)
    assert 0 == runner.wait()


def preferring_to_wait(house: House) -> tuple[int, str, str]:
    """Submit over HTTP with ``Prefer: wait``; return the status, the state and the backend that it answers with."""
    front = create_app(house.kernel.settings, kernel=house.kernel, carrier=house.carrier)
    try:
        answer = front.test_client().post(
            f"/api/jobs/{ACT}",
            json={"params": {"act": "succeed", "effects": str(house.folder / "effects")}},
            headers={"Authorization": "Bearer tests-key", "Prefer": "wait=60"},
        )
    finally:
        services_of(front).close()
    return answer.status_code, answer.json["state"], answer.json["backend"]
