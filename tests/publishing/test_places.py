"""A place for releases: content once, a pointer that only goes forward, and nothing half done that could be served."""

import hashlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.publishing.engine.places.folder import FolderPlace
from tasks.publishing.engine.places.place import ActivationRefused, Place, PlaceFailed, Pointer, Turn
from tasks.publishing.manifest import (
    IMMUTABLE,
    REVALIDATED,
    File,
    Manifest,
    Stored,
    difference,
    is_text,
    media_type_of,
)

FIRST = Turn("01a20000-0000-7000-8000-000000000001", 1)
LATER = Turn("01a20000-0000-7000-8000-000000000002", 1)


def stored(content: bytes) -> Stored:
    return Stored(hashlib.sha256(content).hexdigest(), len(content))


def manifest(files: dict[str, bytes]) -> Manifest:
    """A page is asked for each time; what is called like a hash never changes."""
    return Manifest(
        {
            path: File(
                stored(content),
                media_type_of(path),
                IMMUTABLE if ".f1" in path else REVALIDATED,
                {"br": stored(b"br" + content)} if path.endswith(".html") else {},
            )
            for path, content in files.items()
        }
    )


def publish(place: Place, folder: Path, files: dict[str, bytes], turn: Turn) -> str:
    made = manifest(files)
    contents = {stored(one): one for content in files.values() for one in (content, b"br" + content)}
    for wanted in place.lacks(made.all_stored()):
        (folder / "one").write_bytes(contents[wanted])
        place.put(wanted, folder / "one")
    place.prepare(made)
    place.activate(made.release, turn)
    return made.release


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(tmp_path / "root", "docs")


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "root/docs/live"


def test_release_is_served_as_plain_files(place: FolderPlace, tmp_path: Path, live: Path) -> None:
    release = publish(place, tmp_path, {"index.html": b"1", "a/b.f1.css": b"c"}, FIRST)
    assert (live / "index.html").read_bytes() == b"1"
    assert (live / "index.html.br").read_bytes() == b"br1"
    assert (live / "a/b.f1.css").read_bytes() == b"c"
    assert place.pointer() == Pointer(release, FIRST)
    assert place.manifest(release) == manifest({"index.html": b"1", "a/b.f1.css": b"c"})


def test_unchanged_content_is_kept_once(place: FolderPlace, tmp_path: Path, live: Path) -> None:
    publish(place, tmp_path, {"index.html": b"1", "same.txt": b"same"}, FIRST)
    second = manifest({"index.html": b"2", "same.txt": b"same", "copy.txt": b"same"})
    assert place.lacks(second.all_stored()) == {stored(b"2"), stored(b"br2")}
    publish(place, tmp_path, {"index.html": b"2", "same.txt": b"same", "copy.txt": b"same"}, LATER)
    assert (live / "copy.txt").stat().st_ino == (live / "same.txt").stat().st_ino


def test_who_has_an_old_page_open_still_gets_its_assets(place: FolderPlace, tmp_path: Path, live: Path) -> None:
    publish(place, tmp_path, {"index.html": b"1", "old.f1.css": b"old"}, FIRST)
    publish(place, tmp_path, {"index.html": b"2", "new.f1.css": b"new"}, LATER)
    assert not (live / "old.f1.css").exists()
    assert (live.parent / "fingerprinted/old.f1.css").read_bytes() == b"old"


def test_going_back_restores_every_byte(place: FolderPlace, tmp_path: Path, live: Path) -> None:
    first = publish(place, tmp_path, {"index.html": b"1", "a/gone.txt": b"g"}, FIRST)
    publish(place, tmp_path, {"index.html": b"2"}, LATER)
    before = place.activate(first, Turn(LATER.job_id, 2))
    assert before.release != first
    found = {path.relative_to(live).as_posix(): path.read_bytes() for path in live.rglob("*") if path.is_file()}
    assert found == {"index.html": b"1", "index.html.br": b"br1", "a/gone.txt": b"g"}


@pytest.mark.parametrize("late", [FIRST, Turn(LATER.job_id, 1)])
def test_late_attempt_cannot_move_the_pointer(place: FolderPlace, tmp_path: Path, late: Turn) -> None:
    old = publish(place, tmp_path, {"index.html": b"1"}, FIRST)
    new = publish(place, tmp_path, {"index.html": b"2"}, Turn(LATER.job_id, 2))
    with pytest.raises(ActivationRefused, match=LATER.job_id):
        place.activate(old, late)
    assert place.pointer() == Pointer(new, Turn(LATER.job_id, 2))


def test_the_same_turn_may_finish_what_it_began(place: FolderPlace, tmp_path: Path) -> None:
    release = publish(place, tmp_path, {"index.html": b"1"}, FIRST)
    place.activate(release, FIRST)
    other = manifest({})
    place.prepare(other)
    with pytest.raises(ActivationRefused):
        place.activate(other.release, FIRST)


def test_release_whose_content_is_not_there_is_not_prepared(place: FolderPlace) -> None:
    made = manifest({"index.html": b"1"})
    with pytest.raises(PlaceFailed):
        place.prepare(made)
    with pytest.raises(PlaceFailed, match="not prepared"):
        place.activate(made.release, FIRST)
    assert place.releases() == []


def test_content_that_is_not_what_its_name_says_is_not_kept(place: FolderPlace, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"changed meanwhile")
    with pytest.raises(PlaceFailed, match="changed"):
        place.put(stored(b"as it was"), tmp_path / "one")
    assert place.lacks([stored(b"as it was")])


def test_sweep_keeps_what_is_live_and_what_is_named(place: FolderPlace, tmp_path: Path, live: Path) -> None:
    turns = [Turn(f"01a20000-0000-7000-8000-00000000001{n}", 1) for n in range(3)]
    releases = [
        publish(place, tmp_path, {"index.html": b"%d" % n, f"{n}.f1.js": b"js%d" % n, "same": b"same"}, turn)
        for n, turn in enumerate(turns)
    ]
    assert place.sweep([releases[1]]) > 0
    assert sorted(place.releases()) == sorted(releases[1:])
    assert {path.name for path in (live.parent / "fingerprinted").iterdir()} == {"1.f1.js", "2.f1.js"}
    assert (live / "same").read_bytes() == b"same"
    assert place.lacks([stored(b"0")])
    assert not place.lacks([stored(b"1"), stored(b"br1"), stored(b"same")])
    assert place.sweep([releases[1]]) == 0


def publish_until_killed(folder: Path, left: int) -> None:
    """Publish again, and end like by kill -9 before change number ``left`` of the file system."""

    def count(event: str, _: object) -> None:
        nonlocal left
        if event in ("os.rename", "os.link", "os.symlink", "os.mkdir", "os.remove", "os.rmdir"):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    place = FolderPlace(folder / "root", "docs")
    sys.addaudithook(count)
    publish(place, folder, {"index.html": b"2", "new.f1.css": b"new"}, LATER)


def test_killed_at_every_step_the_old_release_is_live_or_the_new_one_whole(tmp_path: Path) -> None:
    """Before each change of the folder, in turn, the process is killed; then another does it again and sweeps."""
    kills = 0
    for step in range(100):
        folder = tmp_path / str(step)
        place, live = FolderPlace(folder / "root", "docs"), folder / "root/docs/live"
        publish(place, folder, {"index.html": b"1", "old.f1.css": b"old"}, FIRST)
        child = multiprocessing.get_context("fork").Process(target=publish_until_killed, args=(folder, step))
        child.start()
        child.join()
        ended = child.exitcode
        found = {path.name: path.read_bytes() for path in live.iterdir()}
        old = {"index.html": b"1", "index.html.br": b"br1", "old.f1.css": b"old"}
        new = {"index.html": b"2", "index.html.br": b"br2", "new.f1.css": b"new"}
        assert found == (new if ended == 0 else old) or (ended == -9 and found == new)
        again = publish(place, folder, {"index.html": b"2", "new.f1.css": b"new"}, Turn(LATER.job_id, 2))
        assert {path.name: path.read_bytes() for path in live.iterdir()} == new
        place.sweep([])
        assert place.releases() == [again]
        assert len(list((live.parent / "content").glob("*/*"))) == 3
        shutil.rmtree(folder)
        if ended == 0:
            break
        kills += 1
    assert kills > 10
    assert ended == 0


def test_many_may_publish_at_once(place: FolderPlace, tmp_path: Path, live: Path) -> None:
    turns = [Turn(f"01a20000-0000-7000-8000-0000000000{n:02}", 1) for n in range(20)]

    def one(n: int) -> bool:
        (tmp_path / str(n)).mkdir()
        try:
            publish(place, tmp_path / str(n), {"index.html": b"%d" % n, "same": b"same"}, turns[n])
        except ActivationRefused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(one, range(20)))
    assert done[-1]
    assert (live / "index.html").read_bytes() == b"19"
    assert place.pointer().turn == turns[-1]


def test_full_disk_is_told_as_such(place: FolderPlace, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100)
    before = os.statvfs(tmp_path)
    assert before.f_bavail > 0
    import resource  # the limit is set for a child only

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))

    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.publishing.test_places import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try: FolderPlace(Path(sys.argv[1])/'root','docs').put(stored(b'x'*100), Path(sys.argv[1])/'one')\n"
        "except PlaceFailed as exc: print(exc.message)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert "place for releases failed" in ended.stdout
    assert place.lacks([stored(b"x" * 100)])
    assert not list((tmp_path / "root/docs/coming").iterdir())


def test_the_same_files_are_the_same_release() -> None:
    one, other = manifest({"a": b"1", "b": b"2"}), manifest({"b": b"2", "a": b"1"})
    assert one.release == other.release == Manifest.from_json(one.to_json()).release
    assert one.release != manifest({"a": b"1", "b": b"3"}).release
    assert one.size == 2


def test_damaged_manifest_is_refused(place: FolderPlace, tmp_path: Path) -> None:
    release = publish(place, tmp_path, {"index.html": b"1"}, FIRST)
    path = tmp_path / "root/docs/manifests" / release
    path.write_bytes(path.read_bytes().replace(b"index", b"xxxxx"))
    with pytest.raises(PlaceFailed, match="damaged"):
        place.manifest(release)


def test_difference_counts_what_changed() -> None:
    found = difference(manifest({"a": b"1", "b": b"2", "c": b"3"}), manifest({"a": b"1", "b": b"22", "d": b"444"}))
    assert (found.added, found.changed, found.removed, found.bytes) == (("d",), ("b",), ("c",), 5)
    assert difference(None, manifest({"a": b"1"})).added == ("a",)


@pytest.mark.parametrize(
    ("path", "expected", "text"),
    [
        ("index.HTML", "text/html; charset=utf-8", True),
        ("a.mjs", "text/javascript; charset=utf-8", True),
        ("x.svg", "image/svg+xml", True),
        ("x.webmanifest", "application/manifest+json", True),
        ("x.png", "image/png", False),
        ("x.woff2", "font/woff2", False),
        ("x.TTF", "font/ttf", True),
        ("feed.atom", "application/atom+xml", True),
        ("unknown.zzz", "application/octet-stream", False),
        ("LICENSE", "application/octet-stream", False),
    ],
)
def test_media_types_are_the_same_everywhere(path: str, expected: str, text: bool) -> None:
    assert media_type_of(path) == expected
    assert is_text(expected) is text
