"""The model that needs no weights, hence can be asked anywhere: hashed n-grams (``tasks.core.text.ngrams``)."""

from collections import Counter
from collections.abc import Callable, Sequence

from tasks.core.text.ngrams import DIMENSIONS, NAME, Vector, vector_of
from tasks.knowledge.records import Model

HASHED = Model(NAME, DIMENSIONS)


def ngrams_of(words: Sequence[str], rarity: Callable[[str], float] = lambda _: 1.0) -> Vector:
    """Return the vector of stems, each as heavy as the root of how often it comes, times its rarity.

    Where there is no stem at all, it is that of an empty one: alike for all such texts, and like nothing else.
    """
    return vector_of({stem: rarity(stem) * count**0.5 for stem, count in Counter(words or [""]).items()})
