"""Killed at each stage, overtaken, out of room, under load: visitors see one whole release, and a re-run finishes."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tasks.core.ledger import Ledger, transitions
from tasks.core.records import Cause
from tasks.publishing.contract import Stage
from tasks.publishing.engine.places.folder import FolderPlace
from tasks.publishing.engine.places.place import ActivationRefused, PlaceFailed
from tasks.publishing.manifest import Stored
from tests.fakes import FakeJob
from tests.publishing.bench import PAGE, SITE, Bench
from tests.samples import claimed, running

CHANGED = SITE | {"index.html": PAGE.format("Changed"), "new.html": PAGE.format("New")}
_STAGES = [*Stage][1:]


class Killed(FakeJob):
    """Dies without a word when a stage begins, or after it has begun where that reports more than once."""

    stage = Stage.VALIDATING

    def report(self, stage: str, *args: Any, **more: Any) -> None:
        if stage == self.stage:
            os.kill(os.getpid(), signal.SIGKILL)
        super().report(stage, *args, **more)


def die_at(bench: Bench, url: str, row: Any, stage: Stage) -> None:
    """Publish ``CHANGED`` in a process that is forked for it, and end as by kill -9 when the stage begins."""
    bench.ledger = Ledger(url)
    job = bench.job(row, make=Killed)
    job.stage = stage  # type: ignore[attr-defined]
    job.resume.save = lambda state: transitions.keep_resume_state(  # type: ignore[method-assign]
        bench.ledger, row.id, fence=row.fence, resume=state
    )
    bench.publish(CHANGED, job)


@pytest.mark.parametrize("stage", _STAGES)
def test_killed_at_any_stage_leaves_one_whole_release(bench: Bench, tmp_path: Path, stage: Stage) -> None:
    """The old one until it is activated; the next attempt finishes, knows what was before, and leaves no orphan."""
    first = bench.publish()
    before = bench.tree()
    row = running(bench.ledger, bench.tenant)
    context = multiprocessing.get_context("fork")
    url = bench.ledger_url
    child = context.Process(target=die_at, args=(bench, url, row, stage))
    child.start()
    child.join(60)
    assert -signal.SIGKILL == child.exitcode
    is_live = stage in (Stage.WARMING, Stage.VERIFYING, Stage.ANNOUNCING)
    assert is_live == (before != bench.tree())
    waiting = transitions.requeue(bench.ledger, row.id, fence=row.fence, cause=Cause.WORKER_LOST)
    assert waiting is not None
    again = claimed(bench.ledger, waiting)
    job = bench.job(again)
    job.resume.state = again.resume
    result = bench.publish(CHANGED, job)
    assert first.release == result.previous
    assert b"Changed" in bench.tree()["index.html"]
    site = bench.records.site(job, "docs")
    assert site is not None
    assert (result.release, first.release) == (site.live, site.previous)
    place = bench.folder / "places" / "docs"
    contents = {path.name for path in (place / "content").glob("*/*")}
    assert contents == {
        stored.sha256
        for release in (first.release, result.release)
        for stored in bench.place().manifest(release).all_stored()
    }
    assert [] == list((place / "coming").iterdir())


def test_an_older_job_cannot_activate_after_a_newer_one(bench: Bench) -> None:
    """It waited somewhere while a later job published."""
    older, newer = bench.job(), bench.job()
    result = bench.publish(CHANGED, newer)
    with pytest.raises(ActivationRefused):
        bench.publish(SITE, older)
    assert result.release == bench.place().pointer().release


class Full(FolderPlace):
    """Has room for one content."""

    def put(self, stored: Stored, content: Path) -> None:
        if sum(1 for _ in self._site.glob("content/*/*")) >= 3:
            raise PlaceFailed("The place for releases failed: there is no room left.") from OSError(errno.ENOSPC, "")
        super().put(stored, content)


def test_a_full_disk_is_a_clear_failure(bench: Bench) -> None:
    """Nothing is live that was not whole, and once there is room the next try finishes."""
    bench.place_type = Full
    with pytest.raises(PlaceFailed, match="no room"):
        bench.publish(SITE)
    assert not bench.live.exists()
    bench.place_type = FolderPlace
    bench.publish(SITE)
    assert bench.live.exists()


_ON_A_SMALL_DISK = """
import os, shutil, sys
from pathlib import Path
from tasks.core.ledger import Ledger
from tasks.core.ledger.tenants import create_key, tenant_of
from tasks.publishing.failures import PlaceFailed
from tests.publishing.bench import SITE, Bench
from tests.publishing.test_publish_faults import CHANGED

root = Path(sys.argv[1])
ledger = Ledger(f"sqlite:///{root / 'ledger.db'}")
ledger.prepare()
bench = Bench(root / "disk" / "bench", ledger, tenant_of(ledger, create_key(ledger, tenant="t", name="k")))
bench.publish()
before = bench.tree()
for megabytes in (12, 5):
    job = bench.job()
    try:
        bench.publish(SITE | {"big.bin": os.urandom(megabytes << 20)}, job)
    except PlaceFailed as exc:
        print(exc.message)
    assert before == bench.tree()
    shutil.rmtree(job.workdir)
assert 1 == bench.publish(CHANGED).changed
"""


def test_a_disk_that_is_really_full_is_a_clear_failure(tmp_path: Path) -> None:
    """While the source is unpacked, and while the place is written; what was live stays, and the next try finishes."""
    (tmp_path / "disk").mkdir()
    mounted = f"mount -t tmpfs -o size=8m none {tmp_path}/disk"
    namespace = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
    if subprocess.run([*namespace, mounted], capture_output=True, check=False).returncode:
        pytest.skip("the kernel gives no disk of its own")
    command = [*namespace, f'{mounted} && exec "$@"', "sh", sys.executable, "-c", _ON_A_SMALL_DISK, tmp_path]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == ended.returncode, ended.stderr
    unpacking, uploading = ended.stdout.splitlines()
    assert "no room left on the disk of this worker" in unpacking
    assert "no room left" in uploading


def test_100_swaps_under_load_show_no_mix_and_no_gap(bench: Bench) -> None:
    """Each look at a page finds it, with the style sheet of its own release by its fingerprinted name."""
    versions = [
        {"index.html": PAGE.format(f"Version {n}"), "other.html": "<p>x</p>", "style.css": f"p {{ width: {n}px }}"}
        for n in range(2)
    ]
    releases = [bench.publish(files).release for files in versions]
    site = bench.folder / "places" / "docs"
    wrong: list[str] = []
    looks = 0
    is_over = threading.Event()

    def visit() -> None:
        nonlocal looks
        while not is_over.is_set():
            try:
                page = (site / "live" / "index.html").read_text()
                version = page.partition("Version ")[2][0]
                asset = page.partition("style.")[2][:12]
                text = (site / "fingerprinted" / f"style.{asset}.css").read_text()
                if f"{version}px" not in text:
                    wrong.append(f"page {version} with {text}")
            except OSError as exc:
                wrong.append(str(exc))
            looks += 1

    visitors = [threading.Thread(target=visit) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    try:
        place = bench.place()
        for n in range(100):
            place.activate(releases[n % 2], bench.turn())
    finally:
        is_over.set()
        for visitor in visitors:
            visitor.join()
    assert [] == wrong, wrong[:2]
    assert looks > 100
