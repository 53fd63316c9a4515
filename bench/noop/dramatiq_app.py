"""Dramatiq with its Redis broker and results kept in Redis."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=os.environ["NOOP_REDIS_URL"])
backend = RedisBackend(url=os.environ["NOOP_REDIS_URL"])
broker.add_middleware(Results(backend=backend, store_results=True, result_ttl=24 * 3600 * 1000))
dramatiq.set_broker(broker)


@dramatiq.actor
def ping(message: str) -> dict[str, str]:
    """Return the message."""
    return {"message": message}
