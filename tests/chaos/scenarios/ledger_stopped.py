"""F22: the ledger is away for half a minute under load: PostgreSQL is stopped, SQLite held by an exclusive lock."""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.chaos.house import House, open_house
from tests.chaos.ledger_reading import lost_attempts
from tests.chaos.oracle import Claim, Findings
from tests.chaos.registry import Scenario
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge
from tests.servers import PostgreSQL

_AWAY_S = 30.0


def play(trial: Trial) -> Verdict:
    """Play it on the trial's ledger; in a full run on the other one as well."""
    verdict = _play(trial)
    other = "sqlite" if trial.ledger == "postgresql" else "postgresql"
    if trial.quick or (other == "postgresql" and not PostgreSQL.is_installed()):
        return verdict
    return _together(verdict, _play(replace(trial, ledger=other, folder=trial.folder / other)))


def _play(trial: Trial) -> Verdict:
    lease_s = trial.pick(quick=5.0, full=trial.pace.lease_s)
    away_s = trial.pick(quick=12.0, full=_AWAY_S)
    with open_house(trial, settings={"lease_s": f"{lease_s:g}"}) as house:
        house.start_web()
        house.start_dispatcher()
        house.start_workers(2)
        submitter = house.submitter()
        submitter.submit_many(trial.pick(quick=20, full=60), seconds=1.0)
        house.view(submitter.ids[-1])
        submitter.start(every_s=0.2, seconds=0.5)
        trial.sleep(trial.pick(quick=2, full=5))
        # These run when the ledger goes, and end long before it is back.
        long = {told.id for told in house.submitter().submit_many(2, seconds=away_s / 4)}
        trial.await_true(lambda: long <= {start.job for start in house.sink.starts()}, "two long jobs run")
        trial.say(f"the ledger ({trial.ledger}) goes away for {away_s:g} s")
        refused_before = Counter(submitter.refusals)
        at = time.time()
        with _away(house):
            trial.sleep(away_s)
        back_at = time.time()
        trial.sleep(trial.pick(quick=2, full=5))
        submitter.stop()
        refusals = submitter.refusals - refused_before
        house.drain(within_s=trial.pick(quick=90, full=150))
        starts = [start.at - back_at for start in house.sink.starts() if start.at > back_at]
        finished = _finished_meanwhile(house, at, back_at)
        lost = lost_attempts(house.ledger)
        return judge(
            house,
            Claim(
                f"{trial.ledger}: accept answered 503 with Retry-After, and nothing else but 202",
                f"{dict(refusals)}",
                refusals["503"] > 0 and set(refusals) == {"503"},
            ),
            Claim(
                f"{trial.ledger}: what finished meanwhile was written when the ledger returned, without a second run",
                f"{len(finished)} jobs, ended {Counter(finished.values())}",
                bool(finished) and set(finished.values()) == {("succeeded", 1)},
            ),
            Claim(f"{trial.ledger}: no mass rescue", f"{len(lost)} attempts taken for lost", not lost),
            recoveries_s=starts[:1],
        )


@contextmanager
def _away(house: House) -> Iterator[None]:
    if house.postgresql is not None:
        house.postgresql.stop()
        try:
            yield
        finally:
            house.postgresql.start()
        return
    lock = sqlite3.connect(house.trial.folder / "var" / "ledger.db", isolation_level=None, timeout=30)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        lock.execute("ROLLBACK")
        lock.close()


def _finished_meanwhile(house: House, at: float, back_at: float) -> dict[str, tuple[str, int]]:
    """Return state and attempts of every job whose effect came while the ledger was away."""
    ends = house.watch.ends
    effects = [one for one in house.sink.arrivals() if one.phase == "effect" and at < one.at < back_at]
    return {one.job: (ends[one.job].state, ends[one.job].attempt) for one in effects if one.job in ends}


def _together(first: Verdict, second: Verdict) -> Verdict:
    """Add the second house's counts and claims to the first's."""
    both = Findings()
    for found in (first.findings, second.findings):
        for name in ("accepted", "started", "arrivals", "effects", "refused", "terminal", "lost", "duplicated"):
            setattr(both, name, getattr(both, name) + getattr(found, name))
        both.states += found.states
        both.violations += found.violations
    return replace(
        first,
        findings=both,
        claims=first.claims + second.claims,
        recoveries_s=first.recoveries_s + second.recoveries_s,
        notes=first.notes + second.notes,
    )


SCENARIOS = (Scenario("F22", "the ledger is stopped for 30 s under load", play, bound_s=300, quick_bound_s=180),)
