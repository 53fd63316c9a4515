"""Whose turn it is: shares between tenants, places in a tenant's own line, and what is passed over in the broker."""

from datetime import datetime, timedelta

import pytest

from tasks.core.clock import now
from tasks.core.ledger import Ledger, accepting, carrying, queries, replaying
from tasks.core.ledger import transitions as moves
from tasks.core.ledger.carrying import give_way, take_due
from tasks.core.ledger.fleet import register
from tasks.core.ledger.shares import Shares, is_passed_over
from tasks.core.ledger.tenants import Tenant, named
from tasks.core.records import Job, JobState
from tests.samples import a_job, a_worker, accepted, claimed


@pytest.fixture
def other(ledger: Ledger) -> Tenant:
    """A second tenant."""
    return named(ledger, "other")


def many(ledger: Ledger, tenant: Tenant, count: int) -> list[Job]:
    """Jobs of a tenant, none of them carried."""
    return [one.job for one in accepting.accept_many(ledger, [(a_job(tenant), None) for _ in range(count)])]


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


def aged(tenant: Tenant, hours: float, priority: int) -> Job:
    """A job that was accepted so long ago."""
    return a_job(tenant, created_at=now() - timedelta(hours=hours), priority=priority)


def test_tenants_take_turns(ledger: Ledger, tenant: Tenant, other: Tenant) -> None:
    """However many of one wait, and in the order of each one's own line."""
    mine, theirs = many(ledger, tenant, 40), many(ledger, other, 3)
    taken = ids(take_due(ledger, "maintenance"))
    assert ids([mine[0], theirs[0], mine[1], theirs[1], mine[2], theirs[2], mine[3]]) == taken[:7]
    assert 32 == len(taken) == len(set(taken))


def test_weights_divide_the_turns() -> None:
    """Three to one."""
    shares = Shares(lambda tenant: {"a": 3.0, "b": 1.0}[tenant])
    assert "abaaabaa" == "".join(shares.choose("q", {"a": "a" * 9, "b": "b" * 9}, 8))


def test_who_was_away_goes_next_and_has_saved_nothing_up() -> None:
    """One turn at once, then one with each of the others'."""
    shares = Shares()
    shares.choose("q", {"a": "a" * 20, "b": "b"}, 15)
    assert "baba" == "".join(shares.choose("q", {"a": "aaa", "b": "bbb"}, 4))
    shares.alone("q", "a")
    assert "cacaca"[:4] == "".join(shares.choose("q", {"a": "aaa", "c": "ccc"}, 4))


def test_turns_last_longer_than_a_take(ledger: Ledger, tenant: Tenant, other: Tenant) -> None:
    """With room for one at a time they go on where they stood."""
    many(ledger, tenant, 40)
    many(ledger, other, 40)
    shares = Shares()
    window = take_due(ledger, "maintenance", shares=shares)
    for job in window[:4]:
        moves.request_cancel(ledger, job.id, tenant_id=job.tenant_id)
        window += take_due(ledger, "maintenance", shares=shares)
    owners = [job.tenant_id for job in window]
    assert 36 == len(owners)
    assert 18 == owners.count(tenant.id)


def test_more_tenants_than_room_all_get_their_turn(ledger: Ledger) -> None:
    """None is left out for the others."""
    tenants = [named(ledger, f"t{number}") for number in range(40)]
    for one in tenants:
        many(ledger, one, 2)
    shares = Shares()
    first = take_due(ledger, "maintenance", shares=shares)
    for job in first:
        moves.request_cancel(ledger, job.id, tenant_id=job.tenant_id)
    owners = {job.tenant_id for job in [*first, *take_due(ledger, "maintenance", shares=shares)]}
    assert {one.id for one in tenants} == owners


def test_priority_is_exact_among_jobs_that_came_together(ledger: Ledger, tenant: Tenant) -> None:
    """From 0 to 100."""
    at = now()
    jobs = [a_job(tenant, priority=priority, created_at=at) for priority in (0, 51, 100, 50, 99)]
    accepting.accept_many(ledger, [(job, None) for job in jobs])
    assert [100, 99, 51, 50, 0] == [job.priority for job in take_due(ledger, "maintenance")]


def test_waiting_makes_up_for_priority(ledger: Ledger, tenant: Tenant) -> None:
    """A point is worth ten minutes, so that nothing starves behind what keeps coming."""
    lowest, younger = aged(tenant, 17, 0), aged(tenant, 16, 0)
    highest = a_job(tenant, priority=100)
    accepting.accept_many(ledger, [(job, None) for job in (younger, highest, lowest)])
    assert ids([lowest, highest, younger]) == ids(take_due(ledger, "maintenance"))


def test_a_replay_with_another_priority_has_another_place(ledger: Ledger, tenant: Tenant) -> None:
    """In the ledger as in the record."""
    urgent = accepted(ledger, tenant, priority=60)
    job = accepted(ledger, tenant)
    moves.request_cancel(ledger, job.id, tenant_id=tenant.id)
    again = replaying.replay(ledger, job.id, tenant_id=tenant.id, priority=70)
    assert (1, 2) == (queries.queue_position(ledger, again), queries.queue_position(ledger, urgent))
    assert ids([again, urgent]) == ids(take_due(ledger, "maintenance"))


def test_position_counts_the_turns_of_the_others(ledger: Ledger, tenant: Tenant, other: Tenant) -> None:
    """Not all that they have in line."""
    mine, theirs = many(ledger, tenant, 9), many(ledger, other, 2)
    positions = [queries.queue_position(ledger, job) for job in (mine[0], mine[4], theirs[0], theirs[1])]
    assert [1, 7, 1, 3] == positions


def published_ago(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[Job]:
    """Take what is due, so long ago."""
    at = now() - timedelta(seconds=seconds)
    with monkeypatch.context() as patch:
        patch.setattr(carrying, "now", lambda: at)
        return take_due(ledger, "maintenance")


def test_who_is_passed_over_in_the_broker_goes_first(
    ledger: Ledger, tenant: Tenant, other: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one tenant has there is taken back for another one's single job, and goes again behind it."""
    many(ledger, tenant, 40)
    held = published_ago(ledger, monkeypatch, 1)
    single = accepted(ledger, other)
    assert [] == take_due(ledger, "maintenance")
    running = claimed(ledger, held[0])
    assert {(job.id, job.carry) for job in held[1:]} == give_way(ledger, "maintenance", patience_s=0.25)
    again = take_due(ledger, "maintenance")
    assert 32 == len(again)
    assert single.id in ids(again[:2])
    assert running.id not in ids(again)
    assert moves.claim(ledger, held[1].id, carry=held[1].carry, worker="w", child_pid=1) is None
    assert set() == give_way(ledger, "maintenance", patience_s=0)


def test_who_went_straight_into_the_broker_is_passed_over_no_less(
    ledger: Ledger, tenant: Tenant, other: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job stands behind all that another one has put there."""
    many(ledger, tenant, 5)
    published_ago(ledger, monkeypatch, 1)
    single = accepting.accept(ledger, a_job(other), may_publish=True)
    assert single.published
    assert 6 == len(give_way(ledger, "maintenance", patience_s=0.25))
    assert single.job.id in ids(take_due(ledger, "maintenance")[:2])


@pytest.mark.parametrize("seconds", [0.0, 10.0])
def test_nobody_gives_way_without_need(
    ledger: Ledger, tenant: Tenant, other: Tenant, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Neither where the broker is emptied fast, nor where all have their turn in it, nor for oneself."""
    many(ledger, tenant, 40)
    if seconds:
        many(ledger, other, 40)
    published_ago(ledger, monkeypatch, seconds)
    accepted(ledger, other)
    accepted(ledger, tenant)
    assert set() == give_way(ledger, "maintenance", patience_s=5)
    assert set() == give_way(ledger, "critical", patience_s=0)


def test_a_larger_share_passes_nobody_over() -> None:
    """Three of a tenant may go before one of another that has a third of its weight."""

    def weigh(tenant: str) -> float:
        return {"a": 3.0, "b": 1.0}[tenant]

    assert [False, True] == [is_passed_over({"a": count}, "b", weigh=weigh) for count in (3, 4)]
    assert [False, True] == [is_passed_over({"b": count}, "a", weigh=weigh) for count in (1, 2)]


def test_only_what_is_due_is_in_line(ledger: Ledger, tenant: Tenant, other: Tenant) -> None:
    """A tenant that waits for later takes nobody's turn."""
    later: datetime = now() + timedelta(hours=1)
    accepted(ledger, other, not_before=later)
    mine = many(ledger, tenant, 3)
    register(ledger, a_worker())
    assert ids(mine) == ids(take_due(ledger, "maintenance"))
    assert JobState.QUEUED is mine[0].state


def test_who_waits_for_a_time_takes_nobodys_turn(
    ledger: Ledger, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little room there is, and however many such tenants."""
    monkeypatch.setattr("tasks.core.ledger.carrying.window", lambda *_: 1)
    later = now() + timedelta(hours=1)
    for number in range(3):
        accepting.accept_many(ledger, [(a_job(named(ledger, f"later-{number}"), not_before=later), None)])
    shares = Shares()
    shares.choose("maintenance", {tenant.id: "aaa", "another": "b"}, 4)  # the others' turns come before this one's
    assert ids(many(ledger, tenant, 1)) == ids(take_due(ledger, "maintenance", shares=shares))
