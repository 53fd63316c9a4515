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
    Page,
    box,
    label,
    label_width_in,
    page,
)

if TYPE_CHECKING:
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
    grid = _Grid.of(matrices)
    with page(grid.width_in, grid.height_in) as sheet:
        for index, view in enumerate(matrices):
            row, column = divmod(index, grid.across)
            left_in, top_in = grid.left_in + column * grid.pitch_in, row * grid.row_in
            sheet.text(left_in, top_in + 0.04, view.title)
            _draw(sheet, view, _Square(left_in, top_in + _HEAD_IN, grid.cell_in))
            _name(sheet, view, grid, left_in=left_in, top_in=top_in + _HEAD_IN, is_first=column == 0)
        return sheet.images(forms)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where matrices stand on the page; inches."""

    across: int
    down: int
    cell_in: float
    left_in: float
    pitch_in: float
    foot_in: float
    row_in: float

    @classmethod
    def of(cls, matrices: Sequence[MatrixView]) -> "_Grid":
        size = max(len(view.causes) for view in matrices)
        labels_in = label_width_in([label(cause, _LETTERS) for view in matrices for cause in view.causes]) + 0.12
        left_in = labels_in + 0.25
        titles_in = label_width_in([view.title for view in matrices])
        room_in = PAGE_IN - left_in - 0.05
        least_in = max(size * _LEAST_CELL_IN, titles_in) + _GAP_IN
        across = max(1, min(len(matrices), int((room_in + _GAP_IN) // least_in)))
        cell_in = min(_MOST_CELL_IN, ((room_in + _GAP_IN) / across - _GAP_IN) / size)
        # Names that are no wider than a cell need not be turned.
        foot_in = 0.3 if labels_in <= cell_in else labels_in
        return cls(
            across=across,
            down=-(-len(matrices) // across),
            cell_in=cell_in,
            left_in=left_in,
            pitch_in=max(cell_in * size, titles_in) + _GAP_IN,
            foot_in=foot_in,
            row_in=_HEAD_IN + cell_in * size + foot_in + _FOOT_IN,
        )

    @property
    def is_turned(self) -> bool:
        """Whether the names below are."""
        return self.foot_in > 0.3

    @property
    def width_in(self) -> float:
        """Of the page."""
        return min(PAGE_IN, self.left_in + self.across * self.pitch_in - _GAP_IN + 0.05)

    @property
    def height_in(self) -> float:
        """Of the page."""
        return self.down * self.row_in + 0.05


@dataclass(frozen=True, slots=True)
class _Square:
    """Where the cells of one matrix lie; inches."""

    left_in: float
    top_in: float
    cell_in: float

    def corner(self, row: int, column: int) -> tuple[float, float]:
        """Return the upper left corner of a cell."""
        return self.left_in + column * self.cell_in, self.top_in + row * self.cell_in


def _draw(sheet: Page, view: MatrixView, square: _Square) -> None:
    shares = view.shares
    greyed = np.array([cause in view.excluded for cause in view.causes])
    greyed = greyed[:, None] | greyed[None, :]
    side = square.cell_in
    cells = [box(*square.corner(row, column), side, side) for row, column in np.ndindex(shares.shape)]
    sheet.areas(cells, facecolors=_colours(shares, greyed).reshape(-1, 4), edgecolors="white", linewidths=0.4)
    _write_numbers(sheet, shares, greyed, square, hides=view.hides_excluded)
    diagonal = [box(*square.corner(cause, cause), side, side) for cause in range(len(shares))]
    sheet.areas(diagonal, facecolors="none", edgecolors=INK, linewidths=1.0, zorder=3)


def _name(sheet: Page, view: MatrixView, grid: _Grid, *, left_in: float, top_in: float, is_first: bool) -> None:
    """Write the causes below, and beside the first matrix of a row."""
    side_in = grid.cell_in * len(view.causes)
    below_in, middle_in = top_in + side_in + 0.04, side_in / 2
    turn = 90 if grid.is_turned else 0
    for index, cause in enumerate(view.causes):
        at_in = (index + 0.5) * grid.cell_in
        sheet.text(left_in + at_in, below_in, label(cause, _LETTERS), ha="center", rotation=turn)
        if is_first:
            sheet.text(left_in - 0.05, top_in + at_in, label(cause, _LETTERS), ha="right", va="center")
    sheet.text(left_in + middle_in, below_in + grid.foot_in - 0.08, "VA cause", colour=QUIET, ha="center")
    if is_first:
        sheet.text(0.04, top_in + middle_in, "true cause", colour=QUIET, va="center", rotation=90)


def _write_numbers(sheet: Page, shares: Shares, greyed: npt.NDArray[np.bool_], square: _Square, *, hides: bool) -> None:
    """Write percentages as outlines of digits, one shape a digit: hundreds of texts would take most of the time."""
    from matplotlib.collections import PathCollection  # noqa: PLC0415  # loads on the first figure

    points = min(TEXT_PT, square.cell_in * 72 * 0.46)
    step = _DIGIT_EM * points / 72
    places: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for (row, column), share in np.ndenumerate(shares):
        if np.isnan(share) or (hides and greyed[row, column]):
            continue
        colour = QUIET if greyed[row, column] else "white" if share >= _DARK_FROM else INK
        number = f"{share * 100:.0f}"
        left_in, top_in = square.corner(row, column)
        for index, digit in enumerate(number):
            x = left_in + square.cell_in / 2 + (index - (len(number) - 1) / 2) * step
            places.setdefault((digit, colour), []).append((x, top_in + square.cell_in / 2))
    for (digit, colour), offsets in places.items():
        shape = PathCollection(
            [_outline(digit, points)],
            offsets=offsets,
            offset_transform=sheet.axes.transData,
            facecolors=colour,
            linewidths=0,
            zorder=2,
        )
        shape.set_transform(sheet.figure.dpi_scale_trans)
        sheet.axes.add_artist(shape)


@cache
def _outline(digit: str, points: float) -> "Path":
    """Return the outline of ``digit`` about its middle, in inches."""
    from matplotlib.font_manager import FontProperties  # noqa: PLC0415  # loads on the first figure
    from matplotlib.path import Path  # noqa: PLC0415  # as in canvas
    from matplotlib.textpath import TextPath  # noqa: PLC0415  # as in canvas

    outline = TextPath((0, 0), digit, size=points, prop=FontProperties(family="DejaVu Sans"))
    middle = np.array([_DIGIT_EM, _DIGIT_HEIGHT_EM]) * points / 2
    return Path((np.asarray(outline.vertices) - middle) / 72, outline.codes)


def _colours(shares: Shares, greyed: npt.NDArray[np.bool_]) -> Shares:
    from matplotlib import colormaps, colors  # noqa: PLC0415  # loads on the first figure

    colours: Shares = np.array(colormaps["Blues"](np.nan_to_num(shares)))
    colours[np.isnan(shares) | greyed] = colors.to_rgba(FAINT)
    return colours
