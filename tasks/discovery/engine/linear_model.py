"""Multinomial logistic regression over named yes/no features, as a small JSON file."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

_PACKAGE = "tasks.discovery.engine"

# Length of a row before the weights: many features must not mean a surer answer.
ROW_LENGTH = 10.0


@dataclass(frozen=True)
class LinearModel:
    """``weights`` has shape (features, classes), ``bias`` (classes,); ``index`` gives each feature its row."""

    classes: tuple[str, ...]
    index: dict[str, int]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def probabilities(self, rows: Sequence[Iterable[str]]) -> NDArray[np.float64]:
        """Return the probability of each class for each set of features; shape (rows, classes), rows sum to 1."""
        scores = np.tile(self.bias, (len(rows), 1))
        for position, features in enumerate(rows):
            known = [self.index[feature] for feature in features if feature in self.index]
            if known:
                scores[position] += self.weights[known].sum(axis=0) * (ROW_LENGTH / np.sqrt(len(known)))
        scores -= scores.max(axis=1, keepdims=True, initial=0.0) if len(rows) else 0.0
        odds = np.exp(scores)
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def to_json(self) -> str:
        """Return the file's text: four decimals, features in order, one a line."""
        lines = [
            f"  {json.dumps(name, ensure_ascii=False)}: {[round(float(w), 4) for w in self.weights[row]]}"
            for name, row in sorted(self.index.items())
        ]
        head = json.dumps({"classes": self.classes, "bias": [round(float(b), 4) for b in self.bias]}, indent=1)
        return head.removesuffix("\n}") + ',\n "weights": {\n' + ",\n".join(lines) + "\n }\n}\n"


def load_model(name: str) -> LinearModel:
    """Return the shipped model ``<name>.json``."""
    return parse_model(resources.files(_PACKAGE).joinpath(f"{name}.json").read_text(encoding="utf-8"))


def parse_model(text: str) -> LinearModel:
    """Return the model that ``to_json`` wrote."""
    content = json.loads(text)
    weights = content["weights"]
    return LinearModel(
        classes=tuple(content["classes"]),
        index={feature: row for row, feature in enumerate(weights)},
        weights=np.array(list(weights.values()), dtype=np.float64).reshape(len(weights), len(content["classes"])),
        bias=np.array(content["bias"], dtype=np.float64),
    )
