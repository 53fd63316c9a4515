"""A second look at the blocks of a page, which sees what was said of all of them.

The trees and the words judge each block by itself. Whether a list, a shelf or the comments belong to a page's text is
one question for all of their blocks: a small network corrects each score by those of the blocks around. It knows
neither words nor elements, only scores, lengths and which blocks are built alike. ``bench.extraction_second`` fits it.
"""

import json
from base64 import b64decode
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from tasks.crawling.engine.reading.around import MEANS, Around
from tasks.crawling.engine.reading.table import Floats, Whole

INPUTS = 8
WIDTH = 48
LAYERS = 2
SHAPES = {
    "in": (INPUTS + 1, WIDTH),
    **{f"join{layer}": ((1 + MEANS) * WIDTH + 1, WIDTH) for layer in range(LAYERS)},
    **{f"add{layer}": (WIDTH + 1, WIDTH) for layer in range(LAYERS)},
    "out": (WIDTH + 1, 1),
}
"""Of the weights; the last row of each is what is added whatever the inputs are."""
# OpenBLAS multiplies so little (rows times inputs times outputs) by itself. What is more it shares with threads that
# spin while they wait, which cost a crawl more than half of its pages a second.
ALONE = 65536 * 4
# Of numbers that hardly differ no more is made than this allows.
LEAST = 1e-5


@dataclass(frozen=True, slots=True)
class Seen:
    """What the network sees of a page, and the scores that it corrects."""

    rows: Floats
    scores: Floats
    around: Around

    @classmethod
    def of(cls, scores: Floats, parts: list[Floats], *, words: Floats, paths: Whole) -> "Seen":
        """Return it. ``parts`` are the scores that ``scores`` were made from."""
        likely = (1.0 / (1.0 + np.exp(-scores))).astype(np.float32)
        level = float((likely * words).sum() / max(float(words.sum()), 1.0))
        columns = [*(part / 3 for part in [*parts, scores]), likely - level, likely, np.full_like(likely, level),
                   np.log1p(words) / 4]  # fmt: skip
        rows = np.stack(columns, axis=1).astype(np.float32)
        return cls(rows, scores, Around.of(paths=paths, words=words, likely=likely))


def applied(rows: Floats, weights: Floats) -> Floats:
    """Return the rows times the weights, and their last row added."""
    matrix, added = weights[:-1], weights[-1]
    at_once = max(1, ALONE // matrix.size)
    answer: Floats = np.empty((len(rows), matrix.shape[1]), dtype=np.result_type(rows, matrix))
    for first in range(0, len(rows), at_once):
        np.matmul(rows[first : first + at_once], matrix, out=answer[first : first + at_once])
    answer += added
    return answer


def evened(rows: Floats) -> Floats:
    """Return each row with a mean of 0 and a variance of 1."""
    apart = rows - rows.mean(axis=1, keepdims=True)
    evened: Floats = apart / spread(rows)
    return evened


def spread(rows: Floats) -> Floats:
    """Return the root of each row's variance."""
    answer: Floats = np.sqrt(rows.var(axis=1, keepdims=True) + LEAST)
    return answer


class SecondLook:
    """The network."""

    def __init__(self, weights: dict[str, Floats]) -> None:
        self._weights = weights

    @classmethod
    def read(cls, fields: dict[str, Any]) -> "SecondLook":
        """Return the one that these fields of a file hold: numbers of 16 bits."""
        return cls({
            name: np.frombuffer(b64decode(fields[name]), dtype="<f2").astype(np.float32).reshape(shape)
            for name, shape in SHAPES.items()
        })  # fmt: skip

    def corrections(self, seen: Seen) -> Floats:
        """Return what is to be added to the scores, which are log odds."""
        weights = self._weights
        hidden = np.maximum(applied(seen.rows, weights["in"]), 0)
        for layer in range(LAYERS):
            joined = seen.around.joined(evened(hidden))
            hidden = hidden + applied(np.maximum(applied(joined, weights[f"join{layer}"]), 0), weights[f"add{layer}"])
        corrections: Floats = applied(evened(hidden), weights["out"])[:, 0]
        return corrections


@cache
def load_second_look() -> SecondLook:
    """Return the network that is shipped."""
    text = resources.files(__package__).joinpath("second_look.json").read_text(encoding="utf-8")
    return SecondLook.read(json.loads(text))
