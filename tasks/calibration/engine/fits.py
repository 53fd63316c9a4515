"""What tables, pictures and the report read from a result."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.calibration.engine.exchange import Answer
from tasks.calibration.results import CalibrationResult, FitResult

ENSEMBLE = "ensemble"


def fits_of(result: CalibrationResult) -> dict[str, FitResult]:
    """Return every fit by name: the algorithms, then the ensemble."""
    fits: dict[str, FitResult] = dict(result.algorithms)
    if result.ensemble is not None:
        fits[ENSEMBLE] = result.ensemble
    return fits


def stalled_of(result: CalibrationResult) -> tuple[str, ...]:
    """Return the fits whose intervals are withheld."""
    stalled = [name for name, fit in result.algorithms.items() if fit.is_stalled]
    if result.ensemble is not None and result.ensemble.stalled_members:
        stalled.append(ENSEMBLE)
    return tuple(stalled)


@dataclass(frozen=True, slots=True)
class CauseDiagnostics:
    """How well one calibrated fraction is known."""

    rhat: float
    ess_bulk: float
    ess_tail: float


def diagnostics_of(answer: Answer) -> Mapping[tuple[str, str], CauseDiagnostics]:
    """Return the diagnostics of every calibrated fraction, by fit and cause."""
    return {
        (row["fit"], row["cause"]): CauseDiagnostics(*(float(row[name]) for name in ("rhat", "ess_bulk", "ess_tail")))
        for row in answer.summary
        if row["rhat"]
    }
