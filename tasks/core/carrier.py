"""The only code that puts jobs into the broker.

The ledger is written first (a carry is taken), then the message is sent; a carry that did not reach the broker is put
back at once, and if this process dies in between, the dispatcher finds the job published and Redis without it.
"""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread
from typing import Any

import structlog
from celery import Celery
from kombu import Connection
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from tasks.core.breaker import Breaker
from tasks.core.errors import DispatchFailed, LedgerUnavailable
from tasks.core.ledger import Ledger, carrying
from tasks.core.records import Job

log = structlog.get_logger()

Errand = Callable[[], None]

# Publishing to a live Redis takes a millisecond; anything over a second is a Redis that does not answer.
_PUBLISH_LIMIT_S = 1.0
_BACKLOG = 1000


# A task without callbacks, error callbacks, chain and chord.
_NO_EMBEDDED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def _headers(job: Job, *, origin: str) -> dict[str, Any]:
    """Return the message's headers.

    Source: Celery's message protocol, version 2. ``send_task`` would make the same at three times the cost, because it
    looks for what we never use: routers, chains, an ETA, a result to be sent back.
    """
    return {
        "lang": "py",
        "task": job.kind,
        "id": job.id,
        "root_id": job.id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "timelimit": [job.hard_limit_s, job.timeout_s],
        "argsrepr": f"('{job.id}',)",
        "kwargsrepr": "{}",
        "origin": origin,
        "carry": job.carry,
    }


class Publisher:
    """Sends jobs to their queues over one connection with short limits. Not for use by two threads."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery
        self._origin = f"{os.getpid()}@{platform.node()}"
        self._connection: Connection | None = None
        self._producer: Any = None

    def publish(self, carried: Sequence[Job], *, to: Mapping[str, str] | None = None) -> None:
        """Send each job's message, in order: to its queue, or to the one that ``to`` names by the job's id.

        Raises:
            DispatchFailed: the broker did not take them all; some may have arrived, which their carry makes harmless.
        """
        try:
            producer = self._open()
            with producer.batch():
                for job in carried:
                    producer.publish(
                        ((job.id,), {}, _NO_EMBEDDED),
                        exchange="",
                        routing_key=job.queue if to is None else to[job.id],
                        headers=_headers(job, origin=self._origin),
                        correlation_id=job.id,
                        serializer="json",
                        retry=False,
                    )
        except (RedisError, KombuError, OSError) as exc:
            self.close()
            raise DispatchFailed(f"The broker did not take {len(carried)} jobs: {exc}") from exc

    def _open(self) -> Any:
        if self._producer is None:
            options = dict(self._celery.conf.broker_transport_options)
            # Kombu tries for seconds to connect, unless told not to; our breaker spaces the tries.
            options |= {
                "socket_timeout": _PUBLISH_LIMIT_S,
                "socket_connect_timeout": _PUBLISH_LIMIT_S,
                "max_retries": 0,
            }
            self._connection = self._celery.connection_for_write(transport_options=options)
            self._producer = self._celery.amqp.Producer(self._connection, auto_declare=False)
        return self._producer

    def close(self) -> None:
        """Drop the connection; the next publish opens another."""
        if self._connection is not None:
            with suppress(RedisError, KombuError, OSError):
                self._connection.release()
        self._connection = self._producer = None


class Carrier:
    """Publishes what this process accepted, on a thread of its own, so that no request waits for Redis."""

    def __init__(self, celery: Celery, ledger: Ledger) -> None:
        self._publisher = Publisher(celery)
        self._ledger = ledger
        self._waiting: Queue[Job | Errand] = Queue(maxsize=_BACKLOG)
        self._breaker = Breaker()
        self._stopping = Event()
        self._thread: Thread | None = None
        self._starting = Lock()

    @property
    def is_open(self) -> bool:
        """Whether a job accepted now may be carried here, rather than by the dispatcher."""
        return not self._breaker.is_open and not self._waiting.full() and not self._stopping.is_set()

    def offer(self, job: Job) -> None:
        """Publish a job whose carry the caller has taken; returns at once."""
        if not self._hand_over(job):
            self._put_back([job])

    def soon(self, errand: Errand) -> None:
        """Run ``errand`` on this thread, unless the backlog is full; returns at once."""
        self._hand_over(errand)

    def _hand_over(self, item: "Job | Errand") -> bool:
        try:
            self._waiting.put_nowait(item)
        except Full:
            return False
        with self._starting:  # many requests may come first at the same time
            if self._thread is None:
                self._thread = Thread(target=self._run, name="carrier", daemon=True)
                self._thread.start()
        return True

    def close(self) -> None:
        """Publish what is left (for at most two seconds), then stop."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
        self._publisher.close()

    def _run(self) -> None:
        while not (self._stopping.is_set() and self._waiting.empty()):
            try:
                self._carry(self._next_batch())
            except Exception:  # the only thread that carries here: it must outlive a surprise
                log.exception("carrying_failed")

    def _carry(self, items: "list[Job | Errand]") -> None:
        batch = [item for item in items if isinstance(item, Job)]
        for errand in dict.fromkeys(item for item in items if not isinstance(item, Job)):
            errand()
        if not batch:
            return
        try:
            self._publisher.publish(batch)
            self._breaker.succeeded()
        except DispatchFailed as exc:
            self._breaker.failed()
            log.warning("publish_failed", jobs=len(batch), reason=exc.message)
            self._put_back(batch)

    def _next_batch(self) -> "list[Job | Errand]":
        try:
            batch = [self._waiting.get(timeout=0.2)]
        except Empty:
            return []
        with suppress(Empty):
            while len(batch) < 100:
                batch.append(self._waiting.get_nowait())
        return batch

    def _put_back(self, batch: Sequence[Job]) -> None:
        try:
            carrying.put_back(self._ledger, [(job.id, job.carry) for job in batch])
        except LedgerUnavailable as exc:
            # They stay published in the ledger; the dispatcher finds that Redis lacks them.
            log.warning("put_back_failed", jobs=len(batch), code=exc.code)
