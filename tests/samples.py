"""Jobs, workers and walks through the states, for tests of what is around them."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import psutil
import sqlalchemy as sa

from tasks.core.clock import now
from tasks.core.ids import new_id
from tasks.core.ledger import Ledger, accepting, fleet, transitions
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, Job, JobState
from tasks.maintenance.contract import PING

WORKER = "maintenance@here#1234"
_EMPTY = (
    *("reference", "site", "correlation_id", "traceparent", "not_before", "published_at", "started_at", "claimed_at"),
    *(
        "finished_at",
        "cancel_requested_at",
        "worker",
        "child_pid",
        "progress",
        "resume",
        "result",
        "error",
        "silence_s",
        "expires_at",
    ),
)


def a_job(tenant: Tenant, **changes: Any) -> Job:
    """Make an accepted ``maintenance.ping`` that no ledger knows yet."""
    values: dict[str, Any] = dict.fromkeys(_EMPTY) | {
        "id": new_id(),
        "tenant_id": tenant.id,
        "kind": PING,
        "queue": "maintenance",
        "state": JobState.QUEUED,
        "version": 1,
        "priority": 50,
        "request": {"message": "hello"},
        "labels": {},
        "created_at": now(),
        "timeout_s": 10.0,
        "hard_limit_s": 15.0,
        "retry": "FAST",
        "attempt": 0,
        "max_attempts": 3,
        "fence": 0,
        "carry": 0,
        "dead": False,
        "signs": 0,
        "cause": Cause.ACCEPTED,
    }
    return Job(**(values | changes))


def accepted(ledger: Ledger, tenant: Tenant, **changes: Any) -> Job:
    """Put a job into the ledger; it waits."""
    return accepting.accept(ledger, a_job(tenant, **changes)).job


def carried(ledger: Ledger, tenant: Tenant, **changes: Any) -> Job:
    """Put a job into the ledger and take its first carry."""
    return accepting.accept(ledger, a_job(tenant, **changes), may_publish=True).job


def claimed(ledger: Ledger, job: Job, *, worker: str = WORKER, child_pid: int = 1) -> Job:
    """Begin an attempt of ``job`` at the carry it shows."""
    running = transitions.claim(ledger, job.id, carry=job.carry, worker=worker, child_pid=child_pid)
    assert running is not None
    return running


def running(ledger: Ledger, tenant: Tenant, *, worker: str = WORKER, child_pid: int = 1, **changes: Any) -> Job:
    """Put a job into the ledger and begin its first attempt."""
    return claimed(ledger, carried(ledger, tenant, **changes), worker=worker, child_pid=child_pid)


def a_worker(name: str = WORKER, **changes: Any) -> fleet.Worker:
    """Make a worker's row as its beat would."""
    values: dict[str, Any] = {
        "name": name,
        "host": "here",
        "pid": 4242,
        "queues": ["maintenance"],
        "slots": 1,
        "capabilities": [],
        "version": "0",
        "started_at": now(),
        "beat": 0,
        "beat_at": now(),
        "rss_bytes": 0,
        "state": fleet.WorkerState.UP,
    }
    return fleet.Worker(**(values | changes))


def ago(seconds: float) -> Any:
    """Return the time ``seconds`` ago."""
    return now() - timedelta(seconds=seconds)


def eventually(claim: Callable[[], bool], *, within_s: float = 5.0) -> bool:
    """Wait until ``claim`` holds, and tell whether it came to."""
    deadline = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def children(program: str) -> list[psutil.Process]:
    """Return this process's children whose command line has ``program`` in it; those that have ended have none."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it ended meanwhile, or waits to be collected
            if program in " ".join(child.cmdline()):
                found.append(child)
    return found


class FakeClock:
    """A clock that moves when it is told to."""

    def __init__(self, at: float = 1000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


@contextmanager
def ledger_away(ledger: Ledger) -> Iterator[None]:
    """Refuse every connection to the ledger, as a server that is down would, and drop those that are open."""

    def refuse(*_: object) -> None:
        # As SQLAlchemy puts it for every driver.
        refused = sqlite3.OperationalError("unable to open database file")
        raise sa.exc.OperationalError("connect", None, refused)

    sa.event.listen(ledger._engine, "do_connect", refuse)
    pool = ledger._engine.pool
    ledger.close()
    try:
        yield
    finally:
        pool.dispose()  # what other threads had borrowed came back to it
        sa.event.remove(ledger._engine, "do_connect", refuse)
