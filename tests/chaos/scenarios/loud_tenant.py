"""F15: one tenant sends nine tenths of all jobs; the others' single jobs wait about as long as with nobody in line.

"Alone" is not an idle house: the workers are as busy, with jobs of the loud tenant, but of these only as many are sent
as run. So it is the line that makes the difference, and not that somebody else's job has to end first.
"""

import sqlalchemy as sa

from tasks.core.ledger.schema import jobs
from tests.chaos.house import House, open_house
from tests.chaos.ledger_reading import queued_jobs
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.submitter import Submitter
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge, percentile

_SLOTS = 4
_LOUD_S = 1.0
_MOST_RATIO = 1.5
_QUIET = ("one", "two", "three")


def play(trial: Trial) -> Verdict:
    """Let three tenants send single jobs, first beside a tenant without a line, then beside one with a long one."""
    rounds = trial.pick(quick=6, full=18)
    with open_house(trial) as house:
        house.start_web()
        house.start_dispatcher()
        house.start_worker("--concurrency", str(_SLOTS))
        loud = house.submitter(tenant="loud")
        quiet = [house.submitter(tenant=name) for name in _QUIET]
        # The first job of each of the worker's children also waits for what they load.
        warm = loud.submit_many(_SLOTS, seconds=0.2)
        trial.await_true(lambda: house.watch.have_ended([one.id for one in warm]), "the workers are warm")
        loud.start(every_s=0.02, unless=lambda: _active(house, loud) >= _SLOTS, seconds=_LOUD_S)
        alone = _waits_s(house, quiet, rounds)
        loud.stop()
        line = len(loud.submit_many(trial.pick(quick=70, full=500), seconds=_LOUD_S))
        beside = _waits_s(house, quiet, rounds)
        in_line = len(queued_jobs(house.ledger, published=False))
        house.drain(within_s=90)
        p95_alone, p95 = percentile(alone, 95) or 0.0, percentile(beside, 95) or 0.0
        share = line / (line + len(beside))
        ratio = p95 / p95_alone if p95_alone else float("inf")
        claims = [
            Claim("the loud tenant had a line all the while", f"{in_line} still waited in the ledger", in_line > 0),
            Claim("every wait was measured", f"{len(alone)} and {len(beside)}", len(alone) == len(beside) > 0),
        ]
        if not trial.quick:
            told = f"{ratio:.2f}: {p95:.2f} s beside {share:.0%} of the jobs, {p95_alone:.2f} s alone"
            claims.append(
                Claim(f"the quiet tenants' p95 wait grows to {_MOST_RATIO} at most", told, ratio <= _MOST_RATIO)
            )
        medians = f"median {percentile(alone, 50)} s alone, {percentile(beside, 50)} s beside the line"
        notes = [f"p95 wait {p95_alone} s alone, {p95} s beside the line (ratio {ratio:.2f}); {medians}"]
        return judge(house, *claims, notes=notes)


def _active(house: House, submitter: Submitter) -> int:
    newest = jobs.c.id.in_(submitter.ids[-4 * _SLOTS :])
    with house.ledger.read() as connection:
        count = sa.select(sa.func.count()).select_from(jobs).where(newest, jobs.c.finished_at.is_(None))
        return int(connection.execute(count).scalar_one())


def _waits_s(house: House, quiet: list[Submitter], rounds: int) -> list[float]:
    """Send a job of each tenant about once a second, and return how long each of them waited for its start."""
    sent: list[str] = []
    for _ in range(rounds):
        sent += [submitter.submit().id for submitter in quiet]
        house.trial.sleep(0.7 + 0.6 * house.trial.chance.random())
    house.trial.await_true(lambda: house.watch.have_ended(sent), "the quiet tenants' jobs have ended", within_s=120)
    statement = sa.select(jobs.c.created_at, jobs.c.started_at).where(jobs.c.id.in_(sent))
    with house.ledger.read() as connection:
        return [(row.started_at - row.created_at).total_seconds() for row in connection.execute(statement)]


SCENARIOS = (Scenario("F15", "one tenant sends 90 % of the load", play, bound_s=420, quick_bound_s=180),)
