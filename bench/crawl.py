"""Pages per second of our crawler and of Scrapy, on one local site.

``python -m bench.crawl [--data FOLDER | --made] [--pages N] [--rounds N] [--concurrency N] [--only A,B] [--json]``

The site is a folder of HTML (by default Debian's ``python3-doc``), served from memory by another process; with
``--made`` it is as many made-up pages as ``--pages`` says, of 2,500 characters of text and 20 links each. Each round
runs every crawler once, in turn, each in a fresh process, with no delay between requests, the same concurrency, page
cap and depth, and robots.txt obeyed; the median of the rounds counts. ``scrapy+text`` does the same work as ours,
``scrapy`` leaves out the main text. ``missed`` and ``extra`` count the pages that only Scrapy or only ours kept, where
neither was stopped by the cap (``--pages``).
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import changing_site
from bench.crawlers import CRAWLERS

ROOT = Path(__file__).parents[1]
DEFAULT_SITE = Path("/usr/share/doc/python3-doc/html")

Runs = dict[str, list[dict[str, Any]]]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve ``folder`` from another process and give its start URL."""
    command = [sys.executable, "-m", "bench.static_server", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("the server was started without pipes")
        port = int(server.stdout.readline())
        yield f"http://127.0.0.1:{port}/index.html"
        server.stdin.close()


@contextmanager
def served_made(pages: int) -> Iterator[str]:
    """Serve so many made-up pages from another process and give their start URL."""
    with changing_site.served("--made", str(pages)) as site:
        yield site.url


def run(name: str, url: str, *, pages: int, concurrency: int) -> dict[str, Any]:
    """Return what one crawl in a fresh process measured."""
    command = [sys.executable, "-m", "bench.crawlers", name, url, str(pages), str(concurrency)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def summarize(runs: Runs) -> dict[str, dict[str, float]]:
    """Return, by crawler, the median pages per second and what the median run got."""
    summary = {}
    for name, measured in runs.items():
        rates = [one["pages"] / one["seconds"] for one in measured]
        summary[name] = {
            "pages_per_second": round(statistics.median(rates), 2),
            "slowest": round(min(rates), 2),
            "fastest": round(max(rates), 2),
            "pages": measured[0]["pages"],
            "megabytes": round(measured[0]["bytes"] / 1e6, 1),
            "text_chars": measured[0]["text_chars"],
            "cpu_s": statistics.median(one["cpu_s"] for one in measured),
            "peak_mb": max(one["peak_mb"] for one in measured),
        }
    return summary


def compared(runs: Runs, summary: dict[str, dict[str, float]], *, cap: int) -> dict[str, Any]:
    """Return ours beside Scrapy without text; pages missed or extra only where neither met the cap."""
    if not {"switchyard", "scrapy"} <= runs.keys():
        return {}
    ours, theirs = summary["switchyard"], summary["scrapy"]
    kept, wanted = (set(runs[name][0]["urls"]) for name in ("switchyard", "scrapy"))
    is_whole = max(len(kept), len(wanted)) < cap
    return {
        "ours_pages_s": ours["pages_per_second"],
        "scrapy_pages_s": theirs["pages_per_second"],
        "ratio": round(ours["pages_per_second"] / theirs["pages_per_second"], 3),
        "missed": len(wanted - kept) if is_whole else None,
        "extra": len(kept - wanted) if is_whole else None,
        "peak_mb": ours["peak_mb"],
    }


def print_table(summary: dict[str, dict[str, float]]) -> None:
    """Print one line for each crawler."""
    heads = f"{'slowest':>9}{'fastest':>9}{'pages':>7}{'MB':>8}{'text chars':>12}{'CPU s':>8}{'peak MB':>9}"
    print(f"{'crawler':<14}{'pages/s':>9}{heads}")
    for name, row in summary.items():
        print(
            f"{name:<14}{row['pages_per_second']:>9.2f}{row['slowest']:>9.2f}{row['fastest']:>9.2f}"
            f"{row['pages']:>7.0f}{row['megabytes']:>8.1f}{row['text_chars']:>12.0f}"
            f"{row['cpu_s']:>8.1f}{row['peak_mb']:>9.0f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_SITE, help="folder with an index.html")
    parser.add_argument("--made", action="store_true", help="as many made-up pages as --pages, in place of a folder")
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--only", default=",".join(CRAWLERS), help="which crawlers, separated by commas")
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    options = parser.parse_args()
    if not options.made and not (options.data / "index.html").is_file():
        parser.error(f"{options.data} has no index.html; name another folder with --data or install python3-doc")
    names = options.only.split(",")
    if unknown := [name for name in names if name not in CRAWLERS]:
        parser.error(f"--only names {unknown[0]!r}, which is none of {', '.join(CRAWLERS)}")
    runs: Runs = {name: [] for name in names}
    # One more than there are, so that nobody is stopped by it.
    cap = options.pages + 1 if options.made else options.pages
    with served_made(options.pages) if options.made else served(options.data) as url:
        for _ in range(options.rounds):
            for name in names:
                runs[name].append(run(name, url, pages=cap, concurrency=options.concurrency))
    summary = summarize(runs)
    print_table(summary)
    if options.json:
        settings = {name: getattr(options, name) for name in ("pages", "made", "rounds", "concurrency")}
        print(json.dumps({"bench": "crawl", **compared(runs, summary, cap=cap), **settings, "crawlers": summary}))


if __name__ == "__main__":
    main()
