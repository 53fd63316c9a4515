"""How long it takes from a change of a page until a search finds it, in a whole house.

``python -m bench.freshness [--data FOLDER] [--pages N] [--every S] [--changes N] [--gap S] [--json]``

A site (by default Debian's ``python3-doc``) is served by another process, crawled and taken in. A schedule crawls it
again every ``--every`` seconds, since the last crawl, and takes in what that finds. Every ``--gap`` seconds a word that
stands nowhere else is put into another page, and searched for over HTTP until it is found: through the web server's
cache, which must hear of the change from the worker. So the times have the wait for the schedule in them, the crawl of
the whole site, and the update.

Pages of documentation are changed whose main text has a sentence that is put under the heading: of a few, such as a
list of links, it is no part, and no search can find it (``left_out`` counts them). A word that was not found within the
bar is told by its page and counted in ``not_found``.
"""

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from bench.changing_server import with_sentence
from bench.changing_site import DEFAULT_SITE, ServedSite, served
from bench.house import percentiles
from bench.whole_house import whole_house
from tasks.crawling.engine.page import parse_page, read_text

BAR_S = 300.0
_LOOKS_EVERY_S = 0.25
_LETTERS = "bcdfghklmnprstvz"
_SENTENCE = "A {word} was seen here, and it was told at once."


def measure(docs: Path, *, pages: int, every_s: int, changes: int, gap_s: float) -> dict[str, Any]:
    """Return the percentiles of the times, in milliseconds, and how the crawls went."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        site = opened.enter_context(served(str(docs)))
        client = opened.enter_context(whole_house(folder, site.endpoint, queues=("crawler", "ai")))
        crawl = {
            "kind": "crawling.site",
            "params": {"url": site.url, "max_pages": pages, "depth": 10, "delay_s": 0, "since": "last"},
            "on_success": {"kind": "knowledge.update", "params": {"crawl_job_id": {"$from": "/job/id"}}},
        }
        known = _first(client, crawl)[:changes]
        showing = [url for url in known if _shows(url)]
        schedule = _posted(client, "/api/schedules", {"job": crawl | {"unique_key": "bench"}, "every_s": every_s})
        took = _changed(client, site, showing, gap_s=gap_s)
        made = client.get(f"/api/schedules/{schedule['id']}").json()["jobs_made"]
        client.delete(f"/api/schedules/{schedule['id']}")
    found = percentiles(took)
    return {
        "bench": "freshness",
        "pages": pages,
        "every_s": every_s,
        "crawls": made,
        **found,
        "left_out": len(known) - len(showing),
        "not_found": sum(one >= BAR_S for one in took),
        "is_within_bar": found["p95_ms"] < BAR_S * 1000,
    }


def _first(client: httpx.Client, crawl: dict[str, Any]) -> list[str]:
    """Crawl and take in, and return the addresses of the pages of documentation that are known then, in order."""
    job = _posted(client, "/api/jobs", crawl)
    done = _ended(client, job["id"])
    update = None
    while update is None:
        time.sleep(_LOOKS_EVERY_S)
        update = (client.get(f"/api/jobs/{job['id']}").json()["follow_up"] or {}).get("job_id")
    _ended(client, update)
    lines = client.get(f"/api/jobs/{done['id']}/artifacts/pages.jsonl").text.splitlines()
    pages = [json.loads(line) for line in lines]
    urls = [page["url"] for page in pages if page["page_type"] == "documentation"]
    return sorted(url for url in urls if url.endswith(".html"))


def _shows(url: str) -> bool:
    """Tell whether a sentence under the page's heading would be part of its main text."""
    word = _word(0)
    body = with_sentence(httpx.get(url).content, _SENTENCE.format(word=word))
    return word in read_text(parse_page(body, charset=None), url=url).text


def _changed(client: httpx.Client, site: ServedSite, urls: list[str], *, gap_s: float) -> list[float]:
    """Change one page after another, and return after how many seconds each was found, or given up on at the bar."""
    waiting: dict[str, tuple[str, float]] = {}
    took: list[float] = []
    left = list(urls)
    began = time.monotonic()
    while left or waiting:
        if left and time.monotonic() >= began + (len(urls) - len(left)) * gap_s:
            word, url = _word(len(left)), left.pop()
            site.change({url.split(site.endpoint, 1)[1]: _SENTENCE.format(word=word)})
            waiting[word] = (url, time.monotonic())
        for word, (url, since) in list(waiting.items()):
            is_found = _is_found(client, site.endpoint, word)
            passed = time.monotonic() - since
            if is_found or passed >= BAR_S:
                del waiting[word]
                took.append(passed)
                print(f"{url} {'after' if is_found else 'not found'} {passed:.1f} s", file=sys.stderr, flush=True)
        time.sleep(_LOOKS_EVERY_S)
    return took


def _word(number: int) -> str:
    """Return a word that stands nowhere, of consonants, so that nothing is taken for its ending."""
    return "zq" + "".join(_LETTERS[(number >> shift) % 16] for shift in (0, 4, 8)) + "xkr"


def _is_found(client: httpx.Client, name: str, word: str) -> bool:
    found = _posted(client, "/api/knowledge/search", {"site": name, "query": word, "mode": "lexical", "top_k": 1})
    return any(word in one["text"] for one in found["results"])


def _ended(client: httpx.Client, job_id: str) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = client.get(f"/api/jobs/{job_id}", params={"wait": 30}).json()
        if job["state"] == "succeeded":
            return job
        if job["state"] in {"failed", "cancelled"}:
            raise RuntimeError(f"{job['kind']} ended {job['state']}: {job['error']}")


def _posted(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body)
    if not answer.is_success:
        raise RuntimeError(f"{path} answered {answer.status_code}: {answer.text[:500]}")
    told: dict[str, Any] = answer.json()
    return told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_SITE, help="folder with an index.html")
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--every", type=int, default=60, help="seconds from one crawl to the next")
    parser.add_argument("--changes", type=int, default=40)
    parser.add_argument("--gap", type=float, default=7.0, help="seconds from one change to the next")
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    options = parser.parse_args()
    if not (options.data / "index.html").is_file():
        parser.error(f"{options.data} has no index.html; name another folder with --data or install python3-doc")
    measured = measure(
        options.data, pages=options.pages, every_s=options.every, changes=options.changes, gap_s=options.gap
    )
    print(measured)
    if options.json:
        print(json.dumps(measured))


if __name__ == "__main__":
    main()
