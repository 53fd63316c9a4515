"""Vectors of one byte a number: how alike each is to a query, however many there are."""

import numpy as np
import pytest

from tasks.core.text.ngrams import packed
from tasks.core.text.vectors import _NUMBERS, Vectors


@pytest.mark.parametrize("used", [3, 384])
def test_cosines_are_those_of_each_vector_by_itself(used: int) -> None:
    """Also beyond what is worked through at a time, of queries that have few numbers, and after a change."""
    chance = np.random.default_rng(7)
    size = _NUMBERS // 384 * 3 + 5
    rows = chance.normal(size=(size, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    query = np.zeros(384, np.float32)
    query[:used] = chance.normal(size=used)
    query /= np.linalg.norm(query)
    kept = [packed(row) for row in rows]
    vectors = Vectors.of(kept, 384)
    assert np.allclose(rows @ query, vectors.cosines(query), atol=0.02)
    chosen = chance.random(size) < 0.5
    changed = vectors.changed(chosen, Vectors.of(kept[:2], 384))
    assert np.allclose(np.concatenate([rows[chosen], rows[:2]]) @ query, changed.cosines(query), atol=0.02)
