"""Schedules in the ledger: a tick makes one job, whoever fires it, and whatever comes between."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from tasks.core.callbacks.records import OwnCallback
from tasks.core.clock import now
from tasks.core.errors import Conflict, LedgerUnavailable, NotFound
from tasks.core.follow_ups.plans import Plan
from tasks.core.ids import new_id
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, follow_ups, limits, pauses, queries, schedules
from tasks.core.ledger.audit import Actor
from tasks.core.ledger.callback_tables import webhooks
from tasks.core.ledger.limits import Limit
from tasks.core.ledger.pauses import Scope
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.schedule_tables import schedules as rows
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Job
from tasks.core.schedules.records import CatchUp, Outcome, Schedule
from tasks.registry import load_specs
from tasks.scheduling import fire, stored, submission_for
from tasks.submission import Submission
from tests.samples import PING, ago

SPECS = load_specs()
MINUTES = {"cron": "* * * * *", "every_s": None}
# Whose next tick does not come while a test looks.
YEARS = {"cron": "0 0 1 1 *", "every_s": None}


def kept(ledger: Ledger, tenant: Tenant, *, kind: str = PING, request: Any = None, **changes: Any) -> Schedule:
    """Keep a schedule of pings; ``request`` are fields of the submission."""
    submission = Submission(tenant.id, {"message": "hi"}, **(request or {}))
    values: dict[str, Any] = {
        "id": new_id(),
        "tenant_id": tenant.id,
        "name": None,
        "cron": None,
        "time_zone": "UTC",
        "every_s": 60,
        "anchor": now(),
        "catch_up": CatchUp.ONE,
        "enabled": True,
        "job": {"kind": kind, "params": {"message": "hi"}},
        "submission": stored(submission),
        "created_at": now(),
        "updated_at": now(),
    }
    return schedules.create(ledger, Schedule(**(values | changes)))


def came(ledger: Ledger, schedule: Schedule, at: datetime | None = None) -> Schedule:
    """Let the schedule's next tick have come, now or at ``at``, and return it as the dispatcher reads it."""
    with ledger.write() as connection:
        connection.execute(rows.update().where(rows.c.id == schedule.id).values(next_at=at or ago(1)))
    [found] = [one for one in schedules.due(ledger, limit=1000).schedules if one.id == schedule.id]
    return found


def fired(kernel: Kernel, schedule: Schedule) -> Outcome | None:
    """Fire it now."""
    return fire(kernel, SPECS, schedule, at=now(), grace_s=60)


def jobs_of(ledger: Ledger, tenant: Tenant) -> list[Job]:
    """List the tenant's jobs, newest first."""
    return list(queries.listing(ledger, Filter(tenant.id), limit=200).jobs)


def read(ledger: Ledger, schedule: Schedule) -> Schedule:
    """Read it again."""
    return schedules.find(ledger, schedule.tenant_id, schedule.id)


def test_tick_makes_its_job_and_the_next_one_follows(local_kernel: Kernel, ledger: Ledger, tenant: Tenant) -> None:
    """The job is as it was asked for, with the schedule's id and the tick as labels; nothing is due then."""
    wanted = {"priority": 70, "labels": {"team": "x"}, "concurrency_key": "k", "timeout_s": 5.0, "expires_in_s": 90.0}
    due = came(ledger, kept(ledger, tenant, request=wanted, **YEARS))
    assert Outcome.ACCEPTED is fired(local_kernel, due)
    [job] = jobs_of(ledger, tenant)
    assert due.next_at is not None
    tick = due.next_at.isoformat().replace("+00:00", "Z")
    assert {"team": "x", "schedule": due.id, "tick": tick} == job.labels
    assert (PING, {"message": "hi"}, 70, "k", 5.0, due.id) == (
        *(job.kind, job.request, job.priority, job.concurrency_key, job.timeout_s, job.correlation_id),
    )
    assert job.expires_at is not None
    assert timedelta(seconds=90) == job.expires_at - job.created_at
    after = read(ledger, due)
    assert (due.next_at, Outcome.ACCEPTED, job.id, None, 1) == (
        *(after.last_at, after.last_outcome, after.last_job_id, after.last_error, after.jobs_made),
    )
    assert datetime(now().year + 1, 1, 1, tzinfo=UTC) == after.next_at
    assert [] == schedules.due(ledger, limit=10).schedules


def test_two_that_fire_at_once_make_one_job_of_each_tick(local_kernel: Kernel, ledger: Ledger, tenant: Tenant) -> None:
    """Both have read the same schedules: a leader that was frozen, and its successor."""
    due = [came(ledger, kept(ledger, tenant, **MINUTES)) for _ in range(8)]
    together = Barrier(2)

    def run() -> list[Outcome | None]:
        together.wait(timeout=30)
        return [fired(local_kernel, one) for one in due]

    with ThreadPoolExecutor(2) as pool:
        outcomes = [outcome for one in [pool.submit(run) for _ in range(2)] for outcome in one.result()]
    assert (8, 8) == (outcomes.count(Outcome.ACCEPTED), outcomes.count(None))
    made = [job.labels["schedule"] for job in jobs_of(ledger, tenant)]
    assert sorted(one.id for one in due) == sorted(made)


def test_death_between_the_two_leaves_neither(
    local_kernel: Kernel, ledger: Ledger, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schedule that was moved on has its job, and one that was not fires later."""
    due = came(ledger, kept(ledger, tenant))

    def died(*_: object, **__: object) -> None:
        raise LedgerUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr("tasks.scheduling.accept_ready", died)
        with pytest.raises(LedgerUnavailable):
            fired(local_kernel, due)
    assert due == read(ledger, due)
    assert Outcome.ACCEPTED is fired(local_kernel, due)
    assert 1 == len(jobs_of(ledger, tenant))


def test_tick_that_comes_again_makes_no_second_job(local_kernel: Kernel, ledger: Ledger, tenant: Tenant) -> None:
    """As it may when the clock is set back between two changes of a schedule."""
    tick, made = ago(1), kept(ledger, tenant)
    for _ in range(2):
        assert Outcome.ACCEPTED is fired(local_kernel, came(ledger, made, tick))
    assert (1, 1) == (len(jobs_of(ledger, tenant)), read(ledger, made).jobs_made)


def test_change_that_comes_between_wins(local_kernel: Kernel, ledger: Ledger, tenant: Tenant) -> None:
    """Who has switched it off sees no further job; one that was deleted makes none either."""
    due, gone = (came(ledger, kept(ledger, tenant)) for _ in range(2))
    schedules.change(ledger, tenant.id, due.id, {"enabled": False})
    schedules.delete(ledger, tenant.id, gone.id)
    assert [None, None] == [fired(local_kernel, one) for one in (due, gone)]
    assert [] == jobs_of(ledger, tenant)
    assert read(ledger, due).next_at is None


def test_refused_tick_says_why_and_the_next_one_goes_on(local_kernel: Kernel, ledger: Ledger, tenant: Tenant) -> None:
    """A quota that is used up, and one that is not any more."""
    limits.set_limit(ledger, Limit(tenant.id, "*", most_queued=0))
    due = came(ledger, kept(ledger, tenant))
    assert Outcome.REFUSED is fired(local_kernel, due)
    refused = read(ledger, due)
    assert (Outcome.REFUSED, None, 0) == (refused.last_outcome, refused.last_job_id, refused.jobs_made)
    assert "over_quota" == (refused.last_error or {})["code"]
    assert refused.next_at is not None
    assert refused.next_at > now()
    limits.remove_limit(ledger, tenant.id, "*")
    fresh = replace(local_kernel)  # which has not read the limits yet
    assert Outcome.ACCEPTED is fired(fresh, came(ledger, refused))
    assert read(ledger, due).last_error is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": "no.such"}, "unknown_kind"),
        ({"request": {"timeout_s": 1e6}}, "input_rejected"),
        ({"submission": {"labels": 5}}, "input_rejected"),
    ],
)
def test_what_this_version_does_not_know_is_refused(
    local_kernel: Kernel, ledger: Ledger, tenant: Tenant, changes: dict[str, Any], code: str
) -> None:
    """A kind that is gone, a limit that is lower, a request that is another's: each uses up its tick."""
    due = came(ledger, kept(ledger, tenant, **changes))
    assert Outcome.REFUSED is fired(local_kernel, due)
    assert code == (read(ledger, due).last_error or {})["code"]


def test_unknown_zone_stops_a_schedule_until_it_is_changed(
    local_kernel: Kernel, ledger: Ledger, tenant: Tenant
) -> None:
    """The machine that leads may know fewer than the one that took it."""
    made = kept(ledger, tenant, **MINUTES)
    with ledger.write() as connection:
        connection.execute(rows.update().where(rows.c.id == made.id).values(time_zone="Mars/Olympus"))
    assert Outcome.REFUSED is fired(local_kernel, came(ledger, made))
    stopped = read(ledger, made)
    assert (None, "time_zone") == (stopped.next_at, (stopped.last_error or {})["field"])
    assert schedules.change(ledger, tenant.id, made.id, {"time_zone": "Africa/Maputo"}).next_at is not None


def test_unique_key_keeps_ticks_from_piling_up(local_kernel: Kernel, ledger: Ledger, tenant: Tenant) -> None:
    """While the job of one has not ended, the next one is answered with it."""
    made = kept(ledger, tenant, request={"unique_key": "one"})
    outcomes = [fired(local_kernel, came(ledger, made)) for _ in range(2)]
    assert [Outcome.ACCEPTED, Outcome.DUPLICATE] == outcomes
    [job] = jobs_of(ledger, tenant)
    assert (job.id, 1) == (read(ledger, made).last_job_id, read(ledger, made).jobs_made)


def test_each_job_has_its_own_callback(local_kernel: Kernel, ledger: Ledger, tenant: Tenant) -> None:
    """What the request says of them is kept with it."""
    asked = OwnCallback("https://example.org/hook", ["job.failed"])
    due = came(ledger, kept(ledger, tenant, request={"callback": asked}))
    assert asked == submission_for(due, tick="now").callback
    fired(local_kernel, due)
    [job] = jobs_of(ledger, tenant)
    with ledger.read() as connection:
        [webhook] = connection.execute(webhooks.select().where(webhooks.c.job_id == job.id)).all()
    assert (asked.url, ["job.failed"]) == (webhook.url, webhook.events)


def test_job_of_a_tick_has_its_follow_up_and_is_held_by_a_pause(
    local_kernel: Kernel, ledger: Ledger, tenant: Tenant
) -> None:
    """As any other one."""
    plan = Plan(on_success={"kind": PING, "params": {"message": "after"}})
    made = kept(ledger, tenant, request={"plan": plan})
    pauses.pause(ledger, Scope(kind=PING), by=Actor("test"))
    fired(local_kernel, came(ledger, made))
    [job] = jobs_of(ledger, tenant)
    link = follow_ups.link_of(ledger, job.id)
    assert link is not None
    assert plan == link.plan
    assert job.paused_by is not None


def test_missed_ticks_make_one_job_and_are_told(local_kernel: Kernel, ledger: Ledger, tenant: Tenant) -> None:
    """Three hours away with a tick a minute."""
    made = kept(ledger, tenant, **MINUTES)
    at = datetime(2025, 11, 23, 12, 0, 30, tzinfo=UTC)
    due = came(ledger, made, at - timedelta(hours=3, seconds=30))
    steps = []
    while due.next_at is not None and due.next_at <= at:
        steps.append(fire(local_kernel, SPECS, due, at=at, grace_s=10))
        due = read(ledger, due)
    assert [Outcome.ACCEPTED] == steps
    assert [at - timedelta(hours=3, seconds=30), at - timedelta(seconds=90)] == [due.skipped_from, due.skipped_until]


def test_page_goes_on_where_the_one_before_ended(ledger: Ledger, tenant: Tenant) -> None:
    """Newest first; the disabled ones can be left out."""
    made = [kept(ledger, tenant, enabled=number != 1) for number in range(5)]
    newest_first = [one.id for one in reversed(made)]
    first = [one.id for one in schedules.page(ledger, tenant.id, limit=2)]
    rest = [one.id for one in schedules.page(ledger, tenant.id, limit=9, before=first[-1])]
    assert newest_first == first + rest
    assert [made[1].id] == [one.id for one in schedules.page(ledger, tenant.id, enabled=False, limit=9)]


def test_nobody_has_too_many(ledger: Ledger, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor finds those of others."""
    monkeypatch.setattr(schedules, "MOST_OF_TENANT", 1)
    made = kept(ledger, tenant)
    with pytest.raises(Conflict):
        kept(ledger, tenant)
    with pytest.raises(NotFound):
        schedules.find(ledger, new_id(), made.id)
