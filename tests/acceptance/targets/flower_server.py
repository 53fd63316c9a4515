"""Flower over a private Redis and two workers with the chores in `chores`."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from celery import Celery

from tests.acceptance.targets.target import Target, module, running, serving
from tests.servers import RedisServer, free_port

# Celery lets a worker either be grown by hand or scale itself.
_WORKERS = {
    "desk@library": ["--concurrency=2", "--queues=celery"],
    "stacks@library": ["--autoscale=3,1", "--queues=stacks"],
}
_APP = "tests.acceptance.targets.chores"
_TASKS = 40


@contextmanager
def start(folder: Path) -> Iterator[Target]:
    """Start a Redis, two workers and Flower; some tasks have run and one still runs when it is given."""
    redis = RedisServer()
    try:
        with _workers_and_flower(folder, redis) as target:
            yield target
    finally:
        redis.close()


@contextmanager
def _workers_and_flower(folder: Path, redis: RedisServer) -> Iterator[Target]:
    env = {**os.environ, "TARGET_REDIS": redis.url, "FLOWER_UNAUTHENTICATED_API": "true"}
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    celery = module("celery", "--app", _APP)
    flower = [*celery, "flower", "--address=127.0.0.1", f"--port={port}"]
    with ExitStack() as stack:
        pids = [stack.enter_context(serving(flower, env=env, folder=folder, url=url, ready="/healthcheck"))]
        for name, options in _WORKERS.items():
            worker = [*celery, "worker", "--hostname", name, *options, "--task-events", "--loglevel=WARNING"]
            # One of them would wait for its task of an hour.
            process = stack.enter_context(running(worker, env=env, log=folder / f"{name}.log", grace_s=1))
            pids.append(process.pid)
        _await(
            lambda: httpx.get(f"{url}/api/workers", params={"refresh": 1}, timeout=30).json().keys() >= set(_WORKERS)
        )
        _send_chores(redis.url)
        _await(lambda: len(httpx.get(f"{url}/api/tasks", params={"state": "SUCCESS"}, timeout=30).json()) >= _TASKS)
        assert redis.process is not None
        yield Target("flower", url, ("/",), folder, (*pids, redis.process.pid))


def _send_chores(broker: str) -> None:
    with Celery(set_as_current=False, broker=broker) as sender:
        for number in range(_TASKS):
            sender.send_task("chores.shelve", args=[f"shelf {number}"], kwargs={"books": number})
        sender.send_task("chores.mend", args=["Dracula"])
        sender.send_task("chores.watch", args=[3600])


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if condition():
                return
        except (httpx.HTTPError, ValueError):
            pass
        if time.monotonic() > deadline:
            raise RuntimeError("the worker's tasks do not show in Flower")
        time.sleep(0.1)
