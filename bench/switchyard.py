"""Our side of ``bench.throughput``: the same workers, dispatcher and ledger as in service."""

import sys
import time
from pathlib import Path

import psutil
import sqlalchemy as sa
from celery import Celery

from app.streams.hub import Hub
from app.streams.waiter import HubWaiter
from app.waiting import wait_until
from bench.contestants import Contestant, shares
from tasks import dispatch, submission
from tasks.core.carrier import Carrier
from tasks.core.kernel import open_kernel
from tasks.core.ledger import queries, tenants
from tasks.core.ledger.schema import jobs
from tasks.core.records import JobState
from tasks.core.settings import Settings
from tasks.maintenance.contract import SPECS

_BULK = 1000


class Switchyard(Contestant):
    """Submits as the web process does, and waits as ``Prefer: wait`` does."""

    has_bulk = True

    def __init__(self, name: str, folder: Path, redis_url: str, ledger_url: str, *, tenant: str = "bench") -> None:
        super().__init__(folder, redis_url)
        self.name = name
        self._environment = {
            "SWITCHYARD_STATE_DIR": str(folder / "state"),
            "SWITCHYARD_REDIS_URL": redis_url,
            "SWITCHYARD_LEDGER_URL": ledger_url,
            "SWITCHYARD_LOG_LEVEL": "warning",  # as Celery's is by default
            # The bench freezes workers while it submits; nobody is to take them for dead or their messages for lost.
            "SWITCHYARD_LEASE_S": "120",
            "SWITCHYARD_CARRY_AGAIN_S": "600",
        }
        settings = Settings(
            state_dir=folder / "state", redis_url=redis_url, ledger_url=ledger_url, lease_s=120, carry_again_s=600
        )
        self._kernel = open_kernel(settings)
        celery = Celery("bench", broker=redis_url)
        celery.conf.broker_transport_options = {"global_keyprefix": "sy:"}
        self._carrier = Carrier(celery, self._kernel.ledger)
        self._hub = Hub(self._kernel)
        self._waiter = HubWaiter(self._hub, self._kernel.ledger)
        key = tenants.create_key(self._kernel.ledger, tenant=tenant, name="bench")
        found = tenants.tenant_of(self._kernel.ledger, key)
        assert found is not None
        self._tenant_id = found.id
        self._one = submission.Submission(tenant_id=found.id, request={"message": "hello"})
        self._submitted = 0

    def start(self, processes: int) -> None:
        """Start workers as Celery's, and the dispatcher, which is not frozen with them."""
        for children in shares(processes):
            command = ["-A", "tasks", "worker", "-Q", "maintenance", "-c", str(children)]
            self.run(sys.executable, "-m", "celery", *command, **self._environment)
        self.run(sys.executable, "-m", "workers", "dispatcher", helps=True, **self._environment)

    def submit(self, count: int, *, bulk: bool) -> float:
        """Call ``dispatch.submit``, or ``submit_many`` for a thousand at a time."""
        began = time.perf_counter()
        if bulk:
            for left in range(count, 0, -_BULK):
                items = [(SPECS[0], self._one)] * min(left, _BULK)
                dispatch.submit_many(self._kernel, self._carrier, items)
        else:
            for _ in range(count):
                dispatch.submit(self._kernel, self._carrier, SPECS[0], self._one)
        took = time.perf_counter() - began
        self._submitted += count
        return took

    def freeze(self) -> list[psutil.Process]:
        """Stop the workers while this process holds the ledger's write lock, which SQLite has but one of."""
        with self._kernel.ledger.write():
            return super().freeze()

    def is_finished(self) -> bool:
        """Count what has succeeded, once nothing is left: to count as often as this is asked would be work, too."""
        mine = jobs.c.tenant_id == self._tenant_id
        left = [mine & (jobs.c.state == state) for state in (JobState.QUEUED, JobState.RUNNING)]
        count = sa.select(sa.func.count()).where(mine, jobs.c.state == JobState.SUCCEEDED)
        with self._kernel.ledger.read() as connection:
            if any(connection.execute(sa.select(jobs.c.id).where(one).limit(1)).first() for one in left):
                return False
            return int(connection.execute(count).scalar_one()) >= self._submitted

    def round_trips(self, count: int, *, pause_s: float) -> list[float]:
        """Wait on the hub of a web process, and look into the ledger for the end."""
        took = []
        for _ in range(count):
            began = time.perf_counter()
            job = dispatch.submit(self._kernel, self._carrier, SPECS[0], self._one).job

            def has_ended(job_id: str = job.id) -> bool:
                found = queries.job(self._kernel.ledger, job_id)
                return found is not None and found.state.is_terminal

            if not wait_until(has_ended, job.id, waiter=self._waiter, version_seen=None, timeout_s=30):
                raise TimeoutError(f"{self.name}: no result")
            took.append(time.perf_counter() - began)
            time.sleep(pause_s)
        self._submitted += count
        return took

    def close(self) -> None:
        """Stop the workers, then what this process opened."""
        super().close()
        self._hub.close()
        self._carrier.close()
        self._kernel.close()
