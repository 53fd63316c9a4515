"""What a calibration answers. Light to import: the web process loads this module."""

from typing import Literal

from pydantic import AwareDatetime, Field

from tasks.calibration.intake import MAX_CAUSES
from tasks.calibration.shelf import MatrixPin
from tasks.calibration.terms import MAX_ALGORITHMS, Cause, Probability
from tasks.core.spec import Contract


class CauseResult(Contract):
    """One cause of one fit."""

    cause: Cause
    observed: int = Field(ge=0, description="Deaths as the algorithm assigned them.")
    uncalibrated: Probability
    mean: Probability = Field(description="Posterior mean; the observed fraction where nothing was calibrated.")
    lower: Probability | None = Field(description="2.5 % quantile; none where `reason` says why.")
    upper: Probability | None = Field(description="97.5 % quantile.")
    deaths: int = Field(
        ge=0,
        description="Calibrated deaths, by largest remainder; of the ensemble, as `observed`, summed over algorithms, "
        "so that a person counts once for each.",
    )
    status: Literal["calibrated", "requested", "default", "indistinct", "not_calibrated"] = Field(
        description="Calibrated; left as observed because of donotcalib, by default (named other, where there is no "
        "donotcalib), because its column hardly varies, or because the fit could not be calibrated."
    )
    reason: str | None = Field(description="Why there is no interval.", max_length=300)


class Diagnostics(Contract):
    """How far the draws can be trusted; R-hat and effective sizes over all calibrated fractions."""

    rhat_max: float | None
    ess_bulk_min: float | None
    ess_tail_min: float | None
    divergences: int = Field(ge=0)
    acceptance: float | None
    gradients: int = Field(ge=0, description="Evaluations of the gradient, over all chains.")
    extended: bool = Field(description="The run had not converged, and went on for four times its draws.")
    converged: bool
    seconds: float = Field(ge=0)


class FitResult(Contract):
    """One algorithm, or all together."""

    is_calibrated: bool
    total: int = Field(ge=0, description="Deaths with a cause.")
    causes: tuple[CauseResult, ...] = Field(max_length=MAX_CAUSES)
    diagnostics: Diagnostics


class AlgorithmResult(FitResult):
    """One algorithm by itself."""

    path_lambda: float | None = Field(
        description="Weight of the identity in the matrix used, 0 to 1; none without path correction."
    )
    is_stalled: bool = Field(description="The weight is at its limit: the matrix says next to nothing.")


class EnsembleResult(FitResult):
    """All algorithms together: their shared fractions, and what these make of each algorithm's deaths."""

    stalled_members: tuple[str, ...] = Field(description="Members whose matrix says next to nothing.")
    deaths: dict[str, dict[str, int]] = Field(description="By algorithm and cause.")


class Provenance(Contract):
    """What the numbers came from."""

    engine: Literal["switchyard-r", "vacalibration"]
    bridge: Literal["rpy2", "rscript"]
    sampler: Literal["c", "r", "stan"]
    packages: dict[str, str] = Field(description="Versions of the R packages that drew.", max_length=10)
    package_version: str = Field(max_length=50)
    r_version: str = Field(max_length=50)
    switchyard_version: str = Field(max_length=50)
    seed: int
    parameters: dict[str, str | int | float | bool | None] = Field(description="As they took effect.")
    donotcalib: dict[str, tuple[str, ...]] = Field(
        description="Causes left as observed whatever the matrix says: asked for, or else those named other."
    )
    excluded: dict[str, tuple[str, ...]] = Field(description="All causes left as observed, these and the learned ones.")
    country: str | None = Field(None, description="Whose matrices were taken from the imported ones.")
    matrices: MatrixPin | None = Field(None, description="The set that they were taken from.")
    cause_map: dict[str, str] = Field(description="The request's own translations of cause names.")
    studycause_map: dict[str, str] | None = Field(description="Study cause to cause of the matrix, if they differ.")
    input_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    matrix_sha256: dict[str, str]
    dropped: dict[str, dict[str, int]] = Field(description="Deaths left out, by algorithm and reason.")


class CacheMark(Contract):
    """Whether the result is an earlier job's, whose time and versions its provenance tells then."""

    hit: bool
    job: str | None = Field(None, max_length=36, description="The job that computed it.")
    at: AwareDatetime | None = Field(None, description="When that job ended.")


class CalibrationResult(Contract):
    """Calibrated fractions; draws, matrices and tables are artifacts."""

    is_example: bool = Field(description="The data are invented.")
    causes: tuple[Cause, ...] = Field(max_length=MAX_CAUSES)
    algorithms: dict[str, AlgorithmResult] = Field(max_length=MAX_ALGORITHMS)
    ensemble: EnsembleResult | None
    notes: tuple[str, ...] = Field(max_length=100, description="What a reader must know.")
    provenance: Provenance
    artifacts: tuple[str, ...] = Field(max_length=100)
    cache: CacheMark = CacheMark(hit=False)
