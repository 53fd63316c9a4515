"""Carrying: which jobs are taken, in which order, how many, and what becomes of those that did not arrive."""

from concurrent.futures import ThreadPoolExecutor

from tasks.core.ledger import Ledger, carrying, queries, transitions
from tasks.core.ledger.tenants import Tenant
from tests.samples import accepted, ago, carried, claimed


def test_due_jobs_are_taken_by_priority_then_age(ledger: Ledger, tenant: Tenant) -> None:
    """Higher priority first; among equals the older."""
    jobs = [accepted(ledger, tenant, priority=priority) for priority in (50, 90, 50, 10, 90)]
    expected = [jobs[index].id for index in (1, 4, 0, 2, 3)]
    assert expected == [job.id for job in carrying.take_due(ledger, "maintenance")]


def test_due_jobs_are_taken_up_to_the_window(ledger: Ledger, tenant: Tenant) -> None:
    """What is published already counts; the best of the rest go first."""
    published = [carried(ledger, tenant) for _ in range(30)]
    waiting = [accepted(ledger, tenant, priority=priority) for priority in (1, 3, 2)]
    taken = carrying.take_due(ledger, "maintenance")
    assert [waiting[1].id, waiting[2].id] == [job.id for job in taken]
    assert carrying.take_due(ledger, "maintenance") == []
    assert len(published) == 30


def test_claimed_job_makes_room_in_the_window(ledger: Ledger, tenant: Tenant) -> None:
    """A running job is in nobody's way."""
    published = [carried(ledger, tenant) for _ in range(32)]
    late = accepted(ledger, tenant)
    assert carrying.take_due(ledger, "maintenance") == []
    claimed(ledger, published[0])
    assert [late.id] == [job.id for job in carrying.take_due(ledger, "maintenance")]


def test_job_of_later_or_of_another_queue_is_not_taken(ledger: Ledger, tenant: Tenant) -> None:
    """A backoff is kept in the ledger, not in the broker."""
    accepted(ledger, tenant, not_before=ago(-60))
    accepted(ledger, tenant, queue="ai")
    due = accepted(ledger, tenant, not_before=ago(1))
    assert [due.id] == [job.id for job in carrying.take_due(ledger, "maintenance")]


def test_concurrent_takers_share_the_jobs(ledger: Ledger, tenant: Tenant) -> None:
    """Two dispatchers never take one carry twice."""
    jobs = {accepted(ledger, tenant).id for _ in range(20)}
    with ThreadPoolExecutor(4) as threads:
        batches = list(threads.map(lambda _: carrying.take_due(ledger, "maintenance"), range(4)))
    taken = [job.id for batch in batches for job in batch]
    assert sorted(jobs) == sorted(taken)


def test_lost_message_gets_another_carry(ledger: Ledger, tenant: Tenant) -> None:
    """The message that was lost is void from then on; the others stay."""
    lost, held = carried(ledger, tenant), carried(ledger, tenant)
    again = carrying.take_again(ledger, [(lost.id, 1)])
    assert [(lost.id, 2)] == [(job.id, job.carry) for job in again]
    assert transitions.claim(ledger, lost.id, carry=1, worker="w", child_pid=1) is None
    assert queries.job(ledger, held.id) == held


def test_message_that_was_claimed_after_all_is_not_carried_again(ledger: Ledger, tenant: Tenant) -> None:
    """Nor one that was carried again meanwhile, or put back."""
    running, newer, back = (carried(ledger, tenant) for _ in range(3))
    claimed(ledger, running)
    carrying.take_again(ledger, [(newer.id, 1)])
    carrying.put_back(ledger, [(back.id, 1)])
    assert [] == carrying.take_again(ledger, [(job.id, 1) for job in (running, newer, back)])


def test_put_back_job_is_due_again(ledger: Ledger, tenant: Tenant) -> None:
    """A message that did not reach the broker is sent by the dispatcher."""
    job = carried(ledger, tenant)
    carrying.put_back(ledger, [(job.id, job.carry)])
    assert [(job.id, 2)] == [(taken.id, taken.carry) for taken in carrying.take_due(ledger, "maintenance")]


def test_put_back_of_an_old_carry_changes_nothing(ledger: Ledger, tenant: Tenant) -> None:
    """Who hears late that a publish failed must not undo a newer one."""
    job = carried(ledger, tenant)
    carrying.put_back(ledger, [(job.id, job.carry)])
    (newer,) = carrying.take_due(ledger, "maintenance")
    carrying.put_back(ledger, [(job.id, job.carry)])
    assert queries.job(ledger, job.id) == newer


def test_put_back_leaves_a_claimed_job_alone(ledger: Ledger, tenant: Tenant) -> None:
    """The broker may have taken the message although it said nothing."""
    job = claimed(ledger, carried(ledger, tenant))
    carrying.put_back(ledger, [(job.id, job.carry)])
    assert queries.job(ledger, job.id) == job


def test_published_are_those_sent_and_not_begun(ledger: Ledger, tenant: Tenant) -> None:
    """What the dispatcher compares with what Redis holds."""
    jobs = [carried(ledger, tenant) for _ in range(3)]
    claimed(ledger, jobs[0])
    accepted(ledger, tenant)
    with ledger.read() as connection:
        assert carrying.published_count(connection, "maintenance") == 2
    found = carrying.published(ledger, ["maintenance", "ai"])
    assert {"maintenance": {(job.id, 1) for job in jobs[1:]}} == found


def test_backlogs_are_the_queues_where_something_due_waits(ledger: Ledger, tenant: Tenant) -> None:
    """With the room that each one's window has."""
    carried(ledger, tenant)
    accepted(ledger, tenant)
    accepted(ledger, tenant, queue="ai", not_before=ago(-60))
    carried(ledger, tenant, queue="voice")
    found = carrying.backlogs(ledger, ["maintenance", "ai", "voice"])
    assert [carrying.Backlog("maintenance", window=32, room=31)] == found
    found = carrying.backlogs(ledger, ["maintenance"], windows={"maintenance": 40, "ai": 50})
    assert [carrying.Backlog("maintenance", window=40, room=39)] == found


def test_wider_window_has_room_for_more(ledger: Ledger, tenant: Tenant) -> None:
    """A narrower one than the workers' slots ask for does not narrow it."""
    for _ in range(80):
        accepted(ledger, tenant)
    assert [len(carrying.take_due(ledger, "maintenance", window_of=size)) for size in (1, 40, 48)] == [32, 8, 8]
