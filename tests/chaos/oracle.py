"""Compares what clients were told (A), what the sink saw (E) and what the ledger says (T): the invariants I1-I7."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import sqlalchemy as sa

from tasks.core.domain_events import JOB_DEAD
from tasks.core.ledger.schema import jobs, outbox, state_events
from tasks.core.records import TERMINAL
from tests.chaos.house import House
from tests.chaos.sink import Arrival

# A job that ended may still have a zombie: the ends are read again after this long.
SETTLE_S = 2.0
# The sender may have been killed with its dispatcher, or have waited for a receiver that it lost.
_HEARD_S = 60.0


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that a scenario asks for beside the invariants: in words, with the value that was found."""

    text: str
    found: str
    holds: bool


@dataclass(slots=True)
class Findings:
    """Raw counts of one run, and whatever contradicts an invariant."""

    accepted: int = 0
    """Ids that clients were told."""
    started: int = 0
    """Starts that the sink saw, refused ones too."""
    arrivals: int = 0
    effects: int = 0
    """Effects that the sink accepted."""
    refused: int = 0
    """Arrivals of any phase that the sink refused, because it had seen a newer fence."""
    terminal: int = 0
    lost: int = 0
    duplicated: int = 0
    """Jobs with more than one accepted effect, and keys with more than one job."""
    states: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def examine(house: House) -> Findings:
    """Compare everything; call it when nothing is left to do."""
    house.trial.sleep(SETTLE_S)
    house.watch.look()
    found = Findings()
    told = house.accepted
    arrivals = house.sink.arrivals()
    effects: dict[str, list[Arrival]] = {}
    for arrival in arrivals:
        if arrival.phase == "effect" and arrival.accepted:
            effects.setdefault(arrival.job, []).append(arrival)
    found.accepted, found.arrivals = len(told), len(arrivals)
    found.started = sum(arrival.phase == "start" for arrival in arrivals)
    found.effects = sum(map(len, effects.values()))
    found.refused = sum(not arrival.accepted for arrival in arrivals)
    _every_accepted_job_ended(found, house, told)
    _one_effect_per_job(found, house, effects)
    _no_end_changed(found, house)
    _one_job_per_key(found, house)
    _streams_are_whole(found, house)
    _one_end_per_job(found, house)
    _one_callback_per_job(found, house)
    _nothing_after_cancelled(found, house, effects)
    return found


def _violated(found: Findings, invariant: str, what: str, jobs_: Sequence[str]) -> None:
    if jobs_:
        shown = ", ".join(jobs_[:3]) + (" …" if len(jobs_) > 3 else "")
        found.violations.append(f"{invariant}: {len(jobs_)} {what}: {shown}")


def _every_accepted_job_ended(found: Findings, house: House, told: Sequence[str]) -> None:
    ends = house.watch.ends
    found.terminal = sum(job_id in ends for job_id in told)
    found.states = Counter(ends[job_id].state for job_id in told if job_id in ends)
    found.lost = len(told) - found.terminal
    _violated(found, "I1", "accepted jobs did not end", [job_id for job_id in told if job_id not in ends])


def _one_effect_per_job(found: Findings, house: House, effects: dict[str, list[Arrival]]) -> None:
    twice = [job_id for job_id, of_job in effects.items() if len(of_job) > 1]
    found.duplicated += len(twice)
    _violated(found, "I2", "jobs took effect twice", twice)
    # Others, such as the dispatcher's own sweeps, have nothing to do with the sink.
    asked = set(house.accepted)
    succeeded = [job_id for job_id, end in house.watch.ends.items() if end.state == "succeeded" and job_id in asked]
    _violated(found, "I2", "jobs succeeded without effect", [job_id for job_id in succeeded if job_id not in effects])


def _no_end_changed(found: Findings, house: House) -> None:
    changed = [f"{job_id} {what}" for job_id, what in house.watch.changed.items()]
    with house.ledger.read() as connection:
        rows = connection.execute(
            sa.select(state_events.c.job_id, state_events.c.n, state_events.c.data).order_by(
                state_events.c.job_id, state_events.c.n
            )
        ).all()
    ended: set[str] = set()
    for row in rows:
        if row.job_id in ended:
            changed.append(f"{row.job_id} {row.data['state']} after its end")
        if row.data["state"] in TERMINAL:
            ended.add(row.job_id)
    _violated(found, "I3", "ends changed", changed)


def _one_job_per_key(found: Findings, house: House) -> None:
    answered_twice = [key for submitter in house.submitters for key in submitter.two_ids]
    statement = sa.select(jobs.c.reference).group_by(jobs.c.reference).having(sa.func.count() > 1)
    with house.ledger.read() as connection:
        made_twice = [str(key) for key in connection.execute(statement.where(jobs.c.reference.is_not(None))).scalars()]
    found.duplicated += len(made_twice)
    _violated(found, "I4", "keys were answered with two ids", answered_twice)
    _violated(found, "I4", "keys made two jobs", made_twice)


def _streams_are_whole(found: Findings, house: House) -> None:
    faults = [f"{viewer.job_id}: {fault}" for viewer in house.viewers for fault in viewer.seen.faults]
    _violated(found, "I5", "faults in streams", faults)
    blind = [viewer.job_id for viewer in house.viewers if not viewer.seen.ended and viewer.job_id in house.watch.ends]
    _violated(found, "I5", "viewers never saw the end", blind)


def _one_end_per_job(found: Findings, house: House) -> None:
    # From which callbacks are made: where nobody is called, these are what can be counted.
    with house.ledger.read() as connection:
        rows = connection.execute(sa.select(state_events.c.job_id, state_events.c.data)).all()
        told = connection.execute(sa.select(outbox.c.job_id).where(outbox.c.type == JOB_DEAD)).scalars().all()
    ends = Counter(row.job_id for row in rows if row.data["state"] in TERMINAL)
    wrong = [job_id for job_id in house.watch.ends if ends[job_id] != 1]
    _violated(found, "I6", "ended jobs have not exactly one terminal event", wrong)
    _violated(found, "I6", f"jobs were told twice as {JOB_DEAD}", [job for job, n in Counter(told).items() if n > 1])


def _one_callback_per_job(found: Findings, house: House) -> None:
    """Compare the ends with what a receiver heard of them: one id for each, however often it arrived."""
    if house.hearer is None:
        return
    ended = [job_id for job_id in house.accepted if job_id in house.watch.ends]
    hearer = house.hearer
    with suppress(AssertionError):  # what is missing is told below
        house.trial.await_true(lambda: hearer.ids_by_job().keys() >= set(ended), "ends are heard", within_s=_HEARD_S)
    heard = hearer.ids_by_job()
    wrong = [job_id for job_id in ended if len(set(heard.get(job_id, ()))) != 1]
    _violated(found, "I6", "ended jobs were not told under exactly one callback id", wrong)
    ids = {one for job_id in ended for one in heard.get(job_id, ())}
    arrivals = sum(len(heard.get(job_id, ())) for job_id in ended)
    found.notes.append(f"callbacks (I6): {len(ended)} ends, {len(ids)} callback ids, {arrivals} arrivals")


def _nothing_after_cancelled(found: Findings, house: House, effects: dict[str, list[Arrival]]) -> None:
    late = [
        job_id
        for job_id, end in house.watch.ends.items()
        if end.state == "cancelled" and any(one.at > end.finished_at.timestamp() for one in effects.get(job_id, ()))
    ]
    _violated(found, "I7", "cancelled jobs took effect afterwards", late)
