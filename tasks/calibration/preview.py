"""What a request would do, answered at once: it needs no R and draws nothing."""

from pydantic import Field

from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.example import NOTE
from tasks.calibration.forecast import Forecast, Reason, forecast
from tasks.calibration.intake import MAX_CAUSES
from tasks.calibration.terms import MAX_ALGORITHMS, Cause
from tasks.core.spec import Contract, OpenUpload


class AlgorithmPreview(Contract):
    """What will become of one algorithm."""

    counts: dict[Cause, int] = Field(description="Deaths by cause, as they will be calibrated.", max_length=MAX_CAUSES)
    total: int
    dropped: dict[str, int] = Field(description="Deaths that are left out, by reason.")
    left_as_observed: dict[Cause, Reason] = Field(
        description="Causes that stay uncalibrated: because of donotcalib, by default (a cause named other, where "
        "there is no donotcalib), or because their column hardly varies."
    )
    is_calibrated: bool
    path_lambda: float | None = Field(description="Weight of the identity that path correction will choose.")
    is_stalled: bool = Field(description="The weight will be at its limit, so there will be no intervals.")


class CalibrationPreview(Contract):
    """What a calibration will do, before it is submitted."""

    is_example: bool
    causes: tuple[Cause, ...] = Field(max_length=MAX_CAUSES)
    algorithms: dict[str, AlgorithmPreview] = Field(max_length=MAX_ALGORITHMS)
    notes: tuple[str, ...] = Field(max_length=100)


def preview(request: CalibrationRequest, open_upload: OpenUpload | None = None) -> CalibrationPreview:
    """Tell what ``request`` will do; ``open_upload`` is needed where deaths were uploaded."""
    intake = request.take_in(open_upload)
    forecasts = forecast(
        intake,
        missmat_type=request.missmat_type,
        learn=request.donotcalib_type == "learn",
        threshold=request.nocalib_threshold,
        path_correction=request.path_correction,
    )
    notes = [NOTE] if request.use_example else []
    notes += intake.notes
    for name, expected in forecasts.items():
        notes += [f"{name}: {warning}" for warning in _warnings(expected)]
    return CalibrationPreview(
        is_example=request.use_example,
        causes=intake.causes,
        algorithms={
            name: AlgorithmPreview(
                counts=dict(zip(intake.causes, intake.counts[name], strict=True)),
                total=sum(intake.counts[name]),
                dropped=dict(intake.dropped.get(name, {})),
                left_as_observed=dict(expected.left_as_observed),
                is_calibrated=expected.is_calibrated,
                path_lambda=expected.path_lambda,
                is_stalled=expected.is_stalled,
            )
            for name, expected in forecasts.items()
        },
        notes=tuple(notes),
    )


def _warnings(expected: Forecast) -> list[str]:
    if not expected.is_calibrated:
        return ["it cannot be calibrated: fewer than two causes are left, or no deaths in them."]
    if not expected.is_stalled:
        return []
    told = "path correction will stall, so the estimate will stay near the observed fractions, without an interval."
    if not expected.empty:
        return [told]
    listed = ", ".join(expected.empty)
    why = f"The reason is a calibrated cause without deaths ({listed})"
    return [f"{told} {why}: leave it out by donotcalib, or merge it with another."]
