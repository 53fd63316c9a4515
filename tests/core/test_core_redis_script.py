"""The script that runs for every job, on connections that are kept."""

from collections.abc import Iterator

import pytest
import redis

from tasks.core.redis_events import connect
from tasks.core.redis_script import KeptScript
from tests.servers import RedisServer

_COUNT = "return {redis.call('INCRBY', KEYS[1], ARGV[1]), ARGV[2]}"


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client as the events have it."""
    client = connect(redis_server.url)
    yield client
    client.close()


def counted(script: KeptScript, *amounts: int) -> list[int]:
    return [number for number, _ in script.run_all([(["count"], [amount, "é\r\n"]) for amount in amounts])]


def test_each_call_has_its_own_answer(client: redis.Redis) -> None:
    """In order, in one exchange, with keys and arguments as they were given."""
    script = KeptScript(client, _COUNT)
    assert counted(script, 1, 2, 3) == [1, 3, 6]
    assert script.run_all([(["other"], [1, "é\r\n"])]) == [[1, "é\r\n"]]
    script.close()


def test_script_that_redis_forgot_is_sent_again(client: redis.Redis) -> None:
    """No call is made twice for it."""
    script = KeptScript(client, _COUNT)
    assert counted(script, 1) == [1]
    client.script_flush()
    assert counted(script, 1, 1) == [2, 3]
    script.close()


def test_restarted_redis_costs_no_call(client: redis.Redis, redis_server: RedisServer) -> None:
    """The kept connection is found closed before it is used."""
    script = KeptScript(client, _COUNT)
    counted(script, 1)
    redis_server.stop()
    redis_server.start()
    assert counted(script, 5) == [5]
    script.close()


def test_call_that_fails_leaves_no_answer_for_the_next(client: redis.Redis) -> None:
    """What was still on its way is dropped with the connection."""
    script = KeptScript(client, _COUNT)
    with pytest.raises(redis.ResponseError):
        script.run_all([(["count"], ["one", "a"]), (["count"], [1, "b"])])
    assert script.run_all([(["fresh"], [7, "c"])]) == [[7, "c"]]
    script.close()


def test_frozen_redis_is_given_up_soon(client: redis.Redis, redis_server: RedisServer) -> None:
    """Its late answer is not taken for another call's."""
    script = KeptScript(client, _COUNT)
    counted(script, 1)
    redis_server.freeze()
    with pytest.raises(redis.TimeoutError):
        counted(script, 10)
    redis_server.thaw()
    assert script.run_all([(["fresh"], [7, "c"])]) == [[7, "c"]]
    script.close()
