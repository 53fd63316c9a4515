"""Jobs that a pause keeps from beginning, on both databases."""

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from tasks.core.clock import now
from tasks.core.errors import NotFound
from tasks.core.ledger import Ledger, accepting, audit, carrying, limits, parking, pauses, queries, replaying
from tasks.core.ledger import transitions as moves
from tasks.core.ledger.audit import Actor, Wanted
from tasks.core.ledger.control_tables import pauses as table
from tasks.core.ledger.limits import ALL, Limit
from tasks.core.ledger.moves import CLAIM
from tasks.core.ledger.pauses import KnownPauses, Pause, Scope
from tasks.core.ledger.picking import due_jobs
from tasks.core.ledger.tenants import Tenant, create_key, tenant_of
from tasks.core.records import Backend, Job, JobState
from tests.samples import FakeClock, a_job, accepted, ago, carried, claimed, running

BY = Actor("key-1")
QUEUE = Scope(queue="maintenance")


def stop(ledger: Ledger, scope: Scope = QUEUE) -> Pause:
    return pauses.pause(ledger, scope, by=BY)[0]


def carry(ledger: Ledger) -> list[str]:
    """Do what the dispatcher does; return what it would put into the broker."""
    pauses.tend(ledger)
    parking.release(ledger)
    return [job.id for job in carrying.take_due(ledger, "maintenance")]


def newest(ledger: Ledger, job: Job) -> Job:
    found = queries.job(ledger, job.id)
    assert found is not None
    return found


def refused(ledger: Ledger, job: Job) -> bool:
    return moves.claim(ledger, job.id, carry=job.carry, worker="w", child_pid=1) is None


@pytest.fixture
def other(ledger: Ledger) -> Tenant:
    """Another tenant."""
    found = tenant_of(ledger, create_key(ledger, tenant="other", name="k"))
    assert found is not None
    return found


def test_what_waits_is_neither_carried_nor_shown_to_a_local_runner(ledger: Ledger, tenant: Tenant) -> None:
    """A pause that begins takes hold of all that waits."""
    job = accepted(ledger, tenant)
    made = stop(ledger)
    asked = {"kinds": [job.kind], "but": [], "backends": [Backend.AUTO], "limit": 5}
    assert [] == due_jobs(ledger, ["maintenance"], **asked)  # type: ignore[arg-type]  # one dictionary, many types
    assert [] == carry(ledger)
    assert newest(ledger, job).paused_by == made.id
    assert not parking.anything_parked(ledger), "limits need not look at it"


def test_what_is_in_the_broker_is_refused_without_counting(ledger: Ledger, tenant: Tenant) -> None:
    """Its message is void from then on, and its attempts are as many as they were."""
    job = carried(ledger, tenant)
    made = stop(ledger)
    assert refused(ledger, job)
    kept = newest(ledger, job)
    assert (JobState.QUEUED, 0, 0, None) == (kept.state, kept.attempt, kept.fence, kept.published_at)
    pauses.resume(ledger, made.id, by=BY)
    assert refused(ledger, job), "the old message stays void"
    assert [job.id] == carry(ledger)
    assert 1 == claimed(ledger, newest(ledger, job)).attempt


def test_a_claim_looks_at_the_pauses_itself(ledger: Ledger, tenant: Tenant) -> None:
    """Who accepted or carried without knowing of the pause does no harm: the claim is refused, and the job held."""
    stop(ledger)
    job = carried(ledger, tenant)
    assert refused(ledger, job)
    assert pauses.hold_job(ledger, job.id)
    assert not pauses.hold_job(ledger, job.id), "it is held already"
    assert (newest(ledger, job).published_at, newest(ledger, job).carry) == (None, job.carry + 1)


def test_a_pause_waits_for_claims_that_began_before_it(ledger: Ledger, tenant: Tenant) -> None:
    """Its answer means that nothing begins: who is in the middle of a claim has ended it by then, or is refused."""
    job = carried(ledger, tenant)
    values = {"job_id": job.id, "carry_taken": job.carry, "by": "w", "pid": 1, "at": now()}
    with ThreadPoolExecutor(1) as other:
        with ledger.write() as connection:
            assert CLAIM._run(ledger, connection, values | {"event": {"state": "running", "cause": "claimed"}})
            pausing = other.submit(stop, ledger)
            assert not wait([pausing], timeout=0.2).done
        pausing.result(timeout=30)
    assert (JobState.RUNNING, None) == (newest(ledger, job).state, newest(ledger, job).paused_by)


def test_what_runs_runs_on_and_its_next_attempt_waits(ledger: Ledger, tenant: Tenant) -> None:
    """A pause begins nothing and ends nothing."""
    ends, again = running(ledger, tenant), running(ledger, tenant)
    made = stop(ledger)
    ended = moves.finish(ledger, ends.id, fence=ends.fence, state=JobState.SUCCEEDED, cause="completed")
    assert ended is not None
    back = moves.requeue(ledger, again.id, fence=again.fence, cause="worker_lost")
    assert back is not None
    assert (back.paused_by, back.parked) == (made.id, True)
    assert [] == carry(ledger)
    pauses.resume(ledger, made.id, by=BY)
    assert [again.id] == carry(ledger)


def test_a_cancelled_job_may_be_retried_while_it_is_paused(ledger: Ledger, tenant: Tenant) -> None:
    """The retry waits as the job did."""
    job = accepted(ledger, tenant)
    stop(ledger)
    moves.request_cancel(ledger, job.id, tenant_id=tenant.id)
    back = replaying.replay(ledger, job.id, tenant_id=tenant.id, may_publish=True)
    assert (back.published_at, back.parked) == (None, True)
    assert [] == carry(ledger)


def test_only_what_a_scope_names_is_paused(ledger: Ledger, tenant: Tenant, other: Tenant) -> None:
    """Queue, kind and tenant must all be those that were given."""
    mine, ping = accepted(ledger, tenant, kind="a.b"), accepted(ledger, tenant)
    theirs = accepted(ledger, other, kind="a.b")
    made = stop(ledger, Scope(kind="a.b", tenant_id=tenant.id))
    assert {ping.id, theirs.id} == set(carry(ledger))
    assert {made.id: {"maintenance": 1}} == pauses.held_counts(ledger)
    assert made.id == newest(ledger, mine).paused_by


def test_of_two_pauses_each_must_end(ledger: Ledger, tenant: Tenant) -> None:
    """What a second one holds as well stays when the first has ended."""
    job = accepted(ledger, tenant)
    by_queue, by_kind = stop(ledger), stop(ledger, Scope(kind=job.kind))
    pauses.resume(ledger, by_queue.id, by=BY)
    assert [] == carry(ledger)
    assert by_kind.id == newest(ledger, job).paused_by
    pauses.resume(ledger, by_kind.id, by=BY)
    assert [job.id] == carry(ledger)


def test_a_pause_ends_by_itself_when_its_time_has_come(ledger: Ledger, tenant: Tenant) -> None:
    """Claims go by the ledger's clock; the dispatcher lets go what was held, and writes it down."""
    job = accepted(ledger, tenant)
    made, _ = pauses.pause(ledger, QUEUE, by=BY, until=now() + timedelta(hours=1))
    assert [] == carry(ledger)
    with ledger.write() as connection:
        connection.execute(table.update().values(until=ago(1)))
    assert [] == pauses.in_effect_now(ledger)
    assert [job.id] == carry(ledger)
    last = audit.entries(ledger, Wanted(what="pause.ended"), limit=1)[0]
    assert ("until", made.id) == (last.who, last.details["pause_id"])


def test_jobs_accepted_by_who_has_not_heard_of_the_end_are_let_go(ledger: Ledger, tenant: Tenant) -> None:
    """A process may know a pause for a moment longer than it lasts."""
    made = stop(ledger)
    pauses.resume(ledger, made.id, by=BY)
    late = accepting.accept(ledger, replace(a_job(tenant), parked=True, paused_by=made.id)).job
    assert [late.id] == carry(ledger)


def test_the_dispatcher_sweeps_until_all_have_heard_of_it(ledger: Ledger, tenant: Tenant) -> None:
    """For a few seconds jobs may be accepted by those who do not know; then nobody looks any more."""
    stop(ledger)
    late = accepted(ledger, tenant)
    assert pauses.tend(ledger)
    assert newest(ledger, late).paused_by is not None
    with ledger.write() as connection:
        connection.execute(table.update().values(created_at=ago(60)))
    assert pauses.tend(ledger)
    assert not pauses.tend(ledger)


def test_limits_go_on_where_a_pause_ends(ledger: Ledger, tenant: Tenant) -> None:
    """What a limit kept back waits for that again; what a pause holds takes up no room under it."""
    limits.set_limit(ledger, Limit(tenant.id, ALL, most_at_once=1))
    both = [accepted(ledger, tenant, kind=kind, parked=True, limited=True) for kind in ("a.b", "c.d")]
    made = stop(ledger, Scope(kind="a.b"))
    assert [both[1].id] == carry(ledger)
    pauses.resume(ledger, made.id, by=BY)
    assert [] == carry(ledger)
    assert newest(ledger, both[0]).parked


def test_the_same_jobs_are_paused_once(ledger: Ledger) -> None:
    """A second pause of the same scope changes the reason and the time of the first."""
    first, is_first_new = pauses.pause(ledger, QUEUE, by=BY, reason="a")
    second, is_second_new = pauses.pause(ledger, QUEUE, by=BY, reason="b")
    assert (True, False, first.id, "b") == (is_first_new, is_second_new, second.id, second.reason)
    assert [second] == pauses.in_effect_now(ledger)
    changed = audit.entries(ledger, Wanted(what="pause.changed"), limit=5)
    assert [("a", "b")] == [(one.details["before"]["reason"], one.details["after"]["reason"]) for one in changed]


def test_resuming_what_does_not_hold_is_refused(ledger: Ledger) -> None:
    """Somebody else may have been faster."""
    made = stop(ledger)
    pauses.resume(ledger, made.id, by=BY)
    with pytest.raises(NotFound):
        pauses.resume(ledger, made.id, by=BY)
    assert ["pause.ended", "pause.made"] == [one.what for one in audit.entries(ledger, Wanted(who="key-1"), limit=9)]


def test_held_jobs_go_in_their_order_and_in_steps(
    ledger: Ledger, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long line neither holds the ledger up nor loses its order."""
    monkeypatch.setattr(pauses, "_CHUNK", 2)
    monkeypatch.setattr(pauses, "_AT_ONCE", 1)
    jobs = [accepted(ledger, tenant, priority=priority) for priority in (10, 90, 50, 70)]
    made = stop(ledger)
    pauses.tend(ledger)
    assert {"maintenance": 4} == pauses.held_counts(ledger)[made.id]
    pauses.resume(ledger, made.id, by=BY)
    held = {made.id: {"maintenance": 2}}
    assert held == pauses.held_counts(ledger)
    assert {jobs[0].id, jobs[2].id} == {job.id for job in jobs if newest(ledger, job).paused_by}


def test_a_process_knows_pauses_a_second_long(ledger: Ledger, tenant: Tenant) -> None:
    """Accepting a job costs no look at them; who changes one looks again at once."""
    clock = FakeClock()
    known = KnownPauses(ledger, clock=clock)
    mine = {"queue": "maintenance", "kind": "a.b", "tenant_id": tenant.id}
    assert known.holding(**mine) is None
    made = stop(ledger)
    assert known.holding(**mine) is None
    clock.at += 1
    assert made == known.holding(**mine)
    assert known.holding(**mine | {"queue": "ai"}) is None
    pauses.resume(ledger, made.id, by=BY)
    known.look_again()
    assert known.holding(**mine) is None


def test_an_entry_is_written_only_with_its_change(ledger: Ledger) -> None:
    """Both are of one transaction."""

    def fails() -> None:
        with ledger.write() as connection:
            BY.did(connection, "a.b", "c")
            connection.execute(table.insert().values(id=None))

    with pytest.raises(sa.exc.IntegrityError):
        fails()
    assert [] == audit.entries(ledger, Wanted(what="a.b"), limit=5)


def test_entries_are_paged_newest_first(ledger: Ledger) -> None:
    """Each page goes on where the one before it ended, and the filters hold for all."""
    with ledger.write() as connection:
        ids = [BY.did(connection, "a.b", str(number), tenant_id="t") for number in range(3)]
        Actor("else").did(connection, "a.b", "9")
    wanted = Wanted(who="key-1", tenant_id="t", since=ago(60), until=now() + timedelta(seconds=60))
    first = audit.entries(ledger, wanted, limit=2)
    rest = audit.entries(ledger, wanted, limit=2, before=first[-1].id)
    assert ids[::-1] == [one.id for one in (*first, *rest)]
    assert [] == audit.entries(ledger, replace(wanted, since=now() + timedelta(seconds=5)), limit=2)
