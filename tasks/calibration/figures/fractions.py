"""Observed and calibrated fractions as bars, a panel for each fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.calibration.figures.canvas import (
    BLUE,
    FAINT,
    LETTER_IN,
    ORANGE,
    PAGE_IN,
    QUIET,
    SMALL_PT,
    Form,
    Page,
    box,
    label,
    label_width_in,
    one_line,
    page,
)
from tasks.calibration.results import AlgorithmResult, CauseResult, EnsembleResult, FitResult

_LETTERS = 24
_ACROSS = 4
_GAP_IN, _HEAD_IN, _FOOT_IN, _KEY_IN = 0.22, 0.46, 0.42, 0.26
_EDGE_IN = 0.14
_ROW_IN, _CROWDED_ROW_IN = 0.32, 0.25
_CROWDED_FROM = 15
_BAR, _CAP = 0.36, 0.1
_PALE_BLUE = "#b9d6ea"
_OBSERVED, _CALIBRATED, _WITHHELD, _LEFT = "observed", "calibrated", "calibrated, interval withheld", "left as observed"
# Properties of patches, which matplotlib types one by one.
_LOOKS: Mapping[str, dict[str, Any]] = {
    _OBSERVED: {"facecolor": ORANGE},
    _CALIBRATED: {"facecolor": BLUE},
    _WITHHELD: {"facecolor": _PALE_BLUE, "edgecolor": BLUE, "linewidth": 0.7},
    _LEFT: {"facecolor": FAINT, "edgecolor": QUIET, "linewidth": 0.5, "hatch": "//////"},
}


def fractions_images(fits: Mapping[str, FitResult], forms: Sequence[Form]) -> dict[Form, bytes]:
    """Draw observed against calibrated fractions with 95 % intervals, on an axis from 0 to 100 % in every panel.

    A cause without an interval has no whisker, and looks different.

    Raises:
        EngineUnavailable: matplotlib is missing.
    """
    causes = [cause.cause for cause in next(iter(fits.values())).causes]
    labels = [label(cause, _LETTERS) for cause in causes]
    side_in = label_width_in(labels) + 0.15
    across = min(_ACROSS, len(fits))
    # Five panels look better as three and two than as four and one.
    across = -(-len(fits) // -(-len(fits) // across))
    panel_in = (PAGE_IN - side_in - _EDGE_IN - (across - 1) * _GAP_IN) / across
    is_crowded = len(causes) >= _CROWDED_FROM and not any("\n" in text for text in labels)
    bars_in = len(causes) * (_CROWDED_ROW_IN if is_crowded else _ROW_IN)
    row_in = _HEAD_IN + bars_in + _FOOT_IN
    with page(PAGE_IN, _KEY_IN + -(-len(fits) // across) * row_in) as sheet:
        looks: dict[str, None] = {}
        for index, (name, fit) in enumerate(fits.items()):
            row, column = divmod(index, across)
            left_in, top_in = side_in + column * (panel_in + _GAP_IN), _KEY_IN + row * row_in
            title = one_line(name, int(panel_in / LETTER_IN))
            sheet.text(left_in, top_in + 0.05, title, weight="bold")
            sheet.text(left_in, top_in + 0.19, "\n".join(_told(fit)), points=SMALL_PT, colour=QUIET)
            panel = _Panel(sheet, left_in, top_in + _HEAD_IN, panel_in, bars_in / len(causes))
            panel.draw_axis(len(causes))
            looks |= dict.fromkeys(panel.draw(fit.causes))
            for place, cause in enumerate(labels if column == 0 else []):
                sheet.text(side_in - 0.06, panel.y(place), cause, ha="right", va="center")
        _key(sheet, side_in, [look for look in _LOOKS if look in looks])
        return sheet.images(forms)


@dataclass(frozen=True, slots=True)
class _Panel:
    """One fit's bars. ``x`` takes shares, ``y`` rows of causes; inches."""

    sheet: Page
    left_in: float
    top_in: float
    width_in: float
    row_in: float

    def x(self, share: float) -> float:
        return self.left_in + share * self.width_in

    def y(self, row: float) -> float:
        return self.top_in + (row + 0.5) * self.row_in

    def draw_axis(self, rows: int) -> None:
        top_in, bottom_in = self.y(-0.5), self.y(rows - 0.5)
        at = (0, 0.25, 0.5, 0.75, 1)
        grid = [[(self.x(share), top_in), (self.x(share), bottom_in)] for share in at]
        self.sheet.lines(grid[1:], colour=FAINT, width=0.5, zorder=0)
        self.sheet.lines([grid[0], [(self.x(0), bottom_in), (self.x(1), bottom_in)]], colour=QUIET)
        for share in at:
            self.sheet.text(self.x(share), bottom_in + 0.03, f"{share * 100:.0f}", points=SMALL_PT, ha="center")
        self.sheet.text(self.x(0.5), bottom_in + 0.15, "share of deaths, %", points=SMALL_PT, colour=QUIET, ha="center")

    def draw(self, causes: Sequence[CauseResult]) -> list[str]:
        """Draw bars and whiskers; return the looks that need explaining."""
        bars: dict[str, list[list[tuple[float, float]]]] = {_OBSERVED: []}
        for row, cause in enumerate(causes):
            bars[_OBSERVED].append(self._bar(row - _BAR, cause.uncalibrated))
            bars.setdefault(_look(cause), []).append(self._bar(row, cause.mean))
        for look, shapes in bars.items():
            self.sheet.areas(shapes, **_LOOKS[look])
        whiskers = [
            self._whisker(row + _BAR / 2, cause.lower, cause.upper)
            for row, cause in enumerate(causes)
            if cause.lower is not None and cause.upper is not None
        ]
        # A pale rim keeps them apart from the bars, whose blue is dark.
        self.sheet.lines(whiskers, colour="white", width=2.2, zorder=3)
        self.sheet.lines(whiskers, width=1.0, zorder=3)
        return list(bars)

    def _bar(self, row: float, share: float) -> list[tuple[float, float]]:
        return box(self.x(0), self.y(row), share * self.width_in, _BAR * self.row_in)

    def _whisker(self, row: float, low: float, high: float) -> list[tuple[float, float]]:
        up, middle, down = (self.y(row + side) for side in (-_CAP, 0, _CAP))
        left, right = self.x(low), self.x(high)
        return [(left, up), (left, down), (left, middle), (right, middle), (right, up), (right, down)]


def _look(cause: CauseResult) -> str:
    if cause.status != "calibrated":
        return _LEFT
    return _WITHHELD if cause.lower is None else _CALIBRATED


def _told(fit: FitResult) -> list[str]:
    deaths = f"{fit.total:,} deaths"
    if not fit.is_calibrated:
        return [deaths, "not calibrated"]
    if isinstance(fit, EnsembleResult):
        return [deaths, "no intervals: a member stalled" if fit.stalled_members else "all algorithms together"]
    if not isinstance(fit, AlgorithmResult) or fit.path_lambda is None:
        return [deaths, "no path correction"]
    weight = f"λ = {fit.path_lambda:.2f}"
    return [deaths, f"{weight}: stalled, no intervals" if fit.is_stalled else weight]


def _key(sheet: Page, left_in: float, looks: Sequence[str]) -> None:
    """Explain the looks, in one line above the panels."""
    at_in = left_in
    for look in looks:
        sheet.areas([box(at_in, 0.05, 0.15, 0.09)], **_LOOKS[look])
        sheet.text(at_in + 0.22, 0.095, look, va="center_baseline")
        at_in += 0.4 + len(look) * LETTER_IN * 0.95
    if _CALIBRATED in looks:
        ends = [(at_in, 0.06), (at_in, 0.13), (at_in, 0.095), (at_in + 0.2, 0.095)]
        sheet.lines([[*ends, (at_in + 0.2, 0.06), (at_in + 0.2, 0.13)]], width=1.0)
        sheet.text(at_in + 0.27, 0.095, "95 % interval", va="center_baseline")
