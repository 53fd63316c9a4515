"""A served site, a job to crawl it with, and reading in this process, which saves the start of another."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest

from tasks.core.egress import Answer, Egress, EgressPolicy, Wants
from tasks.core.egress.downloads import Downloads
from tasks.core.job import JobContext
from tasks.crawling.contract import CrawlResult, SiteRequest
from tasks.crawling.engine import site as engine
from tasks.crawling.engine import visiting
from tasks.crawling.engine.extraction import OnOutline
from tasks.crawling.engine.fetch import FetchLimits
from tasks.crawling.engine.page import parse_page, read_outline, read_text
from tasks.crawling.engine.page_content import MainText, Outline
from tasks.crawling.records import EarlierCrawl
from tests.crawling.local_site import LocalSite
from tests.fakes import FakeJob

QUICK = FetchLimits(request_s=1.0, retries=1, backoff_s=0.01, longest_pause_s=0.3)


class ExtractionHere:
    """Reads as ``Extraction`` does, without its processes."""

    def __init__(self, *, processes: int) -> None:
        self.processes = processes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def read(
        self, body: bytes, *, url: str, charset: str | None, on_outline: OnOutline
    ) -> tuple[Outline, MainText]:
        tree = parse_page(body, charset=charset)
        outline = read_outline(tree, url=url)
        on_outline(outline)
        return outline, read_text(tree, url=url)


@asynccontextmanager
async def web_of(*urls: str) -> AsyncIterator[Downloads]:
    """Give what a crawl fetches with, which may reach these servers."""
    policy = EgressPolicy(allow=frozenset(urlsplit(url).netloc for url in urls))
    with Egress(policy) as egress:
        async with egress.downloads() as web:
            yield web


class FailingWeb:
    """Ends every request in the same error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def get(self, url: str, headers: Mapping[str, str], *, wants: Wants) -> Answer:
        raise self.error


@dataclass(frozen=True)
class Crawled:
    """A crawl that ended."""

    result: CrawlResult
    job: FakeJob
    base: str

    @property
    def pages(self) -> list[dict[str, object]]:
        """The lines of ``pages.jsonl``."""
        return [json.loads(line) for line in self.job.saved["pages.jsonl"].splitlines()]

    @property
    def paths(self) -> list[str]:
        """Paths of the kept pages, sorted."""
        return sorted(str(page["url"]).removeprefix(self.base) for page in self.pages)

    def earlier(self, job_id: str, *, reader: str | None = None) -> EarlierCrawl:
        """Return it as what a later crawl compares with, as if it were a job of this id."""
        unreached = self.job.saved.get("unreached.jsonl")
        return EarlierCrawl(
            job_id,
            self.result.reader if reader is None else reader,
            BytesIO(self.job.saved["pages.jsonl"]),
            None if unreached is None else BytesIO(unreached),
        )


Crawl = Callable[..., Crawled]


def no_earlier(_job: JobContext, _since: str) -> EarlierCrawl | None:
    """Find no earlier crawl."""
    return None


MakeJob = Callable[..., FakeJob]


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite().serving() as served:
        yield served


@pytest.fixture
def make_job(tmp_path: Path) -> Iterator[MakeJob]:
    egresses: list[Egress] = []

    def make(*sites: LocalSite, **fields: object) -> FakeJob:
        egress = Egress(EgressPolicy(allow=frozenset(f"127.0.0.1:{site.port}" for site in sites)))
        egresses.append(egress)
        return FakeJob(workdir=tmp_path, http=egress, **fields)  # type: ignore[arg-type]

    yield make
    for egress in egresses:
        egress.close()


@pytest.fixture
def crawl(site: LocalSite, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> Crawl:
    """Crawl ``site`` without delay from ``path``; further keywords are fields of the request."""
    monkeypatch.setattr(visiting, "Extraction", ExtractionHere)

    def run(
        path: str = "/",
        *,
        job: FakeJob | None = None,
        limits: FetchLimits = QUICK,
        open_earlier: engine.OpenEarlier = no_earlier,
        **fields: object,
    ) -> Crawled:
        job = job or make_job(site)
        request = SiteRequest.model_validate({"url": site.url + path, "delay_s": 0, **fields})
        return Crawled(engine.crawl(request, job, limits=limits, open_earlier=open_earlier), job, site.url)

    return run
