"""How long a claim takes when many processes claim and end jobs on one ledger at the same time.

``python -m bench.claims [--processes N] [--jobs N] [--data FOLDER]``

Each process claims and ends jobs of its own, one after the other and without any work in between, which is the most
that so many workers can ask of a ledger: on SQLite all of them want its one write lock all the time.
"""

import argparse
import multiprocessing as mp
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench import postgresql
from bench.house import percentiles
from tasks import submission
from tasks.core.errors import LedgerBusy
from tasks.core.ledger import Ledger, accepting, tenants, transitions
from tasks.core.records import Cause, Job, JobState
from tasks.maintenance.contract import SPECS


def _work(url: str, job_ids: list[str], gate: Any, results: Any) -> None:
    ledger = Ledger(url)
    claims: list[float] = []
    ends: list[float] = []
    gate.wait()
    for job_id in job_ids:
        job = _timed(claims, lambda job_id=job_id: _claim(ledger, job_id))
        _timed(ends, lambda job=job: _end(ledger, job))
    ledger.close()
    results.put((claims, ends))


def _timed(taken: list[float], write: Callable[[], Job | None]) -> Job:
    """Write until the ledger takes it; the time counts from the first try, and a refusal is a worker's wait as well."""
    began = time.perf_counter()
    while True:
        with suppress(LedgerBusy):
            job = write()
            assert job is not None
            taken.append(time.perf_counter() - began)
            return job


def _claim(ledger: Ledger, job_id: str) -> Job | None:
    return transitions.claim(ledger, job_id, carry=0, worker="bench", child_pid=1)


def _end(ledger: Ledger, job: Job) -> Job | None:
    return transitions.finish(
        ledger, job.id, fence=job.fence, state=JobState.SUCCEEDED, cause=Cause.COMPLETED, result={"message": ""}
    )


def measure(url: str, *, processes: int, jobs: int) -> dict[str, float]:
    """Return percentiles of claims and of ends, and jobs a second."""
    ledger = Ledger(url)
    ledger.prepare()
    tenant = tenants.tenant_of(ledger, tenants.create_key(ledger, tenant="bench", name="bench"))
    assert tenant is not None
    one = submission.Submission(tenant_id=tenant.id, request={"message": "hello"})
    share = jobs // processes
    accepted = accepting.accept_many(
        ledger, [(submission.new_job(SPECS[0], one), None) for _ in range(share * processes)]
    )
    ids = [answer.job.id for answer in accepted]
    ledger.close()
    context = mp.get_context("spawn")
    gate, results = context.Barrier(processes + 1), context.SimpleQueue()
    workers = [
        context.Process(target=_work, args=(url, ids[n * share : (n + 1) * share], gate, results))
        for n in range(processes)
    ]
    for worker in workers:
        worker.start()
    gate.wait()
    began = time.perf_counter()
    found = [results.get() for _ in workers]
    took = time.perf_counter() - began
    for worker in workers:
        worker.join()
    claims = percentiles([s for one_s, _ in found for s in one_s])
    ends = percentiles([s for _, one_s in found for s in one_s])
    return {"jobs_per_s": round(len(ids) / took, 1)} | {
        f"{name}_{figure}": row[figure]
        for name, row in (("claim", claims), ("end", ends))
        for figure in ("p50_ms", "p95_ms", "p99_ms", "worst_ms")
    }


def run(folder: Path, *, processes: int, jobs: int) -> dict[str, dict[str, float]]:
    """Measure SQLite and, where it is installed, PostgreSQL."""
    found = {"sqlite": measure(f"sqlite:///{folder / 'ledger.db'}", processes=processes, jobs=jobs)}
    if postgresql.is_installed():
        with postgresql.cluster() as url:
            found["postgresql"] = measure(url, processes=processes, jobs=jobs)
    return found


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder for the ledger; by default a temporary one")
    parser.add_argument("--processes", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=4000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        for name, row in run(Path(folder), processes=options.processes, jobs=options.jobs).items():
            print(name, " ".join(f"{figure}={value}" for figure, value in row.items()))


if __name__ == "__main__":
    main()
