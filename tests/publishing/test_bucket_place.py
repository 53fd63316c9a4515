"""A bucket as the place for releases: content once, a pointer that only goes forward, nothing half done is served."""

import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.publishing.bucket import Bucket
from tasks.publishing.engine.places.bucket import BucketPlace
from tasks.publishing.engine.places.place import ActivationRefused, PlaceFailed, PlaceRefused, Pointer, Turn
from tasks.publishing.manifest import Manifest
from tests.publishing.bucket_server import BucketServer, Road, Trouble
from tests.publishing.test_places import FIRST, LATER, manifest, publish, stored

ONE = {"index.html": b"1", "a/b.f1.css": b"c"}
TWO = {"index.html": b"2", "a/b.f1.css": b"c"}
AGAIN = Turn(LATER.job_id, 2)


def site(bucket: Bucket) -> Bucket:
    return bucket.below("tenant", "docs")


def contents(bucket: Bucket) -> set[str]:
    return {*site(bucket).sizes("content/")}


def hashes(*made: Manifest) -> set[str]:
    return {one.sha256 for each in made for one in each.all_stored()}


def prepared(bucket: Bucket, folder: Path, files: dict[str, bytes]) -> str:
    """A release that is ready to be live, made by one who died then."""

    class Stopped(BucketPlace):
        def activate(self, release: str, turn: Turn) -> Pointer:
            return Pointer()

    return publish(Stopped(site(bucket)), folder, files, FIRST)


@pytest.fixture
def place(bucket: Bucket) -> BucketPlace:
    return BucketPlace(site(bucket))


@pytest.fixture
def new_place(bucket: Bucket) -> Callable[[], BucketPlace]:
    """Of the next attempt or job."""
    return lambda: BucketPlace(site(bucket))


def test_release_is_objects_by_their_content(place: BucketPlace, bucket: Bucket, tmp_path: Path) -> None:
    assert place.pointer() == Pointer()
    release = publish(place, tmp_path, ONE, FIRST)
    assert contents(bucket) == hashes(manifest(ONE))
    assert (b"1", b"c") == (place.live_content("index.html"), place.live_content("a/b.f1.css"))
    assert place.pointer() == Pointer(release, FIRST)
    assert place.manifest(release) == manifest(ONE)
    assert place.releases() == [release]
    with pytest.raises(PlaceFailed, match="has no"):
        place.live_content("none.html")


def test_unchanged_content_is_never_uploaded_again(new_place: Any, road: Road, bucket: Bucket, tmp_path: Path) -> None:
    publish(new_place(), tmp_path, ONE, FIRST)
    road.asked.clear()
    second = new_place()
    assert second.lacks(manifest(TWO).all_stored()) == {stored(b"2"), stored(b"br2")}
    (tmp_path / "one").write_bytes(b"1")
    second.put(stored(b"1"), tmp_path / "one")
    publish(second, tmp_path, TWO, LATER)
    uploaded = [path for path in road.writes() if "/content/" in path]
    assert 2 == len(uploaded)
    road.asked.clear()
    publish(new_place(), tmp_path, TWO, AGAIN)
    assert [] == [path for path in road.writes() if "/content/" in path]


def test_going_back_restores_every_byte(new_place: Any, tmp_path: Path) -> None:
    first = publish(new_place(), tmp_path, {"index.html": b"1", "a/gone.txt": b"g"}, FIRST)
    publish(new_place(), tmp_path, TWO, LATER)
    place = new_place()
    before = place.activate(first, AGAIN)
    assert before.release == manifest(TWO).release
    assert (b"1", b"g") == (place.live_content("index.html"), place.live_content("a/gone.txt"))


@pytest.mark.parametrize("late", [FIRST, Turn(LATER.job_id, 1)])
def test_late_attempt_cannot_move_the_pointer(new_place: Any, tmp_path: Path, late: Turn) -> None:
    old = publish(new_place(), tmp_path, ONE, FIRST)
    new = publish(new_place(), tmp_path, TWO, AGAIN)
    with pytest.raises(ActivationRefused, match=LATER.job_id):
        new_place().activate(old, late)
    assert new_place().pointer() == Pointer(new, AGAIN)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_zombie_between_its_look_and_its_write_is_refused(
    place: BucketPlace, new_place: Any, road: Road, bucket: Bucket, tmp_path: Path, bucket_server: BucketServer,
    is_first: bool,
) -> None:  # fmt: skip
    """It has seen that it is its turn, and stops; another goes live; its write comes after that."""
    if not is_first:
        publish(new_place(), tmp_path, {"index.html": b"0"}, replace(FIRST, fence=0))
    old = prepared(bucket, tmp_path, ONE)
    new = prepared(bucket, tmp_path, TWO)
    directly = BucketPlace(site(bucket_server.bucket(bucket.name)))
    overtaken: list[Pointer] = []

    def overtake(method: str, path: str) -> Trouble:
        if method == "PUT" and path.endswith("/live.json") and not overtaken:
            overtaken.append(directly.activate(new, LATER))
        return None

    road.trouble = overtake
    with pytest.raises(ActivationRefused, match=LATER.job_id):
        place.activate(old, FIRST)
    assert 1 == len(overtaken)
    assert place.pointer() == Pointer(new, LATER)


def test_an_earlier_turn_between_look_and_write_is_gone_over(
    place: BucketPlace, road: Road, bucket: Bucket, tmp_path: Path, bucket_server: BucketServer
) -> None:
    """The later job looks again and goes live."""
    old, new = prepared(bucket, tmp_path, ONE), prepared(bucket, tmp_path, TWO)
    directly = BucketPlace(site(bucket_server.bucket(bucket.name)))
    met: list[Pointer] = []

    def meet(method: str, path: str) -> Trouble:
        if method == "PUT" and path.endswith("/live.json") and not met:
            met.append(directly.activate(old, FIRST))
        return None

    road.trouble = meet
    assert place.activate(new, LATER) == Pointer(old, FIRST)
    assert place.pointer() == Pointer(new, LATER)


def test_an_activation_whose_answer_was_lost_knows_that_it_is_live(
    place: BucketPlace, road: Road, bucket: Bucket, tmp_path: Path
) -> None:
    """The library asks again, is told that the condition does not hold, and the pointer says whose it is."""
    publish(place, tmp_path, ONE, FIRST)
    new = prepared(bucket, tmp_path, TWO)
    lost: list[str] = []

    def lose(method: str, path: str) -> Trouble:
        if method == "PUT" and path.endswith("/live.json") and not lost:
            lost.append(path)
            return "lose_answer"
        return None

    road.trouble = lose
    assert place.activate(new, LATER) == Pointer(manifest(ONE).release, FIRST)
    assert lost
    assert place.pointer() == Pointer(new, LATER)
    assert place.activate(new, LATER).release == new, "and again"


def test_release_whose_content_is_not_there_is_not_prepared(place: BucketPlace) -> None:
    made = manifest(ONE)
    with pytest.raises(PlaceFailed, match="3 contents"):
        place.prepare(made)
    with pytest.raises(PlaceFailed, match="not prepared"):
        place.activate(made.release, FIRST)
    with pytest.raises(PlaceFailed, match="not prepared"):
        place.manifest(made.release)
    assert place.releases() == []


def test_content_that_vanished_since_it_was_asked_for_is_noticed(
    new_place: Any, bucket: Bucket, tmp_path: Path
) -> None:
    """Before anything of it can be live, and the next attempt brings it."""
    publish(new_place(), tmp_path, ONE, FIRST)
    place = new_place()
    assert not place.lacks([stored(b"c")])
    site(bucket).delete(f"content/{stored(b'c').sha256}")
    with pytest.raises(PlaceFailed, match="1 contents"):
        publish(place, tmp_path, TWO | {"index.html": b"1"}, LATER)
    publish(new_place(), tmp_path, TWO, AGAIN)
    assert b"c" == new_place().live_content("a/b.f1.css")


@pytest.mark.parametrize("size", [100, 9 << 20])
def test_content_that_is_not_what_its_name_says_is_not_kept(place: BucketPlace, tmp_path: Path, size: int) -> None:
    (tmp_path / "one").write_bytes(b"x" * size)
    with pytest.raises(PlaceFailed, match="changed"):
        place.put(replace(stored(b"as it was"), size=size), tmp_path / "one")
    assert place.lacks([stored(b"as it was")])


def test_a_large_content_is_sent_from_its_file(place: BucketPlace, new_place: Any, tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 9
    (tmp_path / "one").write_bytes(content)
    place.put(stored(content), tmp_path / "one")
    assert not new_place().lacks([stored(content)])


def test_sweep_keeps_what_is_live_and_what_is_named(new_place: Any, bucket: Bucket, tmp_path: Path) -> None:
    turns = [Turn(f"01a20000-0000-7000-8000-00000000001{n}", 1) for n in range(3)]
    files = [{"index.html": b"%d" % n, f"{n}.f1.js": b"js%d" % n, "same": b"same"} for n in range(3)]
    releases = [publish(new_place(), tmp_path, each, turn) for each, turn in zip(files, turns, strict=True)]
    (tmp_path / "one").write_bytes(b"orphan")
    new_place().put(stored(b"orphan"), tmp_path / "one")
    place = new_place()
    assert 1 + 3 + 3 + len(b"orphan") == place.sweep([releases[1], "f" * 64])
    assert sorted(place.releases()) == sorted(releases[1:])
    assert contents(bucket) == hashes(*(manifest(each) for each in files[1:]))
    assert place.sweep([releases[1]]) == 0
    assert place.sweep([]) > 0
    assert place.releases() == [releases[2]]


def test_who_was_overtaken_sweeps_nothing(new_place: Any, bucket: Bucket, tmp_path: Path) -> None:
    """It may hold for an orphan what its successor counts on."""
    publish(new_place(), tmp_path, ONE, FIRST)
    zombie, successor = new_place(), new_place()
    assert not zombie.lacks([stored(b"c")])
    (tmp_path / "one").write_bytes(b"2")
    successor.put(stored(b"2"), tmp_path / "one")
    assert 0 == zombie.sweep([])
    assert stored(b"2").sha256 in contents(bucket)
    assert 1 == successor.sweep([])


def test_a_damaged_manifest_or_content_is_told(place: BucketPlace, bucket: Bucket, tmp_path: Path) -> None:
    release = publish(place, tmp_path, ONE, FIRST)
    there = {"media_type": "x/y", "cache_control": "no-store"}
    site(bucket).put(f"content/{stored(b'1').sha256}", b"0", **there)
    with pytest.raises(PlaceFailed, match="damaged"):
        place.live_content("index.html")
    site(bucket).delete(f"content/{stored(b'1').sha256}")
    with pytest.raises(PlaceFailed, match="not in the bucket"):
        place.live_content("index.html")
    site(bucket).put(f"manifests/{release}", b"{}", **there)
    with pytest.raises(PlaceFailed, match="damaged"):
        place.manifest(release)
    for content in (b"[]", b"x", b'{"release": "a"}'):
        site(bucket).put("live.json", content, **there)
        with pytest.raises(PlaceRefused, match=r"live\.json"):
            place.pointer()


def _publish_until_killed(server: BucketServer, name: str, folder: Path, step: int) -> None:
    """Publish, sweep, and end like by kill -9 before write number ``step``."""
    bucket, left = server.bucket(name), step
    lock = threading.Lock()

    def count(**_: object) -> None:
        nonlocal left
        with lock:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    for operation in ("PutObject", "DeleteObject"):
        bucket._client.meta.events.register(f"before-send.s3.{operation}", count)
    place = BucketPlace(bucket.below("tenant", str(step)))
    publish(place, folder, {"index.html": b"2", "new.f1.css": b"new"}, LATER)
    place.sweep([])


def test_killed_before_every_write_the_old_release_is_live_or_the_new_one_whole(
    bucket_server: BucketServer, tmp_path: Path
) -> None:
    """Then another does it again and sweeps; nothing is left that nobody needs."""
    old, new = (
        manifest({"index.html": b"1", "old.f1.css": b"old"}),
        manifest({"index.html": b"2", "new.f1.css": b"new"}),
    )
    bucket = bucket_server.bucket()
    name = bucket.name
    kills = 0
    ended: int | None = None
    for step in range(40):
        there = bucket.below("tenant", str(step))
        publish(BucketPlace(there), tmp_path, {"index.html": b"1", "old.f1.css": b"old"}, FIRST)
        child = multiprocessing.get_context("fork").Process(
            target=_publish_until_killed, args=(bucket_server, name, tmp_path, step)
        )
        child.start()
        child.join()
        ended = child.exitcode
        place = BucketPlace(there)
        live = place.pointer().release
        assert live == new.release if ended == 0 else live in (old.release, new.release)
        assert live is not None
        for path, file in place.manifest(live).files.items():
            assert hashlib.sha256(place.live_content(path)).hexdigest() == file.content.sha256
        publish(place, tmp_path, {"index.html": b"2", "new.f1.css": b"new"}, AGAIN)
        place.sweep([])
        assert place.releases() == [new.release]
        assert {*there.sizes("content/")} == hashes(new)
        if ended == 0:
            break
        kills += 1
    assert ended == 0
    assert kills >= 8, "its mark, three contents, the manifest, the pointer, and what it sweeps"
