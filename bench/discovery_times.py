"""How long the discovery of a local site of ten pages takes with a warm browser, and a run of a stored tool.

Two sites: one of plain pages, and a shop with scripts, searches, orders and forms that work.
"""

import json
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from typing import Any

from bench import discovery_shop
from bench.crawl import served
from bench.discovery_memory import PAGES, page
from bench.discovery_targets import Discovery, opened
from tasks.discovery.engine.running.runner import Runner
from tasks.discovery.tool import RequestCall, Source, Tool

_RUNS = 50


def measure(jobs: int) -> dict[str, float]:
    """Return p50 and p95 of a discovery in seconds, of plain pages and of the shop, and p50 of a run by HTTP in ms."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(PAGES):
            name = "index.html" if number == 0 else f"page{number}.html"
            (Path(folder) / name).write_text(page(number), encoding="utf-8")
        with served(Path(folder)) as url, opened(url) as discovery:
            took = [_discovered(discovery, url) for _ in range(jobs + 1)][1:]
            run_ms = _run_ms(discovery, url)
    with discovery_shop.running() as url, opened(url) as discovery:
        of_shop = [_discovered(discovery, url) for _ in range(jobs + 1)][1:]
    return {
        **_marks("", took),
        **_marks("shop_", of_shop),
        "run_http_p50_ms": round(run_ms, 2),
    }


def _marks(name: str, took: list[float]) -> dict[str, float]:
    cuts = quantiles(took, n=20, method="inclusive")
    return {f"{name}p50_s": round(cuts[9], 3), f"{name}p95_s": round(cuts[18], 3)}


def _discovered(discovery: Discovery, url: str) -> float:
    began = time.monotonic()
    _, result = discovery.discover(url, None, goal="search for items", max_pages=PAGES, max_tools=10, max_depth=2)
    if len(result.pages) < PAGES or not result.tools:
        raise RuntimeError(f"{len(result.pages)} pages and {len(result.tools)} tools: {result.skipped}")
    return time.monotonic() - began


def _run_ms(discovery: Discovery, url: str) -> float:
    from tests.fakes import FakeJob  # noqa: PLC0415  # as bench.crawlers

    tool = Tool(
        name="index",
        site=url.rstrip("/"),
        found_on=url,
        source=Source.LIST,
        call=RequestCall(url=f"{url.rstrip('/')}/index.html"),
        input_schema={"type": "object", "properties": {}},
        prior=0.5,
    )
    with tempfile.TemporaryDirectory() as folder, Runner(FakeJob(Path(folder), discovery.egress)) as run:
        took = [run(tool, {}).took_s for _ in range(_RUNS)]
    return quantiles(took, n=2)[0] * 1000


if __name__ == "__main__":
    shown: dict[str, Any] = measure(20)
    print(json.dumps(shown))
