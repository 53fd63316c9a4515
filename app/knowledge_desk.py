"""What answers searches in this process: indexes, answers and query vectors that are kept for a while."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np

from app.fresh_answers import FreshAnswers
from app.tenant_news import TenantNews
from tasks.core.errors import NotFound, Transient
from tasks.core.text.ngrams import Vector
from tasks.core.text.words import stems
from tasks.knowledge.hashed import HASHED, ngrams_of
from tasks.knowledge.records import Model, unknown_site
from tasks.knowledge.search.highlights import closeness
from tasks.knowledge.search.passages import Filters, Library, Passage
from tasks.knowledge.search.searching import Hit, Mode, search, terms_of
from tasks.knowledge.search.shelf import IndexShelf
from tasks.knowledge.search.site_index import SiteIndex

_MOST_VECTORS = 10_000
# After a model that did not answer, a tenant's searches go without it for so long, instead of waiting each. Of that
# tenant only: its jobs may be limited or paused, and those of others not.
AWAY_S = 10.0
_TIMED = 1000
# Passages that re-ranking looks into.
_RERANKED = 30

EmbedQuery = Callable[[Model, str], Vector]
"""Makes the vector of a query by this model, or raises an ``AppError``."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One search of a tenant."""

    tenant_id: str
    site: str
    query: str
    top_k: int = 10
    mode: Mode = Mode.HYBRID
    filters: Filters = field(default_factory=Filters)
    threshold: float = 0.0
    is_reranked: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What it found, best first, and which retrievers could not help."""

    version: int
    model: str
    found: tuple[tuple[Hit, Passage], ...]
    failed: tuple[tuple[str, str], ...]
    is_cached: bool
    took_ms: float
    is_behind: bool = False
    """The site has a newer version, whose index is still being read."""

    @property
    def is_kept(self) -> bool:
        """Whether it may be given again: nothing was missing, and nobody will be told of a change it does not have."""
        return not self.failed and not self.is_behind


class KnowledgeDesk:
    """For many threads."""

    def __init__(self, library: Library, shelf: IndexShelf, news: TenantNews) -> None:
        self._library = library
        self._shelf = shelf
        self._news = news
        self._answers: FreshAnswers[Asked, Answered] = FreshAnswers()
        self._lock = Lock()
        self._vectors: OrderedDict[tuple[Model, str], Vector] = OrderedDict()
        self._away: dict[tuple[str, Model], tuple[float, str, str]] = {}
        self._took_ms: deque[float] = deque(maxlen=_TIMED)

    def answer(self, asked: Asked, embed: EmbedQuery) -> Answered:
        """Search, or give the answer of a moment ago again.

        Raises:
            NotFound: the tenant has no such site.
            LedgerUnavailable: nothing can be read.
            AppError: of the only retriever that was asked for.
        """
        began = time.perf_counter()
        if self._news.came(asked.tenant_id):
            self._answers.forget(asked.tenant_id)
        known = self._answers.get(asked, asked.tenant_id, lambda: self._anew(asked))
        if known is not None:
            return replace(known, is_cached=True, took_ms=_since(began))
        seen = self._answers.seen(asked.tenant_id)
        answered = self._search(asked, embed, began)
        with self._lock:
            self._took_ms.append(answered.took_ms)
        if answered.is_kept:
            self._answers.put(asked, asked.tenant_id, answered, seen=seen)
        return answered

    def _anew(self, asked: Asked) -> Answered | None:
        """Search without anybody who waits: with the query's vector as it is kept."""
        answered = self._search(asked, _nobody_embeds, time.perf_counter())
        return answered if answered.is_kept else None

    def _search(self, asked: Asked, embed: EmbedQuery, began: float) -> Answered:
        standing = self._library.standing(asked.tenant_id, asked.site)
        if standing is None:
            raise unknown_site(asked.site)
        index = self._shelf.index(standing)
        among = None
        if not asked.filters.is_empty:
            among = np.isin(index.page_ids, self._library.pages_like(index.standing.site_id, asked.filters))
        found = search(
            index,
            asked.query,
            embed=lambda text: self._vector(asked.tenant_id, index, text, embed),
            mode=asked.mode,
            among=among,
        )
        hits = found.hits[: max(asked.top_k, _RERANKED if asked.is_reranked else 0)]
        passages = self._library.passages(index.standing.site_id, [hit.chunk_id for hit in hits])
        pairs = [(hit, passages[hit.chunk_id]) for hit in hits if hit.chunk_id in passages]
        if asked.is_reranked:
            pairs = _reranked(index, asked.query, pairs)
        return Answered(
            version=index.standing.version,
            model=index.standing.model.name,
            found=tuple(pair for pair in pairs if pair[0].score >= asked.threshold)[: asked.top_k],
            failed=tuple(found.failed.items()),
            is_cached=False,
            took_ms=_since(began),
            is_behind=index.standing.version < standing.version,
        )

    def _vector(self, tenant_id: str, index: SiteIndex, text: str, embed: EmbedQuery) -> Vector:
        model = index.standing.model
        if model == HASHED:
            return ngrams_of(list(stems(text)), index.postings.rarity)
        key = (model, text)
        with self._lock:
            if key in self._vectors:
                self._vectors.move_to_end(key)
                return self._vectors[key]
            until, code, message = self._away.get((tenant_id, model), (0.0, "", ""))
        if time.monotonic() < until:
            raise Transient(message, code=code)
        try:
            vector = embed(model, text)
        except Transient as exc:
            with self._lock:
                at = time.monotonic()
                self._away = {whose: away for whose, away in self._away.items() if away[0] > at}
                self._away[tenant_id, model] = at + AWAY_S, exc.code, exc.message
            raise
        with self._lock:
            self._away.pop((tenant_id, model), None)
            self._vectors[key] = vector
            while len(self._vectors) > _MOST_VECTORS:
                self._vectors.popitem(last=False)
        return vector

    def times_ms(self) -> list[float]:
        """Return how long the last searches took, shortest first."""
        with self._lock:
            return sorted(self._took_ms)

    def close(self) -> None:
        """Let everything go."""
        self._news.close()
        self._answers.close()
        self._shelf.close()


def _nobody_embeds(_model: Model, _text: str) -> Vector:
    raise NotFound("The query's vector is not kept any more.", code="model_away")


def _reranked(index: SiteIndex, query: str, pairs: list[tuple[Hit, Passage]]) -> list[tuple[Hit, Passage]]:
    asked = list(terms_of(query))
    again = []
    for hit, passage in pairs:
        close = closeness(f"{passage.heading}\n{passage.text}", asked, index.postings.rarity)
        again.append((replace(hit, score=round((hit.score + close) / 2, 4)), passage))
    return sorted(again, key=lambda pair: -pair[0].score)


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)
