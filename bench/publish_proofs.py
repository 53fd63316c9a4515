"""What a publication withstands: hostile archives, a kill at each stage, 100 swaps under load, a look in a browser.

python -m bench.publish_proofs
"""

import io
import json
import multiprocessing
import os
import shutil
import statistics
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.publish import DEBIAN
from tasks.core.browser import BrowserOptions, JobBrowser, WarmBrowser
from tasks.core.egress import EgressPolicy
from tasks.core.errors import AppError
from tasks.core.ledger import Ledger, transitions
from tasks.core.ledger.tenants import create_key, tenant_of
from tasks.core.records import Cause
from tasks.publishing.contract import SiteRequest, Stage
from tasks.publishing.nginx import nginx_config
from tasks.publishing.serving import SiteServer
from tests.publishing.bench import SITE, UPLOAD, Bench, tarred
from tests.publishing.test_publish_faults import CHANGED, die_at
from tests.publishing.visitors import Visitors, nginx_serving, two_versions
from tests.samples import claimed, running
from tests.servers import free_port
from workers.sites import server_on_loopback

_SWAPS = 100


def main() -> None:
    """Run all, and print JSON of each."""
    with tempfile.TemporaryDirectory(prefix="bench-publish-") as scratch:
        _show("archives", attacked(_bench(Path(scratch, "archives"))))
        _show("kills", killed(_bench(Path(scratch, "kills"))))
        _show("swaps", swapped(_bench(Path(scratch, "swaps")), Path(scratch, "nginx")))
        _show("browser", opened(_bench(Path(scratch, "browser"))))


def _show(name: str, table: object) -> None:
    print(json.dumps({name: table}, indent=1), flush=True)


def _bench(folder: Path) -> Bench:
    folder.mkdir()
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    ledger.prepare()
    tenant = tenant_of(ledger, create_key(ledger, tenant="bench", name="k"))
    assert tenant is not None
    return Bench(folder / "bench", ledger, tenant)


def attacked(bench: Bench) -> list[dict[str, Any]]:
    """Publish each hostile archive over a live site; tell how it is refused, and whether anything else has changed."""
    bench.publish()
    before = _everything(bench)
    rows = []
    for name, make in _ATTACKS.items():
        job = bench.job(upload1=make())
        began = time.monotonic()
        request = {"site": "docs", "source": {"upload": UPLOAD.format(1)}}
        try:
            bench.publisher()(SiteRequest.model_validate(request), job)
            answer = "PUBLISHED"
        except AppError as exc:
            answer = f"{exc.code}: {exc.message}"
        took = time.monotonic() - began
        bench.end(job)
        shutil.rmtree(job.workdir)
        rows.append(
            {
                "archive": name,
                "answer": answer[:160],
                "seconds": round(took, 2),
                "is_unchanged": before == _everything(bench),
            }
        )
    return rows


def _everything(bench: Bench) -> dict[str, float]:
    """All files beside and below the place, so also what an archive would have put outside."""
    root = bench.folder.parent
    files = (path for path in root.rglob("*") if path.is_file() and ".made" not in path.parts)
    return {str(path.relative_to(root)): path.stat().st_mtime for path in files if "ledger.db" not in path.name}


def _tar(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        tar.addfile(info)
    return out.getvalue()


def _through_a_link() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        link = tarfile.TarInfo("sub")
        link.type, link.linkname = tarfile.SYMTYPE, "/"
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("sub/out"))
    return out.getvalue()


def _zip(files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def _encrypted() -> bytes:
    raw = bytearray(_zip({"index.html": b"x"}))
    for sign, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(sign) + at] |= 1
    return bytes(raw)


_ATTACKS: dict[str, Callable[[], bytes]] = {
    "zip: ../out": lambda: _zip({"../out.html": b"x"}),
    "tar: ../out": lambda: tarred({"../out.html": "x"}),
    "tar: /etc/out": lambda: tarred({"/etc/out": "x"}),
    "zip: ..\\out": lambda: _zip({"..\\out.html": b"x"}),
    "zip: a control character in a name": lambda: _zip({"a\x01b": b"x"}),
    "tar: symbolic link": lambda: _tar("a", tarfile.SYMTYPE, link="/etc/passwd"),
    "tar: hard link": lambda: _tar("a", tarfile.LNKTYPE, link="/etc/passwd"),
    "tar: a file through a link": _through_a_link,
    "tar: device": lambda: _tar("a", tarfile.CHRTYPE),
    "tar: pipe": lambda: _tar("a", tarfile.FIFOTYPE),
    "zip: bomb, 400 MiB of nothing": lambda: _zip({"a.txt": bytes(400 * 2**20)}),
    "zip: 100,000 entries": lambda: _zip({f"{n}.html": b"" for n in range(100_000)}, method=zipfile.ZIP_STORED),
    "tar: case clash": lambda: tarred({"About.html": "1", "about.html": "2"}),
    "tar: Unicode clash": lambda: tarred({"\u00e9.html": "1", "e\u0301.html": "2"}),
    "tar: a file and a folder of one name": lambda: tarred({"a": "1", "a/b": "2"}),
    "tar: 500 folders deep": lambda: tarred({"a/" * 500 + "b": "x"}),
    "tar: name of a Windows device": lambda: tarred({"aux.html": "x"}),
    "zip: encrypted": _encrypted,
    "zip: cut off": lambda: _zip({"index.html": os.urandom(5000)})[:2500],
    "tar: cut off": lambda: tarred({"index.html": "x" * 5000})[:2500],
    "no archive": lambda: b"<p>hello",
    "empty tar": lambda: tarred({}),
}


def killed(bench: Bench) -> list[dict[str, Any]]:
    """Kill a publication as each stage begins, then let the next attempt finish."""
    rows = []
    context, url = multiprocessing.get_context("fork"), bench.ledger_url
    for stage in [*Stage][1:]:
        first = bench.publish(SITE | {"of.html": f"<p>{stage}"})
        row = running(bench.ledger, bench.tenant)
        child = context.Process(target=die_at, args=(bench, url, row, stage))
        child.start()
        child.join(60)
        live = bench.place().pointer().release
        waiting = transitions.requeue(bench.ledger, row.id, fence=row.fence, cause=Cause.WORKER_LOST)
        assert waiting is not None
        again = claimed(bench.ledger, waiting)
        job = bench.job(again)
        job.resume.state = again.resume
        result = bench.publish(CHANGED, job)
        kept = {one.release for one in bench.records.kept(job, "docs")}
        wanted = {stored.sha256 for one in kept for stored in bench.place().manifest(one).all_stored()}
        there = {path.name for path in (bench.folder / "places" / "docs" / "content").glob("*/*")}
        rows.append(
            {
                "stage": str(stage),
                "exit": child.exitcode,
                "live_after_the_kill": "the old one" if live == first.release else "the new one, whole",
                "next_attempt": "live" if bench.place().pointer().release == result.release else "NOT LIVE",
                "knows_what_was_before": result.previous == first.release,
                "orphans": len(there - wanted) + len(list((bench.folder / "places" / "docs" / "coming").iterdir())),
            }
        )
    return rows


def swapped(bench: Bench, folder: Path) -> dict[str, Any]:
    """Swap two releases behind nginx while visitors ask for a page and its style sheet."""
    folder.mkdir()
    port = free_port()
    site = bench.folder / "places" / "docs"
    config = nginx_config(site, server_name="localhost", listen=f"127.0.0.1:{port}")
    releases, place, took = two_versions(bench), bench.place(), []
    with nginx_serving(folder, config, port=port) as origin, Visitors(origin) as visitors:
        for n in range(_SWAPS):
            began = time.monotonic()
            place.activate(releases[n % 2], bench.turn())
            took.append(time.monotonic() - began)
            visitors.await_another()
    milliseconds = {"median": statistics.median(took) * 1000, "longest": max(took) * 1000}
    return {
        "swaps": _SWAPS,
        "visits": len(visitors.versions),
        "wrong": dict(visitors.wrong),
        "activation_ms": {name: round(one, 2) for name, one in milliseconds.items()},
    }


def opened(bench: Bench) -> dict[str, Any]:
    """Publish Debian's python3-doc with everything that is done to files, and open pages of it in Chromium."""
    port = free_port()
    endpoint = f"127.0.0.1:{port}"
    bench.policy = EgressPolicy(allow=frozenset({endpoint}))
    source = bench.folder.parent / "source"
    shutil.copytree(DEBIAN, source, symlinks=False)
    bench.folders = (source,)
    job = bench.job()
    warm = WarmBrowser(BrowserOptions(policy=bench.policy))
    job.browser = JobBrowser(warm, job)
    request = {
        "site": "docs",
        "source": {"folder": str(source)},
        "url": f"http://{endpoint}/",
        "smoke": "browser",
        "options": {"images": {}},
    }
    server = server_on_loopback(SiteServer(bench.folder / "places" / "docs"), port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    began = time.monotonic()
    try:
        result = bench.publisher()(SiteRequest.model_validate(request), job)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        warm.close()
    told = [line for line in job.lines if "a browser opened" in line]
    return {
        "seconds": round(time.monotonic() - began, 1),
        "told": told,
        "verified": result.verified,
        "pictures": result.image_copies,
        "stages": {str(stage): took for stage, took in result.stages.items()},
    }


if __name__ == "__main__":
    main()
