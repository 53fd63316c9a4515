"""Knowledge without a worker: engines on a ledger, and documents to fill it with."""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tasks.core.clock import now
from tasks.core.egress import Egress
from tasks.core.ids import new_id
from tasks.core.ledger import Ledger
from tasks.core.ledger.tenants import Tenant
from tasks.core.text.ngrams import packed
from tasks.core.text.words import stems
from tasks.knowledge.contract import ReindexRequest, ReindexResult, UpdateRequest, UpdateResult
from tasks.knowledge.crawled import crawl_of
from tasks.knowledge.engine.embedding import Embedder, HashedNgrams
from tasks.knowledge.engine.reindex import Reindexer
from tasks.knowledge.engine.update import Updater
from tasks.knowledge.hashed import ngrams_of
from tasks.knowledge.records import Crawl, Model, OpenSite
from tasks.knowledge.search.passages import Passage
from tasks.knowledge.search.searching import Mode, search
from tasks.knowledge.search.site_index import SiteIndex, load_index
from tasks.knowledge.store.reading import LedgerLibrary
from tasks.knowledge.store.reindexing import JobKeeper
from tests.fakes import FakeJob
from tests.samples import running

SITE = "handbook"
TEXTS = {
    "holidays": "# Holidays\n\nEverybody has thirty days of paid holiday a year. Unused days expire in March.",
    "travel": "# Travel\n\n## Trains\n\nTrains are booked by the office.\n\n## Hotels\n\nA hotel may cost 120 euros.",
    "tea": "# Kitchen\n\nThe kettle is descaled every second week. Green tea is bought by the team.",
}


def documents(**changes: str) -> list[dict[str, Any]]:
    """Return three documents, some of them changed."""
    return [
        {"id": name, "text": text, "title": name.title(), "url": f"https://handbook.example/{name}"}
        for name, text in (TEXTS | changes).items()
    ]


@dataclass
class ScriptedModel:
    """A model whose vectors are a text's length and its first vowels; counts what it was asked."""

    name: str = "scripted"
    dimensions: int = 6
    asked: int = 0

    @property
    def model(self) -> Model:
        return Model(self.name, self.dimensions)

    def embed(self, pieces: Any) -> list[bytes]:
        return [packed(vector) for vector in self.embed_texts([piece.whole for piece in pieces])]

    def embed_texts(self, texts: Any) -> Any:
        self.asked += len(texts)
        rows = [[1.0, *(text.count(vowel) for vowel in "aeiou")][: self.dimensions] for text in texts]
        found = np.array(rows, np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def close(self) -> None:
        """Hold nothing."""


@dataclass
class House:
    """One tenant's knowledge."""

    ledger: Ledger
    tenant: Tenant
    folder: Path
    egress: Egress
    embedder: Embedder = field(default_factory=HashedNgrams)
    crawls: dict[str, tuple[Crawl, list[dict[str, Any]]]] = field(default_factory=dict)
    jobs: list[FakeJob] = field(default_factory=list)

    def job(self, kind: str = "knowledge.update") -> FakeJob:
        """Return a running job, as its engine sees it."""
        claimed = running(self.ledger, self.tenant, kind=kind, queue="ai")
        self.jobs.append(FakeJob(self.folder, self.egress, id=claimed.id, fence=claimed.fence))
        return self.jobs[-1]

    def keeper(self, job: FakeJob) -> JobKeeper:
        """Return what writes for this job."""
        return JobKeeper(self.ledger, job.id, job.fence, job.checkpoint)

    def update(self, job: FakeJob | None = None, **request: Any) -> UpdateResult:
        """Run an update."""
        engine = Updater(self.keeper, self._embedder, self._crawl)  # type: ignore[arg-type]  # of a fake job
        return engine(UpdateRequest(**({"site": SITE} | request)), job or self.job())

    def reindex(self, **request: Any) -> ReindexResult:
        """Run a re-index."""
        engine = Reindexer(self.keeper, self._embedder, self._site)  # type: ignore[arg-type]  # of a fake job
        return engine(ReindexRequest(**({"site": SITE} | request)), self.job("knowledge.reindex"))

    def crawl(self, *pages: tuple[str, str], at: datetime | None = None, **changes: Any) -> str:
        """Keep a crawl that found these addresses and texts; return its job's id."""
        values = {"is_whole": True, "is_mostly_failed": False, "failed": frozenset(), "gone": frozenset()} | changes
        job_id = new_id()
        crawl = Crawl(job_id=job_id, site="docs.example", finished_at=at or now(), **values)
        self.crawls[job_id] = (crawl, [{"url": url, "title": "", "text": text} for url, text in pages])
        return job_id

    def keep(self, result: Mapping[str, Any], pages: Iterable[dict[str, Any]]) -> str:
        """Keep a crawl that has this result and these pages; return its job's id."""
        job_id = new_id()
        self.crawls[job_id] = (crawl_of(job_id, result, finished_at=now()), list(pages))
        return job_id

    @contextmanager
    def _embedder(self, _job: object) -> Iterator[Embedder]:
        yield self.embedder

    def _crawl(self, _job: object, crawl_job_id: str) -> tuple[Crawl, BinaryIO]:
        crawl, pages = self.crawls[crawl_job_id]
        return crawl, io.BytesIO("".join(json.dumps(page) + "\n" for page in pages).encode())

    def _site(self, _job: object, site: str) -> OpenSite:
        found = self.library.standing(self.tenant.id, site)
        assert found is not None
        return OpenSite(found.site_id, site, found.version, found.model)

    @property
    def library(self) -> LedgerLibrary:
        return LedgerLibrary(self.ledger)

    def index(self, site: str = SITE, earlier: SiteIndex | None = None) -> SiteIndex:
        """Read a site's index."""
        standing = self.library.standing(self.tenant.id, site)
        assert standing is not None
        index = load_index(self.library, standing.site_id, earlier)
        assert index is not None
        return index

    def find(
        self, query: str, *, site: str = SITE, mode: str = Mode.HYBRID, index: SiteIndex | None = None
    ) -> list[Passage]:
        """Search a site."""
        index = index or self.index(site)
        found = search(
            index, query, embed=lambda text: ngrams_of(list(stems(text)), index.postings.rarity), mode=Mode(mode)
        )
        passages = self.library.passages(index.standing.site_id, [hit.chunk_id for hit in found.hits])
        return [passages[hit.chunk_id] for hit in found.hits]

    def keys(self, query: str, **how: Any) -> list[str]:
        """Return which documents a search finds, best first."""
        return list(dict.fromkeys(passage.key for passage in self.find(query, **how)))


@dataclass
class Meanwhile(FakeJob):
    """Lets something happen after its first batch."""

    happens: Callable[[], object] = lambda: None

    def report(self, stage: str, done: float, total: float | None = None, message: str = "") -> None:
        happens, self.happens = self.happens, lambda: None
        happens()
        super().report(stage, done, total, message)


def meanwhile(house: House, happens: Callable[[], object]) -> Meanwhile:
    """Return a job of the house in whose midst this happens."""
    job = house.job()
    return Meanwhile(job.workdir, job.http, id=job.id, fence=job.fence, happens=happens)
