"""State events: one a transition, in the same transaction, kept until Redis has them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.ledger import Ledger, carrying, queries, state_events, transitions
from tasks.core.ledger.drivers import Driver
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, JobState
from tests.samples import accepted, ago, carried, claimed, running


class CommitFails(Exception):
    pass


class TornLedger:
    """The real ledger, whose every write transaction fails at its very end."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._ledger.write() as connection:
            yield connection
            raise CommitFails

    @contextmanager
    def write_prepared(self, **_options: bool) -> Iterator[Driver]:
        # Not ``of_one``: a single statement on PostgreSQL could not fail after its commit.
        with self._ledger.write_prepared() as driver:
            yield driver
            raise CommitFails

    @property
    def is_sqlite(self) -> bool:
        return self._ledger.is_sqlite


def events(ledger: Ledger, job_id: str) -> list[tuple[int, str, str]]:
    return [(event.n, event.data["state"], event.data["cause"]) for event in state_events.events_of(ledger, job_id)]


def test_each_transition_writes_one_event(ledger: Ledger, tenant: Tenant) -> None:
    """Numbered as the job's version, with state and cause."""
    job = running(ledger, tenant)
    transitions.requeue(ledger, job.id, fence=1, cause=Cause.WORKER_LOST)
    job = claimed(ledger, *carrying.take_due(ledger, "maintenance"))
    done = transitions.finish(ledger, job.id, fence=2, state=JobState.SUCCEEDED, cause=Cause.COMPLETED, result={})
    assert done is not None
    assert done.version == 5
    assert events(ledger, job.id) == [
        (1, "queued", "accepted"),
        (2, "running", "claimed"),
        (3, "queued", "worker_lost"),
        (4, "running", "claimed"),
        (5, "succeeded", "completed"),
    ]


def test_refused_transitions_write_no_event(ledger: Ledger, tenant: Tenant) -> None:
    """Who came late leaves no trace."""
    job = running(ledger, tenant)
    before = events(ledger, job.id)
    transitions.claim(ledger, job.id, carry=job.carry, worker="w", child_pid=1)
    transitions.finish(ledger, job.id, fence=9, state=JobState.FAILED, cause="late")
    transitions.requeue(ledger, job.id, fence=9, cause="late")
    transitions.request_cancel(ledger, job.id, tenant_id=tenant.id)
    assert before == events(ledger, job.id)


@pytest.mark.parametrize("transition", ["claim", "finish", "requeue", "cancel"])
def test_failed_commit_leaves_neither_state_nor_event(ledger: Ledger, tenant: Tenant, transition: str) -> None:
    """The row, its event and its attempt stand or fall together."""
    job = carried(ledger, tenant) if transition in {"claim", "cancel"} else running(ledger, tenant)
    before = (events(ledger, job.id), queries.attempts_of(ledger, job.id))
    torn = TornLedger(ledger)
    with pytest.raises(CommitFails):
        {
            "claim": lambda: transitions.claim(torn, job.id, carry=job.carry, worker="w", child_pid=1),
            "finish": lambda: transitions.finish(torn, job.id, fence=1, state=JobState.FAILED, cause="c"),
            "requeue": lambda: transitions.requeue(torn, job.id, fence=1, cause="c"),
            "cancel": lambda: transitions.request_cancel(torn, job.id, tenant_id=tenant.id),
        }[transition]()
    assert queries.job(ledger, job.id) == job
    assert before == (events(ledger, job.id), queries.attempts_of(ledger, job.id))


def test_failed_accept_leaves_nothing(ledger: Ledger, tenant: Tenant) -> None:
    """No job, no event and no key that would answer for it."""
    with pytest.raises(CommitFails):
        accepted(TornLedger(ledger), tenant, labels={"a": "b"})
    with ledger.read() as connection:
        counts = [
            connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608  # our own names
            for table in ("jobs", "state_events", "job_labels", "idempotency_keys")
        ]
    assert counts == [0, 0, 0, 0]


def test_unsent_events_come_oldest_first_until_they_are_marked(ledger: Ledger, tenant: Tenant) -> None:
    """The dispatcher relays them until Redis has them."""
    first, second = accepted(ledger, tenant, created_at=ago(9)), accepted(ledger, tenant, created_at=ago(8))
    accepted(ledger, tenant)
    unsent = state_events.unsent_events(ledger, before=ago(2))
    assert [first.id, second.id] == [event.job_id for event in unsent]
    state_events.mark_sent(ledger, unsent[:1])
    assert unsent[1:] == state_events.unsent_events(ledger, before=ago(2))


def test_unsent_events_are_limited(ledger: Ledger, tenant: Tenant) -> None:
    """A long outage is worked off in pieces."""
    jobs = [accepted(ledger, tenant, created_at=ago(9 - number)) for number in range(3)]
    unsent = state_events.unsent_events(ledger, before=ago(2), limit=2)
    assert [jobs[0].id, jobs[1].id] == [event.job_id for event in unsent]


def test_marking_nothing_is_allowed(ledger: Ledger) -> None:
    """An empty relay writes nothing."""
    state_events.mark_sent(ledger, [])


def test_event_of_the_end_names_error_and_result(ledger: Ledger, tenant: Tenant) -> None:
    """A viewer sees why it failed, whether it is dead, and where the record is."""
    job = running(ledger, tenant)
    error = {"code": "timeout", "message": "too long"}
    done = transitions.finish(ledger, job.id, fence=1, state=JobState.FAILED, cause="timeout", error=error, dead=True)
    assert done is not None
    last = state_events.events_of(ledger, job.id, after=2)
    assert last == [state_events.state_event_of(done)]
    assert last[0].data == {
        "state": "failed",
        "cause": "timeout",
        "error": error,
        "dead": True,
        "result_ref": f"/api/jobs/{job.id}",
    }


def test_event_of_a_retry_tells_when_it_is_due(ledger: Ledger, tenant: Tenant) -> None:
    """The same moment as in the row."""
    job = running(ledger, tenant)
    back = transitions.requeue(ledger, job.id, fence=1, cause="transient", delay_s=5)
    assert back is not None
    assert back.not_before is not None
    assert state_events.events_of(ledger, job.id, after=2)[0].data["not_before"] == back.not_before.isoformat()
