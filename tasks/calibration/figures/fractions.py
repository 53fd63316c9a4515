"""Observed and calibrated fractions as bars, a panel for each fit."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.calibration.contract import AlgorithmResult, CauseResult, EnsembleResult, FitResult
from tasks.calibration.figures.canvas import (
    BLUE,
    FAINT,
    INK,
    LETTER_IN,
    ORANGE,
    PAGE_IN,
    QUIET,
    SMALL_PT,
    TEXT_PT,
    Form,
    label,
    label_width_in,
    page,
    place,
    render,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    bars_in = len(causes) * (_CROWDED_ROW_IN if len(causes) >= _CROWDED_FROM else _ROW_IN)
    row_in = _HEAD_IN + bars_in + _FOOT_IN
    with page(PAGE_IN, _KEY_IN + -(-len(fits) // across) * row_in) as figure:
        looks: dict[str, None] = {}
        for index, (name, fit) in enumerate(fits.items()):
            row, column = divmod(index, across)
            left_in, top_in = side_in + column * (panel_in + _GAP_IN), _KEY_IN + row * row_in
            axes = place(figure, left_in, top_in + _HEAD_IN, panel_in, bars_in, framed=False)
            looks |= dict.fromkeys(_draw(axes, fit.causes))
            axes.set_yticks(range(len(causes)), labels if column == 0 else [])
            letters = int(panel_in / LETTER_IN)
            write(figure, left_in, top_in + 0.05, label(name, letters).split("\n")[0], bold=True)
            write(figure, left_in, top_in + 0.19, "\n".join(_told(fit)), small=True)
        _key(figure, side_in, [look for look in _LOOKS if look in looks])
        return render(figure, forms)


def _draw(axes: "Axes", causes: Sequence[CauseResult]) -> list[str]:
    """Draw one panel; return the looks that need explaining."""
    looks = [_OBSERVED]
    for row, cause in enumerate(causes):
        look = _look(cause)
        looks.append(look)
        _bar(axes, row - _BAR, cause.uncalibrated, _OBSERVED)
        _bar(axes, row, cause.mean, look)
        if cause.lower is not None and cause.upper is not None:
            _whisker(axes, row + _BAR / 2, cause.lower, cause.upper)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(causes) - 0.5, -0.5)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    axes.set_xlabel("share of deaths, %", fontsize=SMALL_PT, color=QUIET, labelpad=2)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    return looks


def _whisker(axes: "Axes", y: float, low: float, high: float) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415  # loads on the first figure

    x, up, down = [low, low, low, high, high, high], y - _CAP, y + _CAP
    shape = [up, down, y, y, up, down]
    # A pale rim keeps it apart from the bar, whose blue is dark.
    for colour, width in (("white", 2.2), (INK, 1.0)):
        axes.add_artist(Line2D(x, shape, color=colour, linewidth=width, solid_capstyle="butt", zorder=3))


def _look(cause: CauseResult) -> str:
    if cause.status != "calibrated":
        return _LEFT
    return _WITHHELD if cause.lower is None else _CALIBRATED


def _bar(axes: "Axes", top: float, share: float, look: str) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415  # loads on the first figure

    axes.add_artist(Rectangle((0, top), share, _BAR, **_LOOKS[look]))


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


def _key(figure: "Figure", left_in: float, looks: Sequence[str]) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415  # loads on the first figure
    from matplotlib.patches import Patch  # noqa: PLC0415

    handles: list[Patch | Line2D] = [Patch(**_LOOKS[look]) for look in looks]
    named = list(looks)
    if _CALIBRATED in looks:
        handles.append(Line2D([], [], color=INK, linewidth=1.1, marker="|", markersize=4))
        named.append("95 % interval")
    width, height = (float(side) for side in figure.get_size_inches())
    figure.legend(
        handles,
        named,
        loc="upper left",
        bbox_to_anchor=(left_in / width, 1 - 0.03 / height),
        ncols=len(handles),
        frameon=False,
        fontsize=TEXT_PT,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.4,
        columnspacing=1.4,
    )
