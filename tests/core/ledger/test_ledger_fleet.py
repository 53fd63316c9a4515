"""Workers as the ledger knows them: rows that beat, and what they hold."""

from tasks.core.ledger import Ledger, fleet, queries, transitions
from tasks.core.ledger.fleet import Held, WorkerState
from tasks.core.ledger.tenants import Tenant
from tests.samples import a_worker, ago, carried, running


def test_registered_worker_reads_back(ledger: Ledger) -> None:
    """Its lists and times are as they were written."""
    worker = a_worker(queues=["ai", "voice"], capabilities=["r"])
    fleet.register(ledger, worker)
    assert [worker] == fleet.live_workers(ledger)


def test_beat_grows_and_carries_news(ledger: Ledger) -> None:
    """Each beat counts one and tells memory and state."""
    fleet.register(ledger, a_worker("a"))
    fleet.register(ledger, a_worker("b"))
    for _ in range(2):
        fleet.beat(ledger, "a", rss_bytes=7, state=WorkerState.DRAINING)
    assert [(worker.name, worker.beat, worker.rss_bytes, worker.state) for worker in fleet.live_workers(ledger)] == [
        ("a", 2, 7, "draining"),
        ("b", 0, 0, "up"),
    ]


def test_stopped_and_gone_workers_are_not_live(ledger: Ledger) -> None:
    """Those that start or drain are: they beat, and may hold jobs."""
    for state in WorkerState:
        fleet.register(ledger, a_worker(state, state=state))
    assert [worker.name for worker in fleet.live_workers(ledger)] == ["draining", "standby", "starting", "up"]
    fleet.set_state(ledger, "up", WorkerState.STOPPED)
    assert [worker.name for worker in fleet.live_workers(ledger)] == ["draining", "standby", "starting"]


def test_beat_brings_a_worker_back_that_was_taken_for_gone(ledger: Ledger) -> None:
    """A frozen process that thaws takes part again."""
    fleet.register(ledger, a_worker("a", state=WorkerState.GONE))
    fleet.beat(ledger, "a", rss_bytes=1, state=WorkerState.UP)
    assert [worker.name for worker in fleet.live_workers(ledger)] == ["a"]


def test_held_are_the_running_jobs_of_one_worker(ledger: Ledger, tenant: Tenant) -> None:
    """With fence, child and whether somebody asked to stop."""
    first = running(ledger, tenant, worker="a", child_pid=11)
    second = running(ledger, tenant, worker="a", child_pid=12)
    running(ledger, tenant, worker="b")
    carried(ledger, tenant)
    transitions.request_cancel(ledger, second.id, tenant_id=tenant.id)
    held = sorted(fleet.held_by(ledger, "a"), key=lambda job: job.child_pid)
    assert [Held(first.id, 1, 11, False), Held(second.id, 1, 12, True)] == held


def test_holders_are_named_with_or_without_a_row(ledger: Ledger, tenant: Tenant) -> None:
    """A worker that never registered can still hold a job."""
    job = running(ledger, tenant, worker="a")
    running(ledger, tenant, worker="b")
    assert {"a", "b"} == fleet.holders(ledger)
    transitions.requeue(ledger, job.id, fence=1, cause="worker_lost")
    assert {"b"} == fleet.holders(ledger)
    assert queries.job(ledger, job.id) is not None


def test_rows_of_workers_that_ended_long_ago_are_forgotten(ledger: Ledger) -> None:
    """Live ones stay, however old their beat looks by this clock."""
    for state in WorkerState:
        fleet.register(ledger, a_worker(f"old-{state}", state=state, beat_at=ago(100)))
        fleet.register(ledger, a_worker(f"new-{state}", state=state))
    assert fleet.forget(ledger, older_than_s=60) == 2
    assert fleet.forget(ledger, older_than_s=60) == 0
