"""A hybrid search over one site's index: by words, by vectors, and both as one ranking."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import AppError
from tasks.core.text.fusion import fused
from tasks.core.text.ngrams import Vector
from tasks.core.text.words import stems
from tasks.knowledge.hashed import HASHED
from tasks.knowledge.records import MINILM_NAME
from tasks.knowledge.search.site_index import SiteIndex

DEPTH = 100
"""How far down the rankings agree on a place; the most that one search finds."""
MAX_TERMS = 30
# What the order by vectors counts beside that by words, where the site has all of them, for the models of which that
# was measured: docs/decisions/0034 and 0065.
_LEAST_WEIGHT = 0.02
_MEASURED = (HASHED.name, MINILM_NAME)


class Mode(StrEnum):
    """Which retrievers are asked."""

    HYBRID = "hybrid"
    LEXICAL = "lexical"
    VECTOR = "vector"


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found.

    Args:
        score: 0 to 1; 1 is the first place of every retriever that was asked.
        similarity: the cosine of its vector and the query's; None where vectors could not be asked.
        places: its place in each ranking that has it, from 1.
    """

    chunk_id: int
    score: float
    similarity: float | None
    places: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found, best first, and which retrievers could not help, with the reason."""

    hits: tuple[Hit, ...]
    failed: Mapping[str, str]


def terms_of(query: str) -> dict[str, float]:
    """Return the stems that a query asks for, with their weights; at most 30."""
    return {stem: float(count) for stem, count in list(Counter(stems(query)).items())[:MAX_TERMS]}


def weight_of_vectors(index: SiteIndex, query: str) -> float:
    """Return what the order by vectors counts; that by words counts 1.

    N-grams say in a blurred way what words say sharply, but for words that the site does not have: misspelt, inflected
    otherwise, run together. A small language model, too, finds less than words do where these are there. Nothing is
    known of an endpoint's model.
    """
    if index.standing.model.name not in _MEASURED:
        return 1.0
    rarities = {stem: index.postings.rarity(stem) for stem in terms_of(query)}
    unknown = sum(rarity for stem, rarity in rarities.items() if not index.postings.knows(stem))
    return max(_LEAST_WEIGHT, unknown / (sum(rarities.values()) or 1.0))


def search(
    index: SiteIndex,
    query: str,
    *,
    embed: Callable[[str], Vector],
    mode: Mode = Mode.HYBRID,
    among: NDArray[np.bool_] | None = None,
) -> Found:
    """Find the chunks that fit ``query`` best.

    Args:
        embed: makes the query's vector, of length 1, by the index's model; what it raises is named in ``failed``.
        among: which chunks count; None: all.

    Raises:
        AppError: of the only retriever that the mode asks, or of the last one.
    """
    rankings: dict[str, NDArray[np.intp]] = {}
    failed: dict[str, str] = {}
    cosines: NDArray[np.float32] | None = None
    if mode is not Mode.VECTOR:
        rankings["lexical"] = _best(index.postings.scores(terms_of(query)), among)
    if mode is not Mode.LEXICAL:
        try:
            cosines = index.vectors.cosines(embed(query))
            rankings["vector"] = _best(cosines, among)
        except AppError as exc:
            if mode is Mode.VECTOR:
                raise
            failed["vector"] = f"{exc.code}: {exc.message}"
    weights = {"lexical": 1.0, "vector": weight_of_vectors(index, query)}
    return Found(_merged(index, rankings, weights, cosines), failed)


def _best(scores: NDArray[np.float32], among: NDArray[np.bool_] | None) -> NDArray[np.intp]:
    """Return the places of the best scores above 0, best first; of equals the older chunk first."""
    counted = scores if among is None else np.where(among, scores, np.float32(0))
    most = np.argpartition(-counted, DEPTH)[:DEPTH] if len(counted) > DEPTH else np.arange(len(counted))
    most = most[counted[most] > 0]
    return most[np.lexsort((most, -counted[most]))]


def _merged(
    index: SiteIndex,
    rankings: Mapping[str, NDArray[np.intp]],
    weights: Mapping[str, float],
    cosines: NDArray[np.float32] | None,
) -> tuple[Hit, ...]:
    orders: dict[str, Sequence[int]] = {name: ranking.tolist() for name, ranking in rankings.items()}
    scores = fused(orders.values(), [weights[name] for name in orders])
    of_each = {name: {at: place for place, at in enumerate(order, start=1)} for name, order in orders.items()}
    most = sum(fused([[0]] * len(orders), [weights[name] for name in orders]).values())
    best = sorted(scores, key=lambda at: (-scores[at], at))[:DEPTH]
    return tuple(
        Hit(
            int(index.chunk_ids[at]),
            round(scores[at] / most, 4),
            None if cosines is None else round(float(cosines[at]), 4),
            {name: order[at] for name, order in of_each.items() if at in order},
        )
        for at in best
    )
