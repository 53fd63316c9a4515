"""The rivals of ``bench.throughput``: each submits jobs that do nothing, runs workers for them, and keeps results."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module, reload
from pathlib import Path
from typing import Any

import psutil
import redis

from bench.house import ROOT

_STOP_LIMIT_S = 30.0
# Keys asked for at once while waiting for results.
_BATCH = 500
_BULK = 1000
# Workers that each take less of a processor than this, over a second, have started up.
_AT_REST = 0.1
_START_LIMIT_S = 300.0


class Contestant(ABC):
    """Owns its worker processes. ``redis_url`` names a database of its own, empty at the start."""

    name: str
    has_bulk = False

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.redis_url = redis_url
        self._workers: list[subprocess.Popen[bytes]] = []
        self._helpers: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def start(self, processes: int) -> None:
        """Start this many processes that each run one job at a time."""

    @abstractmethod
    def submit(self, count: int, *, bulk: bool) -> float:
        """Submit jobs; return how many seconds it took."""

    @abstractmethod
    def is_finished(self) -> bool:
        """Whether everything that was submitted has its result."""

    @abstractmethod
    def round_trips(self, count: int, *, pause_s: float) -> list[float]:
        """Submit a job and wait for its result, so many times; return the seconds of each."""

    def run(self, *command: str, helps: bool = False, **environment: str) -> None:
        """Run a process in the background: a worker, or what helps the workers and is not measured as one."""
        environment = os.environ | {"NOOP_REDIS_URL": self.redis_url} | environment
        with (self.folder / "workers.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        (self._helpers if helps else self._workers).append(process)

    def workers(self) -> list[psutil.Process]:
        """List every process that belongs to the workers, parents first."""
        return _with_children(self._workers)

    def memory_mb(self) -> float:
        """Return the workers' memory, with what they share counted once."""
        return sum(worker.memory_full_info().pss for worker in self.workers()) / 1e6

    def await_rest(self) -> None:
        """Wait until every worker process has started up: who is still loading modules would be measured at that.

        Raises:
            TimeoutError: they go on doing something.
            RuntimeError: they have all ended.
        """
        began, before = time.monotonic(), self._processor_s()
        while True:
            time.sleep(1.0)
            after = self._processor_s()
            if not after:
                raise RuntimeError(f"{self.name}: its workers have ended\n{self._log_tail()}")
            used_s = sum(after.values()) - sum(before.values())
            # Who came or went in between brings seconds along or takes them away, so such a second tells nothing.
            if before.keys() == after.keys() and used_s < _AT_REST * len(after):
                return
            if time.monotonic() - began > _START_LIMIT_S:
                raise TimeoutError(f"{self.name}: its workers are still busy after {_START_LIMIT_S:g} s with no job")
            before = after

    def _processor_s(self) -> dict[int, float]:
        """Return the seconds that each worker process has used, by its id; of those that go on."""
        used: dict[int, float] = {}
        for worker in self.workers():
            with suppress(psutil.NoSuchProcess):
                if worker.status() == psutil.STATUS_ZOMBIE:
                    continue
                times = worker.cpu_times()
                used[worker.pid] = times.user + times.system
        return used

    def _log_tail(self) -> str:
        return (self.folder / "workers.log").read_text(errors="replace")[-2000:]

    def freeze(self) -> list[psutil.Process]:
        """Stop the workers where they are; return them for ``thaw``."""
        frozen = self.workers()
        for worker in frozen:
            worker.send_signal(signal.SIGSTOP)
        return frozen

    @staticmethod
    def thaw(frozen: Sequence[psutil.Process]) -> None:
        """Let the workers go on."""
        for worker in reversed(frozen):
            worker.send_signal(signal.SIGCONT)

    def await_finished(self, *, limit_s: float, step_s: float = 0.05) -> float:
        """Wait for all results; return how many seconds it took.

        Raises:
            TimeoutError: they did not come.
        """
        began = time.monotonic()
        while not self.is_finished():
            if time.monotonic() - began > limit_s:
                raise TimeoutError(f"{self.name}: no results within {limit_s:g} s\n{self._log_tail()}")
            time.sleep(step_s)
        return time.monotonic() - began

    def close(self) -> None:
        """Stop the workers, by force where they do not stop by themselves."""
        processes = self._workers + self._helpers
        everyone = _with_children(processes)
        for process in processes:
            process.terminate()
        for left in psutil.wait_procs(everyone, timeout=_STOP_LIMIT_S)[1]:
            with suppress(psutil.NoSuchProcess):
                left.kill()
        for process in processes:
            process.wait()


def _with_children(processes: Sequence[subprocess.Popen[bytes]]) -> list[psutil.Process]:
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(process.pid)
            found += [parent, *parent.children(recursive=True)]
    return found


class _KeyPerResult(Contestant):
    """A rival that keeps each result under a key of its own."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        super().__init__(folder, redis_url)
        self._keys: list[str] = []
        self._seen = 0
        self._redis = redis.Redis.from_url(redis_url)

    def is_finished(self) -> bool:
        """Look at the results in the order of submission, those seen only once."""
        while self._seen < len(self._keys):
            batch = self._keys[self._seen : self._seen + _BATCH]
            with self._redis.pipeline(transaction=False) as pipe:
                for key in batch:
                    pipe.exists(key)
                there = [*pipe.execute(), 0].index(0)
            self._seen += there
            if there < len(batch):
                return False
        return True

    def close(self) -> None:
        """Stop the workers and the connection."""
        super().close()
        self._redis.close()

    def _load(self, module: str) -> Any:
        # The modules read the address of Redis when they are loaded, as their workers do.
        os.environ["NOOP_REDIS_URL"] = self.redis_url
        loaded = sys.modules.get(module)
        return import_module(module) if loaded is None else reload(loaded)


class RawCelery(_KeyPerResult):
    """Celery with the Redis result backend."""

    name = "celery"

    def __init__(self, folder: Path, redis_url: str, *, timeout_s: float = 30.0) -> None:
        super().__init__(folder, redis_url)
        self._timeout_s = timeout_s

    def start(self, processes: int) -> None:
        """Start two parents that share the children, or one where there is but one child."""
        self._ping = self._load("bench.noop.celery_app").ping
        for number, children in enumerate(shares(processes)):
            command = ["-A", "bench.noop.celery_app:celery", "worker", "-c", str(children), "-n", f"{number}@bench"]
            self.run(sys.executable, "-m", "celery", *command)

    def submit(self, count: int, *, bulk: bool) -> float:  # noqa: ARG002  # see ``has_bulk``
        """Call ``apply_async``; there is no bulk call."""
        began = time.perf_counter()
        self._keys += [f"celery-task-meta-{self._ping.apply_async(args=('hello',)).id}" for _ in range(count)]
        return time.perf_counter() - began

    def round_trips(self, count: int, *, pause_s: float) -> list[float]:
        """Wait with ``get``, which listens to the result's channel."""
        took = []
        for _ in range(count):
            began = time.perf_counter()
            self._ping.apply_async(args=("hello",)).get(timeout=self._timeout_s)
            took.append(time.perf_counter() - began)
            time.sleep(pause_s)
        return took


class Dramatiq(_KeyPerResult):
    """Dramatiq with its Redis broker and results."""

    name = "dramatiq"

    def start(self, processes: int) -> None:
        """Start processes with one thread each."""
        self._app = self._load("bench.noop.dramatiq_app")
        command = ["bench.noop.dramatiq_app", "--processes", str(processes), "--threads", "1"]
        self.run(sys.executable, "-m", "dramatiq", *command)

    def submit(self, count: int, *, bulk: bool) -> float:  # noqa: ARG002  # see ``has_bulk``
        """Call ``send``; there is no bulk call."""
        began = time.perf_counter()
        sent = [self._app.ping.send("hello") for _ in range(count)]
        took = time.perf_counter() - began
        self._keys += [self._app.backend.build_message_key(message) for message in sent]
        return took

    def round_trips(self, count: int, *, pause_s: float) -> list[float]:
        """Wait with a blocking ``get_result``."""
        took = []
        for _ in range(count):
            began = time.perf_counter()
            self._app.ping.send("hello").get_result(backend=self._app.backend, block=True, timeout=30_000)
            took.append(time.perf_counter() - began)
            time.sleep(pause_s)
        return took


class RQ(_KeyPerResult):
    """RQ with its standard worker, which forks for each job."""

    name = "rq"
    has_bulk = True

    def start(self, processes: int) -> None:
        """Start one worker for each process."""
        rq = import_module("rq")
        self._queue = rq.Queue("noop", connection=self._redis)
        self._data = rq.Queue.prepare_data("bench.noop.rq_app.ping", args=("hello",))
        for _ in range(processes):
            self.run(sys.executable, "-m", "rq.cli", "worker", "--quiet", "--url", self.redis_url, "noop")

    def submit(self, count: int, *, bulk: bool) -> float:
        """Call ``enqueue``, or ``enqueue_many`` for a thousand at a time."""
        began = time.perf_counter()
        if bulk:
            jobs = []
            for left in range(count, 0, -_BULK):
                jobs += self._queue.enqueue_many([self._data] * min(left, _BULK))
        else:
            jobs = [self._queue.enqueue("bench.noop.rq_app.ping", "hello") for _ in range(count)]
        took = time.perf_counter() - began
        self._keys += [f"rq:results:{job.id}" for job in jobs]
        return took

    def round_trips(self, count: int, *, pause_s: float) -> list[float]:
        """Wait with ``latest_result``, which reads the job's stream."""
        took = []
        for _ in range(count):
            began = time.perf_counter()
            if self._queue.enqueue("bench.noop.rq_app.ping", "hello").latest_result(timeout=30) is None:
                raise TimeoutError("rq: no result")
            took.append(time.perf_counter() - began)
            time.sleep(pause_s)
        return took


class BullMQ(Contestant):
    """BullMQ on Node: our own few lines around its ``Queue`` and ``Worker``."""

    name = "bullmq"
    has_bulk = True
    _script = Path(__file__).parent / "noop" / "bullmq.mjs"
    node_root: Path
    """Where ``install`` put the package."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        super().__init__(folder, redis_url)
        self._submitted = 0
        environment = os.environ | {"NOOP_REDIS_URL": redis_url, "NOOP_NODE_ROOT": str(self.node_root)}
        self._producer = subprocess.Popen(
            ["node", str(self._script), "producer"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @classmethod
    def install(cls, folder: Path) -> str | None:
        """Install the package into ``folder``; return why it cannot be, or None."""
        if shutil.which("node") is None or shutil.which("npm") is None:
            return "node or npm is not installed"
        command = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--silent",
            "--prefix",
            str(folder),
            "bullmq@6",
            "ioredis@5",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            return f"npm install failed: {done.stderr.strip()[-200:]}"
        cls.node_root = folder
        return None

    def start(self, processes: int) -> None:
        """Start processes with a concurrency of one."""
        for _ in range(processes):
            self.run("node", str(self._script), "worker", NOOP_NODE_ROOT=str(self.node_root))

    def _ask(self, **order: Any) -> Any:
        assert self._producer.stdin is not None
        assert self._producer.stdout is not None
        self._producer.stdin.write(json.dumps(order) + "\n")
        self._producer.stdin.flush()
        return json.loads(self._producer.stdout.readline())

    def submit(self, count: int, *, bulk: bool) -> float:
        """Call ``add``, or ``addBulk`` for a thousand at a time."""
        took = float(self._ask(do="submit", count=count, bulk=bulk))
        self._submitted += count
        return took

    def is_finished(self) -> bool:
        """Ask for the number of completed jobs."""
        return int(self._ask(do="finished")) >= self._submitted

    def round_trips(self, count: int, *, pause_s: float) -> list[float]:
        """Wait with ``waitUntilFinished``."""
        self._submitted += count
        took: list[float] = self._ask(do="round_trips", count=count, pause_s=pause_s)
        return took

    def close(self) -> None:
        """Stop the workers and the producer."""
        super().close()
        assert self._producer.stdin is not None
        self._producer.stdin.close()
        self._producer.wait(timeout=30)


def shares(processes: int) -> list[int]:
    """Split the children between two parents, or leave the only one to one."""
    return [part for part in ((processes + 1) // 2, processes // 2) if part]
