"""A whole house for one test module: ledger, Redis, workers, dispatcher, and an app in this process that submits."""

import os
import runpy
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from pytest_celery import CeleryBrokerCluster, CeleryTestBroker, CeleryTestSetup, CeleryTestWorker, CeleryWorkerCluster

from tasks.celery import SwitchyardCelery
from tasks.core.carrier import Carrier
from tasks.core.clock import now
from tasks.core.kernel import Kernel, open_kernel
from tasks.core.ledger import carrying, state_events, tenants, transitions
from tasks.core.ledger.fleet import Worker, WorkerState
from tasks.core.ledger.schema import workers
from tasks.core.records import Job
from tasks.core.settings import load_settings
from tests.integration.jobs import Jobs
from tests.integration.processes import REPOSITORY, CommandContainer, RedisContainer, await_true

Settings = Mapping[str, str]


def environment(folder: Path, redis_url: str, settings: Settings) -> dict[str, str]:
    """Return the environment of every process of a house; nothing of the caller's own settings gets through."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SWITCHYARD_", "CELERY_"))}
    return inherited | {
        "SWITCHYARD_STATE_DIR": str(folder / "var"),
        "SWITCHYARD_REDIS_URL": redis_url,
        "SWITCHYARD_EXTRA_FAMILIES": "tests.faulty",
        "SWITCHYARD_BEAT_S": "0.5",
        "SWITCHYARD_CARRY_AGAIN_S": "2",
        "SWITCHYARD_CANCEL_GRACE_S": "1",
        **{f"SWITCHYARD_{name.upper()}": value for name, value in settings.items()},
    }


class LocalBroker(CeleryTestBroker):
    """The private Redis."""

    container: RedisContainer

    @property
    def url(self) -> str:
        """The address for clients."""
        return self.container.url


class LocalWorker(CeleryTestWorker):
    """One ``celery -A tasks worker`` process."""

    container: CommandContainer

    @property
    def pid(self) -> int:
        """The pid of the worker's parent process."""
        return self.container.pid

    def children(self) -> list[psutil.Process]:
        """List the processes below the parent."""
        return psutil.Process(self.pid).children(recursive=True)

    def pool_children(self) -> list[psutil.Process]:
        """List the interpreters that run jobs, or load to do so."""
        return [child for child in psutil.Process(self.pid).children() if _runs_jobs(child)]


def _runs_jobs(child: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "spawn_main" in " ".join(child.cmdline())
    return False


class LocalWorkers(CeleryWorkerCluster):
    """The house's workers."""

    def add(self, worker: LocalWorker) -> None:
        """Let the cluster grow."""
        self.nodes = (*self.nodes, worker)


class House(Jobs, CeleryTestSetup):
    """pytest-celery's setup, and what a test does with it."""

    folder: Path
    env: Mapping[str, str]

    @property
    def broker(self) -> LocalBroker:
        """The private Redis."""
        return super().broker

    @property
    def worker(self) -> LocalWorker:
        """The first worker."""
        return super().worker

    @property
    def kernel(self) -> Kernel:
        """The kernel of the test's own process."""
        return self.app.kernel

    def furnish(self, folder: Path, env: Mapping[str, str]) -> None:
        """Note where the house stands, and open what submits."""
        self.folder, self.env = folder, env
        self.carrier = Carrier(self.app, self.kernel.ledger)
        self._others: list[CommandContainer] = []
        tenants.create_key(self.kernel.ledger, tenant="tests", name="tests", key="tests-key")
        tenant = tenants.tenant_of(self.kernel.ledger, "tests-key")
        assert tenant is not None
        self.tenant_id = tenant.id

    def teardown(self) -> None:
        """Stop what the test started besides the first worker, and close the rest."""
        for container in self._others:
            container.teardown()
        self.carrier.close()
        self.kernel.close()
        self.app.close()

    # ---- processes

    def start(self, name: str, *arguments: str, prompt: str | None, env: Settings | None = None) -> CommandContainer:
        """Start a process of ours and wait until it is ready."""
        merged = {**self.env, **(env or {})}
        container = CommandContainer(name, arguments, env=merged, folder=self.folder, prompt=prompt)
        self._others.append(container)
        container.ready()
        return container

    def start_worker(self, *options: str, settings: Settings | None = None) -> LocalWorker:
        """Start another worker."""
        env = {f"SWITCHYARD_{name.upper()}": value for name, value in (settings or {}).items()}
        container = self.start("worker", *worker_arguments(*options), prompt="ready.", env=env)
        worker = LocalWorker(container, self.app)
        self.worker_cluster.add(worker)
        self.await_row(worker, WorkerState.UP)
        return worker

    def row(self, worker: LocalWorker) -> Worker:
        """Return the worker's row, once it is there."""
        return await_true(lambda: self._row(worker.pid), what="the worker registers")

    def _row(self, pid: int) -> Worker | None:
        with self.kernel.ledger.read() as connection:
            row = connection.execute(workers.select().where(workers.c.pid == pid)).one_or_none()
        return None if row is None else Worker(**row._mapping)

    def await_row(self, worker: LocalWorker, state: WorkerState, *, within_s: float = 60.0) -> None:
        """Wait until the worker's row says ``state``."""
        await_true(lambda: self.row(worker).state == state, what=f"the worker is {state}", within_s=within_s)

    def await_beat(self, worker: LocalWorker, *, after: int) -> None:
        """Wait until the worker's counter has passed ``after``."""
        await_true(lambda: self.row(worker).beat > after, what="the worker beats")

    def flush_redis(self) -> None:
        """Wipe Redis."""
        with self.broker.container.client as redis:
            redis.flushall()

    # ---- jobs

    def messages(self, job: Job) -> int:
        """Count the messages in the job's queue that are about it."""
        with self.broker.container.client as redis:
            return sum(job.id in message for message in redis.lrange(f"sy:{job.queue}", 0, -1))

    def waits_for_messages(self) -> int:
        """Count the connections on which a worker waits for the next message."""
        with self.broker.container.client as redis:
            return sum(one["cmd"] == "brpop" and "b" in one["flags"] for one in redis.client_list())

    def deliver(self, job: Job, *, carry: int) -> None:
        """Put the job's message into the broker by hand."""
        self.app.send_task(job.kind, args=(job.id,), task_id=job.id, queue=job.queue, headers={"carry": carry})

    def take_carry(self, job: Job) -> None:
        """Take the published job's next carry and send nothing, as a carrier does that dies before it publishes."""
        taken = carrying.take_again(self.kernel.ledger, [(job.id, job.carry)])
        assert job.id in [one.id for one in taken]

    def take_away(self, running: Job) -> None:
        """Queue a running job again, as a dispatcher does that takes its worker for gone."""
        assert transitions.requeue(self.kernel.ledger, running.id, fence=running.fence, cause="worker_lost") is not None

    def await_relayed(self) -> None:
        """Wait until the dispatcher has noted every state event as sent."""
        await_true(lambda: not state_events.unsent_events(self.kernel.ledger, before=now()), what="all is relayed")


def worker_arguments(*options: str) -> list[str]:
    """Return the command that a person would type."""
    return ["-m", "celery", "-A", "tasks", "worker", "--loglevel", "INFO", *options]


def open_app(env: Mapping[str, str], patch: Any) -> SwitchyardCelery:
    """Return our Celery app, with its kernel, as a process with this environment would have it."""
    for name, value in env.items():
        if name.startswith("SWITCHYARD_"):
            patch.setenv(name, value)
    app = SwitchyardCelery(f"tests-{secrets.token_hex(2)}", set_as_current=False)
    config = runpy.run_path(str(REPOSITORY / "celeryconfig.py"))
    app.config_from_object({name: value for name, value in config.items() if name[0].islower()})
    app.kernel = open_kernel(load_settings())
    return app


__all__ = [
    "CeleryBrokerCluster",
    "House",
    "LocalBroker",
    "LocalWorker",
    "LocalWorkers",
    "environment",
    "open_app",
    "worker_arguments",
]
