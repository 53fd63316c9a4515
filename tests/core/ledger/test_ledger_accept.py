"""Accepting: one transaction for the job and its idempotency key, and when the first carry is taken with it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from tasks.core.errors import IdempotencyKeyReused
from tasks.core.ledger import Ledger, accepting, carrying, fleet, queries, state_events, transitions
from tasks.core.ledger.accepting import Idempotency
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.tenants import Tenant, create_key, tenant_of
from tests.samples import a_job, a_worker, accepted, ago, carried

KEY = Idempotency("key-1", "a" * 64, ttl_s=60)


def count(ledger: Ledger, tenant: Tenant) -> int:
    return queries.listing(ledger, Filter(tenant.id), limit=1).total


def test_accepted_job_reads_back_as_it_was_written(ledger: Ledger, tenant: Tenant) -> None:
    """No value changes its type or its time zone on the way through the database."""
    job = a_job(tenant, reference="r-1", labels={"team": "blue"}, site="example.org", request={"n": [1, {"ü": None}]})
    accepting.accept(ledger, job)
    assert queries.job(ledger, job.id) == job


def test_same_key_and_body_answer_with_the_first_job(ledger: Ledger, tenant: Tenant) -> None:
    """A repeated request makes no second job."""
    first = accepting.accept(ledger, a_job(tenant), idempotency=KEY)
    again = accepting.accept(ledger, a_job(tenant), idempotency=KEY)
    assert (again.job, again.replayed, again.published) == (first.job, True, False)
    assert count(ledger, tenant) == 1


def test_replay_shows_the_job_as_it_is_now(ledger: Ledger, tenant: Tenant) -> None:
    """A replay is the record of today, not of its acceptance."""
    first = accepting.accept(ledger, a_job(tenant), idempotency=KEY).job
    cancelled = transitions.request_cancel(ledger, first.id, tenant_id=tenant.id)
    assert accepting.accept(ledger, a_job(tenant), idempotency=KEY).job == cancelled


def test_same_key_with_another_body_is_refused(ledger: Ledger, tenant: Tenant) -> None:
    """A key stands for one request; the refused one leaves no job."""
    accepting.accept(ledger, a_job(tenant), idempotency=KEY)
    with pytest.raises(IdempotencyKeyReused):
        accepting.accept(ledger, a_job(tenant), idempotency=Idempotency(KEY.key, "b" * 64, ttl_s=60))
    assert count(ledger, tenant) == 1


def test_expired_key_is_free_again(ledger: Ledger, tenant: Tenant) -> None:
    """After its time a key may stand for another request."""
    old = accepting.accept(ledger, a_job(tenant, created_at=ago(61)), idempotency=KEY)
    new = accepting.accept(ledger, a_job(tenant), idempotency=Idempotency(KEY.key, "b" * 64, ttl_s=60))
    assert not new.replayed
    assert new.job.id != old.job.id


def test_key_belongs_to_its_tenant(ledger: Ledger, tenant: Tenant) -> None:
    """Two tenants may use one key without hearing of each other."""
    other = tenant_of(ledger, create_key(ledger, tenant="other", name="test"))
    assert other is not None
    mine = accepting.accept(ledger, a_job(tenant), idempotency=KEY)
    theirs = accepting.accept(ledger, a_job(other), idempotency=KEY)
    assert not theirs.replayed
    assert theirs.job.id != mine.job.id


def test_concurrent_requests_with_one_key_make_one_job(ledger: Ledger, tenant: Tenant) -> None:
    """Eight at once: one is first and the others hear of it."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: accepting.accept(ledger, a_job(tenant), idempotency=KEY), range(8)))
    assert len({answer.job.id for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1
    assert count(ledger, tenant) == 1


def test_key_of_a_job_that_is_erased_at_that_moment_makes_a_new_one(ledger: Ledger, tenant: Tenant) -> None:
    """The key was found, and its job is gone when it is read: nobody hears of an error."""
    if ledger.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    first = accepting.accept(ledger, a_job(tenant), idempotency=KEY).job
    transitions.request_cancel(ledger, first.id, tenant_id=tenant.id)
    erased = []

    def erase_once(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM idempotency_keys" in statement and not erased:
            erased.append(first.id)
            transitions.erase(ledger, first.id, tenant_id=tenant.id)

    sa.event.listen(ledger._engine, "after_cursor_execute", erase_once)
    try:
        second = accepting.accept(ledger, a_job(tenant), idempotency=KEY)
    finally:
        sa.event.remove(ledger._engine, "after_cursor_execute", erase_once)
    assert ([first.id], True) == (erased, second.is_new)
    assert second.job.id == accepting.accept(ledger, a_job(tenant), idempotency=KEY).job.id


def test_first_carry_is_taken_when_nothing_waits(ledger: Ledger, tenant: Tenant) -> None:
    """An idle queue needs no dispatcher."""
    answer = accepting.accept(ledger, a_job(tenant), may_publish=True)
    assert answer.published
    assert (answer.job.carry, answer.job.published_at) == (1, answer.job.created_at)


def test_no_carry_is_taken_without_permission(ledger: Ledger, tenant: Tenant) -> None:
    """A process whose carrier is closed leaves the job to the dispatcher."""
    answer = accepting.accept(ledger, a_job(tenant), may_publish=False)
    assert (answer.published, answer.job.carry) == (False, 0)


def test_no_carry_is_taken_past_a_waiting_job(ledger: Ledger, tenant: Tenant) -> None:
    """Who came first is carried first."""
    accepted(ledger, tenant)
    assert not accepting.accept(ledger, a_job(tenant), may_publish=True).published


def test_jobs_of_other_queues_and_of_later_do_not_hold_it_back(ledger: Ledger, tenant: Tenant) -> None:
    """Only due jobs of the same queue count as waiting."""
    accepted(ledger, tenant, queue="ai")
    accepted(ledger, tenant, not_before=ago(-60))
    assert accepting.accept(ledger, a_job(tenant), may_publish=True).published


def test_job_for_later_waits_in_the_ledger_alone(ledger: Ledger, tenant: Tenant) -> None:
    """Nothing is put into the broker before its time; then it stands behind who has waited meanwhile."""
    later = carried(ledger, tenant, not_before=ago(-60))
    before = accepted(ledger, tenant, created_at=ago(5))
    assert (None, [before.id]) == (later.published_at, [job.id for job in carrying.take_due(ledger, "maintenance")])
    past, early = (
        carried(ledger, tenant, not_before=ago(1), created_at=ago(90)),
        accepted(ledger, tenant, created_at=ago(5)),
    )
    assert [early.id, past.id] == [job.id for job in carrying.take_due(ledger, "maintenance")]


def test_no_carry_is_taken_past_the_window(ledger: Ledger, tenant: Tenant) -> None:
    """The broker holds at most 32 unclaimed jobs of a queue without live slots."""
    taken = [carried(ledger, tenant).carry for _ in range(34)]
    assert taken == [1] * 32 + [0] * 2


def test_window_grows_with_live_slots(ledger: Ledger, tenant: Tenant) -> None:
    """Four for each slot of a worker that is up and serves the queue."""
    fleet.register(ledger, a_worker("a", slots=6))
    fleet.register(ledger, a_worker("b", slots=6, queues=["maintenance", "ai"]))
    fleet.register(ledger, a_worker("c", slots=6, queues=["ai"]))
    fleet.register(ledger, a_worker("d", slots=6, state="draining"))
    with ledger.read() as connection:
        assert {queue: fleet.window(connection, queue) for queue in ("maintenance", "ai", "voice")} == {
            "maintenance": 48,
            "ai": 48,
            "voice": 32,
        }


def test_many_are_accepted_in_order_with_all_that_belongs_to_them(ledger: Ledger, tenant: Tenant) -> None:
    """Each job reads back with its label, its key and its event; none is carried yet."""
    jobs = [a_job(tenant, labels={"n": str(n)}) for n in range(3)]
    answers = accepting.accept_many(ledger, [(jobs[0], KEY), (jobs[1], None), (jobs[2], None)])
    assert jobs == [answer.job for answer in answers] == [queries.job(ledger, job.id) for job in jobs]
    assert {False} == {answer.replayed or answer.published for answer in answers}
    assert jobs[2:] == queries.listing(ledger, Filter(tenant.id, labels=(("n", "2"),)), limit=5).jobs
    assert [1, 1, 1] == [len(state_events.events_of(ledger, job.id)) for job in jobs]
    assert accepting.accept(ledger, a_job(tenant), idempotency=KEY).job == jobs[0]


def test_known_keys_among_many_answer_with_the_first_job(ledger: Ledger, tenant: Tenant) -> None:
    """Be it of an earlier request or earlier in the same one."""
    first = accepting.accept(ledger, a_job(tenant), idempotency=KEY).job
    other = Idempotency("key-2", "b" * 64, ttl_s=60)
    new = a_job(tenant)
    answers = accepting.accept_many(ledger, [(a_job(tenant), KEY), (new, other), (a_job(tenant), other)])
    assert [(first, True), (new, False), (new, True)] == [(answer.job, answer.replayed) for answer in answers]
    assert count(ledger, tenant) == 2


@pytest.mark.parametrize("within", [True, False])
def test_reused_key_among_many_refuses_them_all(ledger: Ledger, tenant: Tenant, within: bool) -> None:
    """Nothing was accepted, so the caller may mend it and send all again."""
    reused = Idempotency(KEY.key, "b" * 64, ttl_s=60)
    items = [(a_job(tenant), KEY)]
    if not within:
        accepting.accept_many(ledger, items)
        items = []
    before = count(ledger, tenant)
    with pytest.raises(IdempotencyKeyReused):
        accepting.accept_many(ledger, [*items, (a_job(tenant), None), (a_job(tenant), reused)])
    assert count(ledger, tenant) == before


def test_concurrent_batches_with_the_same_keys_make_each_job_once(ledger: Ledger, tenant: Tenant) -> None:
    """Whatever their order within the batch."""
    keys = [Idempotency(f"key-{n}", "a" * 64, ttl_s=60) for n in range(20)]

    def submit(number: int) -> list[accepting.Accepted]:
        mine = keys if number % 2 else keys[::-1]
        return accepting.accept_many(ledger, [(a_job(tenant), key) for key in mine])

    with ThreadPoolExecutor(6) as threads:
        answers = [answer for batch in threads.map(submit, range(6)) for answer in batch]
    assert [answer.replayed for answer in answers].count(False) == 20
    assert count(ledger, tenant) == 20
