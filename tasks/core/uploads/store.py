"""Uploads as their tenants see them: rows in the ledger, bytes in files, and the two told to agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from tasks.core.clock import now
from tasks.core.errors import InputRejected, NotFound, OffsetMismatch, TooLarge
from tasks.core.ids import new_id
from tasks.core.ledger import Ledger
from tasks.core.ledger import uploads as rows
from tasks.core.records import Upload
from tasks.core.uploads.files import Checksum, Source, UploadFiles, Writing


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What may be kept: of one upload, and of one tenant's together."""

    upload_bytes: int
    tenant_bytes: int


@dataclass(frozen=True, slots=True)
class Announced:
    """What a client says of a file before it sends it. ``metadata`` is kept as it came (``Upload-Metadata``)."""

    size_bytes: int
    name: str | None = None
    media_type: str = "application/octet-stream"
    sha256: str | None = None
    metadata: str = ""


class Watch(Protocol):
    """Is told what arrives."""

    def took(self, size_bytes: int) -> None:
        """So many bytes came."""
        ...

    def completed(self) -> None:
        """An upload is complete."""
        ...


class Uploads:
    """Takes, finds and removes uploads. Every call is for one tenant; another's upload is one that is not there.

    Args:
        watch: is told what arrives.
    """

    def __init__(self, ledger: Ledger, root: Path, limits: UploadLimits, *, watch: Watch | None = None) -> None:
        self._ledger = ledger
        self.files = UploadFiles(root)
        self.limits = limits
        self._watch = watch

    def create(self, tenant_id: str, announced: Announced) -> Upload:
        """Begin an upload; one of no bytes is complete at once.

        Raises:
            TooLarge: it would be over the limit.
            QuotaExceeded: with it, the tenant's would be.
            ChecksumMismatch: no bytes were announced with the SHA-256 of some.
        """
        if announced.size_bytes > self.limits.upload_bytes:
            raise TooLarge(
                f"{announced.size_bytes} bytes are over the limit of one upload, {self.limits.upload_bytes}."
            )
        at = now()
        upload = Upload(
            id=new_id(),
            tenant_id=tenant_id,
            size_bytes=announced.size_bytes,
            name=announced.name,
            media_type=announced.media_type,
            metadata=announced.metadata,
            sha256=announced.sha256,
            created_at=at,
            used_at=at,
            completed_at=None,
        )
        rows.create(self._ledger, upload, quota_bytes=self.limits.tenant_bytes)
        return self._settled(upload) if upload.size_bytes == 0 else upload

    def append(
        self,
        tenant_id: str,
        upload_id: str,
        *,
        offset: int,
        source: Source,
        length: int | None = None,
        checksum: Checksum | None = None,
    ) -> tuple[Upload, int]:
        """Add a piece that begins at ``offset``; return the upload and how far it is now.

        When the last piece is there, the whole is checked and complete. ``length`` is how long the piece will be, where
        that is known; a piece that breaks off leaves what came of it.

        Raises:
            NotFound: this tenant has no such upload.
            UploadLocked: another request is sending to it.
            OffsetMismatch: the piece does not begin where the upload ends.
            TooLarge: the piece goes beyond the end of the upload; nothing was added.
            ChecksumMismatch: the piece, or the whole, is not what was announced; it was discarded.
            StorageFull: there is no room; what fitted stays.
        """
        upload = rows.touch(self._ledger, rows.find(self._ledger, upload_id, tenant_id=tenant_id))
        try:
            with self.files.writing(upload_id) as writing:
                _check_piece(upload, offset=offset, length=length, have=writing.length)
                left = upload.size_bytes - offset
                if left or length is None:
                    writing.append(self._watched(source), at_most=left if length is None else length, checksum=checksum)
                if not upload.is_complete and writing.length == upload.size_bytes:
                    return self._finish(upload, writing), upload.size_bytes
                return rows.touch(self._ledger, upload), writing.length
        except FileNotFoundError as exc:
            raise NotFound(f"Upload {upload_id} was removed meanwhile.") from exc

    def whole(self, tenant_id: str, announced: Announced, source: Source) -> Upload:
        """Take a file in one piece, or nothing of it.

        Raises:
            InputRejected: it broke off (``malformed``).
            TooLarge, QuotaExceeded, ChecksumMismatch, StorageFull: as ``create`` and ``append`` do.
        """
        upload = self.create(tenant_id, announced)
        if upload.is_complete:
            return upload
        try:
            upload, offset = self.append(tenant_id, upload.id, offset=0, source=source, length=upload.size_bytes)
            if not upload.is_complete:
                raise InputRejected(
                    f"The body broke off after {offset} of {upload.size_bytes} bytes: send it again.", code="malformed"
                )
        except BaseException:
            self.remove(tenant_id, upload.id)
            raise
        return upload

    def state(self, tenant_id: str, upload_id: str) -> tuple[Upload, int]:
        """Return an upload and how far it is.

        Raises:
            NotFound: this tenant has no such upload.
            UploadLocked: its last piece is just being checked.
            ChecksumMismatch: all bytes are there, and are not what was announced; they were discarded.
        """
        upload = rows.find(self._ledger, upload_id, tenant_id=tenant_id)
        if not upload.is_complete and self.files.length(upload_id) >= upload.size_bytes:
            upload = self._settled(upload)  # whoever took the last piece died before saying so
        return upload, self.offset(upload)

    def offset(self, upload: Upload) -> int:
        """Return how much of an upload is there."""
        return upload.size_bytes if upload.is_complete else self.files.length(upload.id)

    def listing(
        self, tenant_id: str, *, sha256: str | None, complete: bool | None, before: str | None, limit: int
    ) -> list[Upload]:
        """List uploads, newest first. Asking for a digest counts as using what is found."""
        found = rows.listing(
            self._ledger, tenant_id=tenant_id, sha256=sha256, complete=complete, before=before, limit=limit
        )
        return found if sha256 is None else [rows.touch(self._ledger, upload) for upload in found]

    def kept_bytes(self, tenant_id: str) -> int:
        """Return how much the tenant's uploads have together."""
        return rows.kept_bytes(self._ledger, tenant_id)

    def find_all(self, tenant_id: str, upload_ids: Sequence[str]) -> Mapping[str, Upload]:
        """Return those of these uploads that the tenant has, by id."""
        return rows.find_all(self._ledger, upload_ids, tenant_id=tenant_id)

    def scratch(self) -> BinaryIO:
        """Open a file without a name for what is not an upload yet; it goes when it is closed."""
        return self.files.scratch()

    def open(self, tenant_id: str, upload_id: str) -> BinaryIO:
        """Open the content of a complete upload; whoever asks closes it.

        Raises:
            NotFound: this tenant has no such upload, or not all of it.
        """
        if rows.find(self._ledger, upload_id, tenant_id=tenant_id).is_complete:
            try:
                return self.files.open(upload_id)
            except FileNotFoundError as exc:
                raise NotFound(f"The content of upload {upload_id} is gone from the storage.") from exc
        raise NotFound(f"Upload {upload_id} is not complete.")

    def remove(self, tenant_id: str, upload_id: str) -> None:
        """Delete an upload, complete or not.

        Raises:
            NotFound: this tenant has no such upload.
            Conflict: a job needs it.
            UploadLocked: somebody is sending it.
        """
        rows.find(self._ledger, upload_id, tenant_id=tenant_id)
        with self.files.writing(upload_id):
            rows.delete(self._ledger, upload_id, tenant_id=tenant_id)
            self.files.erase(upload_id)

    def _watched(self, source: Source) -> Source:
        watch = self._watch
        if watch is None:
            return source

        def read(size: int) -> bytes:
            block = source(size)
            watch.took(len(block))
            return block

        return read

    def _settled(self, upload: Upload) -> Upload:
        with self.files.writing(upload.id) as writing:
            return self._finish(upload, writing)

    def _finish(self, upload: Upload, writing: Writing) -> Upload:
        sha256 = writing.finish(announced=upload.sha256)
        try:
            complete = rows.complete(self._ledger, upload.id, sha256=sha256)
        except NotFound:  # it was swept meanwhile
            self.files.erase(upload.id)
            raise
        if self._watch is not None:
            self._watch.completed()
        return complete


def _check_piece(upload: Upload, *, offset: int, length: int | None, have: int) -> None:
    if offset != have:
        raise OffsetMismatch(
            f"Upload {upload.id} has {have} bytes: go on from there, not from {offset}.", field="Upload-Offset"
        )
    if length is not None and offset + length > upload.size_bytes:
        raise TooLarge(f"{length} bytes from {offset} on go beyond the end, {upload.size_bytes} bytes.")
