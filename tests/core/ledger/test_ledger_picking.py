"""What a local runner is shown, on both databases."""

from collections.abc import Collection

import pytest

from tasks.core.ledger import Ledger, accepting, carrying, transitions
from tasks.core.ledger.carrying import Choice
from tasks.core.ledger.picking import Due, due_jobs, in_turns
from tasks.core.ledger.routing import waiting_lines
from tasks.core.ledger.schema import jobs
from tasks.core.ledger.shares import Shares
from tasks.core.ledger.tenants import Tenant, named
from tasks.core.records import Backend, JobState
from tasks.core.spec import Queue
from tests.samples import accepted, ago, claimed, running

KINDS = ("maintenance.ping",)
QUEUES = (Queue.MAINTENANCE, Queue.ANALYTICS)
BACKENDS = (Backend.AUTO, Backend.LOCAL)


def picked(ledger: Ledger, *, limit: int = 10, but: tuple[str, ...] = ()) -> list[str]:
    return [due.job_id for due in due_jobs(ledger, QUEUES, kinds=KINDS, but=but, backends=BACKENDS, limit=limit)]


def test_best_comes_first(ledger: Ledger, tenant: Tenant) -> None:
    """Priority, then age, over all queues, and no more than asked for."""
    late, urgent, later = (accepted(ledger, tenant, priority=priority).id for priority in (50, 90, 50))
    assert [[urgent], [urgent, late, later]] == [picked(ledger, limit=limit) for limit in (1, 10)]


@pytest.mark.parametrize(
    "changes",
    [
        {"not_before": ago(-86400)},
        {"expires_at": ago(1)},
        {"queue": Queue.CRAWLER},
        {"kind": "another.kind"},
        {"backend": Backend.QUEUE},
    ],
    ids=["not due", "expired", "another queue", "unknown kind", "for the queue"],
)
def test_job_for_another_time_or_runner_is_left(ledger: Ledger, tenant: Tenant, changes: dict[str, object]) -> None:
    """It is not shown."""
    accepted(ledger, tenant, **changes)
    assert [] == picked(ledger)


def test_job_that_requires_something_is_shown_to_whom_it_fits(ledger: Ledger, tenant: Tenant) -> None:
    """Never among those that require nothing."""
    plain = accepted(ledger, tenant).id
    small, large = (accepted(ledger, tenant, requires={"memory_mb": memory}).id for memory in (10, 20))
    texts = {one.line.requires["memory_mb"]: one.line.text for one in waiting_lines(ledger, backends=BACKENDS)}
    assert {10, 20} == texts.keys()
    assert [plain] == picked(ledger)
    fitting = due_jobs(ledger, QUEUES, kinds=KINDS, but=(), backends=BACKENDS, limit=9, needing=[texts[10]])
    assert [small] == [due.job_id for due in fitting]
    assert large not in [due.job_id for due in fitting]


def test_job_of_a_tenant_that_is_not_served_is_left(ledger: Ledger, tenant: Tenant) -> None:
    """By the list of those that are, or of those that are not."""
    mine, theirs = accepted(ledger, tenant).id, accepted(ledger, named(ledger, "other")).id
    found = [
        [due.job_id for due in due_jobs(ledger, QUEUES, kinds=KINDS, but=(), backends=BACKENDS, limit=9, **whose)]
        for whose in ({"tenants": [tenant.id]}, {"not_tenants": [tenant.id]}, {"tenants": []})
    ]
    assert [[mine], [theirs], []] == found


@pytest.mark.parametrize(
    ("request_", "shown"),
    [({"engine": "special"}, False), ({"engine": "plain"}, True), ({}, True), ({"engine": 1}, True)],
)
def test_job_that_asks_for_what_is_not_there_is_left(
    ledger: Ledger, tenant: Tenant, request_: dict[str, object], shown: bool
) -> None:
    """By its request; others of the kind are shown and carried, and so is another kind that asks for the same."""
    job = accepted(ledger, tenant, request=request_)
    without = [Choice(KINDS[0], "engine", "special")]
    found = due_jobs(ledger, QUEUES, kinds=KINDS, but=(), backends=BACKENDS, limit=1, without=without)
    assert [job.id] * shown == [due.job_id for due in found]
    assert [job.queue] * shown == [backlog.queue for backlog in carrying.backlogs(ledger, QUEUES, without=without)]
    assert [job.id] * shown == [taken.id for taken in carrying.take_due(ledger, job.queue, without=without)]
    other = accepted(ledger, tenant, request=request_, kind="another.kind")
    assert other.id in [taken.id for taken in carrying.take_due(ledger, other.queue, without=without)]


def test_job_for_a_local_runner_is_never_carried(ledger: Ledger, tenant: Tenant) -> None:
    """Nor does it keep others from being carried at once; a runner that stands by is shown nothing else."""
    mine, other = (accepted(ledger, tenant, backend=backend) for backend in (Backend.LOCAL, Backend.AUTO))
    found = due_jobs(ledger, QUEUES, kinds=KINDS, but=(), backends=[Backend.LOCAL], limit=9)
    assert [mine.id] == [due.job_id for due in found]
    assert [other.id] == [taken.id for taken in carrying.take_due(ledger, mine.queue)]
    assert [] == carrying.backlogs(ledger, QUEUES)
    with ledger.read() as connection:
        assert accepting.nothing_waits(connection, mine.queue)


def test_job_under_way_is_left(ledger: Ledger, tenant: Tenant) -> None:
    """Whether its claim is written yet or not."""
    mine = accepted(ledger, tenant).id
    running(ledger, tenant)
    assert [[], [mine]] == [picked(ledger, but=but) for but in ((mine,), ())]


def test_job_that_a_broker_lost_is_shown(ledger: Ledger, tenant: Tenant) -> None:
    """Where Redis was given up for good, what lay in it is taken from the ledger."""
    job = accepted(ledger, tenant)
    (taken,) = carrying.take_due(ledger, job.queue)
    (due,) = due_jobs(ledger, QUEUES, kinds=KINDS, but=(), backends=BACKENDS, limit=1)
    assert (taken.id, taken.carry) == (due.job_id, due.carry)
    assert claimed(ledger, taken).worker is not None
    assert transitions.claim(ledger, due.job_id, carry=due.carry, worker="late", child_pid=2) is None


def turns(ledger: Ledger, shares: Shares, *, room: int = 1, allowed: list[str] | None = None) -> list[str]:
    def look(tenants: Collection[str] | None) -> list[Due]:
        return due_jobs(ledger, QUEUES, kinds=KINDS, but=(), backends=BACKENDS, limit=room, tenants=tenants)

    return [one.job_id for one in in_turns(ledger, shares, QUEUES, look, allowed=allowed, room=room)]


def test_tenants_take_turns_whatever_waits(ledger: Ledger, tenant: Tenant) -> None:
    """One place at a time; who only waits for a time of its own takes no turn, and who is not allowed none either."""
    other, third, shares = named(ledger, "other"), named(ledger, "third"), Shares()
    mine = [accepted(ledger, tenant, queue=Queue.ANALYTICS).id for _ in range(3)]
    theirs = accepted(ledger, other).id
    accepted(ledger, third, not_before=ago(-86400))
    chosen = []
    for _ in range(4):
        (job_id,) = turns(ledger, shares)
        chosen.append(job_id)
        with ledger.write() as connection:
            connection.execute(jobs.update().where(jobs.c.id == job_id).values(state=JobState.RUNNING))
    assert [mine[0], theirs, *mine[1:]] == chosen
    assert [] == turns(ledger, shares)
    assert [] == turns(ledger, shares, allowed=[third.id])
