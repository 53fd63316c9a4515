"""Where a worker machine keeps what belongs to one attempt, or to one job, only."""

import os
import shutil
from functools import lru_cache
from pathlib import Path


def workdir_of(state_dir: Path, job_id: str, fence: int) -> Path:
    """Return the attempt's private folder, ``work/<job>-<fence>``; each worker machine has its own.

    It is made when the engine first asks for it, and removed before the end is written.
    """
    return _root(state_dir) / f"{job_id}-{fence}"


def remove_workdirs(state_dir: Path, job_id: str, *, up_to: int) -> None:
    """Remove what dead attempts of this job left on this machine, under the fence ``up_to`` or an older one.

    The next attempt may run on this machine already.
    """
    for left_by, fence, folder in workdirs(state_dir):
        if left_by == job_id and fence <= up_to:
            shutil.rmtree(folder, ignore_errors=True)


def workdirs(state_dir: Path) -> list[tuple[str, int, Path]]:
    """List ``(job id, fence, folder)`` of every attempt's folder on this machine, in use or not."""
    found = []
    for folder in _root(state_dir).glob("*-*"):
        job_id, _, fence = folder.name.rpartition("-")
        if fence.isdecimal():
            found.append((job_id, int(fence), folder))
    return found


def keepdir_of(state_dir: Path, job_id: str) -> Path:
    """Return the folder that the job's attempts on this machine share, ``kept/<job>``.

    It is made when an engine first asks for it, and removed once the job has ended.
    """
    return _keep_root(state_dir) / job_id


def remove_keepdir(state_dir: Path, job_id: str) -> None:
    """Remove what the job's attempts kept for one another, where there is anything."""
    folder = f"{_keep_root(state_dir)}/{job_id}"
    if os.path.lexists(folder):  # nearly never; a path as an object costs more than to look
        shutil.rmtree(folder, ignore_errors=True)


def keepdirs(state_dir: Path) -> list[str]:
    """List the ids of the jobs that have such a folder on this machine."""
    return [folder.name for folder in _keep_root(state_dir).glob("*-*")]


def sharedir_of(state_dir: Path) -> Path:
    """Return the folder that all jobs on this machine share, ``shared``; made when an engine first asks for it."""
    return (state_dir / "shared").absolute()


@lru_cache(maxsize=8)
def _root(state_dir: Path) -> Path:
    return (state_dir / "work").absolute()


@lru_cache(maxsize=8)
def _keep_root(state_dir: Path) -> Path:
    return (state_dir / "kept").absolute()
