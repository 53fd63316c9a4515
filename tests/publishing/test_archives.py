"""Archives of strangers: what is honest arrives whole, what is not is named, and leaves nothing outside the folder."""

import gzip
import io
import os
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import Permanent
from tasks.publishing.engine.archives import ArchiveRefused, Limits, unpack
from tasks.publishing.engine.names import NameRefused, Names, plain_path

Files = Sequence[tuple[str, bytes]]
SITE: Files = [
    ("index.html", b"<h1>Hello</h1>"),
    ("a/b/page.html", b"page"),
    ("a/empty.txt", b""),
    ("ü.txt", b"umlaut"),
]


def tarred(files: Files, *, folder: str = "", change: Callable[[tarfile.TarInfo], None] = lambda _: None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files:
            info = tarfile.TarInfo(folder + name)
            info.size = len(content)
            change(info)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files: Files, *, folder: str = "", mode: int = 0, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(folder + name)
            info.external_attr = mode << 16
            info.compress_type = method
            archive.writestr(info, content)
    return buffer.getvalue()


FORMATS: dict[str, Callable[..., bytes]] = {
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda files, **more: gzip.compress(tarred(files, **more)),
    "tar.zst": lambda files, **more: zstandard.compress(tarred(files, **more)),
}


def unpacked(folder: Path, content: bytes, **limits: int) -> dict[str, bytes]:
    """Unpack into ``folder/into``; whatever happens, nothing may be beside it."""
    archive, into = folder / "archive", folder / "into"
    archive.write_bytes(content)
    into.mkdir()
    try:
        count = unpack(archive, into, limits=Limits(**limits), checkpoint=lambda: None)
    finally:
        assert {path.name for path in folder.iterdir()} == {"archive", "into"}
    found = {path.relative_to(into).as_posix(): path.read_bytes() for path in into.rglob("*") if path.is_file()}
    assert count == len(found)
    return found


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("folder", ["", "site/", "./"])
def test_honest_archive_arrives_whole(tmp_path: Path, form: str, folder: str) -> None:
    assert unpacked(tmp_path, FORMATS[form](SITE, folder=folder)) == dict(SITE)


def test_what_is_in_two_folders_keeps_them(tmp_path: Path) -> None:
    assert unpacked(tmp_path, zipped([("a/x", b"1"), ("b/x", b"2")])) == {"a/x": b"1", "b/x": b"2"}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil", "leads out"),
        ("a/../../evil", "leads out"),
        ("a/../b", "leads out"),
        ("/etc/evil", "absolute"),
        ("..\\evil", "backslash"),
        ("C:evil", "Windows"),
        ("a/nul.txt", "Windows"),
        ("a/trailing.", "Windows"),
        ("line\nbreak", "control"),
        ("x" * 256, "longer than 255"),
        ("/".join("d" * 51), "folders deep"),
    ],
)
def test_path_that_leads_elsewhere_is_refused(tmp_path: Path, form: str, name: str, why: str) -> None:
    with pytest.raises(NameRefused, match=why):
        unpacked(tmp_path, FORMATS[form]([("index.html", b"x"), (name, b"evil")]))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ("a.txt", "a.txt", "there twice"),
        ("a.txt", "A.txt", "only in case"),
        ("Straße", "STRASSE", "only in case"),
        ("caf\u00e9", "cafe\u0301", "Unicode form"),
        ("A/x", "a/y", "only in case"),
        ("a", "a/b", "is a file"),
        ("a/b", "A", "is a folder"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_paths_that_are_one_file_somewhere_are_refused(
    tmp_path: Path, form: str, first: str, second: str, why: str
) -> None:
    with pytest.raises(NameRefused, match=why):
        unpacked(tmp_path, FORMATS[form]([(first, b"1"), (second, b"2")]))


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a device"),
        (tarfile.GNUTYPE_SPARSE, "holes|damaged"),
    ],
)
def test_what_is_no_file_in_a_tar_is_refused(tmp_path: Path, kind: bytes, why: str) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, "/etc/passwd"

    with pytest.raises(ArchiveRefused, match=why):
        unpacked(tmp_path, tarred([("thing", b"")], change=change))


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_what_is_no_file_in_a_zip_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ArchiveRefused, match="only files and folders"):
        unpacked(tmp_path, zipped([("thing", b"/etc/passwd")], mode=mode | 0o777))


def test_a_file_through_a_link_of_the_same_archive_is_not_written(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        link = tarfile.TarInfo("way")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        tar.addfile(link)
        evil = tarfile.TarInfo("way/evil")
        evil.size = 4
        tar.addfile(evil, io.BytesIO(b"evil"))
    (tmp_path / "box").mkdir()
    with pytest.raises(ArchiveRefused, match="a link"):
        unpacked(tmp_path / "box", buffer.getvalue())
    assert not list(outside.iterdir())


@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.zst"])
def test_bomb_is_refused_by_what_it_unpacks_to(tmp_path: Path, form: str) -> None:
    with pytest.raises(ArchiveRefused, match="200 times"):
        unpacked(tmp_path, FORMATS[form]([("zeros", bytes(64 * 2**20))]))


def test_zip_that_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    content = zipped([("a", os.urandom(1000) * 50)])
    lie = content.replace((50_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lie != content
    with pytest.raises(ArchiveRefused, match="damaged"):
        unpacked(tmp_path, lie)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"files": 3}, "more than 3 files"),
        ({"file_bytes": 10}, "over 10 bytes"),
        ({"bytes": 20}, "archive over 20 bytes"),
    ],
)
def test_limits_count_what_is_there(tmp_path: Path, form: str, limits: dict[str, int], why: str) -> None:
    random = [(f"{n}.bin", os.urandom(8)) for n in range(3)]
    more = random[:2] if "files" not in limits else [*random, ("4.bin", b"")]
    last: Any = [("big.bin", os.urandom(11))] if "file_bytes" in limits else [("c.bin", os.urandom(9))]
    with pytest.raises(ArchiveRefused, match=why):
        unpacked(tmp_path, FORMATS[form]([*more, *last]), **limits)


def test_100_000_entries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match="more than 50000 files"):
        unpacked(tmp_path, zipped([(f"{n}", b"") for n in range(100_000)], method=zipfile.ZIP_STORED))


def test_endless_folders_are_refused(tmp_path: Path) -> None:
    def folder(info: tarfile.TarInfo) -> None:
        info.type = tarfile.DIRTYPE

    with pytest.raises(ArchiveRefused, match="more than 10 files"):
        unpacked(tmp_path, tarred([(f"{n}", b"") for n in range(1100)], change=folder), files=10)


def test_header_of_a_name_never_fills_the_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.XHDTYPE, 512 * 2**20
    content = zstandard.compress(header.tobuf() + bytes(512 * 2**20))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveRefused, match="header of"):
            unpacked(tmp_path, content)
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped([("a", b"secret")]))
    central = content.index(b"PK\x01\x02")
    content[6] |= 1
    content[central + 8] |= 1
    with pytest.raises(ArchiveRefused, match="encrypted"):
        unpacked(tmp_path, bytes(content))


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"PK", b"PK\x03\x04", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", bytes(10_000)]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ArchiveRefused):
        unpacked(tmp_path, content)


@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.zst"])  # an empty tar is blocks of zeros, which anything may be
def test_empty_archive_is_refused(tmp_path: Path, form: str) -> None:
    with pytest.raises(ArchiveRefused, match="holds no file"):
        unpacked(tmp_path, FORMATS[form]([]))


@pytest.mark.parametrize("form", FORMATS)
def test_any_damage_is_told_as_such(tmp_path_factory: pytest.TempPathFactory, form: str) -> None:
    whole = FORMATS[form]([("index.html", os.urandom(2000)), ("b/c", os.urandom(100))])
    for at in range(0, len(whole), 37):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]):
            folder = tmp_path_factory.mktemp("damaged")
            try:
                unpacked(folder, damaged)
            except Permanent as exc:
                assert exc.message  # noqa: PT017  # some damage, as in a tar's content, cannot be seen


def test_cancelled_job_stops_in_mid_archive(tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    looks = iter(range(3))

    def checkpoint() -> None:
        if next(looks) == 2:
            raise Stop

    (tmp_path / "archive").write_bytes(tarred([(f"{n}", b"") for n in range(1000)]))
    (tmp_path / "into").mkdir()
    with pytest.raises(Stop):
        unpack(tmp_path / "archive", tmp_path / "into", limits=Limits(), checkpoint=checkpoint)
    assert len(list((tmp_path / "into").iterdir())) < 200


@given(st.text(max_size=40))
def test_a_path_that_is_taken_stays_in_the_folder(raw: str) -> None:
    """Whatever it is made of; and to take it again changes nothing."""
    try:
        path = plain_path(raw)
    except NameRefused:
        return
    assert plain_path(path) == path
    assert not path.startswith("/")
    assert ".." not in path.split("/")
    assert Path("/site", path).resolve().is_relative_to("/site")


def test_names_are_compared_as_all_systems_do() -> None:
    names = Names()
    for path in ("a/b", "a/c", "b", "ß/x"):
        names.add(path)
    with pytest.raises(NameRefused, match="only in case"):
        names.add("SS/y")
