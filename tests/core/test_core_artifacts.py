"""Artifacts: plain names, fenced, complete or absent, and gone when erased."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.core import artifacts
from tasks.core.artifacts import LOG_NAME
from tasks.core.errors import InputRejected, JobSuperseded, NotFound
from tasks.core.kernel import Kernel
from tasks.core.ledger import batches, carrying, transitions
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import ArtifactRecord, Job, JobState
from tests.samples import claimed, running


@pytest.fixture
def job(kernel: Kernel, tenant: Tenant) -> Job:
    return running(kernel.ledger, tenant)


def save(
    kernel: Kernel, job: Job, name: str, content: bytes | Path = b"x", media_type: str = "text/plain"
) -> ArtifactRecord:
    return kernel.artifacts.save(job.id, name, content, fence=job.fence, attempt=1, media_type=media_type)


def files(kernel: Kernel, job: Job) -> list[str]:
    folder = kernel.artifacts.folder(job.id, job.fence)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_saved_bytes_are_found_again(kernel: Kernel, job: Job) -> None:
    """With size, digest and address."""
    record = save(kernel, job, "a/b.txt", b"hello")
    assert (record.size_bytes, record.sha256) == (5, hashlib.sha256(b"hello").hexdigest())
    assert record.href == f"/api/jobs/{job.id}/artifacts/a/b.txt"
    assert kernel.artifacts.path(job.id, job.fence, "a/b.txt").read_bytes() == b"hello"
    assert [record] == kernel.artifacts.list(job.id, job.fence, 1)


def test_saved_file_is_copied(kernel: Kernel, job: Job, tmp_path: Path) -> None:
    """The engine's own file may go with its working folder."""
    source = tmp_path / "big"
    source.write_bytes(b"z" * 3_000_000)
    record = save(kernel, job, "big.bin", source, "application/octet-stream")
    source.unlink()
    assert (record.size_bytes, record.sha256) == (3_000_000, hashlib.sha256(b"z" * 3_000_000).hexdigest())
    assert kernel.artifacts.path(job.id, job.fence, "big.bin").stat().st_size == 3_000_000


def test_same_name_replaces(kernel: Kernel, job: Job) -> None:
    """One row, the newest content."""
    save(kernel, job, "a", b"old")
    newest = save(kernel, job, "a", b"newer")
    assert [newest] == kernel.artifacts.list(job.id, job.fence, 1)
    assert files(kernel, job) == ["a"]


@pytest.mark.parametrize("step", ["_write_aside", "sync_folder"])
def test_job_that_is_erased_while_it_saves_is_not_its_own_any_more(
    kernel: Kernel, job: Job, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The folder goes with it, before or after the file was put there; that is no fault of the engine's."""
    act: Callable[..., Any] = getattr(artifacts, step)

    def meanwhile(path: Path, *rest: object) -> Any:
        kernel.artifacts.erase(job.id)
        return act(path, *rest)

    monkeypatch.setattr(artifacts, step, meanwhile)
    with pytest.raises(FileNotFoundError):  # somebody removed the folder of a job that runs
        save(kernel, job, "a/b")
    assert [] == kernel.artifacts.list(job.id, job.fence, 1)
    ended = transitions.finish(kernel.ledger, job.id, fence=job.fence, state=JobState.FAILED, cause="x")
    assert ended is not None
    list(batches.erase(kernel.ledger, Filter(job.tenant_id), limit=1))
    with pytest.raises(JobSuperseded):
        save(kernel, job, "a/b")


@pytest.mark.parametrize(
    "name",
    [
        *("", "/etc/passwd", "../a", "a/../b", "a//b", ".hidden", "a/.b", "-rf"),
        *("a\n", "a b", "a\\b", "a\0", "ü", "a" * 101, "a/b/c/d/e/f", "/".join(["a" * 60] * 4), LOG_NAME),
    ],
)
def test_unsafe_name_is_refused(kernel: Kernel, job: Job, name: str) -> None:
    """Nothing leaves the attempt's folder or hides in it."""
    with pytest.raises(InputRejected) as refusal:
        save(kernel, job, name)
    assert refusal.value.field == "name"
    assert files(kernel, job) == []


@pytest.mark.parametrize("media_type", ["", "text", "text/html\r\nX: y", "TEXT/PLAIN", "text/plain; boundary=x"])
def test_unsafe_media_type_is_refused(kernel: Kernel, job: Job, media_type: str) -> None:
    """It becomes a header one day."""
    with pytest.raises(InputRejected) as refusal:
        save(kernel, job, "a", media_type=media_type)
    assert refusal.value.field == "media_type"


def test_superseded_attempt_saves_nothing(kernel: Kernel, job: Job) -> None:
    """Its file is in nobody's list, and the new attempt's is untouched."""
    transitions.requeue(kernel.ledger, job.id, fence=job.fence, cause="worker_lost")
    second = claimed(kernel.ledger, *carrying.take_due(kernel.ledger, job.queue))
    newest = save(kernel, second, "a", b"new")
    with pytest.raises(JobSuperseded):
        save(kernel, job, "a", b"late")
    assert kernel.artifacts.list(job.id, job.fence, 1) == []
    assert [newest] == kernel.artifacts.list(job.id, second.fence, 1)


def test_failed_write_leaves_nothing_behind(kernel: Kernel, job: Job, tmp_path: Path) -> None:
    """Neither half a file nor the one it was written to aside."""
    with pytest.raises(FileNotFoundError):
        save(kernel, job, "a", tmp_path / "missing")
    assert files(kernel, job) == []
    assert kernel.artifacts.list(job.id, job.fence, 1) == []


@pytest.mark.parametrize("name", ["missing", "../ledger.db", "folder"])
def test_missing_file_is_not_found(kernel: Kernel, job: Job, name: str) -> None:
    """So is whatever is not a plain file of this attempt."""
    save(kernel, job, "folder/a")
    with pytest.raises(NotFound):
        kernel.artifacts.path(job.id, job.fence, name)


def test_erase_removes_every_attempts_files(kernel: Kernel, job: Job) -> None:
    """Erasing what is not there is no error."""
    save(kernel, job, "a")
    kernel.artifacts.erase(job.id)
    kernel.artifacts.erase(job.id)
    assert not kernel.artifacts.folder(job.id, job.fence).parent.exists()
