"""R10: forty worker processes of mixed capabilities, two thousand connector jobs, random SIGKILL and SIGSTOP."""

import itertools
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import psutil
import sqlalchemy as sa

from client import Switchyard
from tasks.connectors.contract import HTTP, SIMULATE
from tasks.core.clock import now
from tasks.core.ledger.schema import attempts, jobs
from tests.chaos.followers import Followers
from tests.chaos.house import House, open_house
from tests.chaos.ledger_reading import running_jobs
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.remote import READY
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge, percentile
from tests.integration.processes import LocalProcess, family_of, freeze, thaw
from tests.servers import free_port

# What each worker is able to do: all take connectors' jobs, some others', too.
_CAPABILITIES = ("ai", "ai", "ai,analytics", "ai,crawler", "ai", "ai,analytics,crawler", "ai,critical", "ai,critical")
_CHILDREN = 5
_WORK_S = 1.2
_CLAIM_LIMIT_S = 1.0
# A worker that starts loads six interpreters, on two processors, and takes jobs before its children stand.
_START_S = 25.0
_PROGRESS_LIMIT_S = 0.5
# Longer than a lease, so that a frozen worker's jobs are taken from it and it comes back to what is not its own.
_FROZEN_LEASES = 1.5
# Each so manieth submission is sent again, as a client does that never saw the answer.
_RESEND_EVERY = 10


@dataclass(slots=True)
class Load:
    """Connector jobs that come at an even rate; every second one is done by the service."""

    house: House
    followers: Followers
    per_s: float
    began: int = 0
    """How many jobs came before the measurement."""
    ids: list[str] = field(default_factory=list)
    two_ids: list[str] = field(default_factory=list)

    def warm_up(self, count: int) -> None:
        """Let every process do its first jobs, for which it loads what it needs; they are counted, not timed."""
        self.run(count)
        self.house.trial.await_true(lambda: self.house.watch.have_ended(self.ids), "the first jobs end", within_s=120)
        self.began = count

    def run(self, count: int) -> None:
        """Submit so many; a job is followed where a client is free."""
        key = self.house.headers["Authorization"].removeprefix("Bearer ")
        due = time.monotonic()
        with Switchyard(self.house.url, key) as client:
            for number in range(self.began, self.began + count):
                kind, params = self._job(number)
                options: dict[str, Any] = {"idempotency_key": f"R10-{number}", "reference": f"R10-{number}"}
                job = client.submit(kind, params, **options)
                self.ids.append(job.id)
                if not self.followers.are_busy:
                    self.followers.follow(job.id)
                if number % _RESEND_EVERY == 0:
                    again = client.submit(kind, params, **options)
                    self.two_ids += [job.id] if again.id != job.id else []
                due += 1 / self.per_s
                self.house.trial.sleep(max(0.0, due - time.monotonic()))

    def _job(self, number: int) -> tuple[str, dict[str, Any]]:
        if number % 2:
            return HTTP, {"connector": "remote", "input": {"seconds": _WORK_S}}
        return SIMULATE, {"duration_s": _WORK_S, "steps": 6, "failure_rate": 0.05, "seed": number}


@dataclass(slots=True)
class Faults:
    """Somebody who kills children, kills whole workers, and freezes workers, at random, and starts new ones."""

    house: House
    workers: list[LocalProcess]
    every_s: float
    done: Counter[str] = field(default_factory=Counter)
    restarts: list[datetime] = field(default_factory=list)
    """When a worker was killed, and another one began to start."""
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for number in itertools.count(1):
            if self._stopping.wait(self.every_s):
                return
            if number % 12 == 0:
                self._kill_worker()
            elif number % 12 == 6:
                self._freeze_worker()
            else:
                self._kill_child()

    def _kill_child(self) -> None:
        """Kill one that works: below a worker there are others, too, such as what tracks its semaphores."""
        ours = {process.pid for worker in self.workers for process in family_of(worker.pid)[1:]}
        busy = [one.child_pid for one in running_jobs(self.house.ledger) if one.child_pid in ours]
        if busy:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(self.house.trial.chance.choice(busy)).kill()
                self.done["SIGKILL to a child in the middle of a job"] += 1

    def _kill_worker(self) -> None:
        number = self.house.trial.chance.randrange(len(self.workers))
        for process in family_of(self.workers[number].pid):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.done["SIGKILL to a worker with its children"] += 1
        self.restarts.append(now())
        self.workers[number] = _spawn(self.house, number)

    def _freeze_worker(self) -> None:
        tree = family_of(self.house.trial.chance.choice(self.workers).pid)
        freeze(tree, self.house.ledger)
        self.done["SIGSTOP to a worker with its children"] += 1
        self._stopping.wait(_FROZEN_LEASES * self.house.trial.pace.lease_s)
        with suppress(psutil.NoSuchProcess):
            thaw(tree)

    def gone(self) -> list[int]:
        """List the workers that have ended though nobody had killed them."""
        return [process.pid for process in self.workers if process.status != "running"]

    def stop(self) -> None:
        """End; nobody stays frozen."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=60)


def _spawn(house: House, number: int) -> LocalProcess:
    return house.spawn_worker("-Q", _CAPABILITIES[number], "--concurrency", str(_CHILDREN))


def play(trial: Trial) -> Verdict:
    """Let clients submit and follow while workers die and freeze."""
    parents = trial.pick(quick=2, full=len(_CAPABILITIES))
    count = int(os.environ.get("CHAOS_CONNECTED", trial.pick(quick=40, full=2000)))
    per_s = float(os.environ.get("CHAOS_CONNECTED_PER_S", trial.pick(quick=4, full=8)))
    port = free_port()
    with open_house(trial, settings={"egress_allow": f"127.0.0.1:{port}"}) as house:
        house.start_web()
        house.start_dispatcher()
        workers = [_spawn(house, number + len(_CAPABILITIES) - parents) for number in range(parents)]
        for process in workers:
            house.await_up(process.pid)
        house.await_logged(house.start("remote", "-m", "tests.chaos.remote", "--port", str(port)), READY)
        _store_connector(house, port)
        house.submitter().start(every_s=1.0, seconds=0.3)
        followers = Followers(house.url, house.headers, trial.pick(quick=2, full=8))
        load = Load(house, followers, per_s)
        faults = Faults(house, workers, every_s=trial.pick(quick=2.0, full=5.0))
        trial.say(f"{parents * _CHILDREN} worker processes, {count} jobs, {per_s:g} a second")
        load.warm_up(2 * parents * _CHILDREN)
        trial.say("each process has done its first jobs")
        faults.start()
        try:
            load.run(count)
        finally:
            faults.stop()
        house.submitters[0].stop()
        house.drain(within_s=120)
        trial.await_true(lambda: house.watch.have_ended(load.ids), "the connectors' jobs end", within_s=120)
        followers.close()
        return _judged(house, load, faults, processes=parents * _CHILDREN)


def _store_connector(house: House, port: int) -> None:
    """Tell Switchyard how the service is spoken to."""
    service = {
        "base_url": f"http://127.0.0.1:{port}",
        "request": {
            "method": "POST",
            "path": "/works",
            "body": {"job": "{{job.id}}", "seconds": "{{input.seconds}}"},
        },
        "poll": {
            "remote": {"id": "/id"},
            "status": {"path": "/works/{{remote.id}}"},
            "cancel": {"method": "DELETE", "path": "/works/{{remote.id}}"},
            "progress": "/percent",
            "interval_s": 0.3,
        },
    }
    with house.client() as client:
        client.put("/api/connectors/remote", json={"service": service}).raise_for_status()


def _judged(house: House, load: Load, faults: Faults, *, processes: int) -> Verdict:
    with house.ledger.read() as connection:
        rows = connection.execute(sa.select(jobs.c.id, jobs.c.created_at, jobs.c.state, jobs.c.kind)).all()
        began = connection.execute(
            sa.select(attempts.c.job_id, sa.func.min(attempts.c.started_at), sa.func.count())
            .where(attempts.c.job_id.in_(load.ids))
            .group_by(attempts.c.job_id)
        ).all()
    asked = set(load.ids)
    of_load = {row.id: row for row in rows if row.id in asked}
    timed = set(load.ids[load.began :])
    claims = [(of_load[job_id].created_at, at) for job_id, at, _ in began if job_id in timed]
    calm = [
        (made, at) for made, at in claims if not any(0 <= _between(one, made) < _START_S for one in faults.restarts)
    ]
    book = httpx.get(f"{_base_url(house)}/book", timeout=10).json()
    works = Counter(work["job"] for work in book["works"].values())
    twice = [job_id for job_id, number in works.items() if number > 1]
    progress = {seen.transport: _progress(load.followers, seen.transport) for seen in load.followers.seen}
    late = [seconds for one in progress.values() for seconds in one]
    lies = [fault for seen in load.followers.seen for fault in seen.faults]
    others = Counter(row.state for row in of_load.values() if row.state != "succeeded")
    verdict = judge(
        house,
        Claim(
            "every connector job succeeded",
            f"{len(of_load) - others.total()} of {len(load.ids)}",
            not others and len(of_load) == len(load.ids),
        ),
        Claim(
            "the service began each job's work once",
            f"{len(works)} works for {book['submissions']} submissions, {len(twice)} jobs with two",
            not twice and len(works) == sum(row.kind == HTTP for row in of_load.values()),
        ),
        _within("a job is claimed", [_between(*one) for one in claims], _CLAIM_LIMIT_S),
        _within("a client has a progress report", late, _PROGRESS_LIMIT_S),
        Claim(
            "clients saw each event once, in order",
            f"{len(lies)} faults {lies[:3]} in {load.followers.given} jobs",
            not lies,
        ),
        Claim("no worker ended by itself", f"{len(faults.gone())}", not faults.gone()),
        notes=[
            f"{processes} worker processes; {dict(faults.done)}",
            f"claims but for {_START_S:g} s after a worker was killed: {_figures([_between(*one) for one in calm])}",
            *(f"progress over {transport}: {_figures(found)}" for transport, found in progress.items()),
        ],
    )
    found = verdict.findings
    found.accepted += len(load.ids)
    found.started += sum(number for _, _, number in began)
    found.effects += len(works) + sum(row.kind == SIMULATE and row.state == "succeeded" for row in of_load.values())
    found.terminal += sum(job_id in house.watch.ends for job_id in load.ids)
    found.lost += sum(job_id not in house.watch.ends for job_id in load.ids)
    found.duplicated += len(twice) + len(load.two_ids)
    return verdict


def _between(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()


def _base_url(house: House) -> str:
    with house.client() as client:
        return str(client.get("/api/connectors/remote").json()["service"]["base_url"])


def _progress(followers: Followers, transport: str) -> list[float]:
    return [seconds for seen in followers.seen if seen.transport == transport for seconds in seen.progress_s]


def _within(what: str, taken_s: Sequence[float], limit_s: float) -> Claim:
    p99 = percentile([1000 * seconds for seconds in taken_s], 99)
    return Claim(
        f"{what} within {1000 * limit_s:g} ms (p99)", _figures(taken_s), p99 is not None and p99 < 1000 * limit_s
    )


def _figures(taken_s: Sequence[float]) -> str:
    if not taken_s:
        return "none"
    p95, p99 = (percentile([1000 * seconds for seconds in taken_s], share) for share in (95, 99))
    median = 1000 * statistics.median(taken_s)
    return f"{len(taken_s)}: median {median:.1f} ms, p95 {p95} ms, p99 {p99} ms, most {1000 * max(taken_s):.0f} ms"


SCENARIOS = (
    Scenario(
        "R10",
        "40 worker processes, 2,000 connector jobs, random kills and freezes",
        play,
        bound_s=560,
    ),
)
