"""Boosted trees evaluated together."""

import json

import numpy as np
import pytest

from tasks.crawling.engine.reading.trees import ROWS_AT_ONCE, Trees, load


def walked(fields: dict, row: list[float]) -> list[float]:
    """Go down one tree after the other, as their definition says."""
    scores = list(fields["baseline"])
    for group in fields["rounds"]:
        for number, (feature, threshold, left, right, value) in enumerate(group):
            node = 0
            while feature[node] >= 0:
                node = (left if row[feature[node]] <= threshold[node] else right)[node]
            scores[number] += value[node]
    return scores


STUMP = [[0, -1, -1], [0.5, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1.0, -1.0]]
DEEPER = [[1, 0, -1, -1, -1], [0.25, 0.75, 0, 0, 0], [1, 2, 0, 0, 0], [4, 3, 0, 0, 0], [0, 0, 0.5, 2.0, -3.0]]
LEAF = [[-1], [0], [0], [0], [0.125]]


@pytest.mark.parametrize("rounds", [[[STUMP, DEEPER]], [[LEAF, DEEPER], [STUMP, STUMP], [DEEPER, LEAF]]])
def test_trees_together_score_as_one_by_one(rounds: list) -> None:
    """Trees of different depths, single leaves too; more rows than go down at once."""
    fields = {"classes": ["a", "b"], "features": ["x", "y"], "baseline": [0.25, -0.5], "rounds": rounds}
    rows = np.random.default_rng(1).random((ROWS_AT_ONCE + 7, 2), dtype=np.float32)
    rows[0] = (0.5, 0.25)  # a threshold itself goes left
    expected = np.array([walked(fields, row) for row in rows.tolist()])
    assert np.allclose(expected, Trees(fields).scores(rows), atol=1e-6)
    assert np.allclose(1, Trees(fields).probabilities(rows).sum(axis=1))


@pytest.mark.parametrize("name", ["page_types", "blocks"])
def test_shipped_models_are_small_and_fit_for_json(name: str) -> None:
    """Each names the features that it was fitted on, once."""
    model = load(name)
    assert len(set(model.features)) == len(model.features)
    rows = np.zeros((3, len(model.features)), dtype=np.float32)
    assert np.isfinite(model.scores(rows)).all()
    assert json.dumps(model.classes)
