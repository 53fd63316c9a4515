"""``knowledge.answer``: the sentences of a site that answer a question, each cited, and how sure that is."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import NotFound
from tasks.core.job import JobContext
from tasks.core.text.ngrams import Vector
from tasks.core.text.words import stems
from tasks.knowledge.contract import AnswerRequest, AnswerResult, Citation
from tasks.knowledge.engine.embedding import Embedder
from tasks.knowledge.engine.update import OpenEmbedder
from tasks.knowledge.hashed import HASHED, ngrams_of
from tasks.knowledge.search.passages import Library, Passage
from tasks.knowledge.search.searching import Hit, search, terms_of
from tasks.knowledge.search.shelf import IndexShelf
from tasks.knowledge.search.site_index import SiteIndex

_PASSAGES = 8
_MAX_SENTENCES = 80
_SENTENCE = re.compile(r"[^\n]+?(?:[.!?](?=\s|$)|(?=\n)|$)")
_LEAST_CHARS, _MOST_CHARS = 15, 600
# What no reader takes for a sentence: headings, tables, fences.
_NO_SENTENCE = re.compile(r"\s*(#|\||```|~~~|={3}|-{3})")
# Words by which one asks, and which an answer need not have; the search's own list has the rest.
_ASKING = frozenset(
    stems(
        "any can could did do does get give going had if many may much must need shall should tell there who why will would"
    )
)
# A sentence this much worse than the best one adds nothing to the answer.
_NEAR = 0.75
# Cosines of sentences that have nothing to do with each other, and of those that say the same, with a language model.
_FAR_COSINE, _SAME_COSINE = 0.2, 0.8


@dataclass(frozen=True, slots=True)
class _Candidate:
    passage: Passage
    place: int
    begin: int
    text: str
    share: float
    score: float


@dataclass(frozen=True, slots=True)
class Answerer:
    """Implements ``knowledge.answer``.

    Args:
        tenant_of: returns whose the job is.
    """

    library: Library
    shelf: IndexShelf
    embedder: OpenEmbedder
    tenant_of: Callable[[JobContext], str]

    def __call__(self, request: AnswerRequest, job: JobContext) -> AnswerResult:
        """Search, then choose sentences.

        Raises:
            NotFound: the tenant has no such site.
        """
        standing = self.library.standing(self.tenant_of(job), request.site)
        if standing is None:
            raise NotFound(f"No site {request.site!r} is known.", field="site")
        index = self.shelf.index(standing)
        with self.embedder(job) as embedder:
            by_site = _vectors_of(index, embedder)
            found = search(index, request.question, embed=lambda text: by_site([text])[0])
            candidates = self._candidates(index, request.question, found.hits[:_PASSAGES])
            embed = None if "vector" in found.failed or index.standing.model == HASHED else by_site
            confidence, chosen = _chosen(candidates, request, embed)
        is_answered = bool(chosen) and confidence >= request.least_confidence
        return AnswerResult(
            question=request.question,
            session_id=request.session_id,
            answer=" ".join(one.text for one in chosen) if is_answered else None,
            confidence=confidence,
            citations=tuple(map(_citation, chosen)) if is_answered else (),
            model=index.standing.model.name,
            version=index.standing.version,
            failed=tuple(f"{name}: {why}"[:300] for name, why in found.failed.items()),
        )

    def _candidates(self, index: SiteIndex, question: str, hits: Sequence[Hit]) -> list[_Candidate]:
        passages = self.library.passages(index.standing.site_id, [hit.chunk_id for hit in hits])
        asked = terms_of(question)
        rarities = {stem: index.postings.rarity(stem) for stem in set(asked) - _ASKING or asked}
        whole = sum(rarities.values()) or 1.0
        found: dict[str, _Candidate] = {}
        for place, hit in enumerate(hits):
            passage = passages.get(hit.chunk_id)
            for begin, text in _sentences(passage.text) if passage else ():
                assert passage is not None  # noqa: S101  # for the type checker
                here, above = set(stems(text)), set(stems(f"{passage.title} {passage.heading}"))
                share = sum(rarity for stem, rarity in rarities.items() if stem in here) / whole
                around = sum(rarity for stem, rarity in rarities.items() if stem in here | above) / whole
                covered = (2 * share + around) / 3
                score = covered * (0.5 + 0.5 * hit.score)
                found.setdefault(text, _Candidate(passage, place, begin, text, covered, score))
        return sorted(found.values(), key=lambda one: -one.score)[:_MAX_SENTENCES]


def _vectors_of(index: SiteIndex, embedder: Embedder) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Return what embeds texts by the model of the site's index.

    What it returns raises ``NotFound`` where this worker has another model: the site waits to be re-indexed.
    """
    model = index.standing.model

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        if model == HASHED:
            return np.stack([ngrams_of(list(stems(text)), index.postings.rarity) for text in texts])
        if embedder.model != model:
            raise NotFound(
                f"This worker embeds by {embedder.model.name}; the site by {model.name}.", code="other_model"
            )
        return embedder.embed_texts(texts)

    return embed


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    is_code = False
    for found in _SENTENCE.finditer(text):
        line = found.group()
        if line.lstrip().startswith(("```", "~~~")):
            is_code = not is_code
        sentence = line.strip()
        if not is_code and not _NO_SENTENCE.match(line) and _LEAST_CHARS <= len(sentence) <= _MOST_CHARS:
            yield found.start() + line.index(sentence), sentence


def _chosen(
    candidates: Sequence[_Candidate],
    request: AnswerRequest,
    embed: Callable[[Sequence[str]], NDArray[np.float32]] | None,
) -> tuple[float, list[_Candidate]]:
    """Return how sure the answer is, and its sentences in the order of the places where they stand."""
    if not candidates:
        return 0.0, []
    scores = np.array([one.score for one in candidates])
    sure = np.array([one.share for one in candidates])
    if embed is not None:
        alike = _alike(embed, request.question, [one.text for one in candidates])
        scores, sure = scores + alike, np.maximum(sure, alike)
    best = int(np.argmax(scores))
    near = [at for at in np.argsort(-scores, kind="stable").tolist() if scores[at] >= _NEAR * scores[best]]
    chosen = [candidates[at] for at in near[: request.max_sentences]]
    confidence = round(float(np.clip(sure[best], 0, 1)), 3)
    return confidence, sorted(chosen, key=lambda one: (one.place, one.begin))


def _alike(
    embed: Callable[[Sequence[str]], NDArray[np.float32]], question: str, sentences: Sequence[str]
) -> NDArray[np.float32]:
    vectors = embed([question, *sentences])
    asked: Vector = vectors[0]
    cosines: NDArray[np.float32] = vectors[1:] @ asked
    alike: NDArray[np.float32] = np.clip((cosines - _FAR_COSINE) / (_SAME_COSINE - _FAR_COSINE), 0, 1)
    return alike


def _citation(one: _Candidate) -> Citation:
    begin = one.passage.begin + one.begin
    return Citation(
        sentence=one.text,
        document_id=one.passage.key,
        url=one.passage.url,
        title=one.passage.title,
        heading=one.passage.heading,
        start=begin,
        end=begin + len(one.text),
    )
