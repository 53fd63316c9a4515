"""Where a worker machine keeps what belongs to one attempt only."""

import shutil
from pathlib import Path

from tasks.core.records import Job


def workdir_of(state_dir: Path, job: Job) -> Path:
    """Return the attempt's private folder, ``work/<job>-<fence>``; each worker machine has its own."""
    return _root(state_dir) / f"{job.id}-{job.fence}"


def remove_workdirs(state_dir: Path, job_id: str) -> None:
    """Remove what dead attempts of this job left on this machine."""
    for left in _root(state_dir).glob(f"{job_id}-*"):
        shutil.rmtree(left, ignore_errors=True)


def workdirs(state_dir: Path) -> list[tuple[str, int, Path]]:
    """List ``(job id, fence, folder)`` of every attempt's folder on this machine, in use or not."""
    found = []
    for folder in _root(state_dir).glob("*-*"):
        job_id, _, fence = folder.name.rpartition("-")
        if fence.isdecimal():
            found.append((job_id, int(fence), folder))
    return found


def _root(state_dir: Path) -> Path:
    return (state_dir / "work").absolute()
