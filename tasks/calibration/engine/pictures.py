"""Which pictures a result has, and what stands below them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.calibration.engine.exchange import Answer, Row
from tasks.calibration.engine.fits import diagnostics_of, fits_of, stalled_of
from tasks.calibration.figures import (
    ChainView,
    Form,
    MatrixView,
    chains_images,
    fractions_images,
    misclassification_images,
)
from tasks.calibration.results import AlgorithmResult, CalibrationResult

FORMS: tuple[Form, ...] = ("svg", "png")


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, drawn when ``draw`` is called.

    Args:
        name: of its file, without ending.
        caption: what a reader must know to read it.
        shows: what it shows, in a few words, for those who cannot see it.
    """

    name: str
    caption: str
    shows: str
    draw: Callable[[], dict[Form, bytes]]


def picture_names(algorithms: Sequence[str], answer: Answer) -> tuple[str, ...]:
    """Return the names of the pictures that ``pictures_of`` will list."""
    chains = (f"chains-{name}" for name in _judged(answer))
    return ("csmf", *(f"misclassification-{name}" for name in algorithms), *chains)


def _judged(answer: Answer) -> list[str]:
    """Return the fits whose draws are known in the order in which they were drawn; without it a trace shows nothing."""
    judged = {fit for fit, _ in diagnostics_of(answer)}
    return [name for name in answer.draws if name in judged]


def pictures_of(result: CalibrationResult, answer: Answer) -> list[Picture]:
    """List the pictures of a result."""
    return [_fractions(result), *_matrices(result, answer), *_chains(result, answer)]


def _fractions(result: CalibrationResult) -> Picture:
    fits = fits_of(result)
    caption = (
        "Cause-specific mortality fractions as observed and as calibrated, by fit. Whiskers are 95 % credible "
        "intervals (equal tails)."
    )
    if any(cause.status != "calibrated" for fit in fits.values() for cause in fit.causes):
        caption += " Causes left as observed are hatched and have no interval."
    if stalled_of(result):
        caption += f" Intervals are withheld where path correction stalled ({', '.join(stalled_of(result))})."
    return Picture("csmf", caption, "Bars of fractions by cause and fit", lambda: fractions_images(fits, FORMS))


def _matrices(result: CalibrationResult, answer: Answer) -> list[Picture]:
    pictures = []
    for name, fit in result.algorithms.items():
        views = _views(fit, [row for row in answer.matrices if row["algorithm"] == name], result)
        caption = (
            f"Misclassification by {name}: rows are true causes, columns the causes that the algorithm assigns, "
            "numbers percent of the row."
        )
        if any(cause.status != "calibrated" for cause in fit.causes):
            caption += " Grey: causes left as observed."
        if fit.path_lambda:
            caption += (
                f" The matrix used is a mixture of {fit.path_lambda * 100:.0f} % identity and "
                f"{100 - fit.path_lambda * 100:.0f} % matrix as given; it is not the algorithm's sensitivity."
            )
        pictures.append(
            Picture(
                f"misclassification-{name}",
                caption,
                f"Heatmaps of the misclassification matrices of {name}",
                lambda views=views: misclassification_images(views, FORMS),  # type: ignore[misc]
            )
        )
    return pictures


def _views(fit: AlgorithmResult, rows: Sequence[Row], result: CalibrationResult) -> list[MatrixView]:
    left = frozenset(cause.cause for cause in fit.causes if cause.status != "calibrated")
    is_mapped = result.provenance.studycause_map is not None
    views = [_view(rows, "study", result.causes, "over the study's causes" if is_mapped else "as given", left)]
    if fit.path_lambda:
        title = f"as used: a mixture with\nthe identity (λ = {fit.path_lambda:.2f})"
        views.append(_view(rows, "used", result.causes, title, left))
    if fit.is_calibrated and result.provenance.parameters["missmat_type"] != "fixed":
        views.append(_view(rows, "posterior", result.causes, "posterior mean", left))
    return views


def _view(rows: Sequence[Row], stage: str, causes: Sequence[str], title: str, excluded: frozenset[str]) -> MatrixView:
    cells = {(row["true"], row["va"]): float(row["value"]) for row in rows if row["stage"] == stage}
    return MatrixView(
        causes,
        [[cells.get((true, va)) for va in causes] for true in causes],
        title=title,
        excluded=excluded,
        hides_excluded=stage != "study",
    )


def _chains(result: CalibrationResult, answer: Answer) -> list[Picture]:
    known = diagnostics_of(answer)
    stalled = stalled_of(result)
    pictures = []
    for name in _judged(answer):
        draws = answer.draws[name]
        views = [
            ChainView(
                cause,
                draws.fractions[:, index, :],
                f"R-hat {known[name, cause].rhat:.3f}, ESS {known[name, cause].ess_bulk:,.0f}",
            )
            for index, cause in enumerate(result.causes)
            if (name, cause) in known
        ]
        count, chains = draws.density.shape
        title = f"{name}: {chains} chains of {count:,} draws" if chains > 1 else f"{name}: one chain of {count:,} draws"
        caption = (
            f"Traces (left, at most 250 points a chain) and ranks (right) of the draws of {name}, one colour a chain. "
            "Chains that mix lie over each other, and their ranks stay near the dashed line."
        )
        if name in stalled:
            caption += " Path correction stalled, so the spread of these draws is no interval."
        pictures.append(
            Picture(
                f"chains-{name}",
                caption,
                f"Traces and ranks of the chains of {name}",
                lambda views=views, title=title: chains_images(views, title, FORMS),  # type: ignore[misc]
            )
        )
    return pictures
