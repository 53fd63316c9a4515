"""Unpacks a stranger's archive (zip, tar, tar.gz, tar.zst) into an empty folder: plain files, or nothing.

Never by the libraries' own ``extractall``: each member's name, kind and true size are checked, and its bytes counted
while they are read, because headers say what their author likes.
"""

import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, Self

import zstandard

from tasks.core.errors import Permanent
from tasks.publishing.engine.names import Names, plain_path

_BLOCK = 256 * 1024
# What one member may grow to, compared with its bytes in the archive; deflate's own limit is 1032.
_MAX_RATIO = 200
# Below this a bomb is a nuisance at most, and long runs of blanks are honest.
_RATIO_COUNTS_FROM_BYTES = 8 * 2**20
# Kinds of a Unix file in the upper half of a zip member's attributes.
_ZIP_KINDS = {
    0o120000: "a symbolic link",
    0o020000: "a device",
    0o060000: "a device",
    0o010000: "a pipe",
    0o140000: "a socket",
}
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, zstandard.ZstdError, EOFError)
_CHECKPOINT_EVERY = 64
# Of a tar's headers that carry a long name; the library reads each at once into memory.
_MAX_HEADER_BYTES = 64 * 1024


class ArchiveRefused(Permanent):
    """An archive that is damaged, hostile or too large; nothing of it is used."""

    code = "archive_refused"


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may hold once unpacked."""

    files: int = 50_000
    bytes: int = 2 * 2**30
    file_bytes: int = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive."""

    name: str
    is_folder: bool
    # In the archive; where members are not packed one by one, of the whole archive.
    packed_bytes: int
    # Why it is no plain file, or None.
    oddity: str | None
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, into: Path, *, limits: Limits, checkpoint: Callable[[], None]) -> int:
    """Unpack ``archive`` into the empty folder ``into``; return how many files there are.

    A single folder around everything is taken off, as when a folder itself was packed.

    Raises:
        ArchiveRefused: it is none of the four, is damaged, is over a limit, or holds links or devices.
        NameRefused: a path leads out, or two paths are one file on some systems.
    """
    names, count, total = Names(), 0, 0
    with archive.open("rb") as file, _readable(), _members(file, limits) as members:
        for number, member in enumerate(members):
            if number % _CHECKPOINT_EVERY == 0:
                checkpoint()
            if number >= 2 * limits.files + 1000:
                raise _too_many(limits)
            path = plain_path(member.name)
            if member.oddity:
                raise ArchiveRefused(
                    f"{member.name[:120]!r} in the archive is {member.oddity}; only files and folders can be "
                    "published: replace it by what it stands for.",
                    field="source",
                )
            if member.is_folder or not path:
                continue
            names.add(path)
            count += 1
            if count > limits.files:
                raise _too_many(limits)
            total += _write(member, into / path, limits=limits, left_bytes=limits.bytes - total)
    if not count:
        raise ArchiveRefused("The archive holds no file.", field="source")
    _take_off_outer_folder(into)
    return count


def _write(member: Member, path: Path, *, limits: Limits, left_bytes: int) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with member.open() as source, path.open("xb") as target:
        while block := source.read(_BLOCK):
            written += len(block)
            if written > limits.file_bytes:
                raise _too_large(member, f"is over {limits.file_bytes:,} bytes unpacked")
            if written > left_bytes:
                raise _too_large(member, f"brings the archive over {limits.bytes:,} bytes unpacked")
            if written > max(_RATIO_COUNTS_FROM_BYTES, _MAX_RATIO * member.packed_bytes):
                raise _too_large(member, f"unpacks to over {_MAX_RATIO} times its size")
            target.write(block)
    return written


def _too_many(limits: Limits) -> ArchiveRefused:
    return ArchiveRefused(f"The archive has more than {limits.files} files.", field="source")


def _too_large(member: Member, why: str) -> ArchiveRefused:
    return ArchiveRefused(f"{member.name[:120]!r} in the archive {why}.", field="source")


def _take_off_outer_folder(into: Path) -> None:
    entries = list(into.iterdir())
    if len(entries) != 1 or not entries[0].is_dir():
        return
    outer = entries[0].rename(into / ".outer")
    for entry in list(outer.iterdir()):
        entry.rename(into / entry.name)
    outer.rmdir()


@contextmanager
def _readable() -> Iterator[None]:
    """Tell a damaged archive from an error of ours."""
    try:
        yield
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        zlib.error,
        zstandard.ZstdError,
        EOFError,
    ) as exc:
        raise ArchiveRefused(f"The archive is damaged: {exc}.", field="source") from exc
    except NotImplementedError as exc:  # zipfile's word for a method that it does not know
        raise ArchiveRefused(f"The archive cannot be read: {exc}. Pack it with deflate.", field="source") from exc


@contextmanager
def _members(file: BinaryIO, limits: Limits) -> Iterator[Iterator[Member]]:
    head = file.read(265)
    file.seek(0)
    size = os.fstat(file.fileno()).st_size
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        with zipfile.ZipFile(file) as archive:
            if sum(not info.is_dir() for info in archive.infolist()) > limits.files:
                raise _too_many(limits)
            yield _of_zip(archive)
    elif head.startswith(b"\x1f\x8b"):
        with tarfile.open(fileobj=file, mode="r|gz", tarinfo=_Header) as tar:
            yield _of_tar(tar, size)
    elif head.startswith(b"\x28\xb5\x2f\xfd"):
        reader = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(file, read_across_frames=True)
        with reader, tarfile.open(fileobj=reader, mode="r|", tarinfo=_Header) as tar:
            yield _of_tar(tar, size)
    elif head[257:262] == b"ustar":
        with tarfile.open(fileobj=file, mode="r|", tarinfo=_Header) as tar:
            yield _of_tar(tar, size)
    else:
        raise ArchiveRefused("The upload is no zip, tar, tar.gz or tar.zst archive.", field="source")


class _Header(tarfile.TarInfo):
    """A header of a tar; long names that are longer than any path end the reading."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """See ``tarfile``."""
        header = super().frombuf(buf, encoding, errors)
        if header.type not in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE) and header.size > _MAX_HEADER_BYTES:
            raise ArchiveRefused(f"The archive has a header of {header.size:,} bytes.", field="source")
        return header


def _of_zip(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        kind = _ZIP_KINDS.get((info.external_attr >> 16) & 0o170000)
        if info.flag_bits & 0x1:
            kind = "encrypted"
        yield Member(
            # ``filename`` was cut at the first NUL; ``orig_filename`` was not.
            name=info.orig_filename,
            is_folder=info.is_dir(),
            packed_bytes=info.compress_size,
            oddity=kind,
            open=partial(archive.open, info),
        )


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(info)
    assert content is not None  # noqa: S101  # only what is no file has none
    return content


def _of_tar(tar: tarfile.TarFile, size: int) -> Iterator[Member]:
    for info in tar:
        oddity = None
        if info.issym() or info.islnk():
            oddity = f"a link to {info.linkname[:120]!r}"
        elif not (info.isreg() or info.isdir()):
            oddity = "a device, a pipe or a thing of another kind"
        elif info.issparse():
            oddity = "a file with holes"
        yield Member(
            name=info.name,
            is_folder=info.isdir(),
            packed_bytes=size,
            oddity=oddity,
            open=partial(_content, tar, info),
        )
