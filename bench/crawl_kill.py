"""What a kill -9 in the middle of a crawl costs: pages fetched again, and seconds until the next attempt goes on.

``python -m bench.crawl_kill [--pages 50000] [--kill-at 25000] [--concurrency 8] [--json]``

A site of made-up pages is served by another process and crawled by the engine in a fresh one, without delay. Once
``--kill-at`` pages are kept that process is killed, and another one goes on with the same folder, as a worker's next
child does. ``fetched_again`` are the pages that the server sent beyond those that are kept, ``lost`` and ``twice``
those that the artifact lacks or has twice; ``goes_on_s`` runs from the call of the engine to the first page that it
keeps, ``starts_s`` is what its process needs before that.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.changing_site import ROOT, served
from tests.fakes import FakeJob, FakeResume


class _ResumeFile(FakeResume):
    """Keeps what the next attempt is told where it finds it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, object] | None:
        return json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else None

    def save(self, state: dict[str, object]) -> None:
        self._path.write_text(json.dumps(state), encoding="utf-8")


@dataclass
class _TellingJob(FakeJob):
    """Prints how many pages are kept, and what became of the artifact."""

    def report(self, stage: str, done: float, total: float | None = None, message: str = "") -> None:  # noqa: ARG002  # a job's
        """Print the count."""
        if stage == "crawling":
            print(int(done), flush=True)

    def log(self, line: str, *, level: str = "info", stream: str = "engine") -> None:
        """Forget the line."""

    def save(self, name: str, content: bytes | Path, media_type: str) -> None:  # noqa: ARG002  # a job's
        """Print how many pages the artifact has, and how many different ones."""
        if name == "pages.jsonl" and isinstance(content, Path):
            with content.open(encoding="utf-8") as lines:
                urls = [json.loads(line)["url"] for line in lines]
            print(json.dumps({"kept": len(urls), "different": len(set(urls))}), flush=True)


def crawl_here(url: str, folder: Path, *, pages: int, concurrency: int, attempt: int) -> None:
    """Crawl in this process; what it prints begins with an empty line, once the engine is called."""
    from tasks.core.egress import Egress, EgressPolicy  # noqa: PLC0415  # only the process that crawls needs them
    from tasks.crawling.contract import SiteRequest  # noqa: PLC0415  # as above
    from tasks.crawling.engine.site import crawl  # noqa: PLC0415  # as above

    request = SiteRequest(
        url=url, depth=10, max_pages=pages, concurrency=concurrency, delay_s=0, max_duration_s=14_000, use_sitemap=False
    )
    with Egress(EgressPolicy(allow=frozenset({url.split("/")[2]}))) as egress:
        resume = _ResumeFile(folder / "resume.json")
        job = _TellingJob(workdir=folder, http=egress, resume=resume, attempt=attempt, fence=attempt)
        print(flush=True)
        crawl(request, job)


def measure(*, pages: int, kill_at: int, concurrency: int) -> dict[str, Any]:
    """Return what the kill cost.

    Raises:
        RuntimeError: an attempt ended in another way, so that there is nothing to measure.
    """
    with served("--made", str(pages)) as site, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench.crawl_kill", "--pages", str(pages), "--concurrency", str(concurrency)]
        command += ["--url", site.url, "--folder", folder, "--attempt"]
        began = time.monotonic()
        with subprocess.Popen([*command, "1"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
            assert first.stdout is not None
            first.stdout.readline()
            for line in first.stdout:
                if line.strip().isdigit() and int(line) >= kill_at:
                    first.kill()
                    break
            else:
                raise RuntimeError(f"the first attempt ended with {first.wait()} before --kill-at ({kill_at} pages)")
        killed = time.monotonic()
        before = site.counts()
        with subprocess.Popen([*command, "2"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout is not None
            second.stdout.readline()
            called = time.monotonic()
            kept = second.stdout.readline()
            goes_on = time.monotonic()
            lines = itertools.chain([kept], second.stdout)
            artifact = next((json.loads(line) for line in lines if line.startswith("{")), None)
        if second.returncode or artifact is None:
            raise RuntimeError(f"the second attempt ended with {second.returncode} and kept no artifact")
        if not kept.strip().isdigit():
            raise RuntimeError(f"nothing was left when the first attempt was killed: lower --kill-at ({kill_at})")
        after = site.counts()
        return {
            "bench": "crawl_kill",
            "pages": pages,
            "concurrency": concurrency,
            "killed_at": int(kept) - 1,
            "killed_after_s": round(killed - began, 1),
            "fetched_again": before["bodies"] + after["bodies"] - artifact["different"],
            "lost": pages - artifact["different"],
            "twice": artifact["kept"] - artifact["different"],
            "starts_s": round(called - killed, 2),
            "goes_on_s": round(goes_on - called, 2),
            "rest_s": round(time.monotonic() - goes_on, 1),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=50_000)
    parser.add_argument("--kill-at", type=int, help="how many pages are kept by then; half of them, unless told")
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--attempt", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    options = parser.parse_args()
    pages, concurrency = options.pages, options.concurrency
    if options.url is not None:
        crawl_here(options.url, options.folder, pages=pages, concurrency=concurrency, attempt=options.attempt)
        return
    kill_at = pages // 2 if options.kill_at is None else options.kill_at
    if not 0 < kill_at < pages:
        parser.error(f"--kill-at is {kill_at}; a crawl of {pages} pages is killed after one and before the last")
    measured = measure(pages=pages, kill_at=kill_at, concurrency=concurrency)
    print(measured)
    if options.json:
        print(json.dumps(measured))


if __name__ == "__main__":
    main()
