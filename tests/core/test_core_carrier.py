"""The carrier: what it puts into Redis, and what becomes of jobs that Redis does not take."""

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery import Celery
from structlog.testing import capture_logs

from tasks.core.carrier import Carrier, Publisher
from tasks.core.errors import DispatchFailed
from tasks.core.kernel import Kernel
from tasks.core.ledger import carrying, queries
from tasks.core.ledger.tenants import Tenant
from tests.samples import carried, eventually
from tests.servers import RedisServer


@pytest.fixture
def carrier(sender: Celery, kernel: Kernel) -> Iterator[Carrier]:
    carrier = Carrier(sender, kernel.ledger)
    with capture_logs():
        yield carrier
        carrier.close()


def messages(redis_server: RedisServer, queue: str = "maintenance") -> list[dict]:
    """What lies in the broker, first to be taken first."""
    return [json.loads(message) for message in redis_server.client.lrange(f"sy:{queue}", 0, -1)][::-1]


def sent(redis_server: RedisServer) -> list[tuple[str, int]]:
    return [(message["headers"]["id"], message["headers"]["carry"]) for message in messages(redis_server)]


def test_message_names_the_job_and_its_carry(
    sender: Celery, kernel: Kernel, redis_server: RedisServer, tenant: Tenant
) -> None:
    """Nothing of the request leaves the ledger; the limits are the job's own."""
    job = carried(kernel.ledger, tenant, timeout_s=7.0, hard_limit_s=9.0)
    publisher = Publisher(sender)
    publisher.publish([job])
    publisher.close()
    (message,) = messages(redis_server)
    headers = message["headers"]
    assert (headers["id"], headers["task"], headers["carry"]) == (job.id, job.kind, 1)
    assert headers["timelimit"] == [9.0, 7.0]
    assert json.loads(base64.b64decode(message["body"]))[:2] == [[job.id], {}]


def test_messages_keep_their_order(sender: Celery, kernel: Kernel, redis_server: RedisServer, tenant: Tenant) -> None:
    """The order was decided before."""
    jobs = [carried(kernel.ledger, tenant) for _ in range(5)]
    publisher = Publisher(sender)
    publisher.publish(jobs)
    publisher.close()
    assert [(job.id, 1) for job in jobs] == sent(redis_server)


def test_dead_redis_fails_soon_and_is_found_again(
    sender: Celery, kernel: Kernel, redis_server: RedisServer, tenant: Tenant
) -> None:
    """The next publish opens another connection."""
    job, publisher = carried(kernel.ledger, tenant), Publisher(sender)
    publisher.publish([job])
    redis_server.stop()
    began = time.monotonic()
    with pytest.raises(DispatchFailed, match="did not take 1 jobs"):
        publisher.publish([job])
    assert time.monotonic() - began < 2
    redis_server.start()
    publisher.publish([job])
    publisher.close()
    assert [(job.id, 1)] == sent(redis_server)


def test_frozen_redis_fails_within_a_few_seconds(
    sender: Celery, kernel: Kernel, redis_server: RedisServer, tenant: Tenant
) -> None:
    """Not after Celery's fifty."""
    job, publisher = carried(kernel.ledger, tenant), Publisher(sender)
    publisher.publish([job])
    redis_server.freeze()
    began = time.monotonic()
    with pytest.raises(DispatchFailed):
        publisher.publish([job])
    assert time.monotonic() - began < 4
    redis_server.thaw()
    publisher.close()


def test_offered_jobs_are_published_in_the_background(
    carrier: Carrier, kernel: Kernel, redis_server: RedisServer, tenant: Tenant
) -> None:
    """Who offers does not wait."""
    jobs = [carried(kernel.ledger, tenant) for _ in range(3)]
    for job in jobs:
        carrier.offer(job)
    assert eventually(lambda: [(job.id, 1) for job in jobs] == sent(redis_server))


def test_first_offers_at_the_same_time_start_one_thread(
    carrier: Carrier, kernel: Kernel, redis_server: RedisServer, tenant: Tenant
) -> None:
    """A publisher is not for use by two."""
    jobs = [carried(kernel.ledger, tenant) for _ in range(16)]
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(carrier.offer, jobs))
    assert eventually(lambda: sorted(sent(redis_server)) == sorted((job.id, 1) for job in jobs))


def test_jobs_that_redis_did_not_take_are_due_again(
    carrier: Carrier, kernel: Kernel, redis_server: RedisServer, tenant: Tenant
) -> None:
    """They go back at once, and the next ones are the dispatcher's from the start."""
    redis_server.stop()
    job = carried(kernel.ledger, tenant)
    began = time.monotonic()
    carrier.offer(job)
    assert time.monotonic() - began < 0.1
    assert eventually(lambda: queries.job(kernel.ledger, job.id).published_at is None)
    assert not carrier.is_open
    assert [(job.id, 2)] == [(due.id, due.carry) for due in carrying.take_due(kernel.ledger, job.queue)]


def test_offer_over_the_backlog_goes_back(
    sender: Celery, kernel: Kernel, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow Redis never fills the process's memory."""
    monkeypatch.setattr("tasks.core.carrier._BACKLOG", 1)
    carrier = Carrier(sender, kernel.ledger)
    monkeypatch.setattr(carrier, "_run", lambda: None)
    first, second = (carried(kernel.ledger, tenant) for _ in range(2))
    carrier.offer(first)
    assert not carrier.is_open
    carrier.offer(second)
    assert queries.job(kernel.ledger, first.id).published_at is not None
    assert queries.job(kernel.ledger, second.id).published_at is None


def test_errands_run_on_the_carriers_thread_once_a_batch(carrier: Carrier) -> None:
    """Such as ringing the dispatcher's bell, for which no request waits."""
    import threading

    ran: list[str] = []
    gate = threading.Event()

    def errand() -> None:
        ran.append(threading.current_thread().name)

    carrier.soon(gate.wait)
    for _ in range(5):
        carrier.soon(errand)
    gate.set()
    assert eventually(lambda: bool(ran))
    carrier.close()
    assert ran == ["carrier"]


def test_close_publishes_what_is_left(
    sender: Celery, kernel: Kernel, redis_server: RedisServer, tenant: Tenant
) -> None:
    """Then no more is taken."""
    carrier, job = Carrier(sender, kernel.ledger), carried(kernel.ledger, tenant)
    carrier.offer(job)
    carrier.close()
    assert [(job.id, 1)] == sent(redis_server)
    assert not carrier.is_open
