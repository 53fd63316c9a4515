"""What a calibration will do, told without sampling: the preparation that R does, in plain Python and numpy.

``r/R/matrices.R``, ``r/R/prepare.R`` and ``r/R/path.R`` hold the same steps; a test keeps the two equal. Only means of
matrices matter here, so Dirichlet rows, probabilities and samples are all reduced to probabilities first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tasks.calibration.intake import Intake, Matrix

Array = npt.NDArray[np.float64]
Reason = Literal["requested", "default", "indistinct"]

# From this weight of the identity on, the matrix used says next to nothing of the algorithm's errors.
STALLED_FROM = 0.985
LEAST_CAUSES = 2
_EDGE = 1e-9
_LEAST_PROBABILITY = 1e-12
# Share of a broad cause's deaths that goes to the wrong one of the study causes it stands for.
_DIRICHLET_SPLIT_ERROR = 0.001


@dataclass(frozen=True, slots=True)
class Forecast:
    """What will become of one algorithm.

    Args:
        left_as_observed: causes that stay uncalibrated, and why.
        path_lambda: weight of the identity that path correction will choose; None without it.
        empty: calibrated causes without a death, each of which makes path correction stall.
    """

    left_as_observed: Mapping[str, Reason]
    is_calibrated: bool
    path_lambda: float | None
    empty: tuple[str, ...]

    @property
    def is_stalled(self) -> bool:
        """Whether the matrix used will say next to nothing."""
        return self.path_lambda is not None and self.path_lambda >= STALLED_FROM


def forecast(
    intake: Intake, *, missmat_type: str, learn: bool, threshold: float, path_correction: bool
) -> dict[str, Forecast]:
    """Return what will become of each algorithm."""
    return {
        name: _forecast_one(
            intake,
            name,
            means=study_means(intake.matrices[name], intake.causes, intake.broad, is_fixed=missmat_type == "fixed"),
            threshold=threshold if learn else None,
            # A known matrix may become the identity itself; Dirichlet rows must stay proper.
            limit=(1.0 if missmat_type == "fixed" else 0.99) if path_correction else None,
        )
        for name in intake.counts
    }


def study_means(matrix: Matrix, causes: Sequence[str], broad: Sequence[str] | None, *, is_fixed: bool) -> Array:
    """Return the mean matrix over the study's causes, true x VA; rows sum to 1."""
    draws = np.asarray(matrix.draws, dtype=np.float64)
    if len(draws) > 1:
        draws = np.maximum(draws, _LEAST_PROBABILITY)
        draws = draws / draws.sum(axis=2, keepdims=True)
    given: Array = draws.mean(axis=0)
    index = {cause: position for position, cause in enumerate(matrix.causes)}
    if broad is None:
        return _rows_to_one(_picked(given, [index[cause] for cause in causes]))
    distinct = list(dict.fromkeys(broad))
    picked = _rows_to_one(_picked(given, [index[cause] for cause in distinct]))
    expanded = _picked(picked, [distinct.index(cause) for cause in broad])
    error = 0.0 if is_fixed else _DIRICHLET_SPLIT_ERROR
    for cause in distinct:
        inside = np.array([one == cause for one in broad])
        copies = int(inside.sum())
        if copies == 1:
            continue
        expanded[np.ix_(~inside, inside)] /= copies
        factor = np.full((copies, copies), error / (copies - 1))
        np.fill_diagonal(factor, 1 - error)
        expanded[np.ix_(inside, inside)] *= factor
    return _rows_to_one(expanded)


def path_lambda(means: Array, fractions: Array, *, limit: float) -> float:
    """Return the least weight of the identity before which no inverted fraction leaves [0, 1], at most ``limit``."""
    identity = np.eye(len(means))
    for step in range(round(limit * 100), -1, -1):
        weight = step / 100
        mixed = weight * identity + (1 - weight) * means
        solved = np.linalg.pinv(mixed.T, rcond=float(np.sqrt(np.finfo(np.float64).eps))) @ fractions
        if bool(np.any((solved < -_EDGE) | (solved > 1 + _EDGE))):
            return min((step + 1) / 100, limit)
    return 0.0


def _forecast_one(intake: Intake, name: str, *, means: Array, threshold: float | None, limit: float | None) -> Forecast:
    reasons: dict[str, Reason] = {}
    if threshold is not None:
        ranges = means.max(axis=0) - means.min(axis=0)
        reasons = {
            cause: "indistinct" for cause, width in zip(intake.causes, ranges, strict=True) if width <= threshold
        }
    reasons |= dict.fromkeys(intake.excluded[name], "default" if intake.excludes_by_default else "requested")
    counts = intake.counts[name]
    kept = [position for position, cause in enumerate(intake.causes) if cause not in reasons]
    total = sum(counts[position] for position in kept)
    is_calibrated = len(kept) >= LEAST_CAUSES and total > 0
    weight = None
    if is_calibrated and limit is not None:
        fractions = np.array([counts[position] for position in kept]) / total
        weight = path_lambda(_rows_to_one(_picked(means, kept)), fractions, limit=limit)
    return Forecast(
        left_as_observed={cause: reasons[cause] for cause in intake.causes if cause in reasons},
        is_calibrated=is_calibrated,
        path_lambda=weight,
        empty=tuple(intake.causes[position] for position in kept if not counts[position]) if is_calibrated else (),
    )


def _picked(matrix: Array, positions: Sequence[int]) -> Array:
    chosen: Array = matrix[np.ix_(positions, positions)]
    return chosen


def _rows_to_one(matrix: Array) -> Array:
    divided: Array = matrix / matrix.sum(axis=1, keepdims=True)
    return divided
