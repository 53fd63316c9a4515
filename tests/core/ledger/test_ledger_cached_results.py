"""Which finished job answers a request that is sent again: its own tenant's, of its kind, while it still can."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from tasks.core.clock import now
from tasks.core.ledger import Ledger, cached_results, tenants, transitions
from tasks.core.ledger.cached_results import Bounds, Lookups, Remembered
from tasks.core.ledger.schema import cached_results as cached_results_table
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, Job, JobState
from tasks.maintenance.contract import PING
from tests.samples import accepted, running

KEY = "a" * 64


def answered(ledger: Ledger, tenant: Tenant, key: str = KEY, **changes: Any) -> Job:
    """A job that has succeeded and answers to ``key``."""
    job = running(ledger, tenant, **changes)
    assert cached_results.remember(ledger, job.id, fence=job.fence, key=key)
    return end(ledger, job)


def end(ledger: Ledger, job: Job, state: JobState = JobState.SUCCEEDED) -> Job:
    result = {"message": job.id} if state is JobState.SUCCEEDED else None
    ended = transitions.finish(ledger, job.id, fence=job.fence, state=state, cause=Cause.COMPLETED, result=result)
    assert ended is not None
    return ended


def found_for(ledger: Ledger, tenant: Tenant, key: str = KEY, **changes: Any) -> str | None:
    """Whose result a new job would be answered with."""
    entry = cached_results.find(ledger, accepted(ledger, tenant, **changes).id, key=key)
    return None if entry is None else entry.job_id


def test_a_finished_job_answers_the_same_key(ledger: Ledger, tenant: Tenant) -> None:
    """With its result, and whose and when it was."""
    first = answered(ledger, tenant)
    entry = cached_results.find(ledger, accepted(ledger, tenant).id, key=KEY)
    assert entry is not None
    assert (first.id, first.fence, first.attempt) == (entry.job_id, entry.fence, entry.attempt)
    assert (first.finished_at, {"message": first.id}) == (entry.at, entry.result)
    assert found_for(ledger, tenant, "b" * 64) is None


def test_nothing_crosses_tenants_or_kinds(ledger: Ledger, tenant: Tenant) -> None:
    """The same key of another tenant, or of another kind, is another question."""
    answered(ledger, tenant)
    assert found_for(ledger, tenants.named(ledger, "stranger")) is None
    assert found_for(ledger, tenant, kind="other.kind") is None


def test_a_job_that_has_not_succeeded_answers_nothing(ledger: Ledger, tenant: Tenant) -> None:
    """Neither while it runs, nor after it failed; and never itself."""
    job = running(ledger, tenant)
    cached_results.remember(ledger, job.id, fence=job.fence, key=KEY)
    assert found_for(ledger, tenant) is None
    assert cached_results.find(ledger, job.id, key=KEY) is None
    end(ledger, job, JobState.FAILED)
    assert found_for(ledger, tenant) is None
    assert 0 == cached_results.standing(ledger, tenant_id=tenant.id, kind=PING).entries


def test_the_newest_answers(ledger: Ledger, tenant: Tenant) -> None:
    """Computing the same again replaces what answered before."""
    answered(ledger, tenant)
    assert answered(ledger, tenant).id == found_for(ledger, tenant)
    assert 1 == cached_results.standing(ledger, tenant_id=tenant.id, kind=PING).entries


def test_an_erased_job_answers_nothing(ledger: Ledger, tenant: Tenant) -> None:
    """Its entry goes with it."""
    first = answered(ledger, tenant)
    transitions.erase(ledger, first.id, tenant_id=tenant.id)
    assert found_for(ledger, tenant) is None
    assert 0 == cached_results.standing(ledger, tenant_id=tenant.id, kind=PING).entries


def test_a_superseded_attempt_is_not_remembered(ledger: Ledger, tenant: Tenant) -> None:
    """Its fence is old."""
    job = running(ledger, tenant)
    assert not cached_results.remember(ledger, job.id, fence=job.fence + 1, key=KEY)
    assert not cached_results.remember(ledger, accepted(ledger, tenant).id, fence=0, key=KEY)


def test_lookups_are_counted_by_tenant_and_summed_by_kind(ledger: Ledger, tenant: Tenant) -> None:
    """Also when the first ones come at the same time."""
    other = tenants.named(ledger, "stranger")
    mine, theirs = accepted(ledger, tenant), accepted(ledger, other)
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda hit: cached_results.count_lookup(ledger, mine.id, hit=hit), [True, False] * 6))
    cached_results.count_lookup(ledger, theirs.id, hit=True)
    standing = cached_results.standing(ledger, tenant_id=tenant.id, kind=PING)
    assert (6, 6) == (standing.hits, standing.misses)
    assert {PING: Lookups(7, 6, 0)} == cached_results.lookups_by_kind(ledger)
    cached_results.count_lookup(ledger, "01890000-0000-7000-8000-000000000000", hit=True)


def test_forgetting_keeps_to_tenant_and_labels(ledger: Ledger, tenant: Tenant) -> None:
    """Only what was meant goes, and the jobs stay."""
    other = tenants.named(ledger, "stranger")
    answered(ledger, other)
    answered(ledger, tenant, labels={"country": "Mali"})
    kept = answered(ledger, tenant, "b" * 64, labels={"country": "Kenya"})
    assert 1 == cached_results.forget(ledger, tenant_id=tenant.id, kind=PING, labels=[("country", "Mali")])
    assert (None, kept.id) == (found_for(ledger, tenant), found_for(ledger, tenant, "b" * 64))
    assert 1 == cached_results.forget(ledger, tenant_id=tenant.id, kind=PING)
    assert found_for(ledger, other) is not None


@pytest.mark.parametrize(
    ("before", "left"), [({PING: timedelta(hours=1)}, 0), ({PING: timedelta(hours=-1)}, 1), ({}, 0)]
)
def test_outdated_entries_are_found_by_kind(
    ledger: Ledger, tenant: Tenant, before: dict[str, timedelta], left: int
) -> None:
    """Each kind's own time, and one for kinds that nobody knows any more."""
    answered(ledger, tenant)
    later = now() + timedelta(hours=1)
    leftover = cached_results.outdated(
        before={kind: now() + offset for kind, offset in before.items()}, before_otherwise=later
    )
    assert 1 - left == leftover.count(ledger)
    assert 1 - left == leftover.delete(ledger, limit=10)
    assert left == cached_results.standing(ledger, tenant_id=tenant.id, kind=PING).entries


def test_an_answer_lives_as_long_as_was_said_when_it_was_written(ledger: Ledger, tenant: Tenant) -> None:
    """Being used prolongs nothing."""
    job = running(ledger, tenant)
    cached_results.remember(ledger, job.id, fence=job.fence, key=KEY, bounds=Bounds(ttl_s=3600))
    end(ledger, job)
    assert job.id == found_for(ledger, tenant)
    asking = accepted(ledger, tenant)
    cached_results.count_lookup(ledger, asking.id, hit=True, key=KEY)
    with ledger.write() as connection:
        row = connection.execute(cached_results_table.select()).one()
        assert row.expires_at == row.created_at + timedelta(hours=1)
        connection.execute(cached_results_table.update().values(expires_at=now() - timedelta(seconds=1)))
    assert found_for(ledger, tenant) is None
    assert 0 == cached_results.standing(ledger, tenant_id=tenant.id, kind=PING).entries


def test_who_wants_a_younger_answer_gets_none(ledger: Ledger, tenant: Tenant) -> None:
    """By when it was written."""
    job = answered(ledger, tenant)
    with ledger.write() as connection:
        connection.execute(cached_results_table.update().values(created_at=now() - timedelta(hours=2)))
    asking = accepted(ledger, tenant)
    assert cached_results.find(ledger, asking.id, key=KEY, max_age_s=3600) is None
    entry = cached_results.find(ledger, asking.id, key=KEY, max_age_s=3 * 3600)
    assert entry is not None
    assert (job.id, None) == (entry.job_id, entry.left_s)
    assert 2 * 3600 <= entry.age_s < 3 * 3600


def test_a_copy_of_an_entry_that_another_job_has_taken_over_answers_nothing(ledger: Ledger, tenant: Tenant) -> None:
    """Who asks by it is told of the entry as it is."""
    first, second = answered(ledger, tenant), answered(ledger, tenant)
    asking = accepted(ledger, tenant)
    assert cached_results.find(ledger, asking.id, key=KEY, of=(first.id, first.fence)) is None
    assert cached_results.find(ledger, asking.id, key=KEY, of=(second.id, second.fence)) is not None


def test_what_was_used_longest_ago_makes_room(ledger: Ledger, tenant: Tenant) -> None:
    """And is counted; another tenant's stays."""
    stranger = tenants.named(ledger, "stranger")
    answered(ledger, stranger, "z" * 64)
    bounds = Bounds(max_entries=2)
    for key in ("a" * 64, "b" * 64):
        end(ledger, remembered(ledger, tenant, key, bounds))
    cached_results.count_lookup(ledger, accepted(ledger, tenant).id, hit=True, key="a" * 64)
    last = running(ledger, tenant)
    done = cached_results.remember(ledger, last.id, fence=last.fence, key="c" * 64, bounds=bounds)
    end(ledger, last)
    assert Remembered(("b" * 64,)) == done
    assert [True, False, True] == [found_for(ledger, tenant, letter * 64) is not None for letter in "abc"]
    assert found_for(ledger, stranger, "z" * 64) is not None
    assert 1 == cached_results.standing(ledger, tenant_id=tenant.id, kind=PING).evictions


def remembered(ledger: Ledger, tenant: Tenant, key: str, bounds: Bounds) -> Job:
    job = running(ledger, tenant)
    cached_results.remember(ledger, job.id, fence=job.fence, key=key, bounds=bounds)
    return job
