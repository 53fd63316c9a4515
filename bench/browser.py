"""What a page costs in the warm browser of a worker child, through the egress proxy.

``python -m bench.browser [--visits N] [--json]``

A local page with a form, a style sheet, a script and an image, from a server on loopback. Each visit takes a fresh
context and loads the page; then the same with a browser launched for each visit, and with Chromium alone, warm and
without our proxy.
"""

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

import psutil
from playwright.async_api import async_playwright

from bench.crawl import served
from tasks.core.browser import BrowserOptions, Visit, WarmBrowser
from tasks.core.egress import EgressPolicy
from tasks.core.processes import held_bytes

_COLD_VISITS = 5
_PAGE = """<!doctype html><title>bench</title><link rel=stylesheet href=/style.css><script src=/script.js></script>
<form action=/search><input name=q><button>Go</button></form><img src=/image.svg>"""
_FILES = {
    "index.html": _PAGE,
    "style.css": "body { color: #333 }",
    "script.js": "document.title += '!'",
    "image.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
}


def visit_once(browser: WarmBrowser, url: str) -> None:
    """Load the page in a fresh context."""

    async def work(visit: Visit) -> str:
        page = await visit.context.new_page()
        await visit.open(page, url, until="load")
        return await page.title()

    assert browser.run(work, timeout_s=60) == "bench!"


def timed(action: Callable[[], None], times: int) -> list[float]:
    """Return how long each run took, in seconds."""
    took = []
    for _ in range(times):
        began = time.monotonic()
        action()
        took.append(time.monotonic() - began)
    return took


def alone(url: str, times: int) -> list[float]:
    """Return the same from Chromium without the proxy."""

    async def load() -> list[float]:
        took = []
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), chromium_sandbox=False, args=["--disable-gpu"]
            )
            for _ in range(times + 1):
                began = time.monotonic()
                context = await browser.new_context()
                page = await context.new_page()
                await page.goto(url, wait_until="load")
                await page.title()
                await context.close()
                took.append(time.monotonic() - began)
            await browser.close()
        return took[1:]

    return asyncio.run(load())


def summary(took: list[float]) -> dict[str, float]:
    """Return p50 and p95 in milliseconds."""
    cuts = quantiles(took, n=20, method="inclusive")
    return {"p50_ms": round(cuts[9] * 1000, 1), "p95_ms": round(cuts[18] * 1000, 1)}


def mebibytes(browser: WarmBrowser) -> dict[str, float]:
    """Return what the browser holds, and this process with everything below it."""
    assert browser.pid is not None
    return {
        "browser_mb": round(held_bytes(browser.pid) / (1 << 20), 1),
        "child_mb": round(held_bytes(psutil.Process().pid) / (1 << 20), 1),
    }


def run(folder: Path, visits: int) -> dict[str, object]:
    """Measure all three."""
    for name, text in _FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    with served(folder) as url:
        policy = EgressPolicy(allow=frozenset({url.split("/")[2]}))
        cold_browser = WarmBrowser(BrowserOptions(policy=policy, max_visits=1))
        cold = timed(lambda: visit_once(cold_browser, url), _COLD_VISITS)
        cold_browser.close()
        warm_browser = WarmBrowser(BrowserOptions(policy=policy, max_visits=visits + 2))
        visit_once(warm_browser, url)
        before = mebibytes(warm_browser)
        warm = timed(lambda: visit_once(warm_browser, url), visits)
        after = mebibytes(warm_browser)
        warm_browser.close()
        return {
            "bench": "browser",
            "visits": visits,
            "warm": summary(warm),
            "cold": summary(cold),
            "chromium_alone": summary(alone(url, visits)),
            "memory_after_1": before,
            f"memory_after_{visits}": after,
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), options.visits)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:>18}  {value}")


if __name__ == "__main__":
    main()
