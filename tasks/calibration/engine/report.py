"""From R's tables to the result: what is told, and what is withheld because it would mislead."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.engine.bridge import PACKAGE
from tasks.calibration.engine.exchange import Answer, Row, has_ensemble, shrinkage_of
from tasks.calibration.engine.fits import ENSEMBLE
from tasks.calibration.example import NOTE
from tasks.calibration.forecast import STALLED_FROM
from tasks.calibration.intake import Intake
from tasks.calibration.results import (
    AlgorithmResult,
    CalibrationResult,
    CauseResult,
    Diagnostics,
    EnsembleResult,
    FitResult,
    Provenance,
)
from tasks.core.version import VERSION

_LEFT_AS_OBSERVED = {
    "requested": "left as observed, as asked for",
    "default": "left as observed: the default for a cause named other; donotcalib says otherwise",
    "indistinct": "left as observed: the algorithm names it about as often whatever the true cause",
    "not_calibrated": "the algorithm could not be calibrated: fewer than two causes are left, or no deaths in them",
}
_UNABLE_MEMBER = {
    "switchyard-r": "enters the ensemble as if it made no errors; consider leaving it out.",
    "vacalibration": "is no part of the ensemble: the package fails with such a member.",
}
_STALLED = "path correction stalled (lambda {value:g}): an interval would claim more than is known"
_STALLED_MEMBERS = "path correction stalled for {names}: an interval would claim more than is known"


def lambda_of(prepared: Row) -> float | None:
    """Return the weight of the identity that path correction chose, if it was asked for."""
    return float(prepared["lambda"]) if prepared["lambda"] else None


def build_result(
    request: CalibrationRequest, intake: Intake, answer: Answer, *, bridge: str, artifacts: Sequence[str], cores: int
) -> CalibrationResult:
    """Make the result of one run."""
    lambdas = {row["algorithm"]: lambda_of(row) for row in answer.prepared}
    stalled = tuple(name for name, value in lambdas.items() if value is not None and value >= STALLED_FROM)
    fits = {row["fit"]: row for row in answer.fits}
    algorithms = {
        name: AlgorithmResult(
            **_fit(name, answer, fits[name], _withheld(name, lambdas, stalled), by_default=intake.excludes_by_default),
            path_lambda=lambdas[name],
            is_stalled=name in stalled,
        )
        for name in intake.counts
    }
    ensemble = None
    if ENSEMBLE in fits:
        ensemble = EnsembleResult(
            **_fit(
                ENSEMBLE,
                answer,
                fits[ENSEMBLE],
                _withheld(ENSEMBLE, lambdas, stalled),
                by_default=intake.excludes_by_default,
            ),
            stalled_members=stalled,
            deaths=_ensemble_deaths(answer),
        )
    return CalibrationResult(
        is_example=request.use_example,
        causes=intake.causes,
        algorithms=algorithms,
        ensemble=ensemble,
        notes=(*_sampler_notes(request, answer), *_notes(request, intake, algorithms, ensemble)),
        provenance=_provenance(request, intake, answer, bridge=bridge, cores=cores),
        artifacts=tuple(artifacts),
    )


def _withheld(fit: str, lambdas: Mapping[str, float | None], stalled: Sequence[str]) -> str | None:
    """Why the fit's intervals are not told, if so."""
    if fit == ENSEMBLE:
        return _STALLED_MEMBERS.format(names=", ".join(stalled)) if stalled else None
    return _STALLED.format(value=lambdas[fit]) if fit in stalled else None


def _fit(name: str, answer: Answer, row: Row, withheld: str | None, *, by_default: bool) -> dict[str, object]:
    rows = [entry for entry in answer.summary if entry["fit"] == name]
    deaths = _fit_deaths(name, answer)
    return {
        "is_calibrated": row["calibrated"] == "TRUE",
        "total": sum(round(float(entry["count"])) for entry in rows),
        "causes": tuple(_cause(entry, deaths[entry["cause"]], withheld, by_default=by_default) for entry in rows),
        "diagnostics": _diagnostics(row),
    }


def _cause(row: Row, deaths: int, withheld: str | None, *, by_default: bool) -> CauseResult:
    status = row["reason"] or "calibrated"
    if status == "requested" and by_default:
        status = "default"
    reason = _LEFT_AS_OBSERVED.get(status) or withheld
    return CauseResult(
        cause=row["cause"],
        observed=round(float(row["count"])),
        uncalibrated=_fraction(row["uncalibrated"]),
        mean=_fraction(row["mean"]),
        lower=None if reason else _fraction(row["lower"]),
        upper=None if reason else _fraction(row["upper"]),
        deaths=deaths,
        status=status,
        reason=reason,
    )


def _fraction(text: str) -> float:
    return min(1.0, max(0.0, float(text)))


def _fit_deaths(fit: str, answer: Answer) -> dict[str, int]:
    deaths: dict[str, int] = {}
    for row in answer.deaths:
        if row["fit"] == fit:
            deaths[row["cause"]] = deaths.get(row["cause"], 0) + round(float(row["deaths"]))
    return deaths


def _ensemble_deaths(answer: Answer) -> dict[str, dict[str, int]]:
    deaths: dict[str, dict[str, int]] = {}
    for row in answer.deaths:
        if row["fit"] == ENSEMBLE:
            deaths.setdefault(row["algorithm"], {})[row["cause"]] = round(float(row["deaths"]))
    return deaths


def _diagnostics(row: Row) -> Diagnostics:
    def number(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    return Diagnostics(
        rhat_max=number("rhat_max"),
        ess_bulk_min=number("ess_bulk_min"),
        ess_tail_min=number("ess_tail_min"),
        divergences=int(float(row["divergences"])),
        acceptance=number("acceptance"),
        gradients=int(float(row["gradients"])),
        extended=row["extended"] == "TRUE",
        converged=row["converged"] == "TRUE",
        seconds=float(row["seconds"]),
    )


def _sampler_notes(request: CalibrationRequest, answer: Answer) -> list[str]:
    if answer.versions["sampler"] in {request.sampler, "stan"}:
        return []
    return ["This worker's R package was built without a C compiler, so the draws are those of plain R."]


def _notes(
    request: CalibrationRequest,
    intake: Intake,
    algorithms: Mapping[str, AlgorithmResult],
    ensemble: EnsembleResult | None,
) -> list[str]:
    notes = [NOTE] if request.use_example else []
    notes += intake.notes
    for name, fit in algorithms.items():
        if not fit.is_calibrated:
            notes.append(f"{name}: not calibrated; {_LEFT_AS_OBSERVED['not_calibrated']}.")
            if ensemble is not None:
                notes.append(f"{name} {_UNABLE_MEMBER[request.engine]}")
        if fit.is_stalled:
            notes.append(f"{name}: {_stalled_note(fit)}")
    notes += _ensemble_notes(algorithms, ensemble)
    fits: list[tuple[str, FitResult]] = [*algorithms.items(), *([(ENSEMBLE, ensemble)] if ensemble else [])]
    for name, one in fits:
        if one.is_calibrated and one.diagnostics.rhat_max is None:
            notes.append(f"{name}: the order of the draws is not known, so whether the chains converged is not either.")
        elif not one.diagnostics.converged:
            notes.append(f"{name}: the chains have not converged; raise warmup and draws before using the numbers.")
        if one.diagnostics.divergences:
            notes.append(f"{name}: {one.diagnostics.divergences} divergent draws; raise adapt_delta.")
    return notes


def _ensemble_notes(algorithms: Mapping[str, AlgorithmResult], ensemble: EnsembleResult | None) -> list[str]:
    """Name causes that the ensemble calibrates although a member leaves them as observed."""
    shared = {cause.cause for cause in ensemble.causes if cause.status == "calibrated"} if ensemble else set()
    notes = []
    for name, fit in algorithms.items():
        own = [cause.cause for cause in fit.causes if fit.is_calibrated and cause.status != "calibrated"]
        odd = [cause for cause in own if cause in shared]
        if odd:
            listed = ", ".join(odd)
            notes.append(f"{name} leaves {listed} as observed; there it enters the ensemble as if it made no errors.")
    return notes


def _stalled_note(fit: AlgorithmResult) -> str:
    empty = [cause.cause for cause in fit.causes if cause.observed == 0 and cause.status == "calibrated"]
    told = "path correction stalled, so the estimate stays near the observed fractions and has no interval."
    if not empty:
        return told
    listed = ", ".join(empty)
    why = f"The reason is a calibrated cause without deaths ({listed})"
    return f"{told} {why}: leave it out by donotcalib, or merge it with another."


def _provenance(request: CalibrationRequest, intake: Intake, answer: Answer, *, bridge: str, cores: int) -> Provenance:
    data = {
        "causes": intake.causes,
        "counts": dict(intake.counts),
        "broad": intake.broad,
        "excluded": dict(intake.excluded),
    }
    return Provenance(
        engine=request.engine,
        bridge=bridge,
        sampler=answer.versions["sampler"],
        packages=_packages(request, answer),
        package_version=answer.versions["package"],
        r_version=answer.versions["r"],
        switchyard_version=VERSION,
        seed=request.seed,
        parameters={
            "missmat_type": request.missmat_type,
            "donotcalib_type": request.donotcalib_type,
            "nocalib_threshold": request.nocalib_threshold,
            "path_correction": request.path_correction,
            "pshrink_strength": shrinkage_of(request),
            "ensemble": has_ensemble(request),
            "draws": request.draws,
            "warmup": request.warmup,
            "thin": request.thin,
            "chains": request.chains,
            "cores": cores,
            # Whose names the package's arguments have: its own version number does not tell.
            **({"interface": answer.versions["interface"]} if "interface" in answer.versions else {}),
            "adapt_delta": request.adapt_delta,
            "age_group": request.age_group,
            "use_example": request.use_example,
        },
        donotcalib=dict(intake.excluded),
        excluded={row["algorithm"]: _left_out(row["algorithm"], answer) for row in answer.prepared},
        country=request.country,
        matrices=request.pin,
        cause_map=dict(request.cause_map),
        studycause_map=dict(zip(intake.causes, intake.broad, strict=True)) if intake.broad else None,
        input_sha256=_hash(data),
        matrix_sha256={
            name: _hash({"causes": matrix.causes, "draws": matrix.draws}) for name, matrix in intake.matrices.items()
        },
        dropped={name: dict(reasons) for name, reasons in intake.dropped.items()},
    )


def _packages(request: CalibrationRequest, answer: Answer) -> dict[str, str]:
    if request.engine == "vacalibration":
        return {"vacalibration": answer.versions["package"], "rstan": answer.versions["rstan"]}
    return {PACKAGE: answer.versions["package"]}


def _left_out(algorithm: str, answer: Answer) -> tuple[str, ...]:
    return tuple(row["cause"] for row in answer.summary if row["fit"] == algorithm and row["reason"])


def _hash(value: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
