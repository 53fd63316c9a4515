"""Jobs that are ended by whoever accepted them: like any other attempt, or not at all."""

from typing import NoReturn

import pytest

from tasks.core.artifacts import LOG_NAME
from tasks.core.at_once import Give, end_at_once
from tasks.core.errors import JobCancelled
from tasks.core.job import JobContext
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, carrying, queries, transitions
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Job, JobState, is_door, ran_in
from tasks.core.telemetry import Telemetry
from tasks.maintenance.contract import SPECS, PingResult
from tests.samples import accepted, ledger_away

(PING_SPEC,) = (spec for spec in SPECS if spec.kind == "maintenance.ping")


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


def known(job: JobContext) -> PingResult:
    """What is given: with a line, a report and a file."""
    job.log("It is known.")
    job.report("cache", 1, 1)
    job.save("a.txt", b"x", "text/plain")
    return PingResult(message="again")


def end(kernel: Kernel, job: Job, give: Give = known) -> Job | None:
    return end_at_once(kernel, PING_SPEC, job, give, telemetry=Telemetry())


def now_of(kernel: Kernel, job: Job) -> Job:
    found = queries.job(kernel.ledger, job.id)
    assert found is not None
    return found


def test_a_job_is_ended_as_a_worker_would_have(either_kernel: Kernel, ledger: Ledger, tenant: Tenant) -> None:
    """One attempt with its file and its log, the states told in their order, and the result in the row."""
    kernel, job = either_kernel, accepted(ledger, tenant)
    ended = end(kernel, job)
    assert ended is not None
    assert (JobState.SUCCEEDED, "completed", "again") == (ended.state, ended.cause, (ended.result or {})["message"])
    assert (100.0, 1, 1) == ((ended.progress or {})["percent"], ended.attempt, ended.fence)
    assert ended == now_of(kernel, job)
    (attempt,) = queries.attempts_of(ledger, job.id)
    assert ("succeeded", True) == (attempt.outcome, is_door(attempt.worker))
    names = [one.name for one in kernel.artifacts.list(job.id, ended.fence, ended.attempt)]
    assert ["a.txt"] == names
    assert (kernel.artifacts.folder(job.id, ended.fence) / LOG_NAME).is_file()
    assert carrying.take_due(ledger, job.queue) == []


def test_the_door_belongs_to_the_backend_of_its_house(
    kernel: Kernel, local_kernel: Kernel, ledger: Ledger, tenant: Tenant
) -> None:
    """As jobs tell it."""
    ended = [end(one, accepted(ledger, tenant)) for one in (kernel, local_kernel)]
    assert ["queue", "local"] == [ran_in(one.worker or "") for one in ended if one is not None]


@pytest.mark.parametrize("how", ["none", "full_disk", "browser", "cancelled"])
def test_what_cannot_be_had_here_goes_its_way_through_the_queue(
    kernel: Kernel, ledger: Ledger, tenant: Tenant, how: str
) -> None:
    """With every attempt that it had, and whatever was in the way."""

    def give(context: JobContext) -> None:
        if how == "full_disk":
            raise OSError(28, "No space left on device")
        if how == "cancelled":
            raise JobCancelled
        if how == "browser":
            assert context.browser

    job = accepted(ledger, tenant)
    assert end(kernel, job, give) is None
    waiting = now_of(kernel, job)
    assert (JobState.QUEUED, 0, None) == (waiting.state, waiting.attempt, waiting.worker)
    assert [job.id] == [one.id for one in carrying.take_due(ledger, job.queue)]


def test_a_job_that_was_cancelled_meanwhile_ends_so(kernel: Kernel, ledger: Ledger, tenant: Tenant) -> None:
    """It does not go back."""
    job = accepted(ledger, tenant)

    def give(_: JobContext) -> None:
        transitions.request_cancel(ledger, job.id, tenant_id=tenant.id)

    assert end(kernel, job, give) is None
    assert JobState.CANCELLED == now_of(kernel, job).state


def test_who_was_faster_has_the_job(kernel: Kernel, ledger: Ledger, tenant: Tenant) -> None:
    """A dispatcher that has carried it, a tenant that has cancelled it, a ledger that went away."""

    def give(_: JobContext) -> NoReturn:
        raise AssertionError("nothing is begun")

    carried = accepted(ledger, tenant)
    assert [carried.id] == [one.id for one in carrying.take_due(ledger, carried.queue)]
    assert end(kernel, carried, give) is None
    cancelled = accepted(ledger, tenant)
    transitions.request_cancel(ledger, cancelled.id, tenant_id=tenant.id)
    assert end(kernel, cancelled, give) is None
    assert [JobState.QUEUED, JobState.CANCELLED] == [now_of(kernel, job).state for job in (carried, cancelled)]


def test_a_ledger_that_is_away_takes_nothing_along(kernel: Kernel, ledger: Ledger, tenant: Tenant) -> None:
    """The job waits in it."""
    job = accepted(ledger, tenant)
    with ledger_away(ledger):
        assert end(kernel, job) is None
    assert JobState.QUEUED == now_of(kernel, job).state
