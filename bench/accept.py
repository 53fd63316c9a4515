"""What accepting a job costs, against a bare Flask endpoint that calls ``apply_async``.

``python -m bench.accept [--data FOLDER] [--json] [--rate N] [--seconds N] [--rounds N]``

Both run behind gunicorn with one process and the same threads, on one Redis, with one worker process that does the
jobs meanwhile. Ours checks a key, validates, and commits to SQLite with ``synchronous=FULL`` before it answers; the
rival hands the message to Redis. The rounds alternate; the figures are the medians of the rounds.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from bench.caller import steadily
from bench.house import ROOT, free_port, percentiles, redis_server

_THREADS = 64
_START_LIMIT_S = 90.0


@dataclass(frozen=True, slots=True)
class Door:
    """One endpoint that accepts."""

    name: str
    port: int
    path: str
    body: bytes
    headers: str = ""


@contextmanager
def process(command: Sequence[str], environment: dict[str, str], *, log: Path) -> Iterator[None]:
    """Run a process beside us; what it says goes to ``log``."""
    with log.open("ab") as out:
        running = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=out, stderr=out)
    try:
        yield
    finally:
        running.terminate()
        try:
            running.wait(timeout=30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextmanager
def ours(folder: Path, redis_url: str) -> Iterator[Door]:
    """Our front door, with the dispatcher and one worker."""
    port = free_port()
    environment = {
        "SWITCHYARD_STATE_DIR": str(folder / "state"),
        "SWITCHYARD_REDIS_URL": redis_url,
        "SWITCHYARD_PORT": str(port),
        "SWITCHYARD_WEB_THREADS": str(_THREADS),
        "SWITCHYARD_LOG_LEVEL": "warning",
        "SWITCHYARD_DRAIN_S": "0",
    }
    log, python = folder / "ours.log", sys.executable
    worker = [python, "-m", "celery", "-A", "tasks", "worker", "-Q", "maintenance"]
    with (
        process([python, "-m", "app"], environment, log=log),
        process([python, "-m", "workers", "dispatcher"], environment, log=log),
        process(worker, environment, log=log),
    ):
        _await_url(f"http://127.0.0.1:{port}/health/ready")
        key = (folder / "state" / "dev-key").read_text().strip()
        body = b'{"params": {"message": "hello"}}'
        yield Door("switchyard", port, "/api/jobs/maintenance.ping", body, f"Authorization: Bearer {key}\r\n")


@contextmanager
def bare(folder: Path, redis_url: str) -> Iterator[Door]:
    """The rival, with one worker."""
    port = free_port()
    environment, log = {"BARE_REDIS_URL": redis_url}, folder / "bare.log"
    server = [sys.executable, "-m", "gunicorn", "-k", "gthread", "-w", "1", "--threads", str(_THREADS)]
    server += ["-b", f"127.0.0.1:{port}", "--keep-alive", "30", "--no-control-socket", "bench.bare:create_app()"]
    worker = [sys.executable, "-m", "celery", "-A", "bench.bare:celery", "worker", "-c", "1"]
    with process(server, environment, log=log), process(worker, environment, log=log):
        _await_url(f"http://127.0.0.1:{port}/static/none")
        yield Door("flask + apply_async", port, "/accept", b'{"message": "hello"}')


def _await_url(url: str) -> None:
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline:
        try:
            urlopen(url, timeout=2).close()  # noqa: S310  # our own loopback server
        except OSError as exc:
            if getattr(exc, "code", None) == 404:
                return
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(f"{url} did not answer")


def run(folder: Path, *, rate_per_s: float, seconds: float, rounds: int) -> dict[str, object]:
    """Measure both doors in turn."""
    with (
        redis_server(folder) as redis_url,
        ours(folder, redis_url) as first,
        bare(folder, f"{redis_url[:-1]}1") as second,
    ):
        time.sleep(8)  # the workers start
        taken: dict[str, list[dict[str, float]]] = {first.name: [], second.name: []}
        for number in range(rounds + 1):
            for door in (first, second):
                took = asyncio.run(
                    steadily(
                        door.port,
                        f"POST {door.path}",
                        door.body,
                        rate_per_s=rate_per_s,
                        seconds=seconds if number else 3,
                        headers=door.headers,
                    )
                )
                if number:  # the first round only warms up
                    taken[door.name].append(percentiles(took))
    figures = {name: _medians(rows) for name, rows in taken.items()}
    mine, rival = figures[first.name], figures[second.name]
    ratios = {name: round(mine[name] / rival[name], 2) for name in ("p50_ms", "p99_ms")}
    return {"rate_per_s": rate_per_s, "seconds": seconds, "rounds": rounds, "figures": figures, "ratio": ratios}


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(row[name] for row in rows), 2) for name in rows[0]}


def show(found: dict[str, object]) -> None:
    """Print the table."""
    print(f"accept latency at {found['rate_per_s']:g}/s, medians of {found['rounds']} rounds of {found['seconds']:g} s")
    print(f"{'':22}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}")
    figures, ratio = found["figures"], found["ratio"]
    assert isinstance(figures, dict)
    assert isinstance(ratio, dict)
    for name, row in figures.items():
        print(f"{name:22}{row['p50_ms']:>9}{row['p95_ms']:>9}{row['p99_ms']:>9}")
    print(f"{'ratio':22}{ratio['p50_ms']:>9}{'':9}{ratio['p99_ms']:>9}")


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder for the ledger and Redis; by default a temporary one")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--rate", type=float, default=20, help="requests a second")
    parser.add_argument("--seconds", type=float, default=15, help="length of a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        found = run(Path(folder), rate_per_s=options.rate, seconds=options.seconds, rounds=options.rounds)
    show(found)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
