"""Unique keys: one of a tenant's jobs with the same key has not ended."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from tasks.core.errors import Conflict
from tasks.core.ledger import Ledger, accepting, batches, queries, replaying
from tasks.core.ledger import transitions as moves
from tasks.core.ledger.accepting import Accepted, Idempotency
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.tenants import Tenant, named
from tasks.core.records import JobState
from tests.samples import a_job, accepted, claimed

KEY = Idempotency("k", "b" * 64, ttl_s=60)


def sent(ledger: Ledger, tenant: Tenant, **changes: object) -> Accepted:
    return accepting.accept(ledger, a_job(tenant, unique_key="one", **changes), may_publish=True)


def test_the_same_key_answers_with_the_job_that_has_not_ended(ledger: Ledger, tenant: Tenant) -> None:
    """Queued or running; another tenant's, and another key, are of no concern; then a new one is made."""
    first = sent(ledger, tenant)
    again = sent(ledger, tenant)
    assert (first.job.id, True, False, False) == (again.job.id, again.duplicate, again.published, again.is_new)
    running = claimed(ledger, first.job)
    assert JobState.RUNNING == sent(ledger, tenant).job.state
    assert sent(ledger, named(ledger, "other")).is_new
    assert accepting.accept(ledger, a_job(tenant, unique_key="two")).is_new
    moves.finish(ledger, running.id, fence=running.fence, state=JobState.SUCCEEDED, cause="completed")
    assert sent(ledger, tenant).is_new


def test_a_duplicate_with_an_idempotency_key_is_that_job_for_good(ledger: Ledger, tenant: Tenant) -> None:
    """Who asks again because the answer got lost gets no other job."""
    first = sent(ledger, tenant)
    job = a_job(tenant, unique_key="one")
    assert accepting.accept(ledger, job, idempotency=KEY).duplicate
    moves.request_cancel(ledger, first.job.id, tenant_id=tenant.id)
    again = accepting.accept(ledger, job, idempotency=KEY)
    assert (first.job.id, True) == (again.job.id, again.replayed)


def test_requests_at_once_make_one_job(ledger: Ledger, tenant: Tenant) -> None:
    """Each on a connection of its own."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: sent(ledger, tenant), range(16)))
    assert 1 == len({answer.job.id for answer in answers})
    assert 1 == sum(answer.is_new for answer in answers)


def test_what_has_ended_does_not_run_beside_its_successor(ledger: Ledger, tenant: Tenant) -> None:
    """It is refused alone, and left out among many."""
    first = sent(ledger, tenant)
    moves.request_cancel(ledger, first.job.id, tenant_id=tenant.id)
    second = sent(ledger, tenant)
    with pytest.raises(Conflict, match=second.job.id):
        replaying.replay(ledger, first.job.id, tenant_id=tenant.id)
    plain = accepted(ledger, tenant)
    moves.request_cancel(ledger, plain.id, tenant_id=tenant.id)
    assert [[plain.id]] == [[job.id for job in some] for some in batches.replay(ledger, Filter(tenant.id), limit=9)]
    moves.request_cancel(ledger, second.job.id, tenant_id=tenant.id)
    assert [[second.job.id]] == [
        [job.id for job in some] for some in batches.replay(ledger, Filter(tenant.id), limit=9)
    ]
    moves.request_cancel(ledger, second.job.id, tenant_id=tenant.id)
    assert first.job.id == replaying.replay(ledger, first.job.id, tenant_id=tenant.id).id


def test_jobs_that_may_not_go_are_left_out_together(ledger: Ledger, tenant: Tenant) -> None:
    """However many they are, it takes no transaction for each; nor do they count among those it would be done to."""
    for state in (JobState.FAILED, JobState.CANCELLED) * 4:
        running = claimed(ledger, sent(ledger, tenant).job)
        moves.finish(ledger, running.id, fence=running.fence, state=state, cause="x")
    assert batches.Reach(8, 8) == batches.reach(ledger, Filter(tenant.id), batches.RETRYABLE)
    newest = sent(ledger, tenant).job
    other = claimed(ledger, accepting.accept(ledger, a_job(tenant, unique_key="two"), may_publish=True).job)
    moves.finish(ledger, other.id, fence=other.fence, state=JobState.FAILED, cause="x")
    assert batches.Reach(10, 1) == batches.reach(ledger, Filter(tenant.id), batches.RETRYABLE)
    began: list[sa.Connection] = []
    note = began.append
    sa.event.listen(ledger._engine, "begin", note)
    try:
        assert [[other.id]] == [[job.id for job in some] for some in batches.replay(ledger, Filter(tenant.id), limit=1)]
        assert [] == list(batches.replay(ledger, Filter(tenant.id), limit=1))
    finally:
        sa.event.remove(ledger._engine, "begin", note)
    assert 2 == len(began)
    assert JobState.QUEUED == queries.job(ledger, newest.id).state


def test_the_key_is_kept(ledger: Ledger, tenant: Tenant) -> None:
    """And read with the job."""
    job = sent(ledger, tenant).job
    assert replace(job, version=1) == queries.job(ledger, job.id)
