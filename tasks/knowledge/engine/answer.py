"""``knowledge.answer``: sentences that answer a question, a site's own or a model's, each cited."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import AppError, NotFound
from tasks.core.job import JobContext
from tasks.core.text.ngrams import Vector
from tasks.core.text.words import stems
from tasks.knowledge.contract import AnswerRequest, AnswerResult, Citation
from tasks.knowledge.engine.embedding import Embedder
from tasks.knowledge.engine.update import OpenEmbedder
from tasks.knowledge.engine.writing import Writer
from tasks.knowledge.hashed import HASHED, ngrams_of
from tasks.knowledge.records import unknown_site
from tasks.knowledge.search.passages import Library, Passage
from tasks.knowledge.search.searching import Hit, search, terms_of
from tasks.knowledge.search.shelf import IndexShelf
from tasks.knowledge.search.site_index import SiteIndex

_PASSAGES = 8
_MAX_SENTENCES = 80
# A full stop ends a sentence where what follows does not go on in small letters, as after "e.g.".
_SENTENCE = re.compile(r"\S.*?(?:[.!?][\"'\u2019\u201d)\]`*_]*(?=\s+(?![a-z])|\s*\Z)|\Z)", re.DOTALL)
_LEAST_CHARS, _MOST_CHARS = 15, 600
# What no reader takes for a sentence: headings, tables, fences. Sphinx puts a pilcrow after signatures.
_NO_SENTENCE = re.compile(r"\s*(#|\||```|~~~|={3}|-{3})|.*¶\s*$")
_FENCE = re.compile(r"\s*(```|~~~)")
_ITEM = re.compile(r"\s*([-*+•]|\d{1,3}[.)])\s+")
# Words by which one asks, and which an answer need not have; the search's own list has the rest.
_ASKING = frozenset(
    stems(
        "any can could did do does get give going had if many may much must need shall should tell there who why will "
        "would"
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
    end: int
    text: str
    share: float
    score: float


@dataclass(frozen=True, slots=True)
class Answerer:
    """Implements ``knowledge.answer``.

    Args:
        tenant_of: returns whose the job is.
        writer: what writes answers, for an attempt; gives None where no model is configured.
    """

    library: Library
    shelf: IndexShelf
    embedder: OpenEmbedder
    tenant_of: Callable[[JobContext], str]
    writer: Callable[[JobContext, AnswerRequest], AbstractContextManager[Writer | None]]

    def __call__(self, request: AnswerRequest, job: JobContext) -> AnswerResult:
        """Search, then choose sentences.

        Raises:
            NotFound: the tenant has no such site.
            EngineUnavailable: a written answer is asked for, and no model is configured.
            EgressRefused, Transient, Permanent: as ``Writer.sentences``.
        """
        standing = self.library.standing(self.tenant_of(job), request.site)
        if standing is None:
            raise unknown_site(request.site)
        index = self.shelf.index(standing)
        with ExitStack() as stack:
            # Opened when it is needed: a model that is away is a retriever that fails, and the words answer.
            by_site = _vectors_of(index, cache(lambda: stack.enter_context(self.embedder(job))))
            found = search(index, request.question, embed=lambda text: by_site([text])[0])
            hits = found.hits[:_PASSAGES]
            passages = self.library.passages(index.standing.site_id, [hit.chunk_id for hit in hits])
            candidates = _candidates(index, request.question, hits, passages)
            failed, alike = dict(found.failed), None
            if candidates and not failed and index.standing.model != HASHED:
                try:
                    alike = _alike(by_site, request.question, [one.text for one in candidates])
                except AppError as exc:
                    failed["vector"] = f"{exc.code}: {exc.message}"
        confidence, chosen = _chosen(candidates, request, alike)
        told = AnswerResult(
            question=request.question,
            session_id=request.session_id,
            answer=None,
            confidence=confidence,
            citations=(),
            model=index.standing.model.name,
            version=index.standing.version,
            failed=tuple(f"{name}: {why}"[:300] for name, why in failed.items()),
        )
        if not chosen or confidence < request.least_confidence:
            return told
        with self.writer(job, request) as writer:
            if writer is not None:
                best = [passages[hit.chunk_id] for hit in hits if hit.chunk_id in passages]
                return told.model_copy(update=_written(writer, request, job, best))
        answer = " ".join(one.text for one in chosen)
        return told.model_copy(update={"answer": answer, "citations": tuple(map(_citation, chosen))})


def _candidates(
    index: SiteIndex, question: str, hits: Sequence[Hit], passages: Mapping[int, Passage]
) -> list[_Candidate]:
    asked = terms_of(question)
    rarities = {stem: index.postings.rarity(stem) for stem in set(asked) - _ASKING or asked}
    whole = sum(rarities.values()) or 1.0
    found: dict[str, _Candidate] = {}
    there = [(place, hit, passages[hit.chunk_id]) for place, hit in enumerate(hits) if hit.chunk_id in passages]
    for place, hit, passage in there:
        above = set(stems(f"{passage.title} {passage.heading}"))
        for begin, end, text in _sentences(passage.text):
            here = set(stems(text))
            share = sum(rarity for stem, rarity in rarities.items() if stem in here) / whole
            around = sum(rarity for stem, rarity in rarities.items() if stem in here | above) / whole
            covered = (2 * share + around) / 3
            score = covered * (0.5 + 0.5 * hit.score)
            found.setdefault(text, _Candidate(passage, place, begin, end, text, covered, score))
    return sorted(found.values(), key=lambda one: -one.score)[:_MAX_SENTENCES]


def _written(writer: Writer, request: AnswerRequest, job: JobContext, passages: Sequence[Passage]) -> dict[str, Any]:
    """Return what is told of a written answer; its sentences are shown as they come, those without a source never."""
    citations: list[Citation] = []
    texts: list[str] = []
    left_out = 0
    quoted = [f"{passage.heading}\n{passage.text}" for passage in passages]
    for sentence in writer.sentences(request.question, quoted, most=request.max_sentences):
        job.checkpoint()
        if not sentence.cited:
            left_out += 1
            continue
        cited = [_source(sentence.text, passages[place]) for place in sentence.cited]
        citations += cited
        texts.append(sentence.text)
        job.delta({"text": sentence.text, "citations": [one.model_dump(mode="json") for one in cited]})
    answer = " ".join(texts) or None
    return {"answer": answer, "citations": tuple(citations), "writer": writer.name, "left_out": left_out}


def _source(sentence: str, passage: Passage) -> Citation:
    return Citation(
        sentence=sentence,
        document_id=passage.key,
        url=passage.url,
        title=passage.title,
        heading=passage.heading,
        start=passage.begin,
        end=passage.end,
    )


def _vectors_of(index: SiteIndex, opened: Callable[[], Embedder]) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Return what embeds texts by the model of the site's index.

    What it returns raises ``NotFound`` where this worker has another model: the site waits to be re-indexed.
    """
    model = index.standing.model

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        if model == HASHED:
            return np.stack([ngrams_of(list(stems(text)), index.postings.rarity) for text in texts])
        embedder = opened()
        if embedder.model != model:
            raise NotFound(
                f"This worker embeds by {embedder.model.name}; the site by {model.name}.", code="other_model"
            )
        return embedder.embed_texts(texts)

    return embed


def _sentences(text: str) -> Iterator[tuple[int, int, str]]:
    """Give begin, end and words of each sentence; lines that are broken within it are joined."""
    for begin, end in _paragraphs(text):
        for found in _SENTENCE.finditer(text, begin, end):
            sentence = " ".join(found.group().split())
            # A passage may begin within a sentence, whose first half nobody would see.
            is_cut = found.start() == 0 and sentence[0].islower()
            if _LEAST_CHARS <= len(sentence) <= _MOST_CHARS and not is_cut:
                yield found.start(), found.start() + len(found.group().rstrip()), sentence


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Give where lines that belong together begin and end: no headings, tables and code; each item of a list alone."""
    begin, at, is_code = -1, 0, False
    for line in [*text.splitlines(keepends=True), ""]:
        is_fence = _FENCE.match(line) is not None
        item = _ITEM.match(line)
        if begin >= 0 and (is_fence or item or not line.strip() or _NO_SENTENCE.match(line)):
            yield begin, at
            begin = -1
        if is_fence:
            is_code = not is_code
        elif begin < 0 and not is_code and line.strip() and not _NO_SENTENCE.match(line):
            begin = at + (item.end() if item else 0)
        at += len(line)


def _chosen(
    candidates: Sequence[_Candidate], request: AnswerRequest, alike: NDArray[np.float32] | None
) -> tuple[float, list[_Candidate]]:
    """Return how sure the answer is, and its sentences in the order of the places where they stand.

    Args:
        alike: how near each candidate is to the question, 0 to 1; None: nobody can tell, and the words choose.
    """
    if not candidates:
        return 0.0, []
    scores = np.array([one.score for one in candidates])
    sure = np.array([one.share for one in candidates])
    if alike is not None:
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
    begin = one.passage.begin
    return _source(one.text, one.passage).model_copy(update={"start": begin + one.begin, "end": begin + one.end})
