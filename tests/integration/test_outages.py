"""Redis or the ledger away: what was accepted is kept, and goes on when they are back."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from tasks.core.records import JobState
from tests.integration.house import House
from tests.integration.processes import await_true

# A submit that waited for Redis would take as long as the broker's own limits: tens of seconds.
_AT_ONCE_S = 5.0


def test_submit_answers_at_once_while_redis_is_down(house: House) -> None:
    """Jobs submitted to a dead Redis are accepted at once and run when it is back, empty, each once."""
    house.broker.kill()
    began = time.monotonic()

    jobs = [house.submit() for _ in range(10)]

    assert time.monotonic() - began < _AT_ONCE_S
    house.broker.restart()
    ended = [house.await_end(job) for job in jobs]
    assert [(JobState.SUCCEEDED, 1)] * 10 == [(job.state, len(house.effects(job))) for job in ended]


def test_submit_answers_at_once_while_redis_is_frozen(house: House) -> None:
    """Jobs submitted while Redis accepts connections but never answers are accepted at once, and run later."""
    house.broker.kill("SIGSTOP")
    began = time.monotonic()

    jobs = [house.submit() for _ in range(10)]

    took_s = time.monotonic() - began
    house.broker.kill("SIGCONT")
    assert took_s < _AT_ONCE_S
    ended = [house.await_end(job) for job in jobs]
    assert [(JobState.SUCCEEDED, 1)] * 10 == [(job.state, len(house.effects(job))) for job in ended]


def test_stream_has_every_state_in_order_once(house: House) -> None:
    """The stream of a finished job tells each of its states once, retries and all."""
    job = house.await_end(house.submit("exit", until_attempt=1))

    expected = ["queued", "running", "queued", "running", "succeeded"]
    assert expected == house.events(job)
    await_true(lambda: house.streamed_states(job) == expected, what="the stream is whole")
    house.await_relayed()
    assert expected == house.streamed_states(job)


def test_stream_is_whole_again_after_a_wipe(house: House) -> None:
    """When Redis is wiped in the middle of a job, its end brings the earlier states back, each once."""
    job = house.submit("sleep", seconds=3)
    house.await_start(job)

    house.flush_redis()

    house.await_end(job)
    await_true(lambda: len(house.streamed_states(job)) >= 3, what="the stream is whole")
    house.await_relayed()
    assert ["queued", "running", "succeeded"] == house.streamed_states(job)


@contextmanager
def _locked(house: House, *, for_s: float) -> Iterator[None]:
    """Hold the ledger so that nobody can write to it, for longer than a writer waits."""
    connection = sqlite3.connect(house.folder / "var" / "ledger.db", isolation_level=None, timeout=30)
    connection.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    yield
    time.sleep(max(0.0, for_s - (time.monotonic() - began)))
    connection.execute("ROLLBACK")
    connection.close()


def test_what_happened_while_the_ledger_was_away_is_written_when_it_is_back(house: House) -> None:
    """A job that ended keeps its result and is not run again; a dead child whose report was not taken is noticed."""
    finished = house.submit("sleep", seconds=1)
    killed = house.submit("stubborn", seconds=1000, until_attempt=1)
    house.await_start(finished)
    house.await_start(killed)
    (child,) = [child for child in house.worker.children() if child.pid == house.child_of(killed)]

    with _locked(house, for_s=9):
        child.kill()

    ended = house.await_end(finished)
    assert (JobState.SUCCEEDED, [(1, 1)]) == (ended.state, house.effects(finished))
    ended = house.await_end(killed)
    assert (JobState.SUCCEEDED, ["worker_lost", "completed"]) == (
        ended.state,
        [row.cause for row in house.attempts(killed)],
    )


@pytest.fixture(scope="module")
def house_settings() -> dict[str, str]:
    """A lease that outlasts the ledger's absence: nobody is to be taken for gone."""
    return {"lease_s": "30"}


@pytest.fixture(scope="module")
def worker_options() -> tuple[str, ...]:
    """Room for two jobs at a time, however many processors there are."""
    return ("-Q", "analytics", "-c", "2")


def test_worker_holds_nothing_of_connections_that_broke(house: House) -> None:
    """However often that happens: neither what they asked the loop to call, nor the connections themselves."""
    broken = [_held_after_another_connection(house) for _ in range(5)]

    # The first ones are in their places in pools from then on.
    assert broken[1]["calls"] == broken[-1]["calls"]
    assert broken[1]["transports"] == broken[-1]["transports"]


def _held_after_another_connection(house: House) -> dict[str, int]:
    before = await_true(lambda: _held(house), what="the worker answers")
    with house.broker.container.client as redis:
        redis.execute_command("CLIENT KILL TYPE normal SKIPME yes")
        redis.execute_command("CLIENT KILL TYPE pubsub")
    return await_true(
        lambda: (now := _held(house)) and now["connected"] > before["connected"] and now,
        what="the worker is connected again",
    )


def _held(house: House) -> dict[str, int]:
    name = house.row(house.worker).name
    inspect = house.app.control.inspect(destination=[name], timeout=2)
    with suppress(RedisError, KombuError, OSError):  # the question's own connection is among the broken ones
        return (inspect._request("held") or {}).get(name, {})
    return {}
