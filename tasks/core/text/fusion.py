"""Several rankings of the same things as one."""

from collections.abc import Hashable, Iterable, Sequence
from itertools import repeat
from typing import TypeVar

# The constant of the paper: the first places of one ranking do not outweigh agreement of all.
_K = 60

Key = TypeVar("Key", bound=Hashable)


def fused(rankings: Iterable[Sequence[Key]], weights: Iterable[float] = repeat(1.0)) -> dict[Key, float]:
    """Return reciprocal rank fusion: for each key the sum of weight / (60 + place) over the rankings that have it.

    Source: G. Cormack, C. Clarke, S. Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods", 2009.
    """
    scores: dict[Key, float] = {}
    for ranking, weight in zip(rankings, weights, strict=False):
        for place, key in enumerate(ranking, start=1):
            scores[key] = scores.get(key, 0.0) + weight / (_K + place)
    return scores
