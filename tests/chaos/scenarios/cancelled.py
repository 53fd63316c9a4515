"""F12: cancels of jobs in every place where a job can be, and a batch of them."""

import time
from dataclasses import dataclass

import httpx
import sqlalchemy as sa

from tasks.core.clock import now
from tasks.core.ledger.schema import jobs
from tasks.core.records import JobState
from tests.chaos.house import House, open_house
from tests.chaos.ledger_reading import attempts_by_job, running_jobs
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.submitter import Submitter, Told
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge, percentile

_LIMIT_S = 2.0
_RUNNING_LIMIT_S = 5.0


@dataclass(slots=True)
class Asked:
    """Cancels of one sort: when each was asked for, in seconds since 1970."""

    sort: str
    limit_s: float
    at: dict[str, float]


def play(trial: Trial) -> Verdict:
    """Cancel queued jobs without a worker and with one, running ones, some that wait to be tried again, and a batch."""
    each, many = trial.pick(quick=2, full=20), trial.pick(quick=30, full=500)
    with open_house(trial) as house:
        house.furnish(workers=0)
        submitter = house.submitter()
        with house.client() as client:
            asked = [_cancel(house, client, "queued, no worker", submitter.submit_many(each, seconds=0.1))]
            house.start_workers(2)
            asked += [_running(house, client, submitter, act=act, count=each) for act in ("work", "blind")]
            asked.append(_waiting(house, client, submitter, count=each))
            asked.append(_queued(house, client, submitter, count=each))
            asked += _batch(house, client, submitter, count=many)
        kept = submitter.submit_many(10, seconds=0.1)
        house.drain(within_s=trial.pick(quick=60, full=120))
        trial.sleep(trial.pick(quick=4, full=10))  # whoever would go on after the cancel does so now
        ends = house.watch.ends
        return judge(
            house,
            *(_in_time(house, sort) for sort in asked),
            Claim(
                "what was cancelled is cancelled, the rest succeeded",
                f"{sum(len(sort.at) for sort in asked)} cancels, {dict(_states(house))}",
                all(ends[job].state == "cancelled" for sort in asked for job in sort.at if job in ends)
                and all(ends[told.id].state == "succeeded" for told in kept if told.id in ends),
            ),
            all_succeed=False,
        )


def _states(house: House) -> dict[str, int]:
    states = [end.state for end in house.watch.ends.values()]
    return {state: states.count(state) for state in sorted(set(states))}


def _cancel(house: House, client: httpx.Client, sort: str, told: list[Told], *, limit_s: float = _LIMIT_S) -> Asked:
    """Ask for each job's cancel, one after another; what had ended already is left out."""
    asked = Asked(sort, limit_s, {})
    for one in told:
        at = time.time()
        answer = client.post(f"/api/jobs/{one.id}/cancel")
        if answer.status_code != httpx.codes.CONFLICT:
            answer.raise_for_status()
            asked.at[one.id] = at
    house.trial.say(f"cancelled {len(asked.at)}: {sort}")
    return asked


def _in_time(house: House, asked: Asked) -> Claim:
    """Claim that the cancels were terminal soon enough, by the ledger's own time of each end."""
    limit_s = house.trial.patient_s(asked.limit_s)
    ends = house.watch.ends
    took_s = [ends[job].finished_at.timestamp() - at for job, at in asked.at.items() if job in ends]
    p95 = percentile(took_s, 95)
    return Claim(
        f"{asked.sort}: terminal within {limit_s:g} s (p95)",
        f"{len(took_s)} of {len(asked.at)}, p95 {p95} s",
        len(took_s) == len(asked.at) > 0 and p95 is not None and p95 <= limit_s,
    )


def _running(house: House, client: httpx.Client, submitter: Submitter, *, act: str, count: int) -> Asked:
    """Cancel jobs in the middle of their work, a few at a time: as many as there are slots."""
    asked = Asked(f"running ({act})", _RUNNING_LIMIT_S, {})
    while len(asked.at) < count:
        told = submitter.submit_many(min(4, count - len(asked.at)), act=act, seconds=60)
        wanted = {one.id for one in told}
        house.trial.await_true(
            lambda: wanted <= {start.job for start in house.sink.starts()},  # noqa: B023  # used before it changes
            "the jobs to cancel run",
            within_s=60,
        )
        asked.at |= _cancel(house, client, asked.sort, told).at
        house.trial.await_true(lambda: house.watch.have_ended(wanted), "they end", within_s=60)  # noqa: B023  # called before the loop goes on
    return asked


def _waiting(house: House, client: httpx.Client, submitter: Submitter, *, count: int) -> Asked:
    """Cancel jobs whose attempt has failed and that wait for their next one."""
    asked = Asked("waiting to be tried again", _LIMIT_S, {})
    while len(asked.at) < count:
        told = submitter.submit(act="flaky", until_attempt=1000)
        house.trial.await_true(lambda: _is_waiting(house, told.id), "it waits", within_s=60)  # noqa: B023  # called before the loop goes on
        asked.at |= _cancel(house, client, asked.sort, [told]).at
    return asked


def _is_waiting(house: House, job_id: str) -> bool:
    statement = sa.select(jobs.c.id).where(
        jobs.c.id == job_id, jobs.c.state == JobState.QUEUED, jobs.c.attempt > 0, jobs.c.not_before > now()
    )
    with house.ledger.read() as connection:
        return connection.execute(statement).one_or_none() is not None


def _queued(house: House, client: httpx.Client, submitter: Submitter, *, count: int) -> Asked:
    """Cancel jobs that wait, in Redis already, behind others that keep every worker busy."""
    submitter.submit_many(4, seconds=6)
    return _cancel(house, client, "queued, workers busy", submitter.submit_many(count, seconds=0.1))


def _batch(house: House, client: httpx.Client, submitter: Submitter, *, count: int) -> list[Asked]:
    """Cancel many jobs with one call, by their label; most wait, some run, and each sort has its own limit."""
    told = [submitter.submit(options={"labels": {"batch": "f12"}}, act="blind", seconds=30) for _ in range(count)]
    ids = {one.id for one in told}
    house.trial.await_true(
        lambda: any(one.job in ids for one in running_jobs(house.ledger)), "some of the batch run", within_s=60
    )
    at = time.time()
    asked = {"label": "batch:f12", "confirm": "true"}
    answer = client.post("/api/jobs/cancel", params=asked).raise_for_status().json()
    house.trial.say(f"cancelled a batch of {count} with one call: {answer}")
    # Who has no attempt now will never have one.
    begun = ids & attempts_by_job(house.ledger).keys()
    return [
        Asked(f"a batch of {count}, those that waited", _LIMIT_S, dict.fromkeys(ids - begun, at)),
        Asked(f"a batch of {count}, those that ran", _RUNNING_LIMIT_S, dict.fromkeys(begun, at)),
    ]


SCENARIOS = (
    Scenario(
        "F12",
        "cancel: queued without and with a worker, running, waiting to retry, a batch",
        play,
        bound_s=600,
    ),
)
