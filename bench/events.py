"""How old a worker's report is when it reaches a browser, and what a thousand viewers cost.

``python -m bench.events [--data FOLDER] [--json] [--worker-class CLASS] [--seconds N]``

One web process behind gunicorn, one redis-server, one job. First 100 viewers get ten reports a second from another
process, each report carrying the time it was made; then a thousand viewers look on while one process reports.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from bench.house import Crowd, Jobs, Reporter, Web, percentiles, raise_file_limit, redis_server, web
from tasks.core.records import Job

_FEW, _MANY = 100, 1000


def cost(server: Web) -> dict[str, float]:
    """Return what the web process takes now."""
    return {"rss_mb": server.rss_mb, "threads": server.threads, "redis_connections": server.redis_connections}


async def measure(server: Web, jobs: Jobs, job: Job, *, viewers: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return latency with this many viewers, and the web process's cost before and with them."""
    before = cost(server)
    crowd = Crowd(server.port)
    await crowd.open([job.id] * viewers)
    plan = {"seconds": seconds, "reported": [(job.id, job.fence)], "reports_per_s": 10, "ended": [], "ends_per_s": 0}
    await asyncio.to_thread(Reporter(jobs, plan).finish)
    await asyncio.sleep(1)
    after = cost(server)
    await crowd.close()
    return {"latency": percentiles(crowd.latencies_s), "before": before, "with_viewers": after}


def run(folder: Path, *, worker_class: str, seconds: float) -> dict[str, object]:
    """Measure both crowds, each with a fresh web process."""
    found: dict[str, object] = {"bench": "events", "worker_class": worker_class}
    with redis_server(folder) as redis_url:
        jobs = Jobs(folder, redis_url)
        for viewers in (_FEW, _MANY):
            with web(worker_class, jobs, viewers=viewers) as server:
                job = jobs.running()
                found[f"viewers_{viewers}"] = asyncio.run(measure(server, jobs, job, viewers=viewers, seconds=seconds))
        jobs.kernel.close()
    return found


def show(found: dict[str, object]) -> None:
    """Print a table."""
    print(f"report to SSE client, one web process ({found['worker_class']}), 10 reports a second")
    print(
        f"{'viewers':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'worst':>8}"
        f" {'RSS MB':>14} {'threads':>8} {'Redis':>6}"
    )
    for viewers in (_FEW, _MANY):
        row = found[f"viewers_{viewers}"]
        assert isinstance(row, dict)
        latency, before, after = row["latency"], row["before"], row["with_viewers"]
        memory = f"{before['rss_mb']} > {after['rss_mb']}"
        print(
            f"{viewers:>8} {latency['p50_ms']:>8} {latency['p95_ms']:>8} {latency['p99_ms']:>8} "
            f"{latency['worst_ms']:>8} {memory:>14} {after['threads']:>8} {after['redis_connections']:>6}"
        )


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder for the ledger and Redis; by default a temporary one")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--worker-class", default="gthread", choices=["gthread", "gevent"])
    parser.add_argument("--seconds", type=float, default=15)
    options = parser.parse_args()
    raise_file_limit()
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        found = run(Path(folder), worker_class=options.worker_class, seconds=options.seconds)
    show(found)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
