"""What a crawl of many pages holds in memory while it goes on.

``python -m bench.crawl_memory [--pages 50000] [--kind site|links|sitemap] [--json]``

A site of made-up pages (2,500 characters of text and 20 links each) is served by another process and crawled by the
engine in a fresh one, without delay. At each tenth of the pages the memory of the process that crawls, and that of the
processes that read pages, is looked at; ``growth_mb`` is what all together have grown by from the second tenth to the
ninth. Nothing the job reports is kept, as in a worker.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.changing_site import ROOT, served
from tests.fakes import FakeJob

_PARTS = 10
KINDS = ("site", "links", "sitemap")


@dataclass
class QuietJob(FakeJob):
    """Prints how many pages are kept, a hundred times, and forgets what it is told."""

    every: int = 1

    def report(self, stage: str, done: float, total: float | None = None, message: str = "") -> None:  # noqa: ARG002  # a job's
        """Print the count, where it is time."""
        if stage == "crawling" and int(done) % self.every == 0:
            print(int(done), flush=True)

    def log(self, line: str, *, level: str = "info", stream: str = "engine") -> None:
        """Forget the line."""

    def save(self, name: str, content: bytes | Path, media_type: str) -> None:
        """Forget the file."""


def crawl_here(kind: str, url: str, *, pages: int) -> None:
    """Crawl in this process."""
    from tasks.core.egress import Egress, EgressPolicy  # noqa: PLC0415  # only the process that crawls needs them
    from tasks.crawling.contract import LinksRequest, SitemapRequest, SiteRequest  # noqa: PLC0415  # as above
    from tasks.crawling.engine.links import check_links  # noqa: PLC0415  # as above
    from tasks.crawling.engine.site import crawl  # noqa: PLC0415  # as above
    from tasks.crawling.engine.site_map import map_site  # noqa: PLC0415  # as above

    fields = {"url": url, "depth": 10, "max_pages": pages, "delay_s": 0, "max_duration_s": 14_000}
    policy = EgressPolicy(allow=frozenset({url.split("/")[2]}))
    with tempfile.TemporaryDirectory() as folder, Egress(policy) as egress:
        job = QuietJob(workdir=Path(folder), http=egress, every=max(1, pages // 100))
        result: Any
        if kind == "links":
            result = check_links(LinksRequest.model_validate(fields), job)
        elif kind == "sitemap":
            result = map_site(SitemapRequest.model_validate(fields), job)
        else:
            result = crawl(SiteRequest.model_validate(fields), job)
    print(json.dumps({"stopped_by": result.stopped_by.value}), flush=True)


def measure(kind: str, *, pages: int) -> dict[str, Any]:
    """Return the memory by pages, in MB."""
    rows: list[dict[str, float]] = []
    with served("--made", str(pages)) as site:
        command = [sys.executable, "-m", "bench.crawl_memory", "--kind", kind, "--pages", str(pages), "--url", site.url]
        began = time.monotonic()
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as crawler:
            assert crawler.stdout is not None
            peak = {"crawler_mb": 0.0, "readers_mb": 0.0}
            told: dict[str, Any] = {}
            for line in crawler.stdout:
                if line.startswith("{"):
                    told = json.loads(line)
                    continue
                found = _memory(crawler.pid)
                peak = {name: max(peak[name], found[name]) for name in peak}
                done = int(line)
                if done >= pages * (len(rows) + 1) // _PARTS:
                    rows.append({"pages": done, "seconds": round(time.monotonic() - began), **found})
                    print(rows[-1], file=sys.stderr, flush=True)
        if crawler.returncode:
            raise RuntimeError(f"the crawl ended with {crawler.returncode}")
    sums = [row["crawler_mb"] + row["readers_mb"] for row in rows]
    return {
        "bench": "crawl_memory",
        "kind": kind,
        **told,
        "rows": rows,
        "peak": peak,
        # With the last pages a reader may have ended.
        "growth_mb": round(sums[-2] - sums[1], 1),
    }


def _memory(pid: int) -> dict[str, float]:
    process = psutil.Process(pid)
    readers = sum(child.memory_info().rss for child in process.children(recursive=True))
    return {"crawler_mb": round(process.memory_info().rss / 1e6, 1), "readers_mb": round(readers / 1e6, 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=50_000)
    parser.add_argument("--kind", choices=KINDS, default="site")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    options = parser.parse_args()
    if options.url is not None:
        crawl_here(options.kind, options.url, pages=options.pages)
        return
    measured = measure(options.kind, pages=options.pages)
    for row in measured["rows"]:
        print(row)
    print({name: value for name, value in measured.items() if name != "rows"})
    if options.json:
        print(json.dumps(measured))


if __name__ == "__main__":
    main()
