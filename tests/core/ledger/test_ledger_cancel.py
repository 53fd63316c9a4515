"""Cancelling: at once where nothing runs, by a flag where something does, never after the end."""

import pytest

from tasks.core.errors import Conflict, NotFound
from tasks.core.ledger import Ledger, carrying, queries, transitions
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, JobState
from tests.samples import accepted, carried, running


@pytest.mark.parametrize("bring", [accepted, carried])
def test_queued_job_is_cancelled_at_once(ledger: Ledger, tenant: Tenant, bring) -> None:
    """Waiting in the ledger or in the broker makes no difference."""
    job = transitions.request_cancel(ledger, bring(ledger, tenant).id, tenant_id=tenant.id)
    assert (job.state, job.cause) == (JobState.CANCELLED, Cause.CANCEL_REQUESTED)
    assert job.finished_at == job.cancel_requested_at
    assert carrying.take_due(ledger, "maintenance") == []


def test_running_job_is_flagged(ledger: Ledger, tenant: Tenant) -> None:
    """Its worker ends it; the state does not change yet."""
    before = running(ledger, tenant)
    job = transitions.request_cancel(ledger, before.id, tenant_id=tenant.id)
    assert (JobState.RUNNING, before.version) == (job.state, job.version)
    assert job.cancel_requested_at is not None


def test_asking_twice_changes_nothing(ledger: Ledger, tenant: Tenant) -> None:
    """The grace time counts from the first request, and a cancelled job answers as it is."""
    flagged = running(ledger, tenant)
    first = transitions.request_cancel(ledger, flagged.id, tenant_id=tenant.id)
    assert transitions.request_cancel(ledger, flagged.id, tenant_id=tenant.id) == first
    waiting = accepted(ledger, tenant)
    first = transitions.request_cancel(ledger, waiting.id, tenant_id=tenant.id)
    assert transitions.request_cancel(ledger, waiting.id, tenant_id=tenant.id) == first


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
def test_ended_job_cannot_be_cancelled(ledger: Ledger, tenant: Tenant, state: JobState) -> None:
    """A conflict, and the job stays as it ended."""
    job = running(ledger, tenant)
    ended = transitions.finish(ledger, job.id, fence=job.fence, state=state, cause="because")
    with pytest.raises(Conflict, match=f"already {state}"):
        transitions.request_cancel(ledger, job.id, tenant_id=tenant.id)
    assert queries.job(ledger, job.id) == ended


def test_foreign_job_does_not_exist(ledger: Ledger, tenant: Tenant) -> None:
    """Another tenant's job is as unknown as none at all."""
    job = accepted(ledger, tenant)
    for job_id, asker in ((job.id, "other"), ("no-such-job", tenant.id)):
        with pytest.raises(NotFound):
            transitions.request_cancel(ledger, job_id, tenant_id=asker)
    assert queries.job(ledger, job.id) == job
