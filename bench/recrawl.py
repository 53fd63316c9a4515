"""What a second crawl of a site costs, and taking it in: where nothing has changed, and where one page in twenty has.

``python -m bench.recrawl [--data FOLDER] [--pages N] [--share 0.05] [--json]``

The site is a folder of HTML (by default Debian's ``python3-doc``), served with ETags by another process that counts
what it sends. It is crawled by the engine of ``crawling.site`` and taken in by that of ``knowledge.update``: once, then
again as it stands, then with a sentence more in a share of its pages, then again with ``revisit`` while nothing is due.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from bench.changing_site import DEFAULT_SITE, ServedSite, sentences, served
from tasks.core.egress import Egress, EgressPolicy
from tasks.core.ids import new_id
from tasks.core.ledger import Ledger, tenants
from tasks.crawling.contract import SiteRequest
from tasks.crawling.engine.site import crawl
from tasks.crawling.records import EarlierCrawl
from tasks.knowledge.engine.embedding import HashedNgrams, Readable
from tests.fakes import FakeJob
from tests.knowledge.house import House

CONCURRENCY = 8
_REVISIT = {"min_s": 3600, "max_s": 30 * 24 * 3600}
_COUNTS = ("new", "changed", "unchanged", "not_modified", "same_bytes", "not_due", "gone", "missed", "failed")


class CountingNgrams(HashedNgrams):
    """Counts the pieces that it embeds."""

    asked = 0

    def embed(self, pieces: Sequence[Readable]) -> list[bytes]:
        """See ``Embedder``."""
        CountingNgrams.asked += len(pieces)
        return super().embed(pieces)


class Recrawler:
    """One site's crawls, each compared with the one before, all taken in by one house."""

    def __init__(self, site: ServedSite, house: House, egress: Egress, folder: Path, *, pages: int) -> None:
        self._site = site
        self._house = house
        self._egress = egress
        self._folder = folder
        self._pages = pages
        self._last: tuple[str, FakeJob] | None = None
        self.urls: list[str] = []

    def crawl(self, **fields: object) -> dict[str, Any]:
        """Crawl and take in; return what both cost."""
        request = SiteRequest.model_validate(
            {"url": self._site.url, "max_pages": self._pages, "depth": 10, "delay_s": 0, "concurrency": CONCURRENCY}
            | ({} if self._last is None else {"since": "last"})
            | fields
        )
        job = FakeJob(workdir=self._folder, http=self._egress, id=new_id())
        began = time.perf_counter()
        result = crawl(request, job, open_earlier=self._earlier)
        crawl_s = time.perf_counter() - began
        sent = self._site.counts()
        lines = job.saved["pages.jsonl"].splitlines()
        before, began = CountingNgrams.asked, time.perf_counter()
        kept = self._house.keep(result.model_dump(mode="json"), map(json.loads, lines))
        told = self._house.update(site=None, crawl_job_id=kept)
        self._last = (result.reader, job)
        self.urls = [json.loads(line)["url"] for line in lines]
        delta = {} if result.delta is None else {name: getattr(result.delta, name) for name in _COUNTS}
        return {
            "pages": result.pages_ok,
            "stopped_by": result.stopped_by.value,
            **sent,
            "delta": {name: count for name, count in delta.items() if count},
            "crawl_s": round(crawl_s, 1),
            "pages_changed": told.added + told.changed,
            "embeddings": CountingNgrams.asked - before,
            "update_s": round(time.perf_counter() - began, 1),
        }

    def _earlier(self, _job: object, _since: str) -> EarlierCrawl | None:
        assert self._last is not None
        reader, job = self._last
        return EarlierCrawl(job.id, reader, BytesIO(job.saved["pages.jsonl"]))


def measure(docs: Path, *, pages: int, share: float) -> dict[str, dict[str, Any]]:
    """Return the costs of each crawl by what had happened before it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        served(str(docs)) as site,
        Egress(EgressPolicy(allow=frozenset({site.endpoint}))) as egress,
    ):
        ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        ledger.prepare()
        house = House(ledger, tenants.named(ledger, "bench"), Path(folder), egress, CountingNgrams())
        crawls = Recrawler(site, house, egress, Path(folder), pages=pages)
        found = {"first": crawls.crawl(), "unchanged": crawls.crawl()}
        site.change(sentences(crawls.urls, endpoint=site.endpoint, share=share))
        found[f"{share:.0%} changed"] = crawls.crawl(revisit=_REVISIT)
        found["nothing due"] = crawls.crawl(revisit=_REVISIT)
        ledger.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_SITE, help="folder with an index.html")
    parser.add_argument("--pages", type=int, default=5000)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    options = parser.parse_args()
    if not (options.data / "index.html").is_file():
        parser.error(f"{options.data} has no index.html; name another folder with --data or install python3-doc")
    found = measure(options.data, pages=options.pages, share=options.share)
    for name, costs in found.items():
        print(f"{name}: {costs}")
    if options.json:
        print(json.dumps({"bench": "recrawl", **found}))


if __name__ == "__main__":
    main()
