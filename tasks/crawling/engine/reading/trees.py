"""Boosted decision trees, evaluated with numpy. They are fitted by ``bench.extraction_fit``."""

import json
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from tasks.crawling.engine.reading.table import Floats, Whole

# Rows that go down the trees together: what they need then stays in the processor's cache.
ROWS_AT_ONCE = 64
# Steps that all rows take in all trees; after them those that are at a leaf are left out.
COMMON_STEPS = 4


class Trees:
    """A model of one or more classes; each class has its own trees, whose values add up to its score.

    The nodes of all trees lie in one table, and all trees are descended together, a level at a time: for the few
    hundred rows of a page that takes a quarter of the time of one tree after another. A leaf leads to itself.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        self.classes: tuple[str, ...] = tuple(fields["classes"])
        self.features: tuple[str, ...] = tuple(fields["features"])
        self._baseline = np.array(fields["baseline"], dtype=np.float32)
        trees = [tree for group in fields["rounds"] for tree in group]
        sizes = [len(tree[0]) for tree in trees]
        self._roots = np.cumsum([0, *sizes[:-1]], dtype=np.intp)
        feature, threshold, left, right, value = (
            np.concatenate([np.array(tree[part]) for tree in trees]) for part in range(5)
        )
        own, start = np.arange(len(feature)), np.repeat(self._roots, sizes)
        is_leaf = feature < 0
        self._feature = np.where(is_leaf, 0, feature).astype(np.intp)
        self._threshold = threshold.astype(np.float32)
        self._value = value.astype(np.float32)
        sides = [np.where(is_leaf, own, start + side) for side in (right, left)]
        self._next = np.stack(sides, axis=1).ravel().astype(np.intp)
        self._is_open = ~is_leaf

    def scores(self, rows: Floats) -> Floats:
        """Return a row of scores a row of features, a column a class."""
        parts = [self._some(rows[at : at + ROWS_AT_ONCE]) for at in range(0, len(rows), ROWS_AT_ONCE)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self._baseline)), dtype=np.float32)

    def probability(self, rows: Floats) -> Floats:
        """Return how likely each row is of the one class that the model knows."""
        out: Floats = (1.0 / (1.0 + np.exp(-self.scores(rows)[:, 0]))).astype(np.float32)
        return out

    def probabilities(self, rows: Floats) -> Floats:
        """Return how likely each class is, a row a row."""
        scores = self.scores(rows)
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        out: Floats = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
        return out

    def _some(self, rows: Floats) -> Floats:
        count, width = rows.shape
        values = np.ascontiguousarray(rows).ravel()
        trees = len(self._roots)
        row = np.repeat(np.arange(count) * width, trees)
        at = np.tile(self._roots, count)
        for _ in range(COMMON_STEPS):
            at = self._step(at, values, row)
        under_way = np.flatnonzero(self._is_open.take(at))
        while len(under_way):
            reached = self._step(at[under_way], values, row[under_way])
            at[under_way] = reached
            under_way = under_way[self._is_open.take(reached)]
        by_tree = self._value.take(at).reshape(count, -1, len(self._baseline))
        out: Floats = by_tree.sum(axis=1) + self._baseline
        return out

    def _step(self, at: Whole, values: Floats, row: Whole) -> Whole:
        """Return where these nodes lead; ``row`` is where each one's row of features begins."""
        # Every number is one of a place, and "clip" spares the look at whether it is.
        goes_left = values.take(self._feature.take(at, mode="clip") + row, mode="clip") <= self._threshold.take(at)
        return self._next.take(at * 2 + goes_left, mode="clip")


@cache
def load(name: str) -> Trees:
    """Return the model that is shipped under this name."""
    text = resources.files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8")
    return Trees(json.loads(text))
