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


def _root(state_dir: Path) -> Path:
    return (state_dir / "work").absolute()
