"""What tests of the dispatcher look at and turn."""

import json

from tests.servers import RedisServer
from workers.dispatcher import Dispatcher


def messages(redis_server: RedisServer, queue: str = "maintenance") -> list[tuple[str, int]]:
    found = [json.loads(message)["headers"] for message in redis_server.client.lrange(f"sy:{queue}", 0, -1)]
    return [(headers["id"], headers["carry"]) for headers in found][::-1]


def expire(dispatcher: Dispatcher) -> None:
    """Let a lease pass on the census's clock."""
    clock = dispatcher._judge.census.clock
    dispatcher._judge.census.clock = lambda: clock() + 11
