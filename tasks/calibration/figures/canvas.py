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
from typing import TYPE_CHECKING, Any, Literal

from tasks.core.errors import EngineUnavailable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Form = Literal["svg", "png"]
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
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.6,
    "axes.titlesize": TEXT_PT,
    "axes.unicode_minus": False,
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": TEXT_PT,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.5,
    "hatch.color": QUIET,
    "path.simplify": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "switchyard",
}
# matplotlib's parameters belong to the process.
_LOCK = threading.Lock()


@contextmanager
def page(width_in: float, height_in: float) -> Iterator["Figure"]:
    """Yield an empty figure; draw and ``render`` it inside the block.

    Raises:
        EngineUnavailable: matplotlib is missing.
    """
    try:
        from matplotlib import rc_context  # noqa: PLC0415  # loads on the first figure
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as exc:
        raise EngineUnavailable(f"matplotlib cannot be loaded ({exc}): install the extra r.") from exc
    with _LOCK, rc_context(_RC):
        yield Figure(figsize=(width_in, height_in), facecolor="white")


def place(
    figure: "Figure", left_in: float, top_in: float, width_in: float, height_in: float, *, framed: bool = True
) -> "Axes":
    """Return axes on the page, measured in inches from its left and upper edges; unframed ones lack two sides."""
    width, height = (float(side) for side in figure.get_size_inches())
    axes = figure.add_axes(
        (left_in / width, 1 - (top_in + height_in) / height, width_in / width, height_in / height), facecolor="none"
    )
    if not framed:
        axes.spines[["top", "right"]].set_visible(False)
    return axes


def write(
    figure: "Figure", left_in: float, top_in: float, text: str, *, small: bool = False, bold: bool = False
) -> None:
    """Put a line of text on the page; its upper left corner is measured in inches from the page's."""
    width, height = (float(side) for side in figure.get_size_inches())
    figure.text(
        left_in / width,
        1 - top_in / height,
        text,
        va="top",
        fontsize=SMALL_PT if small else TEXT_PT,
        color=QUIET if small else INK,
        weight="bold" if bold else "normal",
    )


def render(figure: "Figure", forms: Sequence[Form]) -> dict[Form, bytes]:
    """Return the figure's bytes, by form."""
    return {form: _bytes(figure, form) for form in forms}


def _bytes(figure: "Figure", form: Form) -> bytes:
    content = io.BytesIO()
    with warnings.catch_warnings():
        # A cause may be named in a script that matplotlib's own font lacks; in SVG the viewer's fonts have it.
        warnings.filterwarnings("ignore", message="Glyph ", category=UserWarning)
        if form == "svg":
            figure.savefig(content, format=form, metadata={"Date": None, "Creator": None})
        else:
            # The highest compression would take longer than the drawing.
            figure.savefig(
                content, format=form, dpi=_PNG_DPI, metadata={"Software": None}, pil_kwargs={"compress_level": 3}
            )
    return content.getvalue()


def label(name: str, letters: int) -> str:
    """Return ``name`` on one or two lines of at most ``letters``, cut off where it is longer."""
    printable = "".join(letter if letter.isprintable() else " " for letter in name)
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


def label_width_in(labels: Sequence[str]) -> float:
    """Return how wide the widest of ``labels`` will be, in inches."""
    return LETTER_IN * max(len(line) for text in labels for line in text.split("\n"))
