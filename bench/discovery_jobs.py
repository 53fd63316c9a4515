"""What discovery costs over HTTP, through a web server, Redis, a dispatcher and a real worker.

``python -m bench.discovery_jobs [--runs N] [--json]``

A local site of ten pages is discovered once. Then the same is asked for again and again, which is answered from the
cache: from submit to answer. Then a tool of it that is a plain request is run again and again; the same request sent by
hand is the site's own time, and what is beyond it is ours.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from bench.crawl import served
from bench.discovery_memory import PAGES, page
from bench.house import percentiles
from bench.whole_house import whole_house
from tasks.discovery.tool import RequestCall, Source, Tool


def measure(runs: int) -> dict[str, Any]:
    """Return times in milliseconds."""
    with ExitStack() as opened:
        site, house = (Path(opened.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))
        for number in range(PAGES):
            (site / ("index.html" if number == 0 else f"page{number}.html")).write_text(page(number), encoding="utf-8")
        url = opened.enter_context(served(site))
        client = opened.enter_context(whole_house(house, url.split("/")[2], queues=("crawler",)))
        params = {"url": url, "goal": "search for items", "max_pages": PAGES}
        first = _job(client, "discovery.site", params)
        if first["result"]["cache"]["hit"] or len(first["result"]["pages"]) < PAGES:
            raise RuntimeError(f"the first discovery saw no ten pages: {first['result']['skipped']}")
        cached = _timed(runs, lambda: _demand_hit(_job(client, "discovery.site", params)))
        tool = _listing(url)
        run_params = {"tool": tool.model_dump(mode="json"), "arguments": {}}
        _job(client, "discovery.run", run_params)
        run = _timed(runs, lambda: _demand_status(_job(client, "discovery.run", run_params)))
        with httpx.Client() as alone:
            by_hand = _timed(runs, lambda: alone.get(url))
    return {
        "bench": "discovery_jobs",
        "cached": percentiles(cached),
        "run_by_http": percentiles(run),
        "site_alone": percentiles(by_hand),
    }


def _job(client: httpx.Client, kind: str, params: dict[str, Any]) -> dict[str, Any]:
    """Submit a job and wait for its end in the same call."""
    answer = client.post("/api/jobs", json={"kind": kind, "params": params}, headers={"Prefer": "wait=60"})
    job: dict[str, Any] = answer.json()
    if answer.status_code != httpx.codes.OK or job["state"] != "succeeded":
        raise RuntimeError(f"{kind} answered {answer.status_code}: {answer.text[:500]}")
    return job


def _timed(times: int, action: Callable[[], object]) -> list[float]:
    took = []
    for _ in range(times):
        began = time.monotonic()
        action()
        took.append(time.monotonic() - began)
    return took


def _demand_hit(job: dict[str, Any]) -> None:
    if not job["result"]["cache"]["hit"]:
        raise RuntimeError("a discovery was not answered from the cache")


def _demand_status(job: dict[str, Any]) -> None:
    if job["result"]["status"] != httpx.codes.OK:
        raise RuntimeError(f"the tool was answered {job['result']['status']}")


def _listing(url: str) -> Tool:
    return Tool(
        name="list_items",
        site=url.removesuffix("/index.html"),
        found_on=url,
        source=Source.LIST,
        call=RequestCall(url=url),
        input_schema={"type": "object", "properties": {}},
        prior=0.5,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    measured = measure(options.runs)
    if options.json:
        print(json.dumps(measured))
        return
    for name in ("cached", "run_by_http", "site_alone"):
        print(f"{name:>12}  {measured[name]}")


if __name__ == "__main__":
    main()
