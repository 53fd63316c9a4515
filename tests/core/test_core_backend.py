"""The ledger as Celery's result backend: what it answers, and the little that it writes."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import Celery, states
from celery.exceptions import Ignore, TaskRevokedError
from structlog.testing import capture_logs

from tasks.core.errors import AttemptEnded
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, queries, transitions
from tasks.core.ledger.tenants import Tenant
from tasks.core.memory import MemoryKills
from tasks.core.places import workdir_of
from tasks.core.records import Cause, Job, JobState
from tests.samples import WORKER, accepted, ledger_away, running


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


@pytest.fixture
def celery(sender: Celery, kernel: Kernel) -> Celery:
    sender.kernel = kernel
    return sender


@pytest.fixture
def job(kernel: Kernel, tenant: Tenant) -> Job:
    return running(kernel.ledger, tenant)


def store(celery: Celery, job: Job, error: BaseException, **changes: object) -> Job | None:
    """Let Celery's parent report how a task ended."""
    request = {"id": job.id, "carry": job.carry, "hostname": WORKER} | changes
    with capture_logs():
        celery.backend.store_result(job.id, error, states.FAILURE, request=SimpleNamespace(**request))
    return queries.job(celery.kernel.ledger, job.id)


def finish(kernel: Kernel, job: Job, state: JobState, **values: object) -> None:
    transitions.finish(kernel.ledger, job.id, fence=job.fence, state=state, cause="because", **values)


def test_waiting_and_unknown_jobs_are_pending(celery: Celery, kernel: Kernel, tenant: Tenant) -> None:
    """Celery has one word for both."""
    assert celery.AsyncResult(accepted(kernel.ledger, tenant).id).state == states.PENDING
    assert celery.AsyncResult("no-such-job").state == states.PENDING


def test_running_job_is_started(celery: Celery, job: Job) -> None:
    """With its kind, queue and worker."""
    result = celery.AsyncResult(job.id)
    assert (result.state, result.name, result.queue, result.worker) == ("STARTED", job.kind, job.queue, WORKER)


def test_succeeded_job_has_its_result(celery: Celery, kernel: Kernel, job: Job) -> None:
    """``get`` answers at once."""
    finish(kernel, job, JobState.SUCCEEDED, result={"message": "hello"})
    result = celery.AsyncResult(job.id)
    assert (result.state, result.get(timeout=1)) == (states.SUCCESS, {"message": "hello"})


def test_failed_job_raises_its_code(celery: Celery, kernel: Kernel, job: Job) -> None:
    """The message says what the record says."""
    finish(kernel, job, JobState.FAILED, error={"code": "timeout", "message": "too long"})
    result = celery.AsyncResult(job.id)
    assert result.state == states.FAILURE
    with pytest.raises(AttemptEnded, match="timeout: too long"):
        result.get(timeout=1)


def test_cancelled_job_is_revoked(celery: Celery, kernel: Kernel, job: Job) -> None:
    """Celery's word for it."""
    finish(kernel, job, JobState.CANCELLED)
    result = celery.AsyncResult(job.id)
    assert result.state == states.REVOKED
    with pytest.raises(TaskRevokedError):
        result.get(timeout=1)


def test_job_that_waits_for_its_next_attempt_is_in_retry(celery: Celery, kernel: Kernel, job: Job) -> None:
    """And tells how often it was tried."""
    transitions.requeue(kernel.ledger, job.id, fence=job.fence, cause=Cause.WORKER_LOST)
    assert celery.AsyncResult(job.id).state == states.RETRY
    assert celery.AsyncResult(job.id).retries == 0


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (WorkerLostError("signal 9"), Cause.WORKER_LOST),
        (TimeLimitExceeded(15), Cause.TIMEOUT),
        (RuntimeError("pickle"), "internal_error"),
    ],
)
def test_death_of_a_child_is_settled(celery: Celery, job: Job, error: BaseException, cause: str) -> None:
    """The parent writes what the child could not; the working folder goes too."""
    workdir = workdir_of(celery.kernel.settings.state_dir, job.id, job.fence)
    workdir.mkdir(parents=True)
    found = store(celery, job, error)
    assert found is not None
    assert (found.state, found.cause) == (JobState.QUEUED, cause)
    assert not workdir.exists()


def test_death_of_a_child_leaves_the_next_attempts_folder(celery: Celery, job: Job) -> None:
    """It may have begun on this machine before the parent heard of the death."""
    folders = [workdir_of(celery.kernel.settings.state_dir, job.id, job.fence + n) for n in (0, 1)]
    for folder in folders:
        folder.mkdir(parents=True)
    store(celery, job, WorkerLostError("signal 9"))
    assert [False, True] == [folder.exists() for folder in folders]


@pytest.mark.parametrize(("kills", "cause"), [(7, Cause.OUT_OF_MEMORY), (3, Cause.WORKER_LOST)])
def test_kernels_kill_is_named(celery: Celery, job: Job, tmp_path: Path, kills: int, cause: str) -> None:
    """A SIGKILL that nobody of ours sent, while the kernel's counter grew."""
    counter = tmp_path / "memory.events"
    counter.write_text("oom 2\noom_kill 3\n")
    celery.kernel = replace(celery.kernel, memory_kills=MemoryKills((counter,)))
    celery.kernel.memory_kills.look()
    counter.write_text(f"oom 2\noom_kill {kills}\n")
    found = store(celery, job, WorkerLostError("Worker exited prematurely: signal 9 (SIGKILL) Job: 3."))
    assert found is not None
    assert found.cause == cause


def test_segfault_while_memory_ran_out_elsewhere_stays_a_segfault(celery: Celery, job: Job, tmp_path: Path) -> None:
    """Only SIGKILL is the kernel's way; the message names the signal."""
    counter = tmp_path / "vmstat"
    counter.write_text("oom_kill 3\n")
    celery.kernel = replace(celery.kernel, memory_kills=MemoryKills((counter,)))
    celery.kernel.memory_kills.look()
    counter.write_text("oom_kill 4\n")
    found = store(celery, job, WorkerLostError("Worker exited prematurely: signal 11 (SIGSEGV) Job: 3."))
    assert found is not None
    assert found.error is not None
    assert ("worker_lost", True) == (found.error["code"], "SIGSEGV" in found.error["message"])


def test_hard_limit_reported_twice_counts_once(celery: Celery, job: Job) -> None:
    """Celery does that."""
    first = store(celery, job, TimeLimitExceeded(15))
    assert first == store(celery, job, TimeLimitExceeded(15))


@pytest.mark.parametrize("changes", [{"carry": 9}, {"hostname": "other@here#2"}, {"carry": None}])
def test_report_about_another_attempt_changes_nothing(celery: Celery, job: Job, changes: dict[str, object]) -> None:
    """Worker and carry must be those of the claim."""
    assert store(celery, job, WorkerLostError("x"), **changes) == job


@pytest.mark.parametrize("error", [AttemptEnded("failed: permanent"), Ignore()])
def test_what_the_ledger_knows_is_not_written_again(celery: Celery, job: Job, error: BaseException) -> None:
    """``core.run`` has ended the attempt."""
    assert store(celery, job, error) == job


def test_other_states_and_reports_without_request_are_dropped(celery: Celery, job: Job) -> None:
    """A revoke comes without a request."""
    with capture_logs():
        celery.backend.store_result(job.id, WorkerLostError("x"), states.FAILURE, request=None)
        celery.backend.store_result(job.id, {"x": 1}, states.SUCCESS, request=SimpleNamespace(carry=1, hostname=WORKER))
    assert queries.job(celery.kernel.ledger, job.id) == job


def test_report_during_a_ledger_outage_does_not_harm_the_parent(celery: Celery, kernel: Kernel, job: Job) -> None:
    """The worker's beat finds the dead child when the ledger is back."""
    request = SimpleNamespace(id=job.id, carry=job.carry, hostname=WORKER)
    with ledger_away(kernel.ledger), capture_logs() as logs:
        celery.backend.store_result(job.id, WorkerLostError("x"), states.FAILURE, request=request)
    assert [log["event"] for log in logs] == ["settling_put_off"]


def test_forgetting_is_not_the_brokers_business(celery: Celery, job: Job) -> None:
    """A job is erased over HTTP."""
    with pytest.raises(NotImplementedError, match="DELETE"):
        celery.AsyncResult(job.id).forget()
