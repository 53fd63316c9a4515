"""What ten thousand jobs leave behind, and what is left of it when they are old: rows by table, keys by prefix, files.

``python -m bench.retention [--jobs N] [--rounds N] [--json]``

Real workers run the jobs (``maintenance.ping``, each with an idempotency key, a label and a stream that stays for a
minute) and the sweep. In between the ledger's times are put back by a year, so that everything in it is old; Redis is
left to itself for as long as a stream stays. Each round submits as many jobs anew: what the last sweep leaves must not
be more than what the first one left.
"""

import argparse
import json
import re
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import redis
import sqlalchemy as sa

from bench.switchyard import Switchyard
from bench.throughput import redis_in_service
from tasks import dispatch, submission
from tasks.core.ledger import queries, tenants
from tasks.core.ledger.schema import UTCDateTime, attempts, metadata
from tasks.maintenance.contract import SPECS
from tasks.registry import load_specs

_LIMIT_S = 900.0
_STREAM_TTL_S = 60
_A_YEAR_AGO = "-366 days"
# Who lives, and who may sign in, is no older for it.
_OF_THE_PRESENT = frozenset({"workers", "leases", "tenants", "api_keys", "totals", "queue_minutes"})
_OF_ONE = re.compile(r"\{[^}]*\}|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}")


@dataclass(slots=True)
class Extent:
    """How much there is at one moment."""

    rows: dict[str, int]
    keys: dict[str, int]
    key_bytes: dict[str, int]
    others: dict[str, int] = field(default_factory=dict)


class House(Switchyard):
    """The contestant of ``bench.throughput``, with streams that do not stay for a day."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        super().__init__("switchyard sqlite", folder, redis_url, f"sqlite:///{folder / 'ledger.db'}")
        self._environment["SWITCHYARD_STREAM_TTL_S"] = str(_STREAM_TTL_S)
        load_specs()  # each family's tables are known then

    def submit_with_keys(self, count: int, *, first: int) -> None:
        """Submit jobs that have all that a job may have, one by one."""
        for number in range(first, first + count):
            whole = replace(
                self._one, idempotency_key=f"key-{number}", reference=f"reference-{number}", labels={"round": "a"}
            )
            dispatch.submit(self._kernel, self._carrier, SPECS[0], whole)
        self._submitted += count

    def forget(self) -> None:
        """Count from here on: what was submitted before is gone."""
        self._submitted = 0

    def grow_old(self) -> None:
        """Put the times of everything that has happened back by a year."""
        with self._kernel.ledger.write() as connection:
            for name, table in metadata.tables.items():
                times = [column for column in table.columns if isinstance(column.type, UTCDateTime)]
                if name not in _OF_THE_PRESENT and times:
                    put_back = {
                        column.name: sa.func.strftime("%Y-%m-%d %H:%M:%f000", column, _A_YEAR_AGO) for column in times
                    }
                    connection.execute(sa.update(table).values(put_back))

    def sweep(self) -> dict[str, object]:
        """Run the system's sweep on a worker until there is no more; return what the last one said."""
        system = tenants.named(self._kernel.ledger, tenants.SYSTEM)
        while True:
            asked = submission.Submission(tenant_id=system.id, request={"max_seconds": 600.0, "batch": 1000})
            job = dispatch.submit(self._kernel, self._carrier, SPECS[1], asked).job
            deadline = time.monotonic() + _LIMIT_S
            while not (found := queries.job(self._kernel.ledger, job.id)) or not found.state.is_terminal:
                if time.monotonic() > deadline:
                    raise TimeoutError("the sweep does not end")
                time.sleep(0.2)
            if found.result is None:
                raise SystemExit(f"the sweep failed: {found.error}")
            if not found.result["more"]:
                return dict(found.result)

    def extent(self, client: redis.Redis) -> Extent:
        """Count everything."""
        with self._kernel.ledger.read() as connection:
            rows = {
                name: int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
                for name, table in metadata.tables.items()
            }
        keys: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        for key in client.scan_iter(count=1000):
            prefix = _sort_of(key.decode("utf-8", "replace"))
            keys[prefix] += 1
            sizes[prefix] += int(client.memory_usage(key, samples=0) or 0)
        state = self.folder / "state"
        files = [path for path in state.rglob("*") if path.is_file()]
        with self._kernel.ledger.read() as connection:
            ends = sa.select(attempts.c.cause, sa.func.count()).group_by(attempts.c.cause)
            causes = {f"attempts that ended: {cause}": int(count) for cause, count in connection.execute(ends)}
        others = causes | {
            "files in the state folder": len(files),
            "ledger.db, KiB": (self.folder / "ledger.db").stat().st_size >> 10,
            "Redis' used_memory_dataset, KiB": int(client.info("memory")["used_memory_dataset"]) >> 10,
        }
        return Extent({name: count for name, count in rows.items() if count}, dict(keys), dict(sizes), others)


def _sort_of(key: str) -> str:
    """Return the key without what names one job, tenant, worker or reader."""
    return _OF_ONE.sub("*", key)


def measure(folder: Path, *, jobs: int, rounds: int) -> dict[str, Extent]:
    """Let jobs come, run, grow old and be swept, ``rounds`` times; return the extent at each of these moments."""
    found: dict[str, Extent] = {}
    with (
        redis_in_service(folder / "redis") as port,
        closing(redis.Redis(port=port)) as client,
        closing(House(folder, f"redis://127.0.0.1:{port}/0")) as house,
    ):
        house.start(2)
        house.submit(10, bulk=False)
        house.await_finished(limit_s=_LIMIT_S)
        found["before"] = house.extent(client)
        for number in range(1, rounds + 1):
            house.submit_with_keys(jobs, first=number * jobs)
            house.await_finished(limit_s=_LIMIT_S)
            found[f"{jobs} jobs ({number})"] = house.extent(client)
            time.sleep(_STREAM_TTL_S + 5)
            found[f"streams expired ({number})"] = house.extent(client)
            house.grow_old()
            told = house.sweep()
            print(f"swept in {told['seconds']} s: {json.dumps(told['freed'])}", flush=True)
            house.forget()
            time.sleep(_STREAM_TTL_S + 5)  # the sweep's own stream
            found[f"swept ({number})"] = house.extent(client)
    return found


def show(found: dict[str, Extent]) -> None:
    """Print one Markdown table of everything that was ever there."""
    print("| |" + "".join(f" {moment} |" for moment in found))
    print("|---|" + "--:|" * len(found))
    sections = (
        ("rows of `{}`", lambda extent: extent.rows),
        ("keys `{}`", lambda extent: extent.keys),
        ("bytes of keys `{}`", lambda extent: extent.key_bytes),
        ("{}", lambda extent: extent.others),
    )
    for title, of in sections:
        for name in sorted({name for extent in found.values() for name in of(extent)}):
            cells = "".join(f" {of(extent).get(name, 0):,} |" for extent in found.values())
            print(f"| {title.format(name)} |{cells}")


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), jobs=options.jobs, rounds=options.rounds)
    show(found)
    if options.json:
        print(json.dumps({moment: [extent.rows, extent.keys, extent.key_bytes] for moment, extent in found.items()}))


if __name__ == "__main__":
    main()
