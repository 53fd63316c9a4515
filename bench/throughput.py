"""Jobs that do nothing, through our ledger and through its rivals, on the same Redis in the same run.

``python -m bench.throughput [--jobs N] [--rounds N] [--processes 2,40] [--latency-ms 0,1] [--only NAMES] [--json]``

Contestants: ``switchyard sqlite``, ``switchyard postgresql``, ``celery`` (Redis results), ``dramatiq`` (Redis results),
``rq`` and ``bullmq``; one that is not installed is named and left out. Durability is what each has in service: Redis
with AOF, fsync every second; SQLite with ``synchronous=FULL``; PostgreSQL with its defaults. Celery's task events are
on, for both that have them.

A round gives each contestant an empty Redis database, starts its workers, lets them do a few jobs and come to rest,
freezes them (SIGSTOP), submits all jobs (a fifth one by one, the rest in bulk where there is such a call), and lets
them go on until every result is there. Then it waits for one job after the other. The order changes from round to
round; the figures are medians of the rounds. Our dispatcher is not frozen, and no contestant's client is.

With ``--latency-ms`` above 0 everyone talks to Redis through a proxy that delays each piece of data by so much, in each
direction; PostgreSQL is not behind it.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

from bench import claims, postgresql
from bench.contestants import RQ, BullMQ, Contestant, Dramatiq, RawCelery
from bench.house import await_port, free_port, percentiles
from bench.switchyard import Switchyard
from deploy.redis_server import redis_command
from tests.proxy import Proxy

_DRAIN_LIMIT_S = 900.0
_WARM_UP_PER_PROCESS = 5
_ROUND_TRIPS = 200
_PAUSE_S = 0.02
# Against this one the ratios are formed.
_MEASURE = "celery"

Figures = dict[str, float | None]
Make = Callable[[Path, str], AbstractContextManager[Contestant]]


@contextmanager
def redis_in_service(folder: Path) -> Iterator[int]:
    """Run Redis as ``make up`` does; give its port."""
    port = free_port()
    command = [*redis_command(port, folder), "--databases", "64"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            await_port(port)
            yield port
        finally:
            server.terminate()


@contextmanager
def _on_sqlite(folder: Path, redis_url: str) -> Iterator[Contestant]:
    with closing(Switchyard("switchyard sqlite", folder, redis_url, f"sqlite:///{folder / 'ledger.db'}")) as ours:
        yield ours


@contextmanager
def _on_postgresql(folder: Path, redis_url: str) -> Iterator[Contestant]:
    with (
        postgresql.cluster() as ledger_url,
        closing(Switchyard("switchyard postgresql", folder, redis_url, ledger_url)) as ours,
    ):
        yield ours


def find_contestants(folder: Path, only: Sequence[str]) -> dict[str, Make]:
    """Return who can take part, and say who cannot."""
    found: dict[str, Make] = {"switchyard sqlite": _on_sqlite, "celery": lambda *at: closing(RawCelery(*at))}
    absent = {}
    if postgresql.is_installed():
        found["switchyard postgresql"] = _on_postgresql
    else:
        absent["switchyard postgresql"] = "no initdb and postgres on the PATH"
    if find_spec("dramatiq") is not None:
        found["dramatiq"] = lambda *at: closing(Dramatiq(*at))
    else:
        absent["dramatiq"] = "install the bench extra"
    if find_spec("rq") is not None:
        found["rq"] = lambda *at: closing(RQ(*at))
    else:
        absent["rq"] = "install the bench extra"
    if not only or "bullmq" in only:
        reason = BullMQ.install(folder / "node")
        if reason is None:
            found["bullmq"] = lambda *at: closing(BullMQ(*at))
        else:
            absent["bullmq"] = reason
    for name, reason in absent.items():
        print(f"left out: {name}: {reason}", flush=True)
    return {name: make for name, make in found.items() if not only or any(one in name for one in only)}


def measure(contestant: Contestant, *, processes: int, jobs: int) -> Figures:
    """Run one round of one contestant."""
    contestant.start(processes)
    contestant.submit(_WARM_UP_PER_PROCESS * processes, bulk=False)
    contestant.await_finished(limit_s=_DRAIN_LIMIT_S)
    contestant.await_rest()
    memory_mb = contestant.memory_mb() / processes
    frozen = contestant.freeze()
    singles = max(1, jobs // 5) if contestant.has_bulk else jobs
    single_s = contestant.submit(singles, bulk=False)
    bulk_s = contestant.submit(jobs - singles, bulk=True) if contestant.has_bulk else None
    contestant.thaw(frozen)
    drain_s = contestant.await_finished(limit_s=_DRAIN_LIMIT_S)
    trips = percentiles(contestant.round_trips(_ROUND_TRIPS, pause_s=_PAUSE_S))
    return {
        "submit_per_s": singles / single_s,
        "bulk_per_s": None if bulk_s is None else (jobs - singles) / bulk_s,
        "drain_per_s": jobs / drain_s,
        "trip_p50_ms": trips["p50_ms"],
        "trip_p95_ms": trips["p95_ms"],
        "trip_p99_ms": trips["p99_ms"],
        "worker_mb": memory_mb,
    }


def run_rounds(
    folder: Path,
    makers: dict[str, Make],
    *,
    processes: int,
    jobs: int,
    rounds: int,
    latency_ms: float,
) -> dict[str, Figures]:
    """Measure each contestant in each round; return the medians."""
    taken: dict[str, list[Figures]] = {name: [] for name in makers}
    names = list(makers)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            where = Path(tempfile.mkdtemp(dir=folder))
            with redis_in_service(where / "redis") as port, ExitStack() as inner:
                if latency_ms:
                    port = inner.enter_context(Proxy(port, latency_ms=latency_ms)).port  # noqa: PLW2901  # from here on it is the proxy's
                contestant = inner.enter_context(makers[name](where, f"redis://127.0.0.1:{port}/0"))
                taken[name].append(measure(contestant, processes=processes, jobs=jobs))
            print(f"  round {number + 1} {name}: {_line(taken[name][-1])}", flush=True)
    return {name: _medians(rows) for name, rows in taken.items()}


def _medians(rows: list[Figures]) -> Figures:
    medians: Figures = {}
    for figure in rows[0]:
        values = [row[figure] for row in rows]
        numbers = [value for value in values if value is not None]
        medians[figure] = round(statistics.median(numbers), 2) if numbers else None
    return medians


def _line(row: Figures) -> str:
    return " ".join(f"{name}={'-' if value is None else round(value, 1)}" for name, value in row.items())


def show(title: str, found: dict[str, Figures]) -> None:
    """Print the table, with what each figure is of Celery's."""
    print(f"\n{title}")
    columns = list(next(iter(found.values())))
    print(f"{'':24}" + "".join(f"{column:>20}" for column in columns))
    rival = found.get(_MEASURE, {})
    for name, row in found.items():
        cells = []
        for column in columns:
            value = row[column]
            # A bulk call is compared with the rival's only call.
            base = rival.get("submit_per_s" if column == "bulk_per_s" else column)
            ratio = "" if value is None or not base or name == _MEASURE else f" ({value / base:.2f}x)"
            cells.append(f"{'-' if value is None else f'{value:.1f}'}{ratio}")
        print(f"{name:24}" + "".join(f"{cell:>20}" for cell in cells))


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder for ledgers and Redis; by default a temporary one")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", default="2,40", help="numbers of worker processes")
    parser.add_argument("--latency-ms", default="0,1", help="delays between everyone and Redis; above 0: 2 processes")
    parser.add_argument("--only", default="", help="parts of contestants' names, with commas between them")
    parser.add_argument("--no-claims", action="store_true", help="leave out the claims of 40 processes (bench.claims)")
    options = parser.parse_args()
    only = [name for name in options.only.split(",") if name]
    settings = [(int(processes), 0.0) for processes in options.processes.split(",")]
    settings += [(2, float(delay)) for delay in options.latency_ms.split(",") if float(delay)]
    everything: dict[str, object] = {"jobs": options.jobs, "rounds": options.rounds}
    with tempfile.TemporaryDirectory(dir=options.data) as name:
        folder = Path(name)
        makers = find_contestants(folder, only)
        for processes, latency_ms in settings:
            title = f"{processes} worker processes, {latency_ms:g} ms to Redis, {options.jobs} jobs"
            found = run_rounds(
                folder,
                makers,
                processes=processes,
                jobs=options.jobs,
                rounds=options.rounds,
                latency_ms=latency_ms,
            )
            show(f"{title}, medians of {options.rounds}", found)
            everything[title] = found
        if not options.no_claims:
            everything["claims"] = found_claims = claims.run(folder, processes=40, jobs=4000)
            print("\nclaims and ends of 40 processes at once")
            for ledger, row in found_claims.items():
                print(f"{ledger:24}" + " ".join(f"{figure}={value}" for figure, value in row.items()))
    if options.json:
        print(json.dumps(everything))


if __name__ == "__main__":
    main()
