"""A matrix as a picture: a heat map in SVG, drawn without a plotting library because the web process has none."""

from html import escape

from tasks.calibration.inventory import StoredMatrix

_CELL, _GAP, _LABEL, _TOP, _RIGHT = 52, 10, 190, 160, 70
_FONT = 'font-family="Helvetica, Arial, sans-serif"'
# Ends of the scale: white at 0, a dark blue at 1; on the dark half numbers are white.
_DARK = (8, 48, 107)
_READABLE_FROM = 0.5


def matrix_svg(matrix: StoredMatrix, *, title: str) -> str:
    """Draw ``matrix.fixed``: rows true causes, columns what the algorithm says, in percent, the diagonal outlined."""
    size = len(matrix.causes)
    width, height = _LABEL + size * _CELL + _RIGHT, _TOP + size * _CELL + 3 * _GAP
    heading = f"{matrix.algorithm}, {matrix.age_group}, {matrix.country}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" {_FONT}>',
        f"<title>{escape(heading)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(heading, _GAP, 22, size=16, weight="bold"),
        _text(title, _GAP, 40, size=11, colour="#555555"),
        _text("true cause (rows),", _GAP, _TOP - 22, size=11, colour="#555555"),
        _text("VA cause (columns)", _GAP, _TOP - 8, size=11, colour="#555555"),
    ]
    for j, cause in enumerate(matrix.causes):
        x = _LABEL + (j + 0.5) * _CELL
        parts.append(_text(cause, x, _TOP - 8, size=11, turn=-40))
    for i, (cause, row) in enumerate(zip(matrix.causes, matrix.fixed, strict=True)):
        y = _TOP + i * _CELL
        parts.append(_text(cause, _LABEL - 8, y + _CELL / 2 + 4, size=12, anchor="end"))
        parts += [_cell(value, _LABEL + j * _CELL, y) for j, value in enumerate(row)]
    parts += [
        f'<rect x="{_LABEL + i * _CELL + 1}" y="{_TOP + i * _CELL + 1}" width="{_CELL - 2}" height="{_CELL - 2}" '
        'fill="none" stroke="#d95f02" stroke-width="2"/>'
        for i in range(size)
    ]
    note = "Of deaths of the true cause, % that the algorithm gives each cause."
    parts += [_text(note, _GAP, height - _GAP, size=11, colour="#555555"), "</svg>"]
    return "\n".join(parts)


def _cell(value: float, x: float, y: float) -> str:
    red, green, blue = (round(255 + (end - 255) * value) for end in _DARK)
    colour = "#ffffff" if value >= _READABLE_FROM else "#222222"
    shown = _text(f"{100 * value:.0f}", x + _CELL / 2, y + _CELL / 2 + 4, size=12, anchor="middle", colour=colour)
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{_CELL}" height="{_CELL}" fill="rgb({red},{green},{blue})" '
        f'stroke="#ffffff"/>{shown}'
    )


def _text(
    text: str,
    x: float,
    y: float,
    *,
    size: int,
    anchor: str = "start",
    weight: str = "normal",
    colour: str = "#222222",
    turn: int = 0,
) -> str:
    turned = f' transform="rotate({turn} {x:g} {y:g})"' if turn else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
        f'text-anchor="{anchor}"{turned}>{escape(text)}</text>'
    )
