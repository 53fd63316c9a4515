"""How the chains ran: traces and ranks of every calibrated fraction."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.calibration.figures.canvas import (
    LINES,
    PAGE_IN,
    QUIET,
    SMALL_PT,
    Form,
    Page,
    label_width_in,
    one_line,
    page,
)

Numbers = npt.NDArray[np.float64]

_LETTERS = 26
# More points than this would only make a line thicker, and the file larger.
_MOST_POINTS = 250
_BINS = 20
_HEAD_IN, _FOOT_IN, _GAP_IN = 0.36, 0.18, 0.2
_ROW_IN, _CROWDED_ROW_IN = 0.5, 0.36
_CROWDED_FROM = 13
_EDGE_IN = 0.12
# Of a row, what its lines take.
_HEIGHT = 0.8


@dataclass(frozen=True, slots=True)
class ChainView:
    """One fraction's draws.

    Args:
        draws: shape (draws, chains), in the order in which they were drawn.
        told: a few words below the cause's name, such as R-hat.
    """

    cause: str
    draws: Numbers
    told: str


def chains_images(views: Sequence[ChainView], title: str, forms: Sequence[Form]) -> dict[Form, bytes]:
    """Draw a row for each fraction: its trace, and how evenly each chain's draws rank among all.

    Chains that have mixed lie over each other on the left and stay near the line on the right.

    Raises:
        EngineUnavailable: matplotlib is missing.
    """
    labels = [one_line(view.cause, _LETTERS) for view in views]
    side_in = max(label_width_in([*labels, *(view.told for view in views)]), 1.0) + 0.1
    row_in = _CROWDED_ROW_IN if len(views) >= _CROWDED_FROM else _ROW_IN
    room_in = PAGE_IN - side_in - 2 * _GAP_IN - 0.25 - _EDGE_IN
    trace_in, ranks_in = room_in * 0.62, room_in * 0.38
    trace_left_in = side_in + 0.25
    ranks_left_in = trace_left_in + trace_in + 2 * _GAP_IN
    with page(PAGE_IN, _HEAD_IN + len(views) * row_in + _FOOT_IN) as sheet:
        sheet.text(0.05, 0.04, title, weight="bold")
        for row, (view, name) in enumerate(zip(views, labels, strict=True)):
            sheet.text(0.05, _HEAD_IN + row * row_in + 0.06, name)
            sheet.text(0.05, _HEAD_IN + row * row_in + 0.19, view.told, points=SMALL_PT, colour=QUIET)
        draws = [view.draws for view in views]
        _traces(_Strip(sheet, trace_left_in, trace_in, row_in), draws)
        _ranks(_Strip(sheet, ranks_left_in, ranks_in, row_in), draws)
        return sheet.images(forms)


@dataclass(frozen=True, slots=True)
class _Strip:
    """A column of rows, one for each fraction; places on it are shares of its width and of a row's height."""

    sheet: Page
    left_in: float
    width_in: float
    row_in: float

    def places(self, row: int, across: Numbers, up: Numbers) -> Numbers:
        """Return points on the page: shape (points, 2)."""
        bottom_in = _HEAD_IN + (row + _HEIGHT) * self.row_in
        return np.column_stack((self.left_in + across * self.width_in, bottom_in - up * _HEIGHT * self.row_in))

    def name(self, row: int, up: float, text: str) -> None:
        """Write a height's value at the left edge of a row."""
        ((x, y),) = self.places(row, np.zeros(1), np.array([up]))
        self.sheet.text(x - 0.05, y, text, points=SMALL_PT - 1, ha="right", va="center")
        self.sheet.lines([[(x - 0.03, y), (x, y)]], colour=QUIET)

    def frame(self, title: str, axis: str, *, last: int, rows: int) -> None:
        """Write what the strip shows above it, and the ends of its axis below."""
        bottom_in = _HEAD_IN + (rows - 1 + _HEIGHT) * self.row_in + 0.05
        right_in, middle_in = self.left_in + self.width_in, self.left_in + self.width_in / 2
        self.sheet.text(self.left_in, 0.2, title, points=SMALL_PT, colour=QUIET)
        self.sheet.lines([[(self.left_in, bottom_in), (right_in, bottom_in)]], colour=QUIET)
        self.sheet.text(self.left_in, bottom_in + 0.03, "1", points=SMALL_PT)
        self.sheet.text(middle_in, bottom_in + 0.03, axis, points=SMALL_PT, colour=QUIET, ha="center")
        self.sheet.text(right_in, bottom_in + 0.03, f"{last:,}", points=SMALL_PT, ha="right")


def _traces(strip: _Strip, fractions: Sequence[Numbers]) -> None:
    count, chains = fractions[0].shape
    at = np.arange(0, count, -(-count // _MOST_POINTS))
    across = at / max(count - 1, 1)
    lines: list[list[Numbers]] = [[] for _ in range(chains)]
    for row, draws in enumerate(fractions):
        low, high = float(draws.min()), float(draws.max())
        for chain in range(chains):
            lines[chain].append(strip.places(row, across, (draws[at, chain] - low) / ((high - low) or 1.0)))
        strip.name(row, 0.0, _short(low * 100))
        strip.name(row, 1.0, _short(high * 100))
    _draw(strip, lines, width=0.45)
    strip.frame("trace: share of deaths, %", "draw", last=count, rows=len(fractions))


def _short(percent: float) -> str:
    return f"{percent:.0f}" if percent >= 10 else f"{percent:.1f}"


def _ranks(strip: _Strip, fractions: Sequence[Numbers]) -> None:
    count, chains = fractions[0].shape
    edges = np.linspace(0, count * chains, _BINS + 1)
    counted = [_counted_ranks(draws, edges) for draws in fractions]
    expected = count / _BINS
    most = max(expected, *(float(bins.max()) for bins in counted)) * 1.04
    across = np.repeat(edges, 2)[1:-1] / edges[-1]
    lines: list[list[Numbers]] = [[] for _ in range(chains)]
    evenly = []
    for row, by_chain in enumerate(counted):
        for chain, bins in enumerate(by_chain):
            lines[chain].append(strip.places(row, across, np.repeat(bins / most, 2)))
        evenly.append(strip.places(row, np.array([0.0, 1.0]), np.full(2, expected / most)))
        strip.name(row, 0.0, "0")
        strip.name(row, expected / most, f"{expected:.0f}")
    _draw(strip, lines, width=0.7)
    strip.sheet.lines(evenly, colour=QUIET, linestyles=[(0, (3, 2))])
    strip.frame("ranks: draws a bin", "rank", last=count * chains, rows=len(fractions))


def _counted_ranks(draws: Numbers, edges: Numbers) -> Numbers:
    """Return how many of each chain's draws have ranks in each bin: shape (chains, bins)."""
    count, chains = draws.shape
    ranks = np.empty(draws.size)
    ranks[np.argsort(draws.ravel(order="F"), kind="stable")] = np.arange(draws.size)
    parts = ranks.reshape(chains, count)
    return np.array([np.histogram(part, edges)[0] for part in parts], dtype=np.float64)


def _draw(strip: _Strip, lines: Sequence[Sequence[Numbers]], *, width: float) -> None:
    for chain, of_chain in enumerate(lines):
        strip.sheet.lines(of_chain, colour=LINES[chain % len(LINES)], width=width)
