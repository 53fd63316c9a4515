"""A bucket: whole objects, conditions that are kept, and what goes wrong in words that an operator can act on."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import EngineUnavailable
from tasks.core.settings import Settings
from tasks.publishing.bucket import Bucket, BucketAddress
from tasks.publishing.bucket_conditions import demand_conditions
from tasks.publishing.bucket_errors import Absent
from tasks.publishing.conditions import Part
from tasks.publishing.engine.places.bucket import BucketPlace
from tasks.publishing.engine.places.place import Pointer
from tasks.publishing.failures import PlaceFailed, PlaceRefused
from tasks.publishing.targets import bucket_address
from tests.publishing.bucket_server import KEY, SECRET, BucketServer, RcloneServer, Road
from tests.publishing.test_places import FIRST, LATER, manifest, publish
from tests.servers import free_port


def put(bucket: Bucket, key: str, content: bytes) -> None:
    bucket.put(key, content, media_type="text/plain", cache_control="no-cache")


def test_an_object_is_read_as_it_was_written(each_bucket: Bucket) -> None:
    """And asked for again only if it has changed; by servers of two makers."""
    bucket = each_bucket
    put(bucket, "a/b", b"one")
    found = bucket.read("a/b")
    assert found is not None
    assert b"one" == found.content
    assert bucket.read("a/b", unless=found.etag) is None
    assert (b"one", b"ne") == (b"".join(bucket.stream("a/b")), b"".join(bucket.stream("a/b", Part(1, 2))))
    assert {"b": 3} == bucket.sizes("a/")
    assert ["a"] == bucket.folders()
    assert [True, False] == [bucket.has("a/b"), bucket.has("a")]
    bucket.delete("a/b")
    bucket.delete("a/b")
    for read in (bucket.read, bucket.stream):
        with pytest.raises(Absent):
            read("a/b")


def test_a_condition_decides_who_writes(bucket: Bucket) -> None:
    """The first where there is none, then whoever knows what is there."""
    tag = bucket.put_if("key", b"one", etag=None)
    assert tag is not None
    assert bucket.put_if("key", b"two", etag=None) is None
    later = bucket.put_if("key", b"two", etag=tag)
    assert bucket.put_if("key", b"three", etag=tag) is None
    assert bucket.put_if("other", b"x", etag=tag) is None
    found = bucket.read("key")
    assert found is not None
    assert (b"two", later) == (found.content, found.etag)


def test_a_store_without_conditions_is_refused(bucket: Bucket, road: Road) -> None:
    """Before anything is published there."""
    demand_conditions(bucket, "probe")
    demand_conditions(bucket, "probe")
    road.trouble = lambda _method, _path: "unconditional"
    for key in ("probe", "another"):
        with pytest.raises(PlaceRefused, match="conditions on writes"):
            demand_conditions(bucket, key)


def test_a_store_that_compares_before_it_writes_is_refused(bucket: Bucket, road: Road) -> None:
    """One after the other it keeps its conditions; of several at once it takes more than one."""
    demand_conditions(bucket, "probe")
    road.trouble = lambda method, _path: "in_two_steps" if method == "PUT" else None
    for _ in range(2):
        with pytest.raises(PlaceRefused, match="does not compare and write in one step"):
            demand_conditions(bucket, "another")


def test_a_store_that_refuses_what_holds_is_refused(bucket: Bucket, road: Road) -> None:
    """It would take the first release and no other."""
    seen: list[str] = []

    def after_the_first(method: str, _path: str) -> Any:
        seen.append(method)
        return "unmet" if method == "PUT" and len(seen) > 1 else None

    road.trouble = after_the_first
    with pytest.raises(PlaceRefused, match="whose condition"):
        demand_conditions(bucket, "probe")


def test_a_real_server_that_ignores_conditions_is_refused(rclone_server: RcloneServer, tmp_path: Path) -> None:
    """At the first use, with nothing left there; and where releases are there already. What to change is named."""
    bucket = rclone_server.bucket()
    with pytest.raises(PlaceRefused, match="conditions on writes") as told:
        publish(BucketPlace(bucket), tmp_path, {"index.html": b"1"}, FIRST)
    assert repr(bucket.name) in told.value.message
    assert "SWITCHYARD_PUBLISH_BUCKET" in told.value.message
    assert {} == bucket.sizes("")
    made = manifest({"index.html": b"1"})
    bucket.put(f"manifests/{made.release}", made.to_json(), media_type="application/json", cache_control="no-store")
    with pytest.raises(PlaceRefused, match="conditions on writes"):
        BucketPlace(bucket).activate(made.release, LATER)
    assert Pointer() == BucketPlace(bucket).pointer()


def test_a_wrong_secret_is_told(rclone_server: RcloneServer) -> None:
    """By a server that looks at signatures."""
    address = replace(rclone_server.address(), secret="another")
    with pytest.raises(PlaceRefused, match=r"does not let us in \(SignatureDoesNotMatch\)"):
        Bucket.open(address).sizes("")


@pytest.mark.parametrize(
    ("trouble", "error", "words"),
    [
        ("busy", PlaceFailed, "for now: SlowDown"),
        ("full", PlaceFailed, "no room"),
        ("denied", PlaceRefused, "does not let us in"),
        ("unknown", PlaceRefused, "does not know a request"),
        ("cut_upload", PlaceFailed, "connections end"),
        ("lose_answer", PlaceFailed, "connections end"),
    ],
)
def test_what_a_store_says_is_told_in_words(bucket: Bucket, road: Road, trouble: Any, error: Any, words: str) -> None:
    """Of the class that says whether another try may help, without keys, addresses and the store's own words."""
    road.trouble = lambda _method, _path: trouble
    asks: list[Any] = [lambda: put(bucket, "key", b"x" * 1000)]
    asks += [
        lambda: bucket.put_if("key", b"x" * 1000, etag=None),
        lambda: bucket.read("key"),
        lambda: bucket.sizes(""),
        lambda: bucket.delete("key"),
    ]
    for ask in asks if trouble in ("busy", "denied", "unknown") else asks[:1]:
        with pytest.raises(error, match=words) as told:
            ask()
        assert KEY not in told.value.message
        assert SECRET not in told.value.message
        assert road.url not in told.value.message
    road.trouble = lambda _method, _path: None
    if trouble != "lose_answer":
        assert {} == bucket.sizes("")


def test_what_passes_is_tried_again(bucket: Bucket, road: Road) -> None:
    """By the library itself: the upload that was cut is there once, and whole."""
    seen: list[str] = []

    def first_time(method: str, path: str) -> Any:
        seen.append(method)
        return {1: "cut_upload", 3: "busy", 5: "cut_answer"}.get(len(seen))

    road.trouble = first_time
    put(bucket, "key", b"x" * 100_000)
    put(bucket, "other", b"y")
    found = bucket.read("key")
    assert found is not None
    assert b"x" * 100_000 == found.content
    assert ["PUT", "PUT", "PUT", "PUT", "GET", "GET"] == seen


def test_an_upload_that_was_cut_is_no_object(bucket: Bucket, road: Road, bucket_server: BucketServer) -> None:
    """Not even a part of one."""
    road.trouble = lambda method, _path: "cut_upload" if method == "PUT" else None
    content = b"z" * 3_000_000
    with pytest.raises(PlaceFailed):
        bucket.put(
            "big",
            BytesIO(content),
            media_type="text/plain",
            cache_control="no-cache",
            sha256=hashlib.sha256(content).hexdigest(),
        )
    assert {} == bucket.sizes("")


def test_a_bucket_that_is_not_there_is_told(bucket_server: BucketServer) -> None:
    """By its name, with the setting that names it; so are a store that is away, and what is no name at all."""
    with pytest.raises(PlaceRefused, match=r"no bucket 'nonesuch'.*SWITCHYARD_PUBLISH_BUCKET"):
        bucket_server.bucket("nonesuch").sizes("")
    with pytest.raises(PlaceRefused, match="cannot be asked"):
        bucket_server.bucket("no name").sizes("")
    away = bucket_server.bucket("sites", url=f"http://127.0.0.1:{free_port()}", tries=1)
    with pytest.raises(PlaceFailed, match="does not answer"):
        away.sizes("")


def test_a_policy_that_forbids_is_told(bucket_server: BucketServer) -> None:
    """As the store enforces it."""
    name = bucket_server.new_bucket()
    forbidden = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{name}/*"}
    bucket_server.client().put_bucket_policy(
        Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [forbidden]})
    )
    with pytest.raises(PlaceRefused, match=r"does not let us in"):
        put(bucket_server.bucket(name), "key", b"x")


def test_no_credentials_are_told(bucket_server: BucketServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """With the settings that would give them; the process's own are used where there are none."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    address = BucketAddress(bucket_server.new_bucket(), "", bucket_server.url)
    with pytest.raises(PlaceRefused, match="SWITCHYARD_PUBLISH_BUCKET_KEY"):
        Bucket.open(address).sizes("")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert {} == Bucket.open(address).sizes("")


def test_the_library_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the kind is not available here."""
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    with pytest.raises(EngineUnavailable, match="boto3"):
        Bucket.open(BucketAddress("sites"))


def test_settings_say_where_it_is() -> None:
    """Nothing else does; what is secret is not shown."""
    assert bucket_address(Settings()) is None
    address = bucket_address(
        Settings(
            publish_bucket="pages/a/b",
            publish_bucket_url="https://s3.example",
            publish_bucket_region="eu-1",
            publish_bucket_key=KEY,
            publish_bucket_secret=SECRET,
        )
    )
    assert BucketAddress("pages", "a/b/", "https://s3.example", "eu-1", KEY, SECRET) == address
    assert KEY not in repr(address)
    assert SECRET not in repr(address)
    plain = bucket_address(Settings(publish_bucket="pages"))
    assert BucketAddress("pages") == plain


def test_logs_at_their_most_talkative_have_no_credentials(bucket_server: BucketServer) -> None:
    """Neither the key, nor the secret, nor a request's signature."""
    name = bucket_server.new_bucket()
    code = (
        "from tasks.core.log import configure_logging\n"
        "from tasks.core.settings import load_settings\n"
        "from tasks.publishing.bucket import Bucket\n"
        "from tasks.publishing.targets import bucket_address\n"
        "from tasks.publishing.bucket_errors import Absent\n"
        "settings = load_settings()\n"
        "configure_logging(settings)\n"
        "bucket = Bucket.open(bucket_address(settings))\n"
        "bucket.put('key', b'x', media_type='text/plain', cache_control='no-cache')\n"
        "try: bucket.read('none')\n"
        "except Absent: import logging; logging.getLogger('test').exception('seen')\n"
    )
    environ = os.environ | {
        "SWITCHYARD_LOG_LEVEL": "debug",
        "SWITCHYARD_PUBLISH_BUCKET": name,
        "SWITCHYARD_PUBLISH_BUCKET_URL": bucket_server.url,
        "SWITCHYARD_PUBLISH_BUCKET_KEY": KEY,
        "SWITCHYARD_PUBLISH_BUCKET_SECRET": SECRET,
    }
    ran = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert "seen" in ran.stdout
    for word in (KEY, SECRET, "AWS4-HMAC", "Signature="):
        assert word not in ran.stdout + ran.stderr
