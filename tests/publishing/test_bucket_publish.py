"""Whole publications into a bucket, and what visitors get of them through the edge and nginx."""

import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tasks.core.ledger import Ledger, transitions
from tasks.core.records import Cause
from tasks.publishing.bucket import Bucket
from tasks.publishing.bucket_site import BucketSite
from tasks.publishing.contract import Stage
from tasks.publishing.engine.places.place import ActivationRefused, PlaceFailed
from tasks.publishing.nginx import nginx_config_of_edge
from tasks.publishing.serving import SiteServer
from tests.publishing.bench import PAGE, SITE, Bench
from tests.publishing.bucket_server import KEY, SECRET, BucketServer, Road, Trouble
from tests.publishing.test_publish_faults import CHANGED, Killed
from tests.publishing.visitors import PATIENCE_S, Visitors, nginx_serving, style_of, two_versions
from tests.samples import claimed, eventually, running
from tests.servers import free_port


def kept(bench: Bench) -> set[str]:
    assert bench.bucket is not None
    return {*bench.bucket.below("tenant", "docs").sizes("content/")}


def get(site: BucketSite, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask the application as a server would."""
    told: list[Any] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path} | headers
    body = b"".join(SiteServer(site)(environ, lambda status, found: told.extend((status, dict(found)))))
    return int(told[0][:3]), told[1], body


@pytest.fixture
def site(bucket_bench: Bench) -> BucketSite:
    """``docs`` as its edge reads it."""
    assert bucket_bench.bucket is not None
    return BucketSite(bucket_bench.bucket.below("tenant", "docs"), "docs")


def test_publications_store_each_content_once_and_go_back_byte_for_byte(bucket_bench: Bench, road: Road) -> None:
    """The same again uploads nothing; a preview is not live until it is promoted, the very same bytes."""
    bench = bucket_bench
    first = bench.publish()
    before = bench.tree()
    assert {"index.html", "404.html"} <= before.keys()
    assert first.uploaded_files == len(kept(bench))
    road.asked.clear()
    again = bench.publish()
    assert (first.release, 0, 0) == (again.release, again.uploaded_files, again.uploaded_bytes)
    assert [] == [path for path in road.writes() if "/content/" in path]
    preview = bench.publish(CHANGED, intent="preview")
    assert before == bench.tree()
    promoted = bench.roll_back(release=preview.release)
    assert (preview.release, first.release) == (promoted.release, promoted.previous)
    assert b"Changed" in bench.tree()["index.html"]
    back = bench.roll_back()
    assert (first.release, before) == (back.release, bench.tree())


def test_old_releases_go_and_leave_no_orphan(bucket_bench: Bench) -> None:
    """All but the newest, the live and the previous one."""
    bench = bucket_bench
    bench.keep = 1
    results = [bench.publish(SITE | {"index.html": PAGE.format(f"Version {n}")}) for n in range(4)]
    place = bench.place()
    releases = [result.release for result in results[-2:]]
    assert sorted(releases) == sorted(place.releases())
    assert kept(bench) == {one.sha256 for each in releases for one in place.manifest(each).all_stored()}


def _die(bench: Bench, url: str, address: Any, row: Any, stage: Stage) -> None:
    bench.ledger = Ledger(url)
    bench.bucket = Bucket.open(address)
    job = bench.job(row, make=Killed)
    job.stage = stage  # type: ignore[attr-defined]
    job.resume.save = lambda state: transitions.keep_resume_state(  # type: ignore[method-assign]
        bench.ledger, row.id, fence=row.fence, resume=state
    )
    bench.publish(CHANGED, job)


@pytest.mark.parametrize("stage", [Stage.UPLOADING, Stage.ACTIVATING, Stage.WARMING])
def test_killed_at_a_stage_leaves_one_whole_release_and_a_rerun_finishes(
    bucket_bench: Bench, bucket_server: BucketServer, stage: Stage
) -> None:
    """The old one until it is activated; no orphan stays."""
    bench = bucket_bench
    assert bench.bucket is not None
    first, before = bench.publish(), bench.tree()
    row = running(bench.ledger, bench.tenant)
    address = bucket_server.address(bench.bucket.name)
    child = multiprocessing.get_context("fork").Process(
        target=_die, args=(bench, bench.ledger_url, address, row, stage)
    )
    child.start()
    child.join(60)
    assert -signal.SIGKILL == child.exitcode
    assert (stage is Stage.WARMING) == (before != bench.tree())
    waiting = transitions.requeue(bench.ledger, row.id, fence=row.fence, cause=Cause.WORKER_LOST)
    assert waiting is not None
    again = claimed(bench.ledger, waiting)
    job = bench.job(again)
    job.resume.state = again.resume
    result = bench.publish(CHANGED, job)
    assert first.release == result.previous
    assert b"Changed" in bench.tree()["index.html"]
    place = bench.place()
    assert kept(bench) == {
        one.sha256 for each in (first.release, result.release) for one in place.manifest(each).all_stored()
    }


def test_an_older_job_cannot_activate_after_a_newer_one(bucket_bench: Bench) -> None:
    """It waited somewhere while a later job published."""
    older, newer = bucket_bench.job(), bucket_bench.job()
    result = bucket_bench.publish(CHANGED, newer)
    with pytest.raises(ActivationRefused):
        bucket_bench.publish(SITE, older)
    assert result.release == bucket_bench.place().pointer().release


def test_a_bucket_that_fails_half_way_changes_nothing_that_is_live(bucket_bench: Bench, road: Road) -> None:
    """Nor is anything told of keys; the next try finishes."""
    bench = bucket_bench
    first, before = bench.publish(), bench.tree()

    def fail(method: str, path: str) -> Trouble:
        return "cut_upload" if method == "PUT" and "/content/" in path else None

    road.trouble = fail
    job = bench.job()
    with pytest.raises(PlaceFailed, match="connections end"):
        bench.publish(CHANGED, job)
    assert not [line for line in job.lines if KEY in line or SECRET in line]
    assert before == bench.tree()
    road.trouble = lambda _method, _path: None
    assert first.release == bench.publish(CHANGED).previous


def test_an_edge_serves_what_the_manifest_says(bucket_bench: Bench, site: BucketSite) -> None:
    """Types, cache headers, compressed forms, validators, 404, and assets of the release before."""
    assert 404 == get(site, "/")[0], "nothing is live yet"
    bucket_bench.publish(SITE | {"sub/index.html": PAGE.format("Sub"), "logo.png": b"png", "big.bin": b"b" * (5 << 20)})
    status, headers, body = get(site, "/", HTTP_ACCEPT_ENCODING="gzip, deflate, br;q=0")
    assert (200, "gzip", "no-cache", "text/html; charset=utf-8", "docs,docs-changing") == (
        status,
        headers["Content-Encoding"],
        headers["Cache-Control"],
        headers["Content-Type"],
        headers["Cache-Tag"],
    )
    assert (304, b"") == get(site, "/", HTTP_ACCEPT_ENCODING="gzip", HTTP_IF_NONE_MATCH=headers["ETag"])[::2]
    assert str(len(body)) == headers["Content-Length"]
    page = get(site, "/")[2].decode()
    assert (308, "/sub/") == (get(site, "/sub")[0], get(site, "/sub")[1]["Location"])
    assert b"b" * (5 << 20) == get(site, "/big.bin")[2]
    for path, part, told, size in (
        ("/big.bin", "bytes=-7", f"bytes {(5 << 20) - 7}-{(5 << 20) - 1}/{5 << 20}", 7),
        ("/logo.png", "bytes=1-", "bytes 1-2/3", 2),
    ):
        answer = get(site, path, HTTP_RANGE=part)
        assert (206, told, str(size), size) == (
            answer[0], answer[1]["Content-Range"], answer[1]["Content-Length"], len(answer[2]),
        )  # fmt: skip
    assert 416 == get(site, "/logo.png", HTTP_RANGE="bytes=3-")[0]
    assert "public, max-age=300" == get(site, "/logo.png")[1]["Cache-Control"]
    style = f"/{style_of(page)}"
    bucket_bench.publish(SITE | {"style.css": "body { color: red }"})
    asset = get(BucketSite(site._bucket, "docs"), style)
    assert (200, "public, max-age=31536000, immutable", "docs") == (
        asset[0], asset[1]["Cache-Control"], asset[1]["Cache-Tag"],
    )  # fmt: skip
    assert 404 == get(site, "/style.000000000000.css")[0]
    missing = get(site, "/not/there")
    assert (404, True) == (missing[0], b"Not found" in missing[2])


def test_an_edge_goes_on_while_the_bucket_is_away(bucket_bench: Bench, site: BucketSite, road: Road) -> None:
    """With what was live, and no tag, so that no cache keeps it; what it has not seen is 503."""
    bucket_bench.publish()
    page = get(site, "/")[2]
    road.trouble = lambda _method, _path: "busy"
    status, headers, body = get(site, "/")
    assert (200, page, False) == (status, body, "Cache-Tag" in headers)
    assert 503 == get(site, "/other.html")[0]
    assert 503 == get(BucketSite(site._bucket, "docs"), "/")[0]
    road.trouble = lambda _method, _path: None
    assert "Cache-Tag" in get(site, "/")[1]


def test_one_look_at_the_pointer_serves_all_who_wait(bucket_bench: Bench, site: BucketSite, road: Road) -> None:
    """And each gets one that began after it had asked."""
    bucket_bench.publish()
    get(site, "/")
    road.asked.clear()
    is_open = threading.Event()

    def hold(_method: str, _path: str) -> Trouble:
        is_open.wait(20)
        return None

    road.trouble = hold
    answers: list[int] = []
    visitors = [threading.Thread(target=lambda: answers.append(get(site, "/")[0])) for _ in range(12)]
    for visitor in visitors:
        visitor.start()
    assert eventually(lambda: len(road.asked) == 1, within_s=10)
    is_open.set()
    for visitor in visitors:
        visitor.join()
    assert [200] * 12 == answers
    assert len(road.asked) <= 3


@pytest.fixture
def origin(bucket_bench: Bench, bucket_server: BucketServer, tmp_path: Path) -> Iterator[str]:
    """Where nginx serves ``docs`` by way of an edge of two processes."""
    assert bucket_bench.bucket is not None
    port, edge = free_port(), f"127.0.0.1:{free_port()}"
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o777)
    config = nginx_config_of_edge("docs", server_name="localhost", edge=edge, listen=f"127.0.0.1:{port}", cache=cache)
    environ = os.environ | {
        "SWITCHYARD_PUBLISH_BUCKET": f"{bucket_bench.bucket.name}/sites",
        "SWITCHYARD_PUBLISH_BUCKET_URL": bucket_server.url,
        "SWITCHYARD_PUBLISH_BUCKET_KEY": KEY,
        "SWITCHYARD_PUBLISH_BUCKET_SECRET": SECRET,
    }
    command = [sys.executable, "-m", "workers", "edge", "docs", "--listen", edge, "--processes", "2", "--threads", "8"]
    with (
        subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) as served,
        nginx_serving(tmp_path, config, port=port) as url,
    ):
        try:
            assert eventually(lambda: httpx.get(url).status_code == 200, within_s=60)
            yield url
        finally:
            served.terminate()


@pytest.fixture
def releases(bucket_bench: Bench) -> list[str]:
    """Two, the second of which is live."""
    return two_versions(bucket_bench)


@pytest.mark.parametrize("swaps", [20, pytest.param(100, marks=pytest.mark.long)])
@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_swaps_under_load_show_no_mix_no_404_and_no_5xx(
    bucket_bench: Bench, releases: list[str], origin: str, swaps: int
) -> None:
    """A page that is asked for after a swap is of that release; its style sheet is its own, kept by nginx."""
    kept_by_nginx = origin + style_of(httpx.get(origin).text)
    for encoding, expected in (("gzip, br;q=0", "gzip"), ("br", "br"), ("identity", None)):
        page = httpx.get(origin, headers={"Accept-Encoding": encoding})
        assert (200, expected) == (page.status_code, page.headers.get("Content-Encoding"))
    place = bucket_bench.place()
    with Visitors(origin) as visitors:
        for n in range(swaps):
            place.activate(releases[n % 2], bucket_bench.turn())
            assert f"Version {n % 2}" in httpx.get(origin, timeout=PATIENCE_S).text
    assert not visitors.wrong
    assert {"0", "1"} == set(visitors.versions)
    assert re.fullmatch(r"p\{width:\dpx\}", httpx.get(kept_by_nginx).text)
