"""Publishes a real documentation site: at first, again unchanged, with 1 % of its pages changed, and back.

Beside it, to the same disk: ``rsync -a --checksum``, and a copy by size and time. Then the same into a bucket of moto's
server on this machine, beside an upload that compares as ``aws s3 sync`` does, to the same server. The others put files
where they are served; the publication also checks, minifies, compresses and verifies.

    python -m bench.publish [FOLDER] [--rounds N]     (Debian's python3-doc unless told)

With more rounds than one, the first publication into the folder is measured that often, each time from nothing.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.house import percentiles
from client.site_files import files_of, pack
from tasks.core.ledger import Ledger
from tasks.core.ledger.tenants import Tenant, create_key, tenant_of
from tasks.publishing.contract import RollbackRequest, SiteRequest
from tasks.publishing.engine.rollback import Rollback
from tasks.publishing.engine.weighing import weigh
from tasks.publishing.manifest import REVALIDATED, File, Stored, files_in, media_type_of
from tests.publishing.bench import UPLOAD, Bench
from tests.publishing.bucket_server import BucketServer

DEBIAN = Path("/usr/share/doc/python3-doc/html")


def main() -> None:
    """Run it once and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path, default=DEBIAN)
    parser.add_argument("--rounds", type=int, default=1, help="First publications that are measured.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-publish-") as scratch:
        found = measure(given.folder, Path(scratch))
        if given.rounds > 1:
            found["first_runs"] = first_runs(given.folder, Path(scratch), rounds=given.rounds)
        print(json.dumps(found, indent=1))


def first_runs(original: Path, scratch: Path, *, rounds: int) -> dict[str, Any]:
    """Publish the site from nothing again and again; return the percentiles of the seconds, and each."""
    took = []
    for n in range(rounds):
        folder = scratch / f"round-{n}"
        folder.mkdir()
        shutil.copytree(original, folder / "site", symlinks=False)
        ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
        ledger.prepare()
        took.append(_published(Bench(folder / "bench", ledger, _tenant(ledger, "bench")), folder / "site", folder))
        ledger.close()
        shutil.rmtree(folder)
    return percentiles([one["seconds"] for one in took]) | {"seconds": [one["seconds"] for one in took]}


def measure(original: Path, scratch: Path) -> dict[str, Any]:
    """Publish, change, publish, roll back; return seconds and bytes."""
    site = scratch / "site"
    shutil.copytree(original, site, symlinks=False)
    ledger = Ledger(f"sqlite:///{scratch / 'ledger.db'}")
    ledger.prepare()
    tenant = _tenant(ledger, "bench")
    with BucketServer().running() as server:
        rows = _measured(site, scratch, ledger, tenant, server)
    ledger.close()
    return rows


def _measured(site: Path, scratch: Path, ledger: Ledger, tenant: Tenant, server: BucketServer) -> dict[str, Any]:
    bench = Bench(scratch / "bench", ledger, tenant)
    into_bucket = Bench(scratch / "bucket-bench", ledger, _tenant(ledger, "bucket"), bucket=server.bucket())
    synced, client = server.new_bucket(), server.client()
    rivals: dict[str, Callable[[], int]] = {
        "rsync": lambda: _rsync(site, scratch / "rsync"),
        "size_and_time": lambda: _copied(site, scratch / "copied"),
        "bucket_sync": lambda: _synced(site, client, synced),
    }
    pages = sorted(path for path in site.rglob("*.html"))
    rows: dict[str, Any] = {"site": {"files": len(files_of(site)), "pages": len(pages), "bytes": _size(site)}}
    before = {"page_bytes_before": _page_weight(site)}
    for name in ("first", "unchanged", "changed"):
        if name == "changed":
            for page in pages[:: max(1, len(pages) // max(1, len(pages) // 100))]:
                page.write_text(page.read_text(errors="replace").replace("</body>", "<p>Changed.</p></body>"))
        rows[name] = {"publish": _published(bench, site, scratch), "bucket": _published(into_bucket, site, scratch)}
        for rival, run in rivals.items():
            began = time.monotonic()
            sent = run()
            rows[name][rival] = {"seconds": round(time.monotonic() - began, 3), "sent_bytes": sent}
    rows["weight"] = before | {"page_bytes_after": _release_weight(bench)}
    for name, one in {"rollback": bench, "bucket_rollback": into_bucket}.items():
        began = time.monotonic()
        result = Rollback(one.records, one, one.memo)(RollbackRequest(site="docs"), one.job())
        rows[name] = {"seconds": round(time.monotonic() - began, 3), "stages": result.stages}
    return rows


def _tenant(ledger: Ledger, name: str) -> Tenant:
    found = tenant_of(ledger, create_key(ledger, tenant=name, name="k"))
    assert found is not None
    return found


def _published(bench: Bench, site: Path, scratch: Path) -> dict[str, Any]:
    """As the client does it, without the network: ask by hash, pack what lacks, publish."""
    began = time.monotonic()
    files = files_of(site)
    lacking = set(bench.sources().lacks(one.sha256 for one in files.values()))
    wanted = {one.sha256: one.path for one in files.values() if one.sha256 in lacking}
    listed = json.dumps({"files": {path: [one.sha256, one.size] for path, one in files.items()}}).encode()
    source: dict[str, Any] = {"files": {"upload": UPLOAD.format(1)}}
    uploads = {"files1": listed}
    if wanted:
        pack(wanted, scratch / "packed")
        source["contents"] = {"upload": UPLOAD.format(2)}
        uploads["contents2"] = (scratch / "packed").read_bytes()
    job = bench.job(**uploads)
    result = bench.publisher()(SiteRequest.model_validate({"site": "docs", "source": source}), job)
    bench.end(job)
    shutil.rmtree(job.workdir)
    return {
        "seconds": round(time.monotonic() - began, 3),
        "sent_bytes": sum(map(len, uploads.values())),
        "sent_files": len(wanted),
        "written_bytes": result.uploaded_bytes,
        "added": result.added,
        "changed": result.changed,
        "faults": result.faults,
        "bytes": result.size_bytes,
        "compressed_bytes": result.compressed_bytes,
        "stages": result.stages,
    }


def _rsync(site: Path, to: Path) -> int:
    command = ["rsync", "-a", "--checksum", "--delete", "--stats", f"{site}/", f"{to}/"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sent = next(line for line in told.splitlines() if line.startswith("Total bytes sent"))
    return int(sent.partition(":")[2].replace(",", "").strip())


def _copied(site: Path, to: Path) -> int:
    sent = 0
    for path in site.rglob("*"):
        target = to / path.relative_to(site)
        if not path.is_file():
            continue
        now = path.stat()
        if target.exists() and (target.stat().st_size, target.stat().st_mtime) == (now.st_size, now.st_mtime):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
        sent += now.st_size
    return sent


def _synced(site: Path, client: Any, bucket: str) -> int:
    """Upload what is larger, smaller or newer than in the bucket, ten at a time, as ``aws s3 sync`` does by default."""
    there = {
        one["Key"]: (one["Size"], one["LastModified"].timestamp())
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for one in page.get("Contents", ())
    }

    def sent(path: Path) -> int:
        key, now = path.relative_to(site).as_posix(), path.stat()
        size, since = there.get(key, (-1, 0.0))
        if size == now.st_size and since >= now.st_mtime:
            return 0
        client.upload_file(str(path), bucket, key, ExtraArgs={"ContentType": media_type_of(key)})
        return now.st_size

    with ThreadPoolExecutor(10) as pool:
        return sum(pool.map(sent, [path for path in site.rglob("*") if path.is_file()]))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _page_weight(site: Path) -> int:
    """The first page and what it loads, as it comes."""
    files = {path: File(Stored("", file.stat().st_size), "", REVALIDATED) for path, file in files_in(site)}
    return weigh("index.html", files, lambda path: (site / path).read_bytes()).size_bytes


def _release_weight(bench: Bench) -> int:
    place = bench.place()
    release = place.pointer().release
    assert release is not None
    return weigh("index.html", place.manifest(release).files, place.live_content).size_bytes


if __name__ == "__main__":
    main()
