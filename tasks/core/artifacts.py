"""Files that jobs leave: under one storage root, at ``<job>/<fence>/<name>``, with a row each in the ledger."""

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tasks.core.clock import now
from tasks.core.errors import InputRejected, JobSuperseded, NotFound
from tasks.core.ids import is_id
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.schema import artifacts, jobs
from tasks.core.on_disk import sync_folder
from tasks.core.records import ArtifactRecord, JobState

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,4}")
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+(; ?charset=[a-z0-9-]+)?")

LOG_NAME = "job.log.jsonl"


class Artifacts:
    """Keeps and finds artifacts. A file is complete or absent: it is written aside and renamed into place."""

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self._root = root
        self._ledger = ledger

    def folder(self, job_id: str, fence: int) -> Path:
        """Return the folder of one attempt's files; it may not exist yet."""
        return self._root / job_id / str(fence)

    def save(
        self, job_id: str, name: str, content: bytes | Path, *, fence: int, attempt: int, media_type: str
    ) -> ArtifactRecord:
        """Keep ``content`` as ``name``, replacing this attempt's earlier one.

        Raises:
            InputRejected: the name or media type is not acceptable.
            JobSuperseded: another claim owns the job.
        """
        if len(name) > 200 or not _NAME.fullmatch(name) or name == LOG_NAME:
            raise InputRejected(
                f"Artifact name {name!r}: use a plain relative path of at most 200 characters.", field="name"
            )
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise InputRejected(f"Media type {media_type!r}: use type/subtype.", field="media_type")
        try:
            placed: tuple[int, str] | FileNotFoundError = self._place(self.folder(job_id, fence) / name, content)
        except FileNotFoundError as exc:  # the folder was erased under our hands, as with its job
            placed = exc
        with self._ledger.write() as connection:
            owned = sa.select(jobs.c.id).where(
                jobs.c.id == job_id, jobs.c.state == JobState.RUNNING, jobs.c.fence == fence
            )
            if connection.execute(owned.with_for_update()).first() is None:
                raise JobSuperseded
            if isinstance(placed, FileNotFoundError):
                raise placed
            size, sha256 = placed
            row = {"size_bytes": size, "sha256": sha256, "media_type": media_type, "created_at": now()}
            key = (artifacts.c.job_id == job_id) & (artifacts.c.fence == fence) & (artifacts.c.name == name)
            if connection.execute(artifacts.update().where(key).values(row)).rowcount == 0:
                connection.execute(artifacts.insert().values(job_id=job_id, fence=fence, name=name, **row))
        return _record(job_id, {"name": name, **row}, attempt)

    def _place(self, target: Path, content: bytes | Path) -> tuple[int, str]:
        target.parent.mkdir(parents=True, exist_ok=True)
        placed = _write_aside(target, content)
        for folder in target.parents:  # each may be new
            sync_folder(folder)
            if folder == self._root:
                break
        return placed

    def list(self, job_id: str, fence: int, attempt: int) -> "list[ArtifactRecord]":
        """List one attempt's files by name."""
        statement = artifacts.select().where(artifacts.c.job_id == job_id, artifacts.c.fence == fence)
        with self._ledger.read() as connection:
            rows = connection.execute(statement.order_by(artifacts.c.name)).mappings().all()
        return [_record(job_id, dict(row), attempt) for row in rows]

    def path(self, job_id: str, fence: int, name: str) -> Path:
        """Return where the file lies.

        Raises:
            NotFound: no such file.
        """
        path = self.folder(job_id, fence) / name
        if not _NAME.fullmatch(name) or not path.is_file():
            raise NotFound(f"Job {job_id} has no artifact {name!r}.")
        return path

    def erase(self, job_id: str) -> None:
        """Delete every file of the job."""
        shutil.rmtree(self._root / job_id, ignore_errors=True)

    def erase_until(self, job_id: str, fence: int) -> None:
        """Delete the files of the attempts up to this fence; those of a later one stay."""
        for folder in (self._root / job_id).glob("*"):
            if folder.name.isdecimal() and int(folder.name) <= fence:
                shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # there is a later one
            (self._root / job_id).rmdir()

    def job_ids(self) -> Iterator[str]:
        """Iterate over the jobs that have a folder, whether or not the ledger knows them."""
        if self._root.is_dir():
            with os.scandir(self._root) as entries:
                yield from (entry.name for entry in entries if is_id(entry.name))

    def extent(self, job_id: str) -> tuple[int, int]:
        """Return how many files the job has, logs included, and their bytes together."""
        sizes = [size for path in (self._root / job_id).rglob("*") if (size := _size_of(path)) is not None]
        return len(sizes), sum(sizes)

    def changed_at(self, job_id: str) -> datetime:
        """Return when the job's folder was changed last; now, when there is none."""
        try:
            return datetime.fromtimestamp((self._root / job_id).stat().st_mtime, UTC)
        except OSError:
            return now()


def _size_of(path: Path) -> int | None:
    try:
        found = path.lstat()
    except OSError:  # removed meanwhile
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _write_aside(target: Path, content: bytes | Path) -> tuple[int, str]:
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        digest, size = _write(aside, content)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    return size, digest


def _write(path: Path, content: bytes | Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as out:
        if isinstance(content, bytes):
            out.write(content)
            digest.update(content)
            size = len(content)
        else:
            with content.open("rb") as source:
                while block := source.read(1 << 20):
                    out.write(block)
                    digest.update(block)
                    size += len(block)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest(), size


def _record(job_id: str, row: dict[str, Any], attempt: int) -> ArtifactRecord:
    return ArtifactRecord(
        name=row["name"],
        size_bytes=row["size_bytes"],
        media_type=row["media_type"],
        sha256=row["sha256"],
        attempt=attempt,
        created_at=row["created_at"],
        href=f"/api/jobs/{job_id}/artifacts/{row['name']}",
    )
