"""What an engine sees of its job: reports, checkpoints, files and what it keeps for the next attempt."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tasks.core.attempt import Attempt
from tasks.core.browser import JobBrowser
from tasks.core.egress import Egress, EgressPolicy
from tasks.core.errors import InputRejected, JobCancelled, JobSuperseded, NotFound
from tasks.core.job import JobContext
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, carrying, queries, tenants, transitions
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, Job
from tasks.core.uploads.store import Announced
from tests.samples import FakeClock, claimed, ledger_away, running


def no_browser(_: JobContext) -> JobBrowser:
    """No engine of these tests asks for one."""
    raise AssertionError


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def job(kernel: Kernel, tenant: Tenant) -> Job:
    return running(kernel.ledger, tenant)


@pytest.fixture
def attempt(kernel: Kernel, job: Job, clock: FakeClock, tmp_path: Path) -> Iterator[Attempt]:
    http = Egress(EgressPolicy())
    attempt = Attempt(
        kernel, job, workdir=tmp_path / "work", open_http=lambda: http, open_browser=no_browser, clock=clock
    )
    yield attempt
    attempt.close()
    http.close()


def supersede(kernel: Kernel, job: Job) -> None:
    transitions.requeue(kernel.ledger, job.id, fence=job.fence, cause=Cause.WORKER_LOST)
    claimed(kernel.ledger, *carrying.take_due(kernel.ledger, job.queue))


def test_text_that_nothing_can_store_is_made_storable(attempt: Attempt) -> None:
    """A badly named file must not spoil the record."""
    attempt.report("pages", 1, 10, "caf\udce9\0")
    assert attempt.last_progress is not None
    assert "caf?\ufffd" == attempt.last_progress["message"]


def test_report_tells_percent_and_time_to_the_end(attempt: Attempt, clock: FakeClock) -> None:
    """The estimate follows the pace of this stage."""
    attempt.report("pages", 0, 10)
    assert attempt.last_progress is not None
    assert (attempt.last_progress["percent"], attempt.last_progress["eta_s"]) == (0.0, None)
    clock.at += 4
    attempt.report("pages", 2, 10, "a page")
    assert attempt.last_progress == {
        "percent": 20.0,
        "stage": "pages",
        "step": 2,
        "total": 10,
        "message": "a page",
        "eta_s": 16.0,
    }


def test_new_stage_begins_a_new_estimate(attempt: Attempt, clock: FakeClock) -> None:
    """A slow stage says nothing about the next."""
    attempt.report("slow", 0, 2)
    clock.at += 100
    attempt.report("quick", 0, 10)
    clock.at += 1
    attempt.report("quick", 5, 10)
    assert attempt.last_progress is not None
    assert attempt.last_progress["eta_s"] == 1.0


@pytest.mark.parametrize(
    ("done", "total", "percent"), [(5, None, None), (5, 0, None), (15, 10, 100.0), (-1, 10, 0.0), (1, 3, 33.33)]
)
def test_percent_stays_within_bounds(attempt: Attempt, done: float, total: float | None, percent: float | None) -> None:
    """Unknown while the total is; never under 0 or over 100."""
    attempt.report("s", done, total)
    assert attempt.last_progress is not None
    assert attempt.last_progress["percent"] == percent


def test_report_is_kept_in_the_ledger_now_and_then(
    kernel: Kernel, job: Job, attempt: Attempt, clock: FakeClock
) -> None:
    """A wiped Redis does not lose it all; each report would be a commit too many."""
    attempt.report("s", 1, 10)
    assert getattr(queries.job(kernel.ledger, job.id), "progress", 0) is None
    clock.at += 5
    attempt.report("s", 2, 10)
    assert queries.job(kernel.ledger, job.id).progress == attempt.last_progress


def signs(kernel: Kernel, job: Job) -> int:
    found = queries.job(kernel.ledger, job.id)
    assert found is not None
    return found.signs


def test_attempt_that_may_not_be_silent_shows_signs_of_life(
    kernel: Kernel, tenant: Tenant, clock: FakeClock, tmp_path: Path
) -> None:
    """Log lines, reports and checkpoints do, four times in what its kind allows, and not at each of them."""
    job = running(kernel.ledger, tenant, silence_s=8.0)
    attempt = Attempt(
        kernel, job, workdir=tmp_path, open_http=lambda: Egress(EgressPolicy()), open_browser=no_browser, clock=clock
    )
    seen = []
    for show in (lambda: attempt.log("x"), lambda: attempt.report("s", 1), attempt.checkpoint):
        clock.at += 2.0
        for _ in range(5):
            show()
        seen.append(signs(kernel, job))
    with ledger_away(kernel.ledger):
        clock.at += 2.0
        attempt.log("x")
    attempt.close()
    attempt.http.close()
    assert [1, 2, 3] == seen


def test_attempt_that_may_be_silent_costs_no_writes(
    kernel: Kernel, job: Job, attempt: Attempt, clock: FakeClock
) -> None:
    """Nobody watches it."""
    clock.at += 100
    attempt.log("x")
    attempt.checkpoint()
    assert signs(kernel, job) == 0


def test_checkpoint_passes_while_nobody_objects(attempt: Attempt, clock: FakeClock) -> None:
    """Nothing happens to a job that may go on."""
    clock.at += 1
    attempt.checkpoint()


@pytest.mark.parametrize("point", ["checkpoint", "report"])
def test_cancelled_job_stops_at_its_next_look(
    kernel: Kernel, job: Job, attempt: Attempt, clock: FakeClock, point: str
) -> None:
    """At most half a second later; the calls between ask nobody."""
    transitions.request_cancel(kernel.ledger, job.id, tenant_id=job.tenant_id)
    look = attempt.checkpoint if point == "checkpoint" else lambda: attempt.report("s", 1)
    clock.at += 0.4
    look()
    clock.at += 0.2
    with pytest.raises(JobCancelled):
        look()


def test_superseded_attempt_stops_everywhere(kernel: Kernel, job: Job, attempt: Attempt, clock: FakeClock) -> None:
    """Whatever it would write is refused."""
    supersede(kernel, job)
    clock.at += 5
    for write in (
        attempt.checkpoint,
        lambda: attempt.report("s", 1),
        lambda: attempt.save("a", b"x", "text/plain"),
        lambda: attempt.resume.save({}),
    ):
        with pytest.raises(JobSuperseded):
            write()


def test_ledger_outage_does_not_stop_an_engine(kernel: Kernel, attempt: Attempt, clock: FakeClock) -> None:
    """Work that needs no ledger goes on; the fence decides at the end whether it counts."""
    with ledger_away(kernel.ledger):
        clock.at += 10
        attempt.report("s", 1, 2)
        clock.at += 1
        attempt.checkpoint()
    assert attempt.last_progress is not None


def test_saved_artifact_is_announced(kernel: Kernel, job: Job, attempt: Attempt) -> None:
    """Viewers get its name, size and address."""
    attempt.save("out/a.txt", b"hello", "text/plain")
    attempt.close()
    (event,) = [event for event in kernel.events.read(job.id) if event.type == "artifact"]
    href = f"/api/jobs/{job.id}/artifacts/out/a.txt"
    assert event.data == {"name": "out/a.txt", "size_bytes": 5, "media_type": "text/plain", "href": href}


def test_log_lines_lie_beside_the_attempts_artifacts(kernel: Kernel, job: Job, attempt: Attempt) -> None:
    """Under the fence, so that attempts do not mix."""
    attempt.log("a line")
    attempt.close()
    assert "a line" in (kernel.artifacts.folder(job.id, job.fence) / "job.log.jsonl").read_text()


def test_resume_state_is_kept_for_the_next_attempt(kernel: Kernel, job: Job, attempt: Attempt) -> None:
    """The first attempt has none."""
    assert attempt.resume.load() is None
    attempt.resume.save({"page": 3})
    assert queries.job(kernel.ledger, job.id).resume == {"page": 3}


def test_resume_state_is_small(attempt: Attempt) -> None:
    """64 KiB; more is an artifact."""
    attempt.resume.save({"x": "y" * 65_000})
    with pytest.raises(InputRejected, match="65536"):
        attempt.resume.save({"x": "y" * 66_000})


def test_uploads_are_opened_for_the_jobs_tenant_only(attempt: Attempt, kernel: Kernel, job: Job) -> None:
    """Another tenant's upload is not there, though its id is known."""
    other = tenants.named(kernel.ledger, "other")
    mine, foreign = (
        kernel.uploads.whole(tenant_id, Announced(5), BytesIO(b"bytes").read) for tenant_id in (job.tenant_id, other.id)
    )
    with attempt.open(mine.id) as file:
        assert b"bytes" == file.read()
    with pytest.raises(NotFound):
        attempt.open(foreign.id)
