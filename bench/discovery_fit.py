"""Fitting the confidence of tools, and judging it on sites that it has not seen.

Two kinds of rows: forms of labelled pages as they are found, not tried, which are right when their guessed type is the
annotated one; and tools of the targets with what trying them has shown, which are right when a list asks for them.
Both kinds weigh the same, however many there are of each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from bench.discovery_targets import Found
from bench.fitting import FOLDS, folds, out_of_fold
from bench.forms import FORM_STRENGTH, read_cases
from tasks.discovery.engine.confidence import EVIDENCE, assess, features
from tasks.discovery.engine.form_features import form_features
from tasks.discovery.tool import RequestCall, Source, Tool

# Of the penalty |weights|^2 / (2 * strength): a few hundred tools of five sites do not bear more.
STRENGTH = 0.03
_BINS = 5
_PAGES = "labelled pages"


@dataclass(frozen=True, slots=True)
class Row:
    """A tool with whether it is right; ``group`` is the site, ``kind`` where the label comes from."""

    tool: Tool
    is_right: bool
    group: str
    kind: str


def target_rows(found: Sequence[Found]) -> list[Row]:
    """Return the tools of the targets."""
    return [Row(tool, target.is_wanted(tool), target.name, "targets") for target in found for tool in target.tools]


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
        tool = _form_tool(classes[best], float(answer[best]))
        found.append(Row(tool, classes[best] == case.type, case.site, _PAGES))
    return found


def _form_tool(purpose: str, prior: float) -> Tool:
    site = "https://example.org"
    call = RequestCall(url=f"{site}/")
    return Tool(
        name="form",
        site=site,
        found_on=call.url,
        source=Source.FORM,
        purpose=purpose,
        call=call,
        input_schema={},
        prior=min(prior, 1.0),
    )


def fit(rows: Sequence[Row]) -> dict[str, float]:
    """Return the weights. Deterministic."""
    names = sorted({name for row in rows for name in features(row.tool)})
    design = np.array([[features(row.tool).get(name, 0.0) for name in names] for row in rows])
    target = np.array([float(row.is_right) for row in rows])
    counts = {kind: sum(row.kind == kind for row in rows) for kind in {row.kind for row in rows}}
    weight = np.array([min(counts.values()) / counts[row.kind] for row in rows])

    # How common right tools are is no claim about any of them, tried or not.
    penalty = np.array([0.0 if name in ("bias", "checked") else 1 / STRENGTH for name in names])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = design @ weights
        value = weight @ (np.logaddexp(0, score) - target * score) + penalty @ weights**2 / 2
        return float(value), design.T @ (weight * (1 / (1 + np.exp(-score)) - target)) + penalty * weights

    # Evidence counts for a tool or not at all: with five sites it would else be chance that speaks against one.
    bounds = [(0.0, None) if name in EVIDENCE else (None, None) for name in names]
    best = minimize(loss, np.zeros(len(names)), jac=True, method="L-BFGS-B", bounds=bounds)
    return dict(zip(names, map(float, best.x), strict=True))


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
    """Return Brier score, its skill against always saying the base rate, and the reliability by fifths."""
    if not rows:
        return {"rows": 0, "brier": None, "skill": None, "bins": []}
    said, was = np.array(answers), np.array([float(row.is_right) for row in rows])
    brier, constant = float(np.mean((said - was) ** 2)), float(np.mean((was.mean() - was) ** 2))
    order = np.array_split(np.argsort(said, kind="stable"), min(_BINS, len(rows)))
    bins = [(round(float(said[one].mean()), 3), round(float(was[one].mean()), 3), len(one)) for one in order]
    return {
        "rows": len(rows),
        "base_rate": round(float(was.mean()), 4),
        "brier": round(brier, 4),
        "skill": round(1 - brier / constant, 4) if constant else None,
        "bins": bins,
    }
