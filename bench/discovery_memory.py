"""Whether a worker child stays small over many discoveries, and how long each takes.

``python -m bench.discovery_memory [--jobs N] [--json]``

One child's worth of a worker: one warm browser, one discovery after another of a local site of ten pages with a search
form and a list in each, with every source that there is. The browser is replaced as in production, after 50 visits or
400 MiB.
"""

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import linear_regression, mean, quantiles
from typing import Any

import psutil

from bench.crawl import served
from tasks.core.browser import BrowserOptions, JobBrowser, WarmBrowser
from tasks.core.egress import Egress, EgressPolicy
from tasks.core.processes import held_bytes
from tasks.discovery.contract import SiteRequest
from tasks.discovery.engine.discover import Discoverer
from tasks.discovery.engine.sources import SOURCES

PAGES = 10
_MIB = 1 << 20


def page(number: int) -> str:
    """Return one page of the site: a search, an order form, a list and links to all the others."""
    links = " ".join(f'<a href="/page{other}.html">Page {other}</a>' for other in range(1, PAGES))
    rows = "".join(f"<li><a href='/item{row}.pdf'>Item {row} of page {number}</a> <b>{row}.50</b>" for row in range(40))
    return (
        f"<!doctype html><html lang=en><title>Page {number}</title><nav>{links}</nav>"
        "<form action=/search><label>Search items <input type=search name=q></label><button>Search</button></form>"
        f"<form action=/order{number} method=post><label>Name <input name=name required></label>"
        "<select name=size><option>S<option>M<option>L</select><button>Order</button></form>"
        f"<ul>{rows}</ul><a href='/index.html?page={number + 1}' rel=next>Next</a></html>"
    )


def run(folder: Path, jobs: int) -> dict[str, Any]:
    """Discover the site so many times and tell what was held after each."""
    for number in range(PAGES):
        name = "index.html" if number == 0 else f"page{number}.html"
        (folder / name).write_text(page(number), encoding="utf-8")
    took, held = [], []
    with ExitStack() as opened:
        url = opened.enter_context(served(folder))
        policy = EgressPolicy(allow=frozenset({url.split("/")[2]}))
        browser = WarmBrowser(BrowserOptions(policy=policy))
        opened.callback(browser.close)
        for _ in range(jobs + 1):
            began = time.monotonic()
            discover(url, browser, policy)
            took.append(time.monotonic() - began)
            held.append(held_bytes(psutil.Process().pid) / _MIB)
    return summary(took[1:], held[1:])


def discover(url: str, browser: WarmBrowser, policy: EgressPolicy) -> None:
    """Do what one job does."""
    from tests.fakes import FakeJob  # noqa: PLC0415  # as bench.crawlers

    with tempfile.TemporaryDirectory() as folder, Egress(policy) as egress:
        job = FakeJob(Path(folder), egress)
        job.browser = JobBrowser(browser, job)
        found = Discoverer(
            SOURCES, record=lambda *_: None, open_session=lambda *_: {}, charge=lambda *_: None
        ).discover_site(SiteRequest(url=url, goal="search for items", max_pages=PAGES), job)
        if len(found.pages) < PAGES or not found.tools:
            raise RuntimeError(f"{len(found.pages)} pages and {len(found.tools)} tools: {found.skipped}")


def summary(took: list[float], held: list[float]) -> dict[str, Any]:
    """Return times in seconds and what was held in MiB; the slope is of the second half, past warming up."""
    cuts = quantiles(took, n=20, method="inclusive")
    late = held[len(held) // 2 :]
    return {
        "bench": "discovery_memory",
        "jobs": len(took),
        "p50_s": round(cuts[9], 2),
        "p95_s": round(cuts[18], 2),
        "held_first_mb": round(held[0], 1),
        "held_mean_mb": round(mean(held), 1),
        "held_most_mb": round(max(held), 1),
        "held_last_mb": round(held[-1], 1),
        "slope_kb_per_job": round(linear_regression(range(len(late)), late).slope * 1024, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), options.jobs)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:>18}  {value}")


if __name__ == "__main__":
    main()
