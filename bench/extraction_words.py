"""Fitting the linear model of words that finds main text together with the trees. Needs scipy."""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.optimize import minimize

from tasks.crawling.engine.reading import word_model
from tasks.crawling.engine.reading.blocks import Block
from tasks.crawling.engine.reading.paths import Paths
from tasks.crawling.engine.reading.word_model import Placed, hashed, read_words

FILE = Path(word_model.__file__).with_name("word_weights.json")
# A word counts once it was seen on this many sites: fewer would describe a site, or name somebody.
MIN_SITES = 6
# Of the squares of the weights, beside the mean log loss.
PENALTY = 3e-6
ITERATIONS = 60
_LARGEST = 127


@dataclass(frozen=True, slots=True)
class Words:
    """The hashes of the words in and around the blocks of a page, one block's after the other's."""

    keys: np.ndarray
    counts: np.ndarray


def words_of_blocks(blocks: Sequence[Block], paths: Paths) -> Words:
    """Return what the model learns from."""
    rows = [[key for part in parts for key in part] for parts in read_words(blocks, paths, _hashes)]
    counts = np.array([len(row) for row in rows], dtype=np.int64)
    return Words(np.array([key for row in rows for key in row], dtype=np.uint32), counts)


def _hashes(placed: list[Placed]) -> list[int]:
    return [hashed(place, word) for place, words in placed for word in words]


@dataclass(frozen=True, slots=True)
class Design:
    """All blocks as rows and all hashes, ascending, as columns; ``sites`` is the number of each row's site."""

    rows: sparse.csr_matrix
    keys: np.ndarray
    sites: np.ndarray

    @classmethod
    def of(cls, pages: Sequence[Words], sites: Sequence[str]) -> "Design":
        """Return the blocks of these pages, a site a page."""
        keys, columns = np.unique(np.concatenate([page.keys for page in pages]), return_inverse=True)
        counts = np.concatenate([page.counts for page in pages])
        starts = np.concatenate([[0], np.cumsum(counts)])
        ones = np.ones(len(columns), dtype=np.float32)
        numbers = np.unique(np.array(sites), return_inverse=True)[1]
        rows = sparse.csr_matrix((ones, columns, starts), shape=(len(counts), len(keys)))
        return cls(rows, keys, np.repeat(numbers, [len(page.counts) for page in pages]))

    def known(self, taught: np.ndarray) -> np.ndarray:
        """Return the numbers of the hashes that enough sites have in the rows to learn from."""
        count = int(self.sites.max()) + 1
        places = (self.sites[taught], np.arange(int(taught.sum())))
        by_site = sparse.csr_matrix((np.ones(int(taught.sum())), places), shape=(count, int(taught.sum())))
        seen = (by_site @ self.rows[taught]) > 0
        return np.flatnonzero(np.asarray(seen.sum(axis=0)).ravel() >= MIN_SITES)

    def scaled(self, columns: np.ndarray) -> sparse.csr_matrix:
        """Return the rows of these hashes alone, each divided by the root of how many it has."""
        rows = self.rows[:, columns].tocsr()
        return (sparse.diags((1 / np.sqrt(np.maximum(np.diff(rows.indptr), 1))).astype(np.float32)) @ rows).tocsr()


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model, rounded as it is shipped: a weight is ``scale`` times a whole number from -127 to 127."""

    columns: np.ndarray
    weights: np.ndarray
    scale: float
    bias: float

    def scores(self, design: Design, chosen: np.ndarray) -> np.ndarray:
        """Return the scores of the chosen rows."""
        rows = design.scaled(self.columns)[chosen]
        return rows @ (self.weights * self.scale) + self.bias

    def fields(self, design: Design) -> dict[str, object]:
        """Return what the model's file holds. No word can be read in it."""
        keys = design.keys[self.columns].astype("<u4").tobytes()
        return {
            "bias": self.bias,
            "scale": self.scale,
            "keys": b64encode(keys).decode(),
            "weights": b64encode(self.weights.astype(np.int8).tobytes()).decode(),
        }


def fit(design: Design, labels: np.ndarray, weights: np.ndarray, *, inside: np.ndarray) -> Fitted:
    """Return the logistic regression over the rows inside; those of no weight count for words, and teach nothing."""
    columns = design.known(inside)
    taught = inside & (weights > 0)
    rows = design.scaled(columns)[taught]
    turned = rows.T.tocsr()
    target = labels[taught].astype(np.float64)
    share = weights[taught] / weights[taught].sum()

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        slopes = flat[:-1]
        scores = rows @ slopes + flat[-1]
        error = share * (1 / (1 + np.exp(-scores)) - target)
        value = (share * (np.logaddexp(0, scores) - target * scores)).sum() + PENALTY / 2 * (slopes**2).sum()
        return float(value), np.append(turned @ error + PENALTY * slopes, error.sum())

    found = minimize(loss, np.zeros(len(columns) + 1), jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS}).x
    scale = float(f"{max(np.abs(found[:-1]).max(initial=0.0), 1e-9) / _LARGEST:.6g}")
    rounded = np.clip(np.round(found[:-1] / scale), -_LARGEST, _LARGEST)
    return Fitted(columns, rounded, scale, round(float(found[-1]), 5))


def write(design: Design, labels: np.ndarray, weights: np.ndarray, *, file: Path = FILE) -> None:
    """Fit on all rows, and write the file that is shipped."""
    model = fit(design, labels, weights, inside=np.ones(len(labels), dtype=bool))
    file.write_text(json.dumps(model.fields(design), separators=(",", ":")) + "\n", encoding="utf-8")
