"""Fitting the confidence of tools, and judging it on sites that it has not seen.

Three kinds of rows: forms of labelled pages, not tried, which are right when their guessed type is the annotated one;
labelled pages taken for pages of a list, which are right when they are; and tools of the targets with what trying them
has shown, which are right when a person found that they are what they say (``discovery_judged``).

The model is a logistic regression with an intercept for each site. Sites differ for reasons that no evidence shows, so
a new site is given the average intercept, and its logits are drawn in by what that leaves open. Each weight has a
belief to begin with, from which data must move it: with five programs most stay near it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize

from bench.discovery_judged import is_right
from bench.discovery_targets import Found
from bench.fitting import FOLDS, folds, out_of_fold
from bench.forms import FORM_STRENGTH, read_cases
from bench.pagination import read_cases as read_pages
from bench.pagination import surest_out_of_fold
from tasks.discovery.engine.confidence import EVIDENCE, assess, features
from tasks.discovery.engine.form_features import form_features
from tasks.discovery.engine.pagination import NOT_PAGINATION, PAGE_THRESHOLD
from tasks.discovery.tool import RequestCall, Source, Tool

# Each weight's value before any data, and its standard deviation, in logits. How common right tools are is open, with
# a classifier's probability and without; that probability is believed; passing a check speaks a little for a tool;
# kinds of sources are alike.
_BELIEFS = {"bias": (0.0, 3.0), "measured": (0.0, 3.0), "prior": (1.0, 0.3)}
_OF_EVIDENCE = (0.3, 0.3)
_OF_KIND = (0.0, 0.5)
# Standard deviation of the sites' intercepts.
SITE_SPREAD = 0.7
# How a logit shrinks when a normal deviation of that size is averaged over (MacKay 1992, "The evidence framework
# applied to classification networks", equation 11).
SHRINKING = 1 / math.sqrt(1 + math.pi * SITE_SPREAD**2 / 8)
_BINS = 5
# Of how good the confidences are on sites drawn anew from those that there are.
_RESAMPLES, _INTERVAL = 2000, (0.05, 0.95)
# No probability is said to be surer than this: what was never seen has no score otherwise.
_LEAST_SAID = 1e-4
_PAGES = "labelled pages"


@dataclass(frozen=True, slots=True)
class Row:
    """A tool with whether it is right; ``group`` is the site, ``kind`` where the label comes from."""

    tool: Tool
    is_right: bool
    group: str
    kind: str


def target_rows(found: Sequence[Found]) -> list[Row]:
    """Return the tools of the targets that a person has judged."""
    judged = ((tool, target.name, is_right(target.name, tool)) for target in found for tool in target.tools)
    return [Row(tool, verdict, name, "targets") for tool, name, verdict in judged if verdict is not None]


def page_rows(folder: Path) -> list[Row]:
    """Return the forms of the labelled pages, typed by models that saw no page of their site; none without the data."""
    if not (folder / "index.jsonl").is_file():
        return []
    _, cases = read_cases(folder)
    rows, labels = [form_features(case.form) for case in cases], [case.type for case in cases]
    sites = [case.site for case in cases]
    classes, answers = out_of_fold(rows, labels, sites, strength=FORM_STRENGTH)
    found = []
    for case, answer in zip(cases, answers, strict=True):
        best = int(answer.argmax())
        tool = _untried(Source.FORM, classes[best], float(answer[best]))
        found.append(Row(tool, classes[best] == case.type, case.site, _PAGES))
    return found


def list_rows(folder: Path) -> list[Row]:
    """Return the pages taken for pages of a list by models that saw no page of their site; none without the data."""
    if not (folder / "index.jsonl").is_file():
        return []
    cases = read_pages(folder)
    found = []
    for case, surest in zip(cases, surest_out_of_fold(cases), strict=True):
        if surest >= PAGE_THRESHOLD:
            is_list = any(kind != NOT_PAGINATION for kind in case.kinds)
            found.append(Row(_untried(Source.PAGINATION, "pagination", surest), is_list, case.site, _PAGES))
    return found


def _untried(source: Source, purpose: str, prior: float) -> Tool:
    site = "https://example.org"
    call = RequestCall(url=f"{site}/")
    return Tool(
        name="untried",
        site=site,
        found_on=call.url,
        source=source,
        purpose=purpose,
        call=call,
        input_schema={},
        prior=min(prior, 1.0),
    )


def fit(rows: Sequence[Row]) -> dict[str, float]:
    """Return the weights for a site that was not seen. Deterministic."""
    seen = [features(row.tool) for row in rows]
    names, sites = sorted({name for one in seen for name in one}), sorted({row.group for row in rows})
    design = np.zeros((len(rows), len(names) + len(sites)))
    for at, (row, one) in enumerate(zip(rows, seen, strict=True)):
        design[at, : len(names)] = [one.get(name, 0.0) for name in names]
        design[at, len(names) + sites.index(row.group)] = 1.0
    target = np.array([float(row.is_right) for row in rows])
    beliefs = [_belief(name) for name in names] + [(0.0, SITE_SPREAD)] * len(sites)
    mean, spread = np.array(beliefs).T

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score, away = design @ weights, (weights - mean) / spread
        value = np.sum(np.logaddexp(0, score) - target * score) + away @ away / 2
        return float(value), design.T @ (1 / (1 + np.exp(-score)) - target) + away / spread

    # Evidence speaks for a tool or not at all: with so few programs it would else be chance that speaks against one.
    bounds = [(0.0, None) if name in EVIDENCE else (None, None) for name in names] + [(None, None)] * len(sites)
    best = minimize(loss, mean, jac=True, method="L-BFGS-B", bounds=bounds)
    fitted = dict(zip(names, map(float, best.x), strict=False))
    return {name: SHRINKING * fitted.get(name, _belief(name)[0]) for name in sorted({*names, *EVIDENCE})}


def _belief(name: str) -> tuple[float, float]:
    return _BELIEFS.get(name, _OF_EVIDENCE if name in EVIDENCE else _OF_KIND)


def cross_validated(rows: Sequence[Row]) -> list[float]:
    """Return each confidence by a fit that saw nothing of the row's site: targets one by one, pages in folds."""
    pages = [row for row in rows if row.kind == _PAGES]
    fold_of = {
        row.group: f"pages {fold}" for row, fold in zip(pages, folds([r.group for r in pages], FOLDS), strict=True)
    }
    groups = [fold_of.get(row.group, row.group) if row.kind == _PAGES else row.group for row in rows]
    answers = [0.0] * len(rows)
    for group in dict.fromkeys(groups):
        weights = fit([row for row, of in zip(rows, groups, strict=True) if of != group])
        for at, of in enumerate(groups):
            if of == group:
                answers[at] = assess(rows[at].tool, weights=weights)
    return answers


def shipped(rows: Sequence[Row]) -> list[float]:
    """Return each row's confidence by the shipped weights."""
    return [assess(row.tool) for row in rows]


def judge(rows: Sequence[Row], answers: Sequence[float]) -> Mapping[str, Any]:
    """Return Brier score, its skill against always saying the base rate, and the reliability by fifths.

    ``skill_90`` is the interval that holds the skill in nine of ten draws of as many sites, with replacement. The base
    rate is that of the very rows, which nobody knows beforehand; ``skill_beforehand`` is against that of other sites.
    ``log_score`` is the mean of minus the logarithm of what was said of what was so, ``log_skill`` its skill. ``told``
    is how often, of a right and a wrong row of one site, the right one was said to be the likelier (a tie is half):
    what confidence can do where nearly all are right. A half is chance. ``skill_of_order`` is the skill of the
    same order if each had been told the share that turned out right: no other scale of these confidences has more.
    """
    if not rows:
        names = ("brier", "skill", "skill_90", "skill_beforehand", "skill_of_order", "log_score", "log_skill", "told")
        return {"rows": 0, "wrong": 0, **dict.fromkeys((*names, "told_90")), "bins": []}
    said, was = np.array(answers), np.array([float(row.is_right) for row in rows])
    brier, constant = float(np.mean((said - was) ** 2)), float(np.mean((was.mean() - was) ** 2))
    order = np.array_split(np.argsort(said, kind="stable"), min(_BINS, len(rows)))
    bins = [(round(float(said[one].mean()), 3), round(float(was[one].mean()), 3), len(one)) for one in order]
    return {
        "rows": len(rows),
        "wrong": int(len(rows) - was.sum()),
        "base_rate": round(float(was.mean()), 4),
        "brier": round(brier, 4),
        "skill": round(1 - brier / constant, 4) if constant else None,
        "skill_90": _interval([row.group for row in rows], said, was),
        "skill_beforehand": _beforehand([row.group for row in rows], was, brier),
        "skill_of_order": round(1 - _error_of_order(said, was) / constant, 4) if constant else None,
        **_log_scores(said, was),
        **_told([row.group for row in rows], said, was),
        "bins": bins,
    }


def _error_of_order(said: NDArray[np.float64], was: NDArray[np.float64]) -> float:
    ordered = was[np.argsort(said, kind="stable")]
    return float(np.mean((isotonic_regression(ordered).x - ordered) ** 2))


def _log_scores(said: NDArray[np.float64], was: NDArray[np.float64]) -> dict[str, float | None]:
    rate = np.full_like(was, was.mean())
    score, constant = _log_score(said, was), _log_score(rate, was)
    return {"log_score": round(score, 4), "log_skill": round(1 - score / constant, 4) if 0 < rate[0] < 1 else None}


def _log_score(said: NDArray[np.float64], was: NDArray[np.float64]) -> float:
    held = np.clip(said, _LEAST_SAID, 1 - _LEAST_SAID)
    return float(-np.mean(was * np.log(held) + (1 - was) * np.log(1 - held)))


def _told(groups: Sequence[str], said: NDArray[np.float64], was: NDArray[np.float64]) -> dict[str, Any]:
    """Return how often a right row was told from a wrong one of its site, and the interval over sites drawn anew."""
    of, pairs = np.array(groups), []
    for site in dict.fromkeys(groups):
        right, wrong = said[(of == site) & (was == 1)], said[(of == site) & (was == 0)]
        if len(right) and len(wrong):
            higher = right[:, None] - wrong[None, :]
            pairs.append((float(np.sum(higher > 0) + np.sum(higher == 0) / 2), higher.size))
    if not pairs:
        return {"told": None, "told_90": None}
    counts = np.array(pairs)
    drawn = np.random.default_rng(0).integers(len(counts), size=(_RESAMPLES, len(counts)))
    told, number = counts[drawn].sum(axis=1).T
    interval = [round(float(one), 4) for one in np.quantile(told / number, _INTERVAL)]
    return {"told": round(float(counts[:, 0].sum() / counts[:, 1].sum()), 4), "told_90": interval}


def _beforehand(groups: Sequence[str], was: NDArray[np.float64], brier: float) -> float | None:
    """Return the skill against saying, of each site, the base rate of the others."""
    of = np.array(groups)
    if len(set(groups)) == 1:
        return None
    others = np.array([was[of != group].mean() for group in groups])
    constant = float(np.mean((others - was) ** 2))
    return round(1 - brier / constant, 4) if constant else None


def _interval(groups: Sequence[str], said: NDArray[np.float64], was: NDArray[np.float64]) -> list[float] | None:
    """Return the interval of the skill over sites drawn with replacement. Deterministic."""
    sites = list(dict.fromkeys(groups))
    of = np.array([sites.index(group) for group in groups])
    # Of each site: tools, right ones, and the sum of squared errors.
    counts = np.array(
        [[np.sum(of == at), was[of == at].sum(), ((said - was)[of == at] ** 2).sum()] for at in range(len(sites))]
    )
    drawn = np.random.default_rng(0).integers(len(sites), size=(_RESAMPLES, len(sites)))
    number, right, error = counts[drawn].sum(axis=1).T
    constant = right * (1 - right / number)
    skills = 1 - error[constant > 0] / constant[constant > 0]
    return [round(float(one), 4) for one in np.quantile(skills, _INTERVAL)] if len(skills) else None
