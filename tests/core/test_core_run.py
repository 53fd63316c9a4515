"""``core.run`` around small engines, called as Celery calls it but without a worker."""

import errno
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from operator import itemgetter
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from celery.exceptions import Ignore
from structlog.testing import capture_logs

from tasks.core import at_work
from tasks.core.errors import (
    AttemptEnded,
    EngineUnavailable,
    InputRejected,
    JobSuperseded,
    LedgerUnavailable,
    Permanent,
    Transient,
)
from tasks.core.ids import new_id
from tasks.core.job import JobContext
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, carrying, drivers, outbox, queries, state_events, transitions
from tasks.core.ledger.schema import jobs
from tasks.core.ledger.tenants import Tenant
from tasks.core.meanwhile import Meanwhile
from tasks.core.places import keepdir_of, sharedir_of
from tasks.core.records import Cause, Job, JobState
from tasks.core.redis_events import BELL_KEY
from tasks.core.relay import Ended, announce, relay_job, tell_ends
from tasks.core.run import run_job
from tasks.core.telemetry import Telemetry
from tasks.maintenance.contract import SPECS, PingRequest, PingResult
from tasks.maintenance.engine import ping
from tests.samples import carried, claimed, ledger_away

Engine = Callable[[PingRequest, JobContext], PingResult]


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


@pytest.fixture
def job(kernel: Kernel, tenant: Tenant) -> Job:
    return carried(kernel.ledger, tenant)


def run(kernel: Kernel, job: Job, engine: Engine) -> dict[str, Any]:
    """Deliver the job's message to a child that has ``engine``."""
    request = SimpleNamespace(id=job.id, carry=job.carry, hostname="maintenance@here#1")
    task = SimpleNamespace(app=SimpleNamespace(kernel=kernel, telemetry=Telemetry(), streaks=None), request=request)
    with capture_logs():
        return run_job(task, SPECS[0], lambda: engine)


def ended(kernel: Kernel, job: Job, engine: Engine) -> Job:
    with pytest.raises(AttemptEnded):
        run(kernel, job, engine)
    found = queries.job(kernel.ledger, job.id)
    assert found is not None
    return found


def raising(error: BaseException) -> Engine:
    def engine(request: PingRequest, job: JobContext) -> PingResult:
        raise error

    return engine


def states(kernel: Kernel, job: Job) -> list[str]:
    return [event.data["state"] for event in kernel.events.read(job.id) if event.type == "state"]


def test_result_is_written_and_returned(kernel: Kernel, job: Job) -> None:
    """One write ends the job, and the stream shows the whole way."""
    assert run(kernel, job, ping) == {"message": "hello"}
    found = queries.job(kernel.ledger, job.id)
    assert found is not None
    assert (found.state, found.result, found.cause) == (JobState.SUCCEEDED, {"message": "hello"}, Cause.COMPLETED)
    assert states(kernel, job) == ["queued", "running", "succeeded"]


def test_result_of_a_workers_child_does_not_wait_until_its_end_is_told(kernel: Kernel, job: Job) -> None:
    """It is in the ledger, and the worker's parent fetches the next job meanwhile; PostgreSQL's disk has it by then."""
    gate = threading.Event()

    def tell(ends: list[Ended]) -> None:
        assert gate.wait(30)
        tell_ends(kernel.ledger, kernel.events, ends)

    meanwhile = Meanwhile(tell)
    run(replace(kernel, meanwhile=meanwhile), job, ping)
    found = queries.job(kernel.ledger, job.id)
    assert found is not None
    assert found.state is JobState.SUCCEEDED
    assert ("succeeded" in states(kernel, job)) != kernel.ledger.is_sqlite
    gate.set()
    meanwhile.close(limit_s=30)
    assert states(kernel, job) == ["queued", "running", "succeeded"]


def test_nobody_is_told_of_a_result_before_the_disk_has_it(
    kernel: Kernel, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With SQLite on a disk that fails, its event waits in the ledger; PostgreSQL sees to its disk itself."""
    asked = []

    def sync_file(_log: int) -> None:
        asked.append(states(kernel, job))
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(drivers, "_sync_file", sync_file)
    meanwhile = Meanwhile(partial(tell_ends, kernel.ledger, kernel.events))
    assert run(replace(kernel, meanwhile=meanwhile), job, ping) == {"message": "hello"}
    meanwhile.close(limit_s=30)
    if kernel.ledger.is_sqlite:
        assert (asked, states(kernel, job)) == ([[]], [])
    else:
        assert (asked, states(kernel, job)) == ([], ["queued", "running", "succeeded"])


def test_end_that_is_told_to_fill_a_gap_is_on_the_disk(
    kernel: Kernel, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever tells of the beginning finds that Redis was wiped, and the end in the ledger, which its child has yet to
    tell."""
    asked: list[int] = []
    monkeypatch.setattr(drivers, "_sync_file", asked.append)
    running = transitions.claim(kernel.ledger, job.id, carry=job.carry, worker="w", child_pid=1)
    assert running is not None
    result = {"fence": running.fence, "state": JobState.SUCCEEDED, "cause": Cause.COMPLETED, "may_vanish": True}
    transitions.finish(kernel.ledger, job.id, **result)
    relay_job(kernel.ledger, kernel.events, [state_events.state_event_of(running)])
    assert states(kernel, job)[-1] == "succeeded"
    assert len(asked) == kernel.ledger.is_sqlite


def test_nothing_is_told_of_a_job_that_was_erased_meanwhile(
    kernel: Kernel, local_kernel: Kernel, tenant: Tenant
) -> None:
    """Its stream has nothing of it, and the ledger neither; who tells of its states a moment later goes on."""
    gone = replace(claimed(kernel.ledger, carried(kernel.ledger, tenant)), id=new_id())
    for one in (kernel, local_kernel):
        announce(one.ledger, one.events, gone)
        assert states(one, gone) == []


def test_last_report_of_a_success_is_complete(kernel: Kernel, job: Job) -> None:
    """Nobody is left at 99 percent."""

    def engine(request: PingRequest, job: JobContext) -> PingResult:
        job.report("pages", 1, 3)
        return PingResult(message="x")

    run(kernel, job, engine)
    found = queries.job(kernel.ledger, job.id)
    assert found is not None
    assert found.progress is not None
    assert (found.progress["percent"], found.progress["eta_s"]) == (100.0, 0.0)


def test_workdir_is_the_attempts_own_and_removed(kernel: Kernel, job: Job) -> None:
    """Empty at the start, gone at the end."""
    seen = []

    def engine(request: PingRequest, job: JobContext) -> PingResult:
        seen.append((job.workdir, list(job.workdir.iterdir())))
        (job.workdir / "left").write_text("x")
        return PingResult(message="x")

    run(kernel, job, engine)
    ((workdir, content),) = seen
    assert (content, workdir.exists()) == ([], False)


def test_keepdir_outlives_an_attempt_and_not_the_job(kernel: Kernel, job: Job) -> None:
    """The next attempt finds what the last one left; nothing is left once the job has ended, save for all jobs."""
    seen = []

    def engine(request: PingRequest, job: JobContext) -> PingResult:
        seen.append([path.name for path in job.keepdir.iterdir()])
        (job.keepdir / f"of {job.attempt}").write_text("x")
        (job.sharedir / "of all").write_text("x")
        if job.attempt == 1:
            raise Transient("again")
        return PingResult(message="x")

    kept = keepdir_of(kernel.settings.state_dir, job.id)
    again = ended(kernel, job, engine)
    assert (again.state, kept.exists()) == (JobState.QUEUED, True)
    run(kernel, carried_again(kernel, job), engine)
    assert (seen, kept.exists()) == ([[], ["of 1"]], False)
    assert (sharedir_of(kernel.settings.state_dir) / "of all").exists()


def test_child_notes_what_it_works_on_until_it_writes_the_end(kernel: Kernel, job: Job) -> None:
    """Its worker's beat takes the note for the sign that the attempt goes on."""
    seen = []

    def works_on() -> list[tuple[str, int] | None]:
        return [at_work.attempt_in(note) for _, _, note in at_work.notes(kernel.settings.state_dir)]

    def engine(request: PingRequest, job: JobContext) -> PingResult:
        seen.extend(works_on())
        raise Permanent("x", code="x")

    ended(kernel, job, engine)
    assert (seen, works_on()) == ([(job.id, 1)], [None])


@pytest.mark.parametrize("error", [Transient("503"), LedgerUnavailable("gone"), SoftTimeLimitExceeded()])
def test_passing_failure_goes_back_to_the_queue(kernel: Kernel, job: Job, error: BaseException) -> None:
    """Attempts remain, so it is tried again."""
    found = ended(kernel, job, raising(error))
    code = {Transient: "transient", LedgerUnavailable: "ledger_unavailable"}.get(type(error), "timeout")
    assert (found.state, found.cause, found.dead) == (JobState.QUEUED, code, False)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Permanent("no"), "permanent"),
        (InputRejected("bad", field="url"), "input_rejected"),
        (EngineUnavailable("no R"), "engine_unavailable"),
        (ZeroDivisionError("division by zero"), "engine_error"),
    ],
)
def test_lasting_failure_ends_the_job(kernel: Kernel, job: Job, error: Exception, code: str) -> None:
    """No second attempt, and the engine's bug is named without a traceback."""
    found = ended(kernel, job, raising(error))
    assert found.error is not None
    assert (found.state, found.error["code"], found.dead) == (JobState.FAILED, code, False)
    assert "Traceback" not in found.error["message"]


def test_failure_is_in_the_jobs_log(kernel: Kernel, job: Job) -> None:
    """Who reads the log sees why it ends."""
    ended(kernel, job, raising(ZeroDivisionError("division by zero")))
    (line,) = [event.data for event in kernel.events.read(job.id) if event.type == "log"]
    assert (line["level"], line["stream"], line["line"]) == ("error", "kernel", "ZeroDivisionError: division by zero")


def test_engine_that_does_not_load_ends_its_job(kernel: Kernel, job: Job) -> None:
    """A missing library is not the worker's end."""

    def load() -> Engine:
        raise ModuleNotFoundError("No module named 'rpy2'")

    request = SimpleNamespace(id=job.id, carry=job.carry, hostname="w")
    task = SimpleNamespace(app=SimpleNamespace(kernel=kernel, telemetry=Telemetry(), streaks=None), request=request)
    with capture_logs(), pytest.raises(AttemptEnded):
        run_job(task, SPECS[0], load)
    assert queries.job(kernel.ledger, job.id).error["code"] == "engine_error"


def test_large_result_is_refused_by_its_bytes(kernel: Kernel, job: Job) -> None:
    """Letters beyond ASCII count as what they take."""

    def engine(request: PingRequest, job: JobContext) -> PingResult:
        return PingResult.model_construct(message="ü" * 140_000)

    found = ended(kernel, job, engine)
    assert (found.state, found.cause) == (JobState.FAILED, "too_large")
    assert found.result is None


def test_cancelled_engine_ends_cancelled(kernel: Kernel, job: Job) -> None:
    """At its next checkpoint."""

    def engine(request: PingRequest, job: JobContext) -> PingResult:
        transitions.request_cancel(kernel.ledger, job.id, tenant_id=queries.job(kernel.ledger, job.id).tenant_id)
        while True:
            job.checkpoint()
            time.sleep(0.05)

    assert ended(kernel, job, engine).state == JobState.CANCELLED
    assert states(kernel, job)[-1] == "cancelled"


def test_failure_of_a_cancelled_job_is_a_cancel(kernel: Kernel, job: Job, tenant: Tenant) -> None:
    """A tool that was killed on request may well raise before the next checkpoint."""

    def engine(request: PingRequest, job: JobContext) -> PingResult:
        transitions.request_cancel(kernel.ledger, job.id, tenant_id=tenant.id)
        raise Transient("the subprocess was killed")

    assert ended(kernel, job, engine).state == JobState.CANCELLED


@pytest.mark.parametrize("late", ["result", "error", "checkpoint"])
def test_superseded_attempt_changes_nothing(kernel: Kernel, job: Job, late: str) -> None:
    """Another claim owns the job: whatever comes of this one is dropped."""

    def engine(request: PingRequest, context: JobContext) -> PingResult:
        transitions.requeue(kernel.ledger, job.id, fence=context.fence, cause=Cause.WORKER_LOST)
        claimed(kernel.ledger, *carrying.take_due(kernel.ledger, job.queue))
        if late == "error":
            raise Permanent("late")
        if late == "checkpoint":
            raise JobSuperseded
        return PingResult(message="late")

    with pytest.raises(Ignore):
        run(kernel, job, engine)
    found = queries.job(kernel.ledger, job.id)
    assert found is not None
    assert (found.state, found.fence, found.result) == (JobState.RUNNING, 2, None)


def test_events_are_told_by_the_attempt_that_succeeds_alone(kernel: Kernel, job: Job) -> None:
    """A failed attempt and one whose fence is old tell nothing; the dispatcher is rung for."""

    def fails(request: PingRequest, context: JobContext) -> PingResult:
        context.emit("site.crawled", {"by": "the first"})
        raise Transient("once")

    def is_overtaken(request: PingRequest, context: JobContext) -> PingResult:
        context.emit("site.crawled", {"by": "the overtaken"})
        transitions.requeue(kernel.ledger, context.id, fence=context.fence, cause=Cause.WORKER_LOST)
        return PingResult(message="late")

    def succeeds(request: PingRequest, context: JobContext) -> PingResult:
        context.emit("site.crawled", {"by": "the last"})
        return ping(request, context)

    ended(kernel, job, fails)
    with pytest.raises(Ignore):
        run(kernel, carried_again(kernel, job), is_overtaken)
    kernel.events._redis.delete(BELL_KEY)
    run(kernel, carried_again(kernel, job), succeeds)
    outbox.number(kernel.ledger)
    assert [{"by": "the last"}] == [event.data for event in outbox.events_after(kernel.ledger, job.tenant_id, 0)]
    assert kernel.events._redis.exists(BELL_KEY)


def carried_again(kernel: Kernel, job: Job) -> Job:
    """Take the job's next carry, whenever it is due."""
    with kernel.ledger.write() as connection:
        connection.execute(jobs.update().values(not_before=None))
    (again,) = carrying.take_due(kernel.ledger, job.queue)
    return again


def test_impossible_event_fails_the_job(kernel: Kernel, job: Job) -> None:
    """An engine that emits nonsense is wrong, and told so."""

    def engine(request: PingRequest, context: JobContext) -> PingResult:
        context.emit("Crawled", {})
        raise AssertionError("unreachable")

    assert ("input_rejected", "type") == itemgetter("code", "field")(ended(kernel, job, engine).error)


def test_second_delivery_runs_nothing(kernel: Kernel, job: Job) -> None:
    """A duplicate leaves quietly."""
    run(kernel, job, ping)
    with pytest.raises(Ignore):
        run(kernel, job, raising(AssertionError("ran twice")))


def test_delivery_without_ledger_is_dropped(kernel: Kernel, job: Job) -> None:
    """It is still published there, so it will be carried again."""
    with ledger_away(kernel.ledger), pytest.raises(Ignore):
        run(kernel, job, raising(AssertionError("ran unclaimed")))
    assert queries.job(kernel.ledger, job.id) == job


def test_end_waits_for_the_ledger(kernel: Kernel, job: Job) -> None:
    """Finished work is written when the ledger returns."""
    outage = ExitStack()

    def engine(request: PingRequest, job: JobContext) -> PingResult:
        outage.enter_context(ledger_away(kernel.ledger))
        threading.Timer(0.8, outage.close).start()
        return PingResult(message="done")

    assert run(kernel, job, engine) == {"message": "done"}
    assert queries.job(kernel.ledger, job.id).state == JobState.SUCCEEDED


def test_dead_redis_does_not_matter(kernel: Kernel, job: Job, redis_server) -> None:
    """The ledger decides; viewers hear of it later."""
    redis_server.stop()
    assert run(kernel, job, ping) == {"message": "hello"}


def test_logs_carry_the_jobs_identity(kernel: Kernel, tenant: Tenant) -> None:
    """Every line of an attempt can be found by job and by correlation id."""
    import structlog

    seen = []

    def engine(request: PingRequest, job: JobContext) -> PingResult:
        seen.append(structlog.contextvars.get_contextvars())
        return PingResult(message="x")

    job = carried(kernel.ledger, tenant, correlation_id="c-1")
    run(kernel, job, engine)
    assert seen == [{"job_id": job.id, "kind": job.kind, "attempt": 1, "correlation_id": "c-1"}]
    assert structlog.contextvars.get_contextvars() == {}


def test_engine_that_runs_out_of_memory_is_tried_again(kernel: Kernel, job: Job) -> None:
    """Another moment, or another machine, may have more; the cause is named."""
    back = ended(kernel, job, raising(MemoryError()))
    assert (back.state, back.cause) == (JobState.QUEUED, Cause.OUT_OF_MEMORY)
