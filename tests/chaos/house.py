"""A whole house of real processes: Redis, ledger, web, dispatchers, workers, and the sink beside them."""

import os
import random
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tasks.core.callbacks.records import ENDS
from tasks.core.ledger import Ledger, fleet
from tasks.core.ledger.fleet import Worker, WorkerState
from tasks.core.ledger.tenants import create_key
from tasks.core.spec import Queue
from tests.chaos.family.contract import kind_of
from tests.chaos.processes import Hearer, RedisWithAOF, Sink
from tests.chaos.submitter import Submitter
from tests.chaos.trial import Trial
from tests.chaos.viewer import Viewer
from tests.chaos.watch import Watch
from tests.integration.processes import REPOSITORY, LocalProcess
from tests.proxy import Proxy
from tests.servers import PostgreSQL, free_port

QUEUE = Queue.CRITICAL
_FAMILIES = ("tests.chaos.family", "tests.faulty")
_START_LIMIT_S = 90.0
# What a dispatcher logs once it is the one that acts.
_LEADS = "dispatcher_leads"
# Alembic has one context for all threads of a process, and two rows may be played at a time.
_PREPARING = threading.Lock()


@dataclass(slots=True)
class House:
    """What a scenario works with; ``open_house`` makes one and ends every process of it."""

    trial: Trial
    env: dict[str, str]
    redis: RedisWithAOF
    sink: Sink
    ledger: Ledger
    watch: Watch
    proxy: Proxy | None = None
    postgresql: PostgreSQL | None = None
    hearer: Hearer | None = None
    processes: list[LocalProcess] = field(default_factory=list)
    submitters: list[Submitter] = field(default_factory=list)
    viewers: list[Viewer] = field(default_factory=list)
    url: str = ""

    # ---- processes

    def start(self, name: str, *arguments: str, env: Mapping[str, str] | None = None) -> LocalProcess:
        """Start ``python`` with these arguments in the house's environment."""
        log = self.trial.folder / f"{name}-{len(self.processes)}.log"
        process = LocalProcess(
            name, [sys.executable, *arguments], env=self.env | dict(env or {}), log=log, cwd=REPOSITORY
        )
        self.processes.append(process)
        return process

    def furnish(self, *, workers: int = 2, queues: Sequence[Queue] = (QUEUE,)) -> list[LocalProcess]:
        """Start a front door, a dispatcher and workers at the same time; return the workers, which take jobs."""
        web, url = self._spawn_web({})
        dispatcher = self._spawn_dispatcher({})
        started = [self.spawn_worker("-Q", ",".join(queues)) for _ in range(workers)]
        self._await_ready(web, url)
        self._let_ends_be_heard()
        self.await_logged(dispatcher, _LEADS)
        for process in started:
            self.await_up(process.pid)
        return started

    def _let_ends_be_heard(self) -> None:
        if self.hearer is not None:
            with self.client() as client:
                asked = {"url": self.hearer.url, "events": list(ENDS)}
                client.post("/api/webhooks", json=asked).raise_for_status()

    def start_web(self, *, env: Mapping[str, str] | None = None) -> LocalProcess:
        """Start a front door and wait until it is ready; the newest one's address is ``url``."""
        process, url = self._spawn_web(env or {})
        self._await_ready(process, url)
        return process

    def _spawn_web(self, env: Mapping[str, str]) -> tuple[LocalProcess, str]:
        port = free_port()
        process = self.start("web", "-m", "app", env={"SWITCHYARD_PORT": str(port), **env})
        return process, f"http://127.0.0.1:{port}"

    def _await_ready(self, process: LocalProcess, url: str) -> None:
        def ready() -> bool:
            assert process.status == "running", f"web ended: {process.logs().decode()[-2000:]}"
            return is_ready(url)

        self.trial.await_true(ready, "the web process is ready", within_s=_START_LIMIT_S)
        self.url = url

    def start_dispatcher(self, *, env: Mapping[str, str] | None = None) -> LocalProcess:
        """Start a dispatcher and wait until it has started; whether it leads is up to the others."""
        process = self._spawn_dispatcher(env or {})
        self.await_logged(process, "dispatcher_started")
        return process

    def _spawn_dispatcher(self, env: Mapping[str, str]) -> LocalProcess:
        return self.start("dispatcher", "-m", "workers", "dispatcher", env=env)

    def start_worker(self, *options: str, env: Mapping[str, str] | None = None) -> LocalProcess:
        """Start a plain Celery worker of the suite's queue and wait until it takes jobs."""
        process = self.spawn_worker(*options, env=env)
        self.await_up(process.pid)
        return process

    def start_workers(self, count: int) -> list[LocalProcess]:
        """Start several at the same time."""
        started = [self.spawn_worker() for _ in range(count)]
        for process in started:
            self.await_up(process.pid)
        return started

    def spawn_worker(self, *options: str, env: Mapping[str, str] | None = None) -> LocalProcess:
        """Start a plain Celery worker; ``-Q`` is the suite's queue unless it is among the options."""
        queues = () if "-Q" in options else ("-Q", QUEUE)
        command = ("-m", "celery", "-A", "tasks", "worker", "--loglevel", "INFO", *queues, *options)
        return self.start("worker", *command, env=env)

    def await_logged(self, process: LocalProcess, text: str) -> None:
        """Wait until the process has logged ``text``."""

        def logged() -> bool:
            assert process.status == "running", f"{process.name} ended: {process.logs().decode()[-2000:]}"
            return text.encode() in process.logs()

        self.trial.await_true(logged, f"{process.name} logs {text}", within_s=_START_LIMIT_S)

    def await_up(self, pid: int) -> Worker:
        """Wait until the worker whose parent has this pid takes jobs."""
        return self.trial.await_true(  # type: ignore[no-any-return]
            lambda: next((row for row in self.live_workers() if row.pid == pid and row.state == WorkerState.UP), None),
            f"worker {pid} is up",
            within_s=_START_LIMIT_S,
        )

    def live_workers(self) -> list[Worker]:
        """List the workers that the ledger takes for living."""
        return fleet.live_workers(self.ledger)

    # ---- jobs

    @property
    def headers(self) -> dict[str, str]:
        """What signs a request."""
        key = (Path(self.env["SWITCHYARD_STATE_DIR"]) / "dev-key").read_text().strip()
        return {"Authorization": f"Bearer {key}"}

    def submitter(self, *, resend_every: int = 10, queue: Queue = QUEUE, tenant: str | None = None) -> Submitter:
        """Open a submitter to the newest front door; ``tenant`` is made, if it is not there."""
        headers = self.headers
        if tenant is not None:
            headers = {"Authorization": f"Bearer {create_key(self.ledger, tenant=tenant, name='chaos')}"}
        prefix = f"{self.trial.scenario}-{self.trial.seed}-{len(self.submitters)}"
        submitter = Submitter(self.url, headers, self.sink.address, prefix, resend_every, kind_of(queue))
        self.submitters.append(submitter)
        return submitter

    def view(self, job_id: str, *, drop_every_s: float = 2.0) -> Viewer:
        """Follow a job's stream, with drops."""
        chance = random.Random(self.trial.chance.random())  # its own: it draws on another thread
        viewer = Viewer(self.url, self.headers, job_id, drop_every_s=drop_every_s, chance=chance)
        self.viewers.append(viewer)
        return viewer

    def client(self) -> httpx.Client:
        """Open an HTTP client to the newest front door; close it."""
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=30)

    @property
    def accepted(self) -> list[str]:
        """Every id that was told to be accepted."""
        return [job_id for submitter in self.submitters for job_id in submitter.ids]

    def drain(self, *, within_s: float) -> bool:
        """Wait until every accepted job has ended, as long as one does so every ``within_s``.

        False when they stopped ending before that: the oracle counts what is lost.
        """
        wanted = self.accepted
        self.trial.say(f"waiting for {len(wanted)} jobs to end")
        ends = self.watch.ends
        try:
            while not self.watch.have_ended(wanted):
                before = len(ends)
                self.trial.await_true(
                    lambda: len(ends) > before or self.watch.have_ended(wanted),  # noqa: B023  # used before it changes
                    "a job ends",
                    within_s=within_s,
                )
        except AssertionError:
            return False
        return True

    def close(self) -> None:
        """End every process of the house, the frozen ones as well."""
        for submitter in self.submitters:
            submitter.close()
        for viewer in self.viewers:
            viewer.close()
        self.watch.stop()
        for process in reversed(self.processes):
            process.stop(within_s=0.1)


def is_ready(url: str) -> bool:
    """Tell whether a front door is ready."""
    try:
        return httpx.get(f"{url}/health/ready", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@contextmanager
def open_house(
    trial: Trial,
    *,
    proxied: bool = False,
    settings: Mapping[str, str] | None = None,
    redis_options: tuple[str, ...] = (),
    heard: bool = False,
) -> Iterator[House]:
    """Start Redis, the sink and the ledger; ``proxied`` puts the suite's proxy before Redis.

    Args:
        heard: let callbacks tell a receiver of every end, as soon as ``furnish`` has brought a front door.
        settings: Switchyard's, without their prefix; on top of the trial's pace.
    """
    trial.folder.mkdir(parents=True, exist_ok=True)
    env = _environment(trial)
    with ExitStack() as stack:
        redis = RedisWithAOF(trial.folder, env, *redis_options)
        stack.callback(redis.close)
        sink = Sink(trial.folder, env)
        stack.callback(sink.close)
        hearer = Hearer(trial.folder, env) if heard else None
        if hearer is not None:
            stack.callback(hearer.close)
            env["SWITCHYARD_EGRESS_ALLOW"] = f"127.0.0.1:{hearer.port}"
        proxy = Proxy(redis.port) if proxied else None
        if proxy is not None:
            stack.callback(proxy.close)
        postgresql = PostgreSQL() if trial.ledger == "postgresql" else None
        if postgresql is not None:
            stack.callback(postgresql.close)
            env["SWITCHYARD_LEDGER_URL"] = postgresql.create("switchyard")
        env["SWITCHYARD_REDIS_URL"] = f"redis://127.0.0.1:{proxy.port}/0" if proxy else redis.url
        env |= {f"SWITCHYARD_{name.upper()}": value for name, value in (settings or {}).items()}
        url = env.get("SWITCHYARD_LEDGER_URL") or f"sqlite:///{trial.folder / 'var' / 'ledger.db'}"
        (trial.folder / "var").mkdir(exist_ok=True)
        ledger = Ledger(url)
        stack.callback(ledger.close)
        with _PREPARING:
            ledger.prepare()
        house = House(trial, env, redis, sink, ledger, Watch(ledger), proxy, postgresql, hearer)
        stack.callback(house.close)
        house.watch.start()
        yield house


def _environment(trial: Trial) -> dict[str, str]:
    """Return the environment of every process: nothing of the caller's own settings gets through."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SWITCHYARD_", "CELERY_"))}
    families = _FAMILIES if trial.mutant is None else (*_FAMILIES, "tests.chaos.mutants")
    pace = {f"SWITCHYARD_{name.upper()}": value for name, value in trial.pace.settings().items()}
    house = {
        "SWITCHYARD_STATE_DIR": str(trial.folder / "var"),
        "SWITCHYARD_EXTRA_FAMILIES": ",".join(families),
        "SWITCHYARD_DRAIN_GRACE_S": "5",
    }
    mutant = {"CHAOS_MUTANT": trial.mutant} if trial.mutant else {}
    return inherited | pace | house | mutant
