"""Fitting the classifiers of ``tasks.discovery`` and trying them on sites they have not seen. Needs scipy."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from courlan import extract_domain
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize

from tasks.discovery.engine.linear_model import ROW_LENGTH, LinearModel

FOLDS = 10
# A feature counts once it was seen on this many sites: fewer would describe a site rather than a kind.
MIN_SITES = 4


def site_of(url: str) -> str:
    """Return the registrable domain, or the URL where it has none."""
    return extract_domain(url) or url


def folds(sites: Sequence[str], count: int = FOLDS) -> NDArray[np.int64]:
    """Return the fold of each row. A site is in one fold; the folds are about as large as each other."""
    sizes: dict[str, int] = defaultdict(int)
    for site in sites:
        sizes[site] += 1
    load = [0] * count
    fold_of: dict[str, int] = {}
    for site in sorted(sizes, key=lambda name: (-sizes[name], name)):
        fold_of[site] = load.index(min(load))
        load[fold_of[site]] += sizes[site]
    return np.array([fold_of[site] for site in sites])


def fit(rows: Sequence[set[str]], labels: Sequence[str], sites: Sequence[str], *, strength: float) -> LinearModel:
    """Return the logistic regression with an L2 penalty of ``|weights|^2 / (2 * strength)``. Deterministic."""
    seen: dict[str, set[str]] = defaultdict(set)
    for row, site in zip(rows, sites, strict=True):
        for feature in row:
            seen[feature].add(site)
    names = sorted(name for name, where in seen.items() if len(where) >= MIN_SITES)
    index = {name: column for column, name in enumerate(names)}
    classes = tuple(sorted(set(labels)))
    design = _matrix(rows, index)
    target = np.array([[float(label == name) for name in classes] for label in labels])
    weights = _minimized(design, target, strength)
    return LinearModel(classes=classes, index=index, weights=weights[:-1], bias=weights[-1])


def out_of_fold(
    rows: Sequence[set[str]], labels: Sequence[str], sites: Sequence[str], *, strength: float
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return the classes and each row's probabilities by a model that saw no row of its site."""
    classes = tuple(sorted(set(labels)))
    answer = np.zeros((len(rows), len(classes)))
    fold = folds(sites)
    for number in range(FOLDS):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        model = fit(
            [rows[i] for i in inside], [labels[i] for i in inside], [sites[i] for i in inside], strength=strength
        )
        columns = [classes.index(name) for name in model.classes]
        answer[np.ix_(outside, columns)] = model.probabilities([rows[i] for i in outside])
    return classes, answer


def _matrix(rows: Sequence[set[str]], index: dict[str, int]) -> sparse.csr_matrix:
    at: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for position, row in enumerate(rows):
        known = sorted(index[feature] for feature in row if feature in index)
        at += [position] * len(known)
        columns += known
        values += [ROW_LENGTH / np.sqrt(len(known))] * len(known)
    return sparse.csr_matrix((values, (at, columns)), shape=(len(rows), len(index)))


def _minimized(design: sparse.csr_matrix, target: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    features, classes = design.shape[1], target.shape[1]
    turned = design.T.tocsr()

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(features + 1, classes)
        scores = design @ weights[:-1] + weights[-1]
        scores -= scores.max(axis=1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        error = np.exp(logs) - target
        gradient = np.vstack([turned @ error + weights[:-1] / strength, error.sum(axis=0)])
        return float(-(target * logs).sum() + (weights[:-1] ** 2).sum() / (2 * strength)), gradient.ravel()

    start = np.zeros((features + 1) * classes)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200, "ftol": 1e-8})
    return np.asarray(found.x).reshape(features + 1, classes)
