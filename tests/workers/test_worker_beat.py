"""A worker's beat over a real ledger, with small processes in the place of pool children."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tasks.core import at_work
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, carrying, fleet, queries, transitions
from tasks.core.ledger.fleet import WorkerState
from tasks.core.ledger.schema import workers
from tasks.core.ledger.tenants import Tenant
from tasks.core.places import keepdir_of, workdir_of
from tasks.core.processes import held_bytes
from tasks.core.records import Cause, Job, JobState
from tests.samples import WORKER, a_worker, claimed, eventually, ledger_away, running
from workers import beat as beat_module
from workers.beat import Beat
from workers.orphans import WORKER_MARK


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


@pytest.fixture(autouse=True)
def no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other test runs share this machine: orphans are not this file's business."""
    monkeypatch.setattr(beat_module, "kill_orphans", list)


@pytest.fixture
def stopping() -> list[bool]:
    """Not empty: Celery was told to stop."""
    return []


@pytest.fixture
def quick(kernel: Kernel) -> Kernel:
    """The kernel, with a quick beat and little grace."""
    changes = {"beat_s": 0.1, "cancel_grace_s": 0.2, "drain_grace_s": 0.2}
    settings = kernel.settings.model_copy(update=changes)
    return Kernel(settings, kernel.ledger, kernel.events, kernel.artifacts)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads its own group, as pool children do."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], process_group=0) as process:
        yield process
        process.kill()


@pytest.fixture
def beat(quick: Kernel, stopping: list[bool], child: subprocess.Popen[bytes]) -> Iterator[Beat]:
    beat = Beat(quick, a_worker(), is_stopping=lambda: bool(stopping), children=lambda: [child.pid])
    with capture_logs():
        yield beat
        beat.stop()


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settle after less than the five seconds that Celery's parent gets."""
    monkeypatch.setattr(beat_module, "_CHILDLESS_FOR_S", 0.3)


def row(kernel: Kernel) -> fleet.Worker | None:
    return next(iter(fleet.live_workers(kernel.ledger)), None)


def test_worker_is_registered_before_it_can_claim(beat: Beat, quick: Kernel) -> None:
    """``start`` returns with the row in the ledger."""
    beat.start()
    assert row(quick) is not None


def test_worker_is_up_once_it_listens(beat: Beat, quick: Kernel) -> None:
    """Until then it is starting, and counts for no window."""
    beat.start()
    assert eventually(lambda: row(quick).state == WorkerState.STARTING)
    beat.say(WorkerState.UP)
    assert eventually(lambda: row(quick).state == WorkerState.UP)


def test_counter_grows_until_the_stop(beat: Beat, quick: Kernel) -> None:
    """Then the row says that the worker left."""
    beat.start()
    assert eventually(lambda: row(quick).beat >= 3)
    assert row(quick).rss_bytes > 1_000_000
    beat.stop()
    assert row(quick) is None


def test_beat_outlives_a_ledger_outage(beat: Beat, quick: Kernel) -> None:
    """From its very start, and later."""
    with ledger_away(quick.ledger):
        beat.start()
        time.sleep(0.3)
    assert eventually(lambda: row(quick) is not None)
    with ledger_away(quick.ledger):
        time.sleep(0.3)
    before = row(quick).beat
    assert eventually(lambda: row(quick).beat > before)


def test_cancelled_job_is_killed_after_its_grace(
    beat: Beat, quick: Kernel, tenant: Tenant, child: subprocess.Popen[bytes]
) -> None:
    """Only the one that was told to stop."""
    job = running(quick.ledger, tenant, child_pid=child.pid)
    make_workdir(quick, job)
    beat.start()
    time.sleep(0.4)
    assert child.poll() is None
    asked_at = time.monotonic()
    transitions.request_cancel(quick.ledger, job.id, tenant_id=tenant.id)
    assert child.wait(timeout=5) == -9
    assert time.monotonic() - asked_at >= 0.2


def test_cancel_spares_a_child_that_works_on_another_job(
    beat: Beat, quick: Kernel, tenant: Tenant, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancelled attempt has just ended, or was never begun: it is ended without a kill."""
    monkeypatch.setattr(beat_module, "_IDLE_FOR_S", 0.6)
    job, other = (running(quick.ledger, tenant, child_pid=child.pid) for _ in range(2))
    make_workdir(quick, other)
    transitions.request_cancel(quick.ledger, job.id, tenant_id=tenant.id)
    beat.start()
    assert eventually(lambda: queries.job(quick.ledger, job.id).state == JobState.CANCELLED)
    assert child.poll() is None
    assert queries.job(quick.ledger, other.id) == other


def test_draining_worker_says_so_and_hands_its_jobs_back(
    beat: Beat, quick: Kernel, tenant: Tenant, child: subprocess.Popen[bytes], stopping: list[bool]
) -> None:
    """After the grace, without counting the attempt, and without leftovers."""
    job = running(quick.ledger, tenant, child_pid=child.pid)
    workdir_of(quick.settings.state_dir, job.id, job.fence).mkdir(parents=True)
    beat.start()
    stopping.append(True)
    assert eventually(lambda: row(quick).state == WorkerState.DRAINING)
    assert child.wait(timeout=5) == -9
    assert eventually(lambda: not workdir_of(quick.settings.state_dir, job.id, job.fence).exists())
    back = queries.job(quick.ledger, job.id)
    assert (JobState.QUEUED, Cause.DRAINED, 0) == (back.state, back.cause, back.attempt)
    assert eventually(lambda: kernel_states(quick, job.id)[-1:] == ["queued"])


def kernel_states(kernel: Kernel, job_id: str) -> list[str]:
    return [event.data["state"] for event in kernel.events.read(job_id)]


@pytest.mark.usefixtures("brief")
def test_drain_ends_a_job_that_was_told_to_stop(
    beat: Beat, quick: Kernel, tenant: Tenant, child: subprocess.Popen[bytes], stopping: list[bool]
) -> None:
    """It does not come back on another worker, and is cancelled once its child is dead."""
    job = running(quick.ledger, tenant, child_pid=child.pid)
    transitions.request_cancel(quick.ledger, job.id, tenant_id=tenant.id)
    stopping.append(True)
    beat.start()
    assert child.wait(timeout=5) == -9
    assert eventually(lambda: queries.job(quick.ledger, job.id).state == JobState.CANCELLED)


def test_child_that_nobody_reported_is_settled(
    beat: Beat, quick: Kernel, tenant: Tenant, child: subprocess.Popen[bytes], brief: None
) -> None:
    """Its death came while the ledger was away, so the report was lost."""
    job, other = (running(quick.ledger, tenant, child_pid=child.pid, worker=name) for name in (WORKER, "other"))
    beat.start()
    time.sleep(0.6)
    assert queries.job(quick.ledger, job.id) == job
    child.kill()
    child.wait()
    assert eventually(lambda: queries.job(quick.ledger, job.id).state == JobState.QUEUED)
    assert queries.job(quick.ledger, other.id) == other


def test_a_row_that_the_ledger_lost_is_written_again(beat: Beat, quick: Kernel) -> None:
    """Else every job that the worker claims would be taken for a dead worker's."""
    beat.start()
    with quick.ledger.write() as connection:
        connection.execute(workers.delete())
    assert eventually(lambda: row(quick) is not None)


def test_the_heart_outlives_a_surprise(beat: Beat, quick: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw costs one beat."""
    surprises = iter([RuntimeError("nobody foresaw this")])

    def surprising() -> list[int]:
        for surprise in surprises:
            raise surprise
        return []

    monkeypatch.setattr(beat_module, "kill_orphans", surprising)
    beat.start()
    counted = row(quick)
    assert counted is not None
    assert eventually(lambda: row(quick) is not None and row(quick).beat > counted.beat + 1)


def test_folders_of_attempts_that_ended_are_removed(beat: Beat, quick: Kernel, tenant: Tenant) -> None:
    """A killed worker's leftovers go, and what its job kept; the folders of a running attempt stay."""
    job = running(quick.ledger, tenant, worker="another")
    over = running(quick.ledger, tenant, worker="another")
    transitions.finish(quick.ledger, over.id, fence=over.fence, state=JobState.FAILED, cause=Cause.TIMEOUT)
    shared = [keepdir_of(quick.settings.state_dir, kept_by.id) for kept_by in (job, over)]
    kept, left = (
        workdir_of(quick.settings.state_dir, job.id, job.fence),
        quick.settings.state_dir / "work" / f"{job.id}-99",
    )
    for folder in (kept, left, *shared):
        folder.mkdir(parents=True)
    beat.start()
    assert eventually(lambda: not left.exists() and not shared[1].exists())
    assert kept.exists()
    assert shared[0].exists()


def superseded(kernel: Kernel, job: Job) -> Job:
    """Let another worker begin the job again."""
    transitions.requeue(kernel.ledger, job.id, fence=job.fence, cause=Cause.SILENT)
    return claimed(kernel.ledger, *carrying.take_due(kernel.ledger, job.queue), worker="another", child_pid=2)


def make_workdir(kernel: Kernel, job: Job) -> Path:
    """Do as a child does that begins the job's attempt, and whose engine asks for the folder."""
    assert job.worker is not None
    assert job.child_pid is not None
    note = at_work.note_of(kernel.settings.state_dir, worker=job.worker, child_pid=job.child_pid)
    at_work.begin(note, job.id, job.fence)
    folder = workdir_of(kernel.settings.state_dir, job.id, job.fence)
    folder.mkdir(parents=True)
    return folder


def test_child_that_works_on_a_superseded_attempt_is_killed(
    beat: Beat, quick: Kernel, tenant: Tenant, child: subprocess.Popen[bytes]
) -> None:
    """After the grace; its folder goes, and the next attempt is not touched."""
    job = running(quick.ledger, tenant, child_pid=child.pid)
    left = make_workdir(quick, job)
    beat.start()
    time.sleep(0.5)
    assert child.poll() is None
    following = superseded(quick, job)
    kept = make_workdir(quick, following)
    assert child.wait(timeout=5) == -9
    assert eventually(lambda: not left.exists())
    assert kept.exists()
    assert queries.job(quick.ledger, job.id) == following


def test_child_that_has_moved_on_is_not_killed(
    beat: Beat, quick: Kernel, tenant: Tenant, child: subprocess.Popen[bytes]
) -> None:
    """It holds another job: of the old attempts one left its folder behind, the other nothing."""
    old, older = (running(quick.ledger, tenant, child_pid=child.pid) for _ in range(2))
    make_workdir(quick, old)
    for job in (old, older):
        superseded(quick, job)
    present = running(quick.ledger, tenant, child_pid=child.pid)
    make_workdir(quick, present)
    beat.start()
    time.sleep(0.8)
    assert child.poll() is None
    assert queries.job(quick.ledger, present.id) == present


def test_folder_stays_while_its_child_lives(beat: Beat, quick: Kernel, tenant: Tenant) -> None:
    """Another worker of this machine has still to end its child, as the child's note tells it; that stays as well."""
    mark = {WORKER_MARK: f"abcd:{os.getpid()}"}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=mark) as process:
        job = running(quick.ledger, tenant, worker="other@here#abcd", child_pid=process.pid)
        left = make_workdir(quick, job)
        superseded(quick, job)
        for _ in range(2):
            beat._leftovers.look([])
            beat._leftovers.remove()
        assert left.exists()
        assert [pid for _, pid, _ in at_work.notes(quick.settings.state_dir)] == [process.pid]
        process.kill()
    beat._leftovers.look([])
    beat._leftovers.remove()
    assert not left.exists()
    assert at_work.notes(quick.settings.state_dir) == []


def test_claim_that_the_child_never_heard_of_is_settled(
    beat: Beat, quick: Kernel, tenant: Tenant, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger committed it and the answer got lost: the child lives, noted nothing, and nobody works on the job."""
    monkeypatch.setattr(beat_module, "_IDLE_FOR_S", 0.3)
    unheard, busy = (running(quick.ledger, tenant, child_pid=child.pid) for _ in range(2))
    make_workdir(quick, busy)
    beat.start()
    assert eventually(lambda: queries.job(quick.ledger, unheard.id).state == JobState.QUEUED)
    assert queries.job(quick.ledger, busy.id) == busy
    assert child.poll() is None


def test_job_over_the_memory_limit_is_killed_with_its_cause(
    quick: Kernel, tenant: Tenant, child: subprocess.Popen[bytes]
) -> None:
    """The attempt ends as out of memory, not as a child that was lost."""
    job = running(quick.ledger, tenant, child_pid=child.pid)
    make_workdir(quick, job)
    limited = replace(quick, settings=quick.settings.model_copy(update={"child_memory_mb": 1}))
    beat = Beat(limited, a_worker(), is_stopping=lambda: False, children=lambda: [child.pid])
    with capture_logs():
        beat.start()
        assert child.wait(timeout=30) == -9
        assert eventually(lambda: (found := queries.job(quick.ledger, job.id)) is not None and found.error is not None)
        beat.stop()
    found = queries.job(quick.ledger, job.id)
    assert found is not None
    assert found.error is not None
    assert (found.state, found.cause) == (JobState.QUEUED, Cause.OUT_OF_MEMORY)
    assert "over the limit of 1" in found.error["message"]


def test_memory_of_a_job_is_that_of_all_its_processes(child: subprocess.Popen[bytes]) -> None:
    """What a grandchild takes counts; a process that is gone holds nothing."""
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = b\"y\" * (64 << 20); input()'])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, process_group=0) as parent:
        assert eventually(lambda: held_bytes(parent.pid) > 64 << 20, within_s=30)
        assert held_bytes(child.pid) < 64 << 20
        assert parent.stdin is not None
        parent.stdin.close()
    assert held_bytes(parent.pid) == 0


def test_order_to_stop_is_written_at_once(kernel: Kernel, child: subprocess.Popen[bytes]) -> None:
    """Not only at the next beat, and before Celery's own flag is set."""
    settings = kernel.settings.model_copy(update={"beat_s": 10.0, "lease_s": 100.0})
    slow = Kernel(settings, kernel.ledger, kernel.events, kernel.artifacts)
    beat = Beat(slow, a_worker(), is_stopping=lambda: False, children=list)
    beat.start()
    try:
        beat.say(WorkerState.UP)
        assert eventually(lambda: [] != fleet.live_workers(kernel.ledger))
        beat.drain()
        wanted = [WorkerState.DRAINING]
        assert eventually(lambda: wanted == [row.state for row in fleet.live_workers(kernel.ledger)])
    finally:
        beat.stop()
