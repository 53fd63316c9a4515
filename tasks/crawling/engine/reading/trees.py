"""Boosted decision trees, evaluated with numpy. They are fitted by ``bench.extraction_fit``."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from tasks.crawling.engine.reading.features import Floats, Whole


@dataclass(frozen=True, slots=True)
class _Tree:
    feature: Whole
    threshold: Floats
    left: Whole
    right: Whole
    value: Floats

    def scores(self, rows: Floats) -> Floats:
        at = np.zeros(len(rows), dtype=np.int64)
        everyone = np.arange(len(rows))
        while True:
            feature = self.feature[at]
            inner = feature >= 0
            if not inner.any():
                return self.value[at]
            goes_left = rows[everyone, feature] <= self.threshold[at]
            at = np.where(inner, np.where(goes_left, self.left[at], self.right[at]), at)


class Trees:
    """A model of one or more classes; each class has its own trees, whose values add up to its score."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.classes: tuple[str, ...] = tuple(fields["classes"])
        self.features: tuple[str, ...] = tuple(fields["features"])
        self._baseline = np.array(fields["baseline"], dtype=np.float32)
        self._rounds = [[_tree(tree) for tree in group] for group in fields["rounds"]]

    def scores(self, rows: Floats) -> Floats:
        """Return a row of scores a row of features, a column a class."""
        total = np.tile(self._baseline, (len(rows), 1))
        for group in self._rounds:
            for number, tree in enumerate(group):
                total[:, number] += tree.scores(rows)
        return total

    def probability(self, rows: Floats) -> Floats:
        """Return how likely each row is of the one class that the model knows."""
        out: Floats = 1.0 / (1.0 + np.exp(-self.scores(rows)[:, 0]))
        return out

    def probabilities(self, rows: Floats) -> Floats:
        """Return how likely each class is, a row a row."""
        scores = self.scores(rows)
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        out: Floats = raised / raised.sum(axis=1, keepdims=True)
        return out


def _tree(fields: list[list[float]]) -> _Tree:
    feature, threshold, left, right, value = fields
    return _Tree(
        np.array(feature, dtype=np.int64),
        np.array(threshold, dtype=np.float32),
        np.array(left, dtype=np.int64),
        np.array(right, dtype=np.int64),
        np.array(value, dtype=np.float32),
    )


@cache
def load(name: str) -> Trees:
    """Return the model that is shipped under this name."""
    text = resources.files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8")
    return Trees(json.loads(text))
