"""How the chains ran: traces and ranks of every calibrated fraction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.calibration.figures.canvas import (
    LINES,
    PAGE_IN,
    QUIET,
    SMALL_PT,
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

_LETTERS = 24
# More points than this would only make a line thicker, and the file larger.
_MOST_POINTS = 250
_BINS = 20
_HEAD_IN, _FOOT_IN, _GAP_IN = 0.36, 0.18, 0.2
_ROW_IN, _CROWDED_ROW_IN = 0.5, 0.36
_CROWDED_FROM = 13
_EDGE_IN = 0.12


@dataclass(frozen=True, slots=True)
class ChainView:
    """One fraction's draws.

    Args:
        draws: shape (draws, chains), in the order in which they were drawn.
        told: a few words below the cause's name, such as R-hat.
    """

    cause: str
    draws: npt.NDArray[np.float64]
    told: str


def chains_images(views: Sequence[ChainView], title: str, forms: Sequence[Form]) -> dict[Form, bytes]:
    """Draw a row for each fraction: its trace, and how evenly each chain's draws rank among all.

    Chains that have mixed lie over each other on the left and stay near the line on the right.

    Raises:
        EngineUnavailable: matplotlib is missing.
    """
    labels = [label(view.cause, _LETTERS).split("\n")[0] for view in views]
    side_in = max(label_width_in([*labels, *(view.told for view in views)]), 1.0) + 0.1
    row_in = _CROWDED_ROW_IN if len(views) >= _CROWDED_FROM else _ROW_IN
    room_in = PAGE_IN - side_in - 2 * _GAP_IN - 0.25 - _EDGE_IN
    trace_in, ranks_in = room_in * 0.62, room_in * 0.38
    trace_left_in = side_in + 0.25
    ranks_left_in = trace_left_in + trace_in + 2 * _GAP_IN
    with page(PAGE_IN, _HEAD_IN + len(views) * row_in + _FOOT_IN) as figure:
        write(figure, 0.05, 0.04, title, bold=True)
        write(figure, trace_left_in, 0.2, "trace: share of deaths, %", small=True)
        write(figure, ranks_left_in, 0.2, "ranks: draws a bin", small=True)
        for row, (view, name) in enumerate(zip(views, labels, strict=True)):
            top_in, height_in = _HEAD_IN + row * row_in, row_in * 0.78
            write(figure, 0.05, top_in + 0.06, name)
            write(figure, 0.05, top_in + 0.19, view.told, small=True)
            is_last = row == len(views) - 1
            _trace(place(figure, trace_left_in, top_in, trace_in, height_in, framed=False), view.draws, is_last)
            _ranks(place(figure, ranks_left_in, top_in, ranks_in, height_in, framed=False), view.draws, is_last)
        return render(figure, forms)


def _trace(axes: "Axes", draws: npt.NDArray[np.float64], is_last: bool) -> None:
    count = len(draws)
    step = -(-count // _MOST_POINTS)
    at = np.arange(0, count, step)
    for chain in range(draws.shape[1]):
        axes.plot(at + 1, draws[at, chain] * 100, color=LINES[chain % len(LINES)], linewidth=0.45)
    low, high = float(draws.min()) * 100, float(draws.max()) * 100
    axes.set_xlim(1, max(count, 2))
    axes.set_ylim(*_ends(low, high))
    axes.set_yticks([low, high], [_short(low), _short(high)], fontsize=SMALL_PT - 1)
    _across(axes, (1, count), ("1", f"{count:,}"), "draw" if is_last else "")


def _across(axes: "Axes", ends: tuple[int, int], named: tuple[str, str], title: str) -> None:
    """Name the ends of the axis below the last row; the others have none."""
    if not title:
        axes.set_xticks([])
        return
    axes.set_xticks(ends, named)
    first, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    axes.set_xlabel(title, fontsize=SMALL_PT, color=QUIET, labelpad=-6)


def _ends(low: float, high: float) -> tuple[float, float]:
    pad = (high - low) * 0.05 or 0.5
    return low - pad, high + pad


def _short(percent: float) -> str:
    return f"{percent:.0f}" if percent >= 10 else f"{percent:.1f}"


def _ranks(axes: "Axes", draws: npt.NDArray[np.float64], is_last: bool) -> None:
    count, chains = draws.shape
    ranks = np.empty(draws.size)
    # By chain, so that a stable sort gives ties no chain's favour but the first one's.
    ranks[np.argsort(draws.ravel(order="F"), kind="stable")] = np.arange(draws.size)
    edges = np.linspace(0, draws.size, _BINS + 1)
    expected = count / _BINS
    most = expected
    for chain in range(chains):
        counted, _ = np.histogram(ranks[chain * count : (chain + 1) * count], edges)
        most = max(most, float(counted.max()))
        axes.stairs(counted, edges, color=LINES[chain % len(LINES)], linewidth=0.7, baseline=None)
    axes.axhline(expected, color=QUIET, linewidth=0.6, linestyle=(0, (3, 2)))
    axes.set_xlim(0, draws.size)
    axes.set_ylim(0, most * 1.08)
    axes.set_yticks([0, expected], ["0", f"{expected:.0f}"], fontsize=SMALL_PT - 1)
    _across(axes, (0, draws.size), ("1", f"{draws.size:,}"), "rank" if is_last else "")
