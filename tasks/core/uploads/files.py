"""The bytes of uploads, in a folder each: ``uploads/<id>`` under the storage root.

``part`` grows while pieces come and becomes ``content`` by a rename once all of it is there and checked. The length of
``part`` is how far an upload is: a file system with a journal (ext4 in its usual mode, XFS) lets a file grow only after
its bytes, so a killed process and a power cut leave a true one. ``mark`` holds the length up to which it was checked
while a piece with a checksum comes. ``lock`` is locked by whoever writes; the kernel unlocks it when that process dies.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from tasks.core.clock import now
from tasks.core.errors import ChecksumMismatch, StorageFull, TooLarge, UploadLocked
from tasks.core.ids import is_id
from tasks.core.on_disk import sync_folder

# Reads up to so many bytes of what a client sends; empty at its end, or when the client is gone.
Source = Callable[[int], bytes]

_BLOCK = 64 * 1024
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Digest(Protocol):
    """What ``hashlib`` makes."""

    def update(self, data: bytes, /) -> None:
        """Take in more."""

    def digest(self) -> bytes:
        """Return the digest of all so far."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a piece must have: the digest by this algorithm of ``hashlib``."""

    algorithm: str
    digest: bytes

    def begin(self) -> Digest:
        """Return a digest of nothing yet."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


class UploadFiles:
    """Keeps and finds the bytes, whatever the rows say. An upload without a folder is an empty one."""

    def __init__(self, root: Path) -> None:
        self._root = root / "uploads"

    def length(self, upload_id: str) -> int:
        """Return how many bytes are there to go on from."""
        folder = self._root / upload_id
        for path in (folder / "content", folder / "part"):
            found = _size_of(path)
            if found is not None:
                return min(found, _marked(folder, otherwise=found))
        return 0

    @contextmanager
    def writing(self, upload_id: str) -> Iterator["Writing"]:
        """Be the only one who writes.

        Raises:
            UploadLocked: somebody else is.
            StorageFull: there is no room.
        """
        folder = self._root / upload_id
        with room_needed():
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise UploadLocked(
                    f"Another request is sending upload {upload_id}: ask with HEAD how far it is, then go on."
                ) from exc
            yield Writing(folder)
        finally:
            os.close(lock)

    def open(self, upload_id: str) -> BinaryIO:
        """Open the content of a complete upload.

        Raises:
            FileNotFoundError: it is not complete, or gone.
        """
        return (self._root / upload_id / "content").open("rb")

    def scratch(self) -> BinaryIO:
        """Open a file without a name."""
        with room_needed():
            self._root.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryFile(dir=self._root)

    def erase(self, upload_id: str) -> None:
        """Delete all of it."""
        shutil.rmtree(self._root / upload_id, ignore_errors=True)

    def ids(self) -> Iterator[str]:
        """Iterate over the uploads that have a folder, whether or not the ledger knows them."""
        if self._root.is_dir():
            with os.scandir(self._root) as entries:
                yield from (entry.name for entry in entries if is_id(entry.name))

    def changed_at(self, upload_id: str) -> datetime:
        """Return when the folder was changed last; now, when there is none."""
        try:
            return datetime.fromtimestamp((self._root / upload_id).stat().st_mtime, now().tzinfo)
        except OSError:
            return now()

    def size(self, upload_id: str) -> int:
        """Return the bytes that are really kept."""
        folder = self._root / upload_id
        return sum(_size_of(folder / name) or 0 for name in ("part", "content"))


class Writing:
    """One upload, while this request alone may write it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._part = folder / "part"
        if (folder / "mark").exists():  # whoever wrote a piece with a checksum died before it was checked
            self._cut(_marked(folder, otherwise=0))

    @property
    def length(self) -> int:
        """How many bytes are there."""
        found = _size_of(self._folder / "content")
        return found if found is not None else _size_of(self._part) or 0

    def append(self, source: Source, *, at_most: int, checksum: Checksum | None = None) -> int:
        """Write what ``source`` gives; return how many bytes that was. What came before a client was lost stays.

        Raises:
            TooLarge: there is more than ``at_most``; the piece was discarded.
            ChecksumMismatch: the piece is not what was meant, or broke off; it was discarded.
            StorageFull: there is no room; what fitted stays.
        """
        began = self.length
        if checksum is None:
            return self._write(source, at_most, digest=None)
        with room_needed():
            _write_down(self._folder / "mark", began)
        digest = checksum.begin()
        count = self._write(source, at_most, digest=digest)
        if digest.digest() != checksum.digest:
            self._cut(began)
            raise ChecksumMismatch(
                f"The {count} bytes from {began} on do not have the {checksum.algorithm} checksum that came with them: "
                "they were discarded, send them again.",
                field="Upload-Checksum",
            )
        (self._folder / "mark").unlink()
        return count

    def _write(self, source: Source, at_most: int, *, digest: Digest | None) -> int:
        began, count = self.length, 0
        with room_needed(), self._part.open("ab", buffering=0) as part:
            while count < at_most and (block := source(min(_BLOCK, at_most - count))):
                _write_all(part, block)
                count += len(block)
                if digest is not None:
                    digest.update(block)
            os.fsync(part.fileno())
        if count == at_most and source(1):
            self._cut(began)
            raise TooLarge(f"The body goes beyond the end of the upload, {began + at_most} bytes: it was discarded.")
        return count

    def finish(self, *, announced: str | None) -> str:
        """Make the bytes that are there the content; return their SHA-256.

        Raises:
            ChecksumMismatch: they are not what was announced; all of it was discarded.
        """
        content = self._folder / "content"
        if not content.exists():
            with room_needed():
                self._part.touch()
            sha256 = _sha256(self._part)
            if announced is not None and sha256 != announced:
                self._cut(0)
                raise ChecksumMismatch(
                    f"The content has the SHA-256 {sha256}, not {announced} as announced: begin again from 0.",
                    field="sha256",
                )
            self._part.replace(content)
            sync_folder(self._folder)
            return sha256
        return _sha256(content)

    def _cut(self, length: int) -> None:
        with room_needed(), self._part.open("ab") as part:
            part.truncate(length)
            os.fsync(part.fileno())
        (self._folder / "mark").unlink(missing_ok=True)


@contextmanager
def room_needed() -> Iterator[None]:
    """Tell of a full disk as ``StorageFull``."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in _NO_ROOM:
            raise
        raise StorageFull("There is no room for more files. Try again later; operators make room.") from exc


def _write_all(file: BinaryIO, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[file.write(view) :]


def _write_down(path: Path, number: int) -> None:
    with path.open("w") as out:
        out.write(str(number))
        out.flush()
        os.fsync(out.fileno())
    sync_folder(path.parent)


def _marked(folder: Path, *, otherwise: int) -> int:
    try:
        text = (folder / "mark").read_text()
    except FileNotFoundError:
        return otherwise
    return int(text) if text.isdecimal() else 0  # a power cut may have left it empty


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
