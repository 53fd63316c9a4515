"""Misclassification matrices as heatmaps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.calibration.figures.canvas import (
    FAINT,
    INK,
    PAGE_IN,
    QUIET,
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
    from matplotlib.path import Path

Shares = npt.NDArray[np.float64]
# The least side of a cell in which three digits can be read in print, and the largest that looks well; inches.
_LEAST_CELL_IN, _MOST_CELL_IN = 0.18, 0.34
_LETTERS = 22
_GAP_IN = 0.2
_HEAD_IN = 0.34
_FOOT_IN = 0.1
# Every digit of the font is as wide as the others; in its own size.
_DIGIT_EM, _DIGIT_HEIGHT_EM = 0.636, 0.729
# From this share on a cell is so dark that its number is white.
_DARK_FROM = 0.55


@dataclass(frozen=True, slots=True)
class MatrixView:
    """One matrix to show.

    Args:
        causes: of its rows (true causes) and columns (VA causes).
        rows: shares or weights, each row scaled to its own sum; ``None`` for an empty cell.
        excluded: causes whose rows and columns are greyed.
        title: a few words above it.
        hides_excluded: whether greyed cells show no number, because nothing used them.
    """

    causes: Sequence[str]
    rows: Sequence[Sequence[float | None]]
    title: str = ""
    excluded: frozenset[str] = field(default_factory=frozenset)
    hides_excluded: bool = False

    @property
    def shares(self) -> Shares:
        """Each row divided by its sum; NaN where a cell is empty."""
        values = np.array([[np.nan if cell is None else cell for cell in row] for row in self.rows], dtype=np.float64)
        sums = np.nansum(values, axis=1, keepdims=True)
        shares: Shares = np.divide(values, sums, out=np.full_like(values, np.nan), where=sums > 0)
        return shares


def misclassification(*matrices: MatrixView, form: Form = "svg") -> bytes:
    """Draw matrices side by side, true causes down and VA causes across, in percent of the true cause's deaths.

    The diagonal is outlined; excluded rows and columns are grey.

    Raises:
        EngineUnavailable: matplotlib is missing.
    """
    return misclassification_images(matrices, (form,))[form]


def misclassification_images(matrices: Sequence[MatrixView], forms: Sequence[Form]) -> dict[Form, bytes]:
    """Draw as ``misclassification`` does, once for all ``forms``."""
    size = max(len(view.causes) for view in matrices)
    labels = [label(cause, _LETTERS) for view in matrices for cause in view.causes]
    side_in = label_width_in(labels) + 0.12
    room_in = PAGE_IN - side_in - 0.3
    across = max(1, min(len(matrices), int((room_in + _GAP_IN) // (size * _LEAST_CELL_IN + _GAP_IN))))
    cell_in = min(_MOST_CELL_IN, (room_in - (across - 1) * _GAP_IN) / (across * size))
    square_in = cell_in * size
    down = -(-len(matrices) // across)
    row_in = _HEAD_IN + square_in + side_in + _FOOT_IN
    with page(side_in + 0.25 + across * square_in + (across - 1) * _GAP_IN + 0.05, down * row_in + 0.05) as figure:
        for index, view in enumerate(matrices):
            row, column = divmod(index, across)
            left_in, top_in = side_in + 0.25 + column * (square_in + _GAP_IN), row * row_in
            width_in = cell_in * len(view.causes)
            axes = place(figure, left_in, top_in + _HEAD_IN, width_in, width_in)
            _draw(axes, view, cell_in=cell_in, is_first=column == 0)
            write(figure, left_in, top_in + 0.04, view.title)
        return render(figure, forms)


def _draw(axes: "Axes", view: MatrixView, *, cell_in: float, is_first: bool) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415  # loads on the first figure

    size = len(view.causes)
    shares = view.shares
    greyed = np.array([cause in view.excluded for cause in view.causes])
    greyed = greyed[:, None] | greyed[None, :]
    axes.pcolormesh(_colours(shares, greyed), edgecolors="white", linewidth=0.4)
    axes.set_xlim(0, size)
    axes.set_ylim(size, 0)
    axes.set_aspect("equal")
    _write_numbers(axes, shares, greyed, hides=view.hides_excluded, points_per_cell=cell_in * 72)
    for cause in range(size):
        axes.add_artist(
            Rectangle((cause, cause), 1, 1, fill=False, edgecolor=INK, linewidth=1.0, zorder=3, clip_on=False)
        )
    labels = [label(cause, _LETTERS) for cause in view.causes]
    axes.set_xticks(np.arange(size) + 0.5, labels, rotation=90, fontsize=TEXT_PT)
    axes.set_yticks(np.arange(size) + 0.5, labels if is_first else [])
    axes.tick_params(length=0, pad=2)
    axes.set_xlabel("VA cause", fontsize=TEXT_PT, color=QUIET, labelpad=3)
    if is_first:
        axes.set_ylabel("true cause", fontsize=TEXT_PT, color=QUIET, labelpad=3)
    axes.spines[:].set_visible(False)


def _write_numbers(
    axes: "Axes", shares: Shares, greyed: npt.NDArray[np.bool_], *, hides: bool, points_per_cell: float
) -> None:
    """Write percentages as outlines of digits, one shape a digit: hundreds of texts would take most of the time."""
    from matplotlib.collections import PathCollection  # noqa: PLC0415  # loads on the first figure

    points = min(TEXT_PT, points_per_cell * 0.46)
    step = _DIGIT_EM * points / points_per_cell
    places: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for (row, column), share in np.ndenumerate(shares):
        if np.isnan(share) or (hides and greyed[row, column]):
            continue
        colour = QUIET if greyed[row, column] else "white" if share >= _DARK_FROM else INK
        number = f"{share * 100:.0f}"
        for index, digit in enumerate(number):
            x = column + 0.5 + (index - (len(number) - 1) / 2) * step
            places.setdefault((digit, colour), []).append((x, row + 0.5))
    for (digit, colour), offsets in places.items():
        shape = PathCollection(
            [_outline(digit, points)],
            offsets=offsets,
            offset_transform=axes.transData,
            facecolors=colour,
            linewidths=0,
            zorder=2,
        )
        shape.set_transform(axes.figure.dpi_scale_trans)
        axes.add_artist(shape)


@cache
def _outline(digit: str, points: float) -> "Path":
    """Return the outline of ``digit`` about its middle, in inches."""
    from matplotlib.font_manager import FontProperties  # noqa: PLC0415  # loads on the first figure
    from matplotlib.path import Path  # noqa: PLC0415
    from matplotlib.textpath import TextPath  # noqa: PLC0415

    outline = TextPath((0, 0), digit, size=points, prop=FontProperties(family="DejaVu Sans"))
    middle = np.array([_DIGIT_EM, _DIGIT_HEIGHT_EM]) * points / 2
    return Path((np.asarray(outline.vertices) - middle) / 72, outline.codes)


def _colours(shares: Shares, greyed: npt.NDArray[np.bool_]) -> Shares:
    from matplotlib import colormaps, colors  # noqa: PLC0415  # loads on the first figure

    colours: Shares = np.array(colormaps["Blues"](np.nan_to_num(shares)))
    colours[np.isnan(shares) | greyed] = colors.to_rgba(FAINT)
    return colours
