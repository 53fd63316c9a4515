"""One crawl by one crawler in a process of its own: ``python -m bench.crawlers NAME URL PAGES CONCURRENCY``.

Prints JSON ``{"pages", "bytes", "text_chars", "seconds", "cpu_s", "peak_mb", "urls"}``. The seconds run from the start
of the crawl to its end; imports are left out, the start of our extraction processes is counted. ``peak_mb`` adds up the
peaks of all processes, ``cpu_s`` has everything from the process's start.
"""

import hashlib
import json
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urlsplit

DEPTH = 3

Measured = dict[str, Any]


def switchyard(url: str, *, pages: int, concurrency: int) -> Measured:
    """Crawl with the engine of ``crawling.site``."""
    from tasks.core.egress import Egress, EgressPolicy  # noqa: PLC0415 - each crawler loads only its own libraries
    from tasks.crawling.contract import SiteRequest  # noqa: PLC0415  # each crawler's process loads only its own
    from tasks.crawling.engine.site import crawl  # noqa: PLC0415  # each crawler's process loads only its own
    from tasks.crawling.engine.walk import EXTRACTION_PROCESSES  # noqa: PLC0415  # each crawler's process loads only its own
    from tests.fakes import FakeJob  # noqa: PLC0415  # each crawler's process loads only its own

    request = SiteRequest(url=url, depth=DEPTH, max_pages=pages, concurrency=concurrency, delay_s=0, use_sitemap=False)
    policy = EgressPolicy(allow=frozenset({urlsplit(url).netloc}))
    with tempfile.TemporaryDirectory() as folder, Egress(policy) as egress:
        job = FakeJob(workdir=Path(folder), http=egress)
        started = time.perf_counter()
        result = crawl(request, job)
        seconds = time.perf_counter() - started
    kept = [json.loads(line) for line in job.saved["pages.jsonl"].splitlines()]
    return {
        "pages": result.pages_ok,
        "bytes": result.fetched_bytes,
        "text_chars": sum(len(page["text"]) for page in kept),
        "seconds": seconds,
        "urls": sorted(page["url"] for page in kept),
        **_used(children=EXTRACTION_PROCESSES),
    }


def scrapy(url: str, *, pages: int, concurrency: int) -> Measured:
    """Crawl with Scrapy: title, links and hash of the body, no main text."""
    return _scrapy(url, pages=pages, concurrency=concurrency, extract=None)


def scrapy_text(url: str, *, pages: int, concurrency: int) -> Measured:
    """Crawl with Scrapy, the main text extracted by trafilatura in the callback: the work that ours does."""
    import trafilatura  # noqa: PLC0415  # each crawler's process loads only its own

    def extract(html: str) -> str:
        return trafilatura.extract(html, output_format="markdown", include_comments=False) or ""

    return _scrapy(url, pages=pages, concurrency=concurrency, extract=extract)


def _scrapy(url: str, *, pages: int, concurrency: int, extract: Callable[[str], str] | None) -> Measured:
    from scrapy import Request, Spider  # noqa: PLC0415  # each crawler's process loads only its own
    from scrapy.crawler import CrawlerProcess  # noqa: PLC0415  # each crawler's process loads only its own
    from scrapy.exceptions import CloseSpider  # noqa: PLC0415  # each crawler's process loads only its own
    from scrapy.http import HtmlResponse, Response  # noqa: PLC0415  # each crawler's process loads only its own
    from scrapy.linkextractors import LinkExtractor  # noqa: PLC0415  # each crawler's process loads only its own

    kept = {"pages": 0, "bytes": 0, "text_chars": 0}
    urls: list[str] = []

    class SiteSpider(Spider):
        """Breadth first, until as many pages are kept as wanted."""

        name = "site"
        start_urls = [url]  # noqa: RUF012 - how Scrapy wants it
        links = LinkExtractor(allow=f"^http://{re.escape(urlsplit(url).netloc)}/")

        def parse(self, response: Response, **_: Any) -> Iterator[dict[str, object] | Request]:
            if not isinstance(response, HtmlResponse) or kept["pages"] >= pages:
                return
            # Without its fragment, which the extractor leaves on, a link is one of fewer.
            links = list(dict.fromkeys(urldefrag(link.url).url for link in self.links.extract_links(response)))
            text = extract(response.text) if extract else ""
            kept["pages"] += 1
            urls.append(response.url)
            kept["bytes"] += len(response.body)
            kept["text_chars"] += len(text)
            yield {
                "url": response.url,
                "status": response.status,
                "title": response.css("title::text").get(),
                "text": text,
                "links": links,
                "hash": hashlib.sha256(text.encode() if extract else response.body).hexdigest(),
            }
            if kept["pages"] >= pages:
                raise CloseSpider("enough")
            yield from map(Request, links)

    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "CONCURRENT_REQUESTS": concurrency,
            "CONCURRENT_REQUESTS_PER_DOMAIN": concurrency,
            "DOWNLOAD_DELAY": 0,
            "RANDOMIZE_DOWNLOAD_DELAY": False,
            "ROBOTSTXT_OBEY": True,
            "DEPTH_LIMIT": DEPTH,
            # Breadth first, as in Scrapy's FAQ.
            "DEPTH_PRIORITY": 1,
            "SCHEDULER_DISK_QUEUE": "scrapy.squeues.PickleFifoDiskQueue",
            "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
            "FEEDS": {Path(folder) / "pages.jsonl": {"format": "jsonlines"}},
            "LOG_LEVEL": "ERROR",
            "TELNETCONSOLE_ENABLED": False,
        }
        process = CrawlerProcess(settings)
        process.crawl(SiteSpider)
        started = time.perf_counter()
        process.start()
        seconds = time.perf_counter() - started
    return {**kept, "seconds": seconds, "urls": sorted(urls), **_used(children=0)}


def _used(*, children: int) -> dict[str, float]:
    own, theirs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = own.ru_utime + own.ru_stime + theirs.ru_utime + theirs.ru_stime
    # The system tells the largest child's peak: it counts for each.
    return {"cpu_s": round(cpu_s, 2), "peak_mb": round((own.ru_maxrss + children * theirs.ru_maxrss) / 1024, 1)}


CRAWLERS = {"switchyard": switchyard, "scrapy+text": scrapy_text, "scrapy": scrapy}


if __name__ == "__main__":
    name, site_url, page_cap, parallel = sys.argv[1:]
    print(json.dumps(CRAWLERS[name](site_url, pages=int(page_cap), concurrency=int(parallel))))
