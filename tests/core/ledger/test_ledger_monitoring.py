"""What whoever watches everything reads, on each database."""

from tasks.core.clock import now
from tasks.core.ledger import Ledger, fleet, monitoring, transitions
from tasks.core.ledger.monitoring import Chosen
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import JobState
from tests.samples import WORKER, a_worker, accepted, ago, running


def test_new_running_and_ended_jobs_are_found_with_every_step(ledger: Ledger, tenant: Tenant) -> None:
    """By id, state and end; each with its transitions, none left out."""
    first = accepted(ledger, tenant)
    held = running(ledger, tenant)
    ended = running(ledger, tenant)
    transitions.finish(ledger, ended.id, fence=ended.fence, state=JobState.SUCCEEDED, cause="completed", result={})
    assert ended.id == monitoring.newest_id(ledger)
    assert {held.id: 2, ended.id: 3} == monitoring.made_after(ledger, first.id, limit=10)
    assert [held.id] == [*monitoring.made_after(ledger, first.id, limit=1)]
    assert [(held.id, 2, WORKER)] == [(one.job_id, one.version, one.worker) for one in monitoring.running(ledger)]
    assert [(ended.id, 3)] == [(one.job_id, one.version) for one in monitoring.ended_since(ledger, ago(60), limit=10)]
    found = {one.facts.id: one for one in monitoring.changed(ledger, [ended.id, held.id, "nothing"])}
    assert {ended.id: [1, 2, 3], held.id: [1, 2]} == {
        job_id: [step.n for step in one.transitions] for job_id, one in found.items()
    }
    assert ("succeeded", tenant.name, tenant.id) == (
        found[ended.id].facts.state,
        found[ended.id].facts.tenant,
        found[ended.id].facts.tenant_id,
    )


def test_choice_is_the_same_in_the_ledger_and_of_facts(ledger: Ledger, tenant: Tenant) -> None:
    """Each condition by itself, and all together."""
    low, high = running(ledger, tenant, priority=10), running(ledger, tenant, priority=90)
    everything = monitoring.newest(ledger, JobState.RUNNING, Chosen(), limit=10)
    assert [high.id, low.id] == [one.id for one in everything]
    for chosen, ids in (
        (Chosen(tenant_id=tenant.id), {low.id, high.id}),
        (Chosen(tenant_id="nobody"), set()),
        (
            Chosen(
                tenants=frozenset({tenant.name}),
                kinds=frozenset({low.kind}),
                queues=frozenset({low.queue}),
                workers=frozenset({WORKER}),
            ),
            {low.id, high.id},
        ),
        (Chosen(tenants=frozenset({"nobody"})), set()),
        (Chosen(kinds=frozenset({"other.kind"})), set()),
        (Chosen(queues=frozenset({"voice"})), set()),
        (Chosen(workers=frozenset({"other"})), set()),
        (Chosen(job_ids=frozenset({low.id})), {low.id}),
        (Chosen(priorities=(50, 100)), {high.id}),
    ):
        assert ids == {one.id for one in monitoring.newest(ledger, JobState.RUNNING, chosen, limit=10)}, chosen
        assert ids == {one.id for one in everything if chosen.matches(one)}, chosen
        assert len(ids) == monitoring.counts(ledger, chosen, since=now())["running"], chosen


def test_counts_and_ends_are_of_the_time_asked_for(ledger: Ledger, tenant: Tenant) -> None:
    """What ended before is not among them."""
    accepted(ledger, tenant)
    job = running(ledger, tenant)
    transitions.finish(ledger, job.id, fence=job.fence, state=JobState.FAILED, cause="permanent")
    counts = {"queued": 1, "running": 0, "succeeded": 0, "failed": 1, "cancelled": 0}
    assert counts == monitoring.counts(ledger, Chosen(), since=ago(60))
    assert [job.id] == [one.id for one in monitoring.newest_ended(ledger, Chosen(), since=ago(60), limit=5)]
    assert counts | {"failed": 0} == monitoring.counts(ledger, Chosen(), since=ago(-60))
    assert [] == monitoring.newest_ended(ledger, Chosen(), since=ago(-60), limit=5)


def test_workers_states_are_found_after_they_left(ledger: Ledger) -> None:
    """A row that was deleted is left out."""
    fleet.register(ledger, a_worker())
    fleet.set_state(ledger, WORKER, "stopped")
    assert {WORKER: "stopped"} == monitoring.worker_states(ledger, [WORKER, "other"])
