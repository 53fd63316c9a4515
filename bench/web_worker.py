"""Which gunicorn worker class serves streams, accepts and long-polls best, on one web process.

``python -m bench.web_worker [--data FOLDER] [--json] [--seconds N] [--rounds N]``

1,000 open SSE streams on 100 jobs, each job with one report a second; 20 accepts a second into SQLite; 50 open
long-polls, five of which end each second. Then another process holds the ledger's write lock for two seconds while
accepts go on: who else has to wait? The rounds alternate between the classes, because a machine has moods; the figures
are the medians of the rounds.
"""

import argparse
import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.caller import Caller, steadily
from bench.house import Crowd, Jobs, Reporter, Web, percentiles, raise_file_limit, redis_server, web

CLASSES = ("gthread", "gevent")
_STREAMS, _WATCHED, _POLLS = 1000, 100, 50
_ACCEPTS_PER_S, _ENDS_PER_S = 20, 5
_LOCKED_S = 2.0
_ACCEPT = b'{"message": "hello"}'

Figures = dict[str, float]


async def poll_all(port: int, job_ids: list[str], arrived: dict[str, float]) -> None:
    """Keep fifty long-polls open, in the order of ``job_ids``; note when each was answered."""
    waiting = iter(job_ids)

    async def keep_one() -> None:
        caller = Caller(port)
        for job_id in waiting:
            await caller.call(f"GET /poll/{job_id}")
            arrived[job_id] = time.monotonic()

    await asyncio.gather(*(keep_one() for _ in range(_POLLS)))


async def measure(server: Web, jobs: Jobs, *, seconds: float) -> dict[str, Figures]:
    """Put the whole load on one web process."""
    watched = [jobs.running() for _ in range(_WATCHED)]
    ending = [jobs.running() for _ in range(int(seconds * _ENDS_PER_S))]
    polled = [job.id for job in ending] + [jobs.running().id for _ in range(_POLLS)]
    crowd = Crowd(server.port)
    await crowd.open([watched[number % _WATCHED].id for number in range(_STREAMS)])
    arrived: dict[str, float] = {}
    polls = asyncio.create_task(poll_all(server.port, polled, arrived))
    await asyncio.sleep(1)
    plan: dict[str, object] = {
        "seconds": seconds,
        "reported": [(job.id, job.fence) for job in watched],
        "reports_per_s": _WATCHED,
        "ended": [(job.id, job.fence) for job in ending],
        "ends_per_s": _ENDS_PER_S,
    }
    reporter = Reporter(jobs, plan)
    accepts, ended = await asyncio.gather(
        steadily(server.port, "POST /accept", _ACCEPT, rate_per_s=_ACCEPTS_PER_S, seconds=seconds),
        asyncio.to_thread(reporter.finish),
    )
    await asyncio.sleep(0.5)
    events = percentiles(crowd.latencies_s)
    cost = {"rss_mb": server.rss_mb, "threads": server.threads, "redis_connections": server.redis_connections}
    cpu = sum(server.worker.cpu_times()[:2])
    polls.cancel()
    locked = await measure_locked(server, jobs, crowd, plan)
    await crowd.close()
    wakes = [max(0.0, arrived[job_id] - at_s) for job_id, at_s in ended.items() if job_id in arrived]
    return {
        "accept": percentiles(accepts),
        "event": events,
        "event_locked": locked,
        "long_poll": percentiles(wakes),
        "cost": cost | {"cpu_s": round(cpu, 1)},
    }


async def measure_locked(server: Web, jobs: Jobs, crowd: Crowd, plan: dict[str, object]) -> Figures:
    """Return how late events were while accepts waited for somebody else's write lock."""
    reporter = Reporter(jobs, plan | {"seconds": _LOCKED_S + 3, "ended": [], "ends_per_s": 0})
    await asyncio.sleep(2)
    crowd.latencies_s.clear()
    with closing(sqlite3.connect(jobs.settings.state_dir / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        accepts = asyncio.create_task(
            steadily(server.port, "POST /accept", _ACCEPT, rate_per_s=_ACCEPTS_PER_S, seconds=_LOCKED_S)
        )
        await asyncio.sleep(_LOCKED_S)
        other.execute("ROLLBACK")
    await accepts
    await asyncio.to_thread(reporter.finish)
    return percentiles(crowd.latencies_s)


def run(folder: Path, *, seconds: float, rounds: int) -> dict[str, Any]:
    """Measure each class in each round, on fresh data; return the medians."""
    measured: dict[str, list[dict[str, Figures]]] = {name: [] for name in CLASSES}
    for number in range(rounds):
        for name in CLASSES if number % 2 == 0 else reversed(CLASSES):
            inner = folder / f"{name}-{number}"
            inner.mkdir()
            with redis_server(inner) as redis_url:
                jobs = Jobs(inner, redis_url)
                with web(name, jobs, viewers=_STREAMS) as server:
                    measured[name].append(asyncio.run(measure(server, jobs, seconds=seconds)))
                jobs.kernel.close()
    return {"bench": "web_worker", "rounds": rounds} | {name: medians(found) for name, found in measured.items()}


def medians(found: list[dict[str, Figures]]) -> dict[str, Figures]:
    """Return the median of each figure over the rounds."""
    return {
        part: {name: round(statistics.median(one[part][name] for one in found), 2) for name in found[0][part]}
        for part in found[0]
    }


def show(found: dict[str, Any]) -> None:
    """Print a table."""
    print(f"one web process: {_STREAMS} streams, {_ACCEPTS_PER_S} accepts/s, {_POLLS} long-polls (ms, medians)")
    print(f"{'':>8} {'accept':>16} {'event':>16} {'long-poll':>16} {'event, ledger locked':>21}", end="")
    print(f" {'RSS MB':>7} {'threads':>8} {'Redis':>6} {'CPU s':>6}")
    print(f"{'':>8} {'p50':>8}{'p99':>8}" + f" {'p50':>8}{'p99':>8}" * 2 + f" {'p50':>13}{'p99':>8}")
    for name in CLASSES:
        row, cost = found[name], found[name]["cost"]
        pairs = [row[part] for part in ("accept", "event", "long_poll", "event_locked")]
        cells = [f"{pair['p50_ms']:>8}{pair['p99_ms']:>8}" for pair in pairs]
        print(f"{name:>8} {cells[0]} {cells[1]} {cells[2]}      {cells[3]} {cost['rss_mb']:>7}", end="")
        print(f" {cost['threads']:>8.0f} {cost['redis_connections']:>6.0f} {cost['cpu_s']:>6}")


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder for ledgers and Redis; by default a temporary one")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    raise_file_limit()
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        found = run(Path(folder), seconds=options.seconds, rounds=options.rounds)
    show(found)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
