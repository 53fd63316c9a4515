"""A page to draw on, and its bytes: matplotlib by its objects alone, so no state outlives a figure.

matplotlib loads with the first figure. The same figure gives the same bytes on one installation: nothing in a file
tells when it was drawn, and names inside SVG come from a fixed salt.
"""

import io
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from tasks.core.errors import EngineUnavailable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Form = Literal["svg", "png"]
Points = Sequence[tuple[float, float]] | npt.NDArray[np.float64]
MEDIA_TYPES: dict[Form, str] = {"svg": "image/svg+xml", "png": "image/png"}

# The width of a printed page's text, in inches, and points per inch of PNG.
PAGE_IN = 7.1
_PNG_DPI = 200

# M. Okabe, K. Ito, "Color Universal Design" (2008): told apart by readers of any colour vision. Without its yellow,
# which is too pale for thin lines.
BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9"
INK, QUIET, FAINT = "#1a1a1a", "#5a5a5a", "#d9d9d9"
LINES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, INK, "#8c6d31")

TEXT_PT, SMALL_PT = 7.5, 6.5
# A letter's mean width in its own size, for the font below; in inches at TEXT_PT.
LETTER_IN = 0.57 * TEXT_PT / 72

# matplotlib's type lists every key it knows, which differ from release to release.
_RC: dict[Any, object] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],
    "font.size": TEXT_PT,
    "text.color": INK,
    "text.parse_math": False,
    "hatch.linewidth": 0.5,
    "hatch.color": QUIET,
    "path.simplify": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "switchyard",
}
# matplotlib's parameters belong to the process.
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Page:
    """One pair of axes over the whole page, in inches from its upper left corner: x to the right, y downwards.

    Axes for each panel, with ticks, would take several times as long as what is drawn in them.
    """

    figure: "Figure"
    axes: "Axes"

    def text(
        self, x: float, y: float, text: str, *, points: float = TEXT_PT, colour: str = INK, **properties: Any
    ) -> None:
        """Put text at a point: its upper left corner, unless ``properties`` (those of matplotlib) say otherwise."""
        self.axes.text(x, y, text, fontsize=points, color=colour, **{"va": "top", **properties})

    def lines(self, lines: Sequence[Points], *, colour: str = INK, width: float = 0.6, **properties: Any) -> None:
        """Draw lines of one look; each is a sequence of points."""
        from matplotlib.collections import LineCollection  # noqa: PLC0415  # loads on the first figure

        self.axes.add_artist(LineCollection(lines, colors=colour, linewidths=width, **properties))

    def areas(self, areas: Sequence[Points], **properties: Any) -> None:
        """Fill areas, each named by its corners."""
        from matplotlib.collections import PolyCollection  # noqa: PLC0415  # loads on the first figure

        self.axes.add_artist(PolyCollection(areas, **properties))

    def images(self, forms: Sequence[Form]) -> dict[Form, bytes]:
        """Return the page's bytes, by form; inside the block of ``page`` only."""
        return {form: _bytes(self.figure, form) for form in forms}


@contextmanager
def page(width_in: float, height_in: float) -> Iterator[Page]:
    """Yield an empty page, to be drawn and asked for its images inside the block.

    Raises:
        EngineUnavailable: matplotlib is missing.
    """
    try:
        from matplotlib import rc_context  # noqa: PLC0415  # loads on the first figure
        from matplotlib.figure import Figure  # noqa: PLC0415  # heavy; only where a figure is drawn
    except ImportError as exc:
        raise EngineUnavailable(f"matplotlib cannot be loaded ({exc}): install the extra r.") from exc
    with _LOCK, rc_context(_RC):
        figure = Figure(figsize=(width_in, height_in), facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, width_in)
        axes.set_ylim(height_in, 0)
        yield Page(figure, axes)


def box(left: float, top: float, width: float, height: float) -> list[tuple[float, float]]:
    """Return the corners of a rectangle."""
    return [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]


def _bytes(figure: "Figure", form: Form) -> bytes:
    content = io.BytesIO()
    with warnings.catch_warnings():
        # A cause may be named in a script that matplotlib's own font lacks; in SVG the viewer's fonts have it.
        warnings.filterwarnings("ignore", message="Glyph ", category=UserWarning)
        if form == "svg":
            figure.savefig(content, format=form, metadata={"Date": None, "Creator": None})
        else:
            # Higher compression would take as long as the drawing.
            figure.savefig(
                content, format=form, dpi=_PNG_DPI, metadata={"Software": None}, pil_kwargs={"compress_level": 1}
            )
    return content.getvalue()


def label(name: str, letters: int) -> str:
    """Return ``name`` on one or two lines of at most ``letters``, cut off where it is longer."""
    printable = _printable(name)
    if len(printable) <= letters:
        return printable
    # Names of causes are often joined by underscores, which is where they may be broken.
    first = ""
    for piece in re.findall(r"[^ _-]*[ _-]?", printable):
        if len((first + piece).rstrip()) > letters:
            break
        first += piece
    first = first or printable[:letters]
    rest = printable[len(first) :]
    return f"{first.rstrip()}\n{rest if len(rest) <= letters else rest[: letters - 1] + '…'}"


def one_line(name: str, letters: int) -> str:
    """Return ``name`` on one line of at most ``letters``, cut off where it is longer."""
    printable = _printable(name)
    return printable if len(printable) <= letters else f"{printable[: letters - 1]}…"


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in name)


def label_width_in(labels: Sequence[str]) -> float:
    """Return how wide the widest of ``labels`` will be, in inches."""
    return LETTER_IN * max(len(line) for text in labels for line in text.split("\n"))
