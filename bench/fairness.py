"""How long one job waits behind another tenant's ten thousand: ours, and Celery with Redis results, in one run.

``python -m bench.fairness [--jobs N] [--processes N] [--json]``

The workers of each are frozen while tenant A submits its jobs, which do nothing, and then let go. A second later tenant
B submits one job, and, when that is answered, the next one, for as long as there is a line to wait behind (five at the
most). Celery has no tenants: whoever comes later waits for whoever was there.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from bench import postgresql
from bench.contestants import Contestant, RawCelery
from bench.house import percentiles
from bench.switchyard import Switchyard
from bench.throughput import redis_in_service

_WARM_UP_PER_PROCESS = 5
_MOST_TRIPS = 5
_DRAIN_LIMIT_S = 900.0
_HEAD_START_S = 1.0

Figures = dict[str, float]


def measure(a: Contestant, b: Contestant, *, processes: int, jobs: int) -> Figures:
    """Let ``b`` wait behind the jobs of ``a``, who owns the workers."""
    a.start(processes)
    a.submit(_WARM_UP_PER_PROCESS * processes, bulk=False)
    a.await_finished(limit_s=_DRAIN_LIMIT_S)
    frozen = a.freeze()
    a.submit(jobs, bulk=a.has_bulk)
    a.thaw(frozen)
    began = time.monotonic()
    time.sleep(_HEAD_START_S)
    waits: list[float] = []
    while len(waits) < _MOST_TRIPS and not (waits and a.is_finished()):
        waits += b.round_trips(1, pause_s=0.0)
    a.await_finished(limit_s=_DRAIN_LIMIT_S)
    found = percentiles(waits)
    return {
        "trips": len(waits),
        "wait_p50_s": round(found["p50_ms"] / 1000, 3),
        "wait_max_s": round(max(waits), 3),
        "line_s": round(time.monotonic() - began, 1),
    }


def _ours(folder: Path, redis_url: str, ledger_url: str, inner: ExitStack) -> tuple[Contestant, Contestant]:
    a, b = (
        inner.enter_context(closing(Switchyard("switchyard", folder, redis_url, ledger_url, tenant=name)))
        for name in ("a", "b")
    )
    return a, b


def _on_sqlite(folder: Path, redis_url: str, inner: ExitStack) -> tuple[Contestant, Contestant]:
    return _ours(folder, redis_url, f"sqlite:///{folder / 'ledger.db'}", inner)


def _on_postgresql(folder: Path, redis_url: str, inner: ExitStack) -> tuple[Contestant, Contestant]:
    return _ours(folder, redis_url, inner.enter_context(postgresql.cluster()), inner)


def _celery(folder: Path, redis_url: str, inner: ExitStack) -> tuple[Contestant, Contestant]:
    rival = inner.enter_context(closing(RawCelery(folder, redis_url, timeout_s=_DRAIN_LIMIT_S)))
    return rival, rival


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=2, help="worker processes")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    pairs: dict[str, Callable[[Path, str, ExitStack], tuple[Contestant, Contestant]]] = {
        "switchyard sqlite": _on_sqlite
    }
    if postgresql.is_installed():
        pairs["switchyard postgresql"] = _on_postgresql
    pairs["celery"] = _celery
    found: dict[str, Figures] = {}
    for name, make in pairs.items():
        with ExitStack() as inner:
            folder = Path(inner.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
            port = inner.enter_context(redis_in_service(folder / "redis"))
            a, b = make(folder, f"redis://127.0.0.1:{port}/0", inner)
            found[name] = measure(a, b, processes=options.processes, jobs=options.jobs)
        print(f"{name:24}" + " ".join(f"{figure}={value}" for figure, value in found[name].items()), flush=True)
    if options.json:
        print(json.dumps({"jobs": options.jobs, "processes": options.processes, "waits": found}))


if __name__ == "__main__":
    main()
