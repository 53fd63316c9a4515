"""Texts as vectors of hashed character n-grams: what is spelled alike points alike, misspelled or inflected.

No weights and no vocabulary are needed, and a text always has the same vector. What two words share in meaning but not
in letters is for ``concepts``.

Source: P. Bojanowski et al., "Enriching Word Vectors with Subword Information", 2017 (a word as the sum of its n-grams,
boundaries marked); K. Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009 (signed buckets).
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 1024
NAME = f"ngrams-{DIMENSIONS}-1"
"""What made a vector. Vectors of another maker point elsewhere and are not compared; change it with what is below."""

_SIZES = range(2, 6)
# One byte for each number: cosines differ from those of floats in the third digit.
_SCALE = 127.0

Vector = NDArray[np.float32]


def vector_of(weights: Mapping[str, float]) -> Vector:
    """Return the direction of these words, each as heavy as it says; shape (1024,), length 1, or 0 without words."""
    total = np.zeros(DIMENSIONS, np.float32)
    for word, weight in weights.items():
        places, signs = _features(word)
        np.add.at(total, places, signs * np.float32(weight))
    length = float(np.linalg.norm(total))
    return total / length if length else total


def packed(vector: Vector) -> bytes:
    """Return a vector as 1,024 signed bytes."""
    largest = float(np.abs(vector).max(initial=0.0))
    return (vector / (largest or 1.0) * _SCALE).round().astype(np.int8).tobytes()


def cosines(query: Vector, kept: Sequence[bytes]) -> list[float]:
    """Return how alike each packed vector is to ``query``: -1 to 1; 0 for one without words."""
    if not kept:
        return []
    matrix = np.frombuffer(b"".join(kept), np.int8).reshape(len(kept), DIMENSIONS).astype(np.float32)
    lengths = np.linalg.norm(matrix, axis=1)
    found: list[float] = (matrix @ query / np.where(lengths > 0, lengths, 1.0)).tolist()
    return found


@lru_cache(maxsize=10_000)
def _features(word: str) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the buckets of a word's n-grams and of itself, and the sign of each; the signs' length is 1."""
    marked = f"<{word}>"
    grams = [marked, *(marked[at : at + size] for size in _SIZES for at in range(len(marked) - size + 1))]
    digests = [hashlib.blake2b(gram.encode(), digest_size=4).digest() for gram in dict.fromkeys(grams)]
    hashes = np.frombuffer(b"".join(digests), "<u4")
    signs = np.where(hashes >> 31, 1.0, -1.0).astype(np.float32) / np.float32(np.sqrt(len(hashes)))
    return (hashes % DIMENSIONS).astype(np.intp), signs
