"""What the stream benches share: a private Redis, a ledger with jobs, gunicorn, and a crowd of viewers."""

import asyncio
import contextlib
import http.client
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.door import TENANT_VARIABLE
from tasks import submission
from tasks.core.kernel import Kernel, open_kernel
from tasks.core.ledger import accepting, tenants, transitions
from tasks.core.records import Job
from tasks.core.relay import announce
from tasks.core.settings import Settings
from tasks.maintenance.contract import SPECS

ROOT = Path(__file__).parents[1]
_START_LIMIT_S = 30
# Connections opened at a time, well under any backlog.
_BATCH = 50


def raise_file_limit() -> None:
    """Allow this process, and those it starts, as many open connections as the system lets it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int) -> None:
    """Wait until something listens on ``port``."""
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


def _await_answer(port: int) -> None:
    # The port is open before the worker has loaded the application; this waits until it has.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_LIMIT_S)
    connection.request("GET", "/nothing", headers={"Connection": "close"})
    connection.getresponse().read()
    connection.close()


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run a private redis-server and give its URL."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            await_port(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


class Jobs:
    """Jobs that the bench moves by hand, in a ledger of its own."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.settings = Settings(state_dir=folder, redis_url=redis_url)
        self.kernel: Kernel = open_kernel(self.settings)
        key = tenants.create_key(self.kernel.ledger, tenant="bench", name="bench")
        tenant = tenants.tenant_of(self.kernel.ledger, key)
        assert tenant is not None
        self.tenant_id = tenant.id

    def running(self) -> Job:
        """Return a new job that runs."""
        job = accepting.accept(self.kernel.ledger, _job(self.tenant_id)).job
        claimed = transitions.claim(self.kernel.ledger, job.id, carry=job.carry, worker="bench", child_pid=1)
        assert claimed is not None
        announce(self.kernel.ledger, self.kernel.events, claimed)
        return claimed


def _job(tenant_id: str) -> Job:
    return submission.new_job(SPECS[0], submission.Submission(tenant_id=tenant_id, request={"message": "hello"}))


@dataclass(frozen=True, slots=True)
class Web:
    """One gunicorn with one worker process."""

    port: int
    worker: psutil.Process
    redis_port: int

    @property
    def rss_mb(self) -> float:
        """Memory of the worker process."""
        return round(self.worker.memory_info().rss / 1e6, 1)

    @property
    def threads(self) -> int:
        """Threads of the worker process."""
        return int(self.worker.num_threads())

    @property
    def redis_connections(self) -> int:
        """Connections of the worker process to Redis."""
        peers = [row.raddr for row in self.worker.net_connections("tcp") if row.status == psutil.CONN_ESTABLISHED]
        return sum(peer.port == self.redis_port for peer in peers if peer)


@contextmanager
def web(worker_class: str, jobs: Jobs, *, viewers: int) -> Iterator[Web]:
    """Serve ``bench.door`` with one worker of this class that takes this many viewers and two hundred others."""
    port = free_port()
    room = viewers + 200
    command = [sys.executable, "-m", "gunicorn", "-k", worker_class, "-w", "1", "-b", f"127.0.0.1:{port}"]
    command += ["--threads", str(room), "--worker-connections", str(2 * room), "--no-control-socket"]
    command += ["--graceful-timeout", "2", "--keep-alive", "75", "--log-level", "warning", "bench.door:create_app()"]
    environment = os.environ | {
        "SWITCHYARD_STATE_DIR": str(jobs.settings.state_dir),
        "SWITCHYARD_REDIS_URL": jobs.settings.redis_url,
        TENANT_VARIABLE: jobs.tenant_id,
    }
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        try:
            await_port(port)
            worker = _worker_of(process.pid)
            _await_answer(port)
            yield Web(port, worker, int(jobs.settings.redis_url.rpartition(":")[2].partition("/")[0]))
        finally:
            process.terminate()


def _worker_of(master_pid: int) -> psutil.Process:
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline:
        children = psutil.Process(master_pid).children()
        if children:
            return children[0]
        time.sleep(0.05)
    raise TimeoutError("gunicorn started no worker")


@dataclass(slots=True)
class Crowd:
    """Viewers on plain sockets. ``latencies_s`` gets, for each report and viewer, how old the report was on arrival."""

    port: int
    latencies_s: list[float] = field(default_factory=list)
    arrived: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def open(self, job_ids: list[str]) -> None:
        """Open one stream per job id and wait for every snapshot."""
        for start in range(0, len(job_ids), _BATCH):
            opening = [self._open_one(job_id) for job_id in job_ids[start : start + _BATCH]]
            await asyncio.gather(*opening)

    async def _open_one(self, job_id: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET /api/jobs/{job_id}/events HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        await reader.readuntil(b"event: snapshot")
        self.arrived += 1
        self._tasks.append(asyncio.create_task(self._watch(reader, writer)))

    async def _watch(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                if b'"sent_s":' in line:
                    sent_s = float(line.partition(b'"sent_s":')[2].partition(b"}")[0])
                    self.latencies_s.append(time.monotonic() - sent_s)
        finally:
            writer.close()

    async def close(self) -> None:
        """Let every viewer leave."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def percentiles(values_s: list[float]) -> dict[str, float]:
    """Return count, p50, p95, p99 and the worst, in milliseconds."""
    ranked = sorted(values_s)
    if not ranked:
        raise SystemExit("nothing was measured")

    def at(share: float) -> float:
        return round(1000 * ranked[min(len(ranked) - 1, int(share * len(ranked)))], 2)

    return {"count": len(ranked), "p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99), "worst_ms": at(1)}


class Reporter:
    """A process of its own that plays the workers: see ``bench.reporter``."""

    def __init__(self, jobs: Jobs, plan: dict[str, object]) -> None:
        plan |= {"state_dir": str(jobs.settings.state_dir), "redis_url": jobs.settings.redis_url}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.reporter"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(plan) + "\n")
        self._process.stdin.flush()

    def finish(self) -> dict[str, float]:
        """Wait for it; return when each job was ended, by id."""
        output, _ = self._process.communicate(timeout=120)
        ended: dict[str, float] = json.loads(output.splitlines()[-1])
        return ended
