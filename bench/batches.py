"""How many jobs a second are accepted in batches of a thousand.

``python -m bench.batches [--postgresql] [--batches N] [--json]``

Over HTTP, by gunicorn with one process and one caller: each request is checked, and committed as one transaction,
before it is answered. Nothing runs the jobs.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from bench import postgresql
from bench.accept import process
from bench.house import free_port, redis_server

_SIZE = 1000
_START_LIMIT_S = 60.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.batches", description=__doc__)
    parser.add_argument("--postgresql", action="store_true", help="on a private PostgreSQL in place of SQLite")
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.postgresql and not postgresql.is_installed():
        sys.exit("PostgreSQL's programs are not on the PATH")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="switchyard-bench-")))
        environment = {
            "SWITCHYARD_STATE_DIR": str(folder),
            "SWITCHYARD_REDIS_URL": stack.enter_context(redis_server(folder)),
            "SWITCHYARD_PORT": str(port := free_port()),
        }
        if arguments.postgresql:
            environment["SWITCHYARD_LEDGER_URL"] = stack.enter_context(postgresql.cluster())
        command = [sys.executable, "-m", "app"]
        stack.enter_context(process(command, environment, log=folder / "web.log"))
        took_s = _send(port, folder, arguments.batches)
    rates = [_SIZE / seconds for seconds in took_s]
    found = {
        "ledger": "postgresql" if arguments.postgresql else "sqlite",
        "batches": len(took_s),
        "size": _SIZE,
        "jobs_per_s": round(_SIZE * len(took_s) / sum(took_s)),
        "median_jobs_per_s": round(statistics.median(rates)),
        "slowest_jobs_per_s": round(min(rates)),
    }
    print(json.dumps(found) if arguments.json else "  ".join(f"{name} {value}" for name, value in found.items()))


def _send(port: int, folder: Path, batches: int) -> list[float]:
    """Send so many batches, one after another, and return how long each took to be accepted."""
    _await_ready(port)
    key = (folder / "dev-key").read_text().strip()
    jobs = [{"kind": "maintenance.ping", "params": {"message": f"job {number}"}} for number in range(_SIZE)]
    took_s = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}) as client:
        for number in range(batches + 1):
            began = time.perf_counter()
            client.post("/api/jobs/batch", json={"jobs": jobs}, timeout=60).raise_for_status()
            if number:  # the first one also loads what the others use
                took_s.append(time.perf_counter() - began)
    return took_s


def _await_ready(port: int) -> None:
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=1).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise TimeoutError("the server is not ready")


if __name__ == "__main__":
    main()
