"""Fitting the network that takes a second look at the blocks of a page (``reading/second_look.py``).

It is fitted to the F1 of words that a page may expect, and a little to each block being right by itself. The scores
that it learns from must be by models that saw nothing of the page's site, as they are at run time.
"""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.crawling.engine.reading import second_look
from tasks.crawling.engine.reading.mixing import first_look
from tasks.crawling.engine.reading.second_look import LAYERS, SHAPES, SecondLook, Seen, applied, evened, spread

FILE = Path(second_look.__file__).with_name("second_look.json")
EPOCHS = 10
PAGES_AT_ONCE = 8
# Of a longer page so many blocks are shown at a time, half of the time its first ones.
SHOWN_BLOCKS = 700
RATE = 2e-3
WARM_SHARE = 0.15
DECAY = 0.05
DROPPED = 0.3
# Of the loss of single blocks, beside one less the page's F1.
BLOCKS_SHARE = 0.3
# Scores are shifted by so much, each model's of a page alike: another model would be as sure of other pages.
SHIFT = 0.15
LARGEST_STEP = 1.0
IS_MAIN = 0.5

Weights = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Lesson:
    """A page to learn from; ``wanted`` is the number of words that its reviewed text has."""

    by_trees: np.ndarray
    by_words: np.ndarray
    words: np.ndarray
    paths: np.ndarray
    labels: np.ndarray
    wanted: int

    def part(self, chance: np.random.Generator) -> "Lesson":
        """Return a part that is not too long."""
        if len(self.words) <= SHOWN_BLOCKS:
            return self
        start = 0 if chance.random() < 0.5 else int(chance.integers(0, len(self.words) - SHOWN_BLOCKS))
        at = slice(start, start + SHOWN_BLOCKS)
        words, labels = self.words[at], self.labels[at]
        wanted = max(int(words[labels >= IS_MAIN].sum()), 1)
        return Lesson(self.by_trees[at], self.by_words[at], words, self.paths[at], labels, wanted)

    def seen(self, shift: Sequence[float] = (0.0, 0.0)) -> Seen:
        """Return what the network sees."""
        by_trees, by_words = self.by_trees + np.float32(shift[0]), self.by_words + np.float32(shift[1])
        return first_look(by_trees, by_words, words=self.words, paths=np.unique(self.paths, return_inverse=True)[1])


def loss(lesson: Lesson, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """Return how far the scores are from the reviewed text, and the gradient."""
    words = lesson.words
    is_main = lesson.labels >= IS_MAIN
    part = np.clip(lesson.labels, 0, 1)
    hits = words * np.where(is_main, np.maximum(part, IS_MAIN), part / 2)
    likely = 1 / (1 + np.exp(-scores))
    both, all_words = 2 * float((likely * hits).sum()), float((likely * words).sum()) + lesson.wanted
    share = np.sqrt(words) / np.sqrt(words).sum()
    single = float((share * (np.logaddexp(0, scores) - is_main * scores)).sum())
    slope = -(2 * hits * all_words - both * words) / all_words**2 * likely * (1 - likely)
    slope += BLOCKS_SHARE * share * (likely - is_main)
    return 1 - both / all_words + BLOCKS_SHARE * single, slope.astype(scores.dtype)


def learn(weights: Weights, seen: Seen, lesson: Lesson, chance: np.random.Generator) -> tuple[float, Weights]:
    """Return the loss of a page with a part of the network left out by chance, and the gradient of each weight."""
    kept = 1 - DROPPED
    shape = (len(seen.rows), weights["in"].shape[1])
    masks = [(chance.random(shape) < kept).astype(seen.rows.dtype) / kept for _ in range(2 + LAYERS)]
    first = np.maximum(applied(seen.rows, weights["in"]), 0)
    hidden = [first * masks[0]]
    joined, raised = [], []
    for layer in range(LAYERS):
        joined.append(seen.around.joined(evened(hidden[-1])))
        raised.append(np.maximum(applied(joined[-1], weights[f"join{layer}"]), 0) * masks[1 + layer])
        hidden.append(hidden[-1] + applied(raised[-1], weights[f"add{layer}"]))
    last = evened(hidden[-1]) * masks[-1]
    value, slope = loss(lesson, seen.scores + applied(last, weights["out"])[:, 0])
    slopes = {"out": _of_weights(last, slope[:, None])}
    back = _unevened(hidden[-1], (slope[:, None] * weights["out"][:-1].T) * masks[-1])
    for layer in reversed(range(LAYERS)):
        slopes[f"add{layer}"] = _of_weights(raised[layer], back)
        inner = (back @ weights[f"add{layer}"][:-1].T) * masks[1 + layer] * (raised[layer] > 0)
        slopes[f"join{layer}"] = _of_weights(joined[layer], inner)
        back = back + _unevened(hidden[layer], seen.around.parted(inner @ weights[f"join{layer}"][:-1].T))
    slopes["in"] = _of_weights(seen.rows, back * masks[0] * (first > 0))
    return value, slopes


def _of_weights(rows: np.ndarray, slope: np.ndarray) -> np.ndarray:
    return np.concatenate([rows.T @ slope, slope.sum(axis=0, keepdims=True)])


def _unevened(rows: np.ndarray, slope: np.ndarray) -> np.ndarray:
    even = evened(rows)
    rest = slope - slope.mean(axis=1, keepdims=True) - even * (slope * even).mean(axis=1, keepdims=True)
    return np.asarray(rest / spread(rows))


def begun(chance: np.random.Generator) -> Weights:
    """Return weights that correct nothing yet."""
    weights = {}
    for name, (rows, width) in SHAPES.items():
        limit = 0.0 if name == "out" else (0.035 if name.startswith("add") else (rows - 1) ** -0.5)
        weights[name] = chance.uniform(-limit, limit, (rows, width)).astype(np.float32)
    return weights


class _Steps:
    """Steps down the gradient by Adam, with weights that decay."""

    def __init__(self, weights: Weights, count: int) -> None:
        self._weights, self._count, self._done = weights, count, 0
        self._mean = {name: np.zeros_like(of) for name, of in weights.items()}
        self._square = {name: np.zeros_like(of) for name, of in weights.items()}

    def step(self, slopes: Weights) -> None:
        """Go one step."""
        length = np.sqrt(sum(float((of.astype(np.float64) ** 2).sum()) for of in slopes.values()))
        scale = min(1.0, LARGEST_STEP / max(length, 1e-9))
        place = self._done / self._count
        warm = min(place / WARM_SHARE, 1.0)
        rate = RATE * (warm if warm < 1 else (1 + np.cos(np.pi * (place - WARM_SHARE) / (1 - WARM_SHARE))) / 2)
        rate = max(float(rate), RATE / 25)
        self._done += 1
        for name, weight in self._weights.items():
            slope = slopes[name] * np.float32(scale)
            self._mean[name] += np.float32(0.1) * (slope - self._mean[name])
            self._square[name] += np.float32(0.001) * (slope**2 - self._square[name])
            mean = self._mean[name] / (1 - 0.9**self._done)
            root = np.sqrt(self._square[name] / (1 - 0.999**self._done)) + 1e-8
            weight[...] = (1 - rate * DECAY) * weight - (rate * mean / root).astype(np.float32)


def fit(lessons: Sequence[Lesson], *, seed: int = 0, epochs: int = EPOCHS) -> Weights:
    """Return the network's weights, rounded as they are shipped. The same lessons give the same weights."""
    chance = np.random.default_rng(seed)
    weights = begun(chance)
    starts = range(0, len(lessons), PAGES_AT_ONCE)
    steps = _Steps(weights, epochs * len(starts))
    for _epoch in range(epochs):
        order = chance.permutation(len(lessons))
        for start in starts:
            some = order[start : start + PAGES_AT_ONCE]
            total = {name: np.zeros_like(of) for name, of in weights.items()}
            for number in some:
                lesson = lessons[number].part(chance)
                seen = lesson.seen(chance.normal(0, SHIFT, 2))
                for name, slope in learn(weights, seen, lesson, chance)[1].items():
                    total[name] += slope / len(some)
            steps.step(total)
    return {name: of.astype("<f2").astype(np.float32) for name, of in weights.items()}


def fields(weights: Weights) -> dict[str, str]:
    """Return what the network's file holds."""
    return {name: b64encode(of.astype("<f2").tobytes()).decode() for name, of in weights.items()}


def look(weights: Weights) -> SecondLook:
    """Return the network as it is at run time."""
    return SecondLook.read(fields(weights))


def write(weights: Weights, *, file: Path = FILE) -> None:
    """Write the file that is shipped."""
    file.write_text(json.dumps(fields(weights), separators=(",", ":")) + "\n", encoding="utf-8")
