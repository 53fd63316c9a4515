"""The bytes: whatever comes in between, what is complete is what was sent."""

import errno
import hashlib
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import ChecksumMismatch, StorageFull, TooLarge, UploadLocked
from tasks.core.ids import new_id
from tasks.core.uploads.files import Checksum, Source, UploadFiles

CONTENT = bytes(range(256)) * 3000


def source(data: bytes, *, step: int = 1 << 30) -> Source:
    """A sender that gives at most ``step`` bytes at a time, and then is at its end."""
    pieces = iter([data[at : at + step] for at in range(0, len(data), step)])
    held = b""

    def read(size: int) -> bytes:
        nonlocal held
        held = held or next(pieces, b"")
        given_, held = held[:size], held[size:]
        return given_

    return read


def sha256_of(data: bytes) -> Checksum:
    return Checksum("sha256", hashlib.sha256(data).digest())


@pytest.fixture
def files(tmp_path: Path) -> UploadFiles:
    return UploadFiles(tmp_path)


def send(files: UploadFiles, upload_id: str, data: bytes, **options: Any) -> int:
    with files.writing(upload_id) as writing:
        return writing.append(source(data), **({"at_most": len(data)} | options))


def finish(files: UploadFiles, upload_id: str, announced: str | None = None) -> str:
    with files.writing(upload_id) as writing:
        return writing.finish(announced=announced)


def read(files: UploadFiles, upload_id: str) -> bytes:
    with files.open(upload_id) as file:
        return file.read()


def test_content_is_there_once_it_is_finished(files: UploadFiles) -> None:
    """And not before."""
    upload_id = new_id()
    assert 0 == files.length(upload_id)
    send(files, upload_id, CONTENT)
    with pytest.raises(FileNotFoundError):
        files.open(upload_id)
    assert hashlib.sha256(CONTENT).hexdigest() == finish(files, upload_id)
    assert CONTENT == read(files, upload_id)
    assert (len(CONTENT), len(CONTENT)) == (files.length(upload_id), files.size(upload_id))
    assert [upload_id] == list(files.ids())
    files.erase(upload_id)
    assert ([], 0) == (list(files.ids()), files.length(upload_id))


def test_finishing_twice_gives_the_same(files: UploadFiles) -> None:
    """A process may have died between the rename and the row."""
    upload_id = new_id()
    send(files, upload_id, CONTENT)
    assert finish(files, upload_id) == finish(files, upload_id)


def test_file_without_bytes_can_be_finished(files: UploadFiles) -> None:
    """Nothing was ever written of it."""
    upload_id = new_id()
    assert hashlib.sha256(b"").hexdigest() == finish(files, upload_id)
    assert b"" == read(files, upload_id)


steps = st.lists(
    st.tuples(
        st.integers(1, 70_000),  # bytes that the client means to send
        st.integers(0, 70_000),  # bytes after which it is lost
        st.sampled_from(["plain", "sha1", "sha256", "wrong"]),
        st.integers(1, 70_000),  # bytes that come at a time
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200_000), steps=steps)
def test_any_chunking_gives_the_same_sha256(data: bytes, steps: list[tuple[int, int, str, int]]) -> None:
    """Pieces of any size, with checksums or without, right or wrong, broken off anywhere, each by a new process."""
    upload_id = new_id()
    with TemporaryDirectory() as root:
        for size, lost_after, check, step in [*steps, (len(data), len(data), "plain", 65_536)]:
            files = UploadFiles(Path(root))
            offset = files.length(upload_id)
            meant = data[offset : offset + size]
            came = meant[:lost_after]
            digest = None if check == "plain" else hashlib.new("sha256" if check == "wrong" else check, meant).digest()
            checksum = None if digest is None else Checksum(check, digest)
            if check == "wrong":
                checksum = Checksum("sha256", hashlib.sha256(meant + b"!").digest())
            with files.writing(upload_id) as writing, suppress(ChecksumMismatch):
                writing.append(source(came, step=step), at_most=len(meant), checksum=checksum)
            kept = came if checksum is None or (check != "wrong" and came == meant) else b""
            assert offset + len(kept) == files.length(upload_id)
        assert hashlib.sha256(data).hexdigest() == finish(files, upload_id)
        assert data == read(files, upload_id)


def test_second_writer_is_refused(files: UploadFiles) -> None:
    """In another thread or another process: the lock is the kernel's."""
    upload_id = new_id()
    with files.writing(upload_id), pytest.raises(UploadLocked, match=upload_id), files.writing(upload_id):
        pass
    with files.writing(upload_id):
        pass


def _write_for_ever(root: Path, upload_id: str, checksum: Checksum | None, told: Any) -> None:
    def endless(size: int) -> bytes:
        told.send_bytes(b"x")
        return b"y" * min(size, 1000)

    with UploadFiles(root).writing(upload_id) as writing:
        writing.append(endless, at_most=1 << 40, checksum=checksum)


@pytest.mark.parametrize("checksum", [None, sha256_of(CONTENT)])
def test_killed_writer_leaves_a_true_length_and_no_lock(
    files: UploadFiles, tmp_path: Path, checksum: Checksum | None
) -> None:
    """With a checksum, what was not checked yet does not count."""
    upload_id = new_id()
    send(files, upload_id, b"a" * 10)
    hears, tells = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=_write_for_ever, args=(tmp_path, upload_id, checksum, tells))
    child.start()
    for _ in range(50):
        hears.recv_bytes()
    with pytest.raises(UploadLocked), files.writing(upload_id):
        pass
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    hears.close()
    tells.close()
    length = files.length(upload_id)
    assert length == 10 if checksum else length >= 10 + 49_000
    with files.writing(upload_id) as writing:
        assert length == writing.length
    assert length == files.length(upload_id) == files.size(upload_id)
    send(files, upload_id, b"b" * 5)
    finish(files, upload_id)
    assert b"a" * 10 + b"y" * (length - 10) + b"b" * 5 == read(files, upload_id)


def test_empty_mark_means_nothing_was_checked(files: UploadFiles, tmp_path: Path) -> None:
    """A power cut may keep a file's name and lose its bytes."""
    upload_id = new_id()
    send(files, upload_id, CONTENT)
    (tmp_path / "uploads" / upload_id / "mark").touch()
    assert 0 == files.length(upload_id)


def test_wrong_checksum_discards_the_piece(files: UploadFiles) -> None:
    """Only that piece."""
    upload_id = new_id()
    send(files, upload_id, b"good", checksum=sha256_of(b"good"))
    with pytest.raises(ChecksumMismatch, match="from 4 on"):
        send(files, upload_id, b"bad", checksum=sha256_of(b"fine"))
    assert 4 == files.length(upload_id)
    send(files, upload_id, b"fine", checksum=sha256_of(b"fine"))
    finish(files, upload_id)
    assert b"goodfine" == read(files, upload_id)


def test_wrong_whole_discards_all(files: UploadFiles) -> None:
    """Nobody can tell which piece was wrong."""
    upload_id = new_id()
    send(files, upload_id, b"bad")
    with pytest.raises(ChecksumMismatch, match="begin again from 0"):
        finish(files, upload_id, announced=hashlib.sha256(b"fine").hexdigest())
    assert 0 == files.length(upload_id)


def test_more_than_there_is_room_for_is_discarded(files: UploadFiles) -> None:
    """A body of unknown length that goes beyond the end is somebody's mistake."""
    upload_id = new_id()
    send(files, upload_id, b"12345")
    with pytest.raises(TooLarge):
        send(files, upload_id, b"678901", at_most=5)
    assert 5 == files.length(upload_id)


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], None]]:
    """Limits how large a file of this process may get, which fails as a full disk does."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_full_disk_is_told_and_what_fitted_stays(files: UploadFiles, small_disk: Callable[[int], None]) -> None:
    """The client goes on when there is room."""
    upload_id = new_id()
    small_disk(100_000)
    with pytest.raises(StorageFull) as refused:
        send(files, upload_id, CONTENT)
    assert errno.EFBIG == refused.value.__cause__.errno  # type: ignore[union-attr]
    small_disk(1 << 30)
    length = files.length(upload_id)
    assert 0 < length <= 100_000
    send(files, upload_id, CONTENT[length:])
    finish(files, upload_id)
    assert CONTENT == read(files, upload_id)


def test_nameless_file_leaves_nothing(files: UploadFiles, tmp_path: Path) -> None:
    """It lies where uploads do, so that it counts on the same disk."""
    with files.scratch() as scratch:
        scratch.write(b"x" * 1000)
        assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]
    shutil.rmtree(tmp_path / "uploads")
    assert [] == list(files.ids())
