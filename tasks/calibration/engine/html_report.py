"""The whole result as one page that loads nothing: fit for a paper's appendix."""

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tasks.calibration.engine.exchange import Answer
from tasks.calibration.engine.fits import diagnostics_of, fits_of
from tasks.calibration.engine.methods import REFERENCES, methods
from tasks.calibration.engine.pictures import Picture
from tasks.calibration.figures import PAGE_IN
from tasks.calibration.results import CalibrationResult, CauseResult, FitResult, Provenance

if TYPE_CHECKING:
    from jinja2 import Template

_TEMPLATE = "report.html.j2"
# Of the provenance, what the template names.
_PLACED = (
    *("engine", "package_version", "r_version", "switchyard_version", "seed", "parameters", "donotcalib", "excluded"),
    *("studycause_map", "cause_map", "dropped", "input_sha256", "matrix_sha256"),
)


def html_report(result: CalibrationResult, answer: Answer, pictures: Sequence[tuple[Picture, bytes]]) -> bytes:
    """Return the report as HTML; ``pictures`` come with their SVG."""
    notes = Footnotes()
    fits = fits_of(result)
    tables = {name: [_row(cause, notes) for cause in fit.causes] for name, fit in fits.items()}
    page = _template().render(
        result=result,
        provenance=result.provenance,
        more=_more(result.provenance),
        fits=fits,
        rows=tables,
        footnotes=notes.texts,
        left={name: _left(fit) for name, fit in fits.items()},
        cause_diagnostics=[(*key, told) for key, told in diagnostics_of(answer).items()],
        draws={name: draws.density.shape for name, draws in answer.draws.items()},
        methods=methods(result),
        references=REFERENCES,
        figures=[ShownPicture.of(picture, svg) for picture, svg in pictures],
    )
    return page.encode()


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A picture inside the page; ``width_percent`` of it, so that all have letters of one size."""

    name: str
    caption: str
    shows: str
    content: str
    width_percent: float

    @classmethod
    def of(cls, picture: Picture, svg: bytes) -> "ShownPicture":
        """Take in ``svg``."""
        width = re.search(rb'<svg[^>]* width="([0-9.]+)pt"', svg)
        share = float(width[1]) / (PAGE_IN * 72) if width else 1.0
        content = base64.b64encode(svg).decode()
        return cls(picture.name, picture.caption, picture.shows, content, round(min(1.0, share) * 100, 1))


class Footnotes:
    """Texts below a table, each once, by letter."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def letter(self, text: str) -> str:
        """Return the letter that stands for ``text``."""
        return self._letters.setdefault(text, _letter(len(self._letters)))

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Letters and texts, in order."""
        return [(letter, text) for text, letter in self._letters.items()]


def _letter(index: int) -> str:
    before, last = divmod(index, 26)
    return (_letter(before - 1) if before else "") + chr(ord("a") + last)


@dataclass(frozen=True, slots=True)
class TableRow:
    """One cause of one fit, as it is printed."""

    cause: str
    observed: str
    uncalibrated: str
    mean: str
    interval: str
    deaths: str
    footnote: str


def _row(cause: CauseResult, notes: Footnotes) -> TableRow:
    known = cause.lower is not None and cause.upper is not None
    return TableRow(
        cause=cause.cause,
        observed=f"{cause.observed:,}",
        uncalibrated=_percent(cause.uncalibrated),
        mean=_percent(cause.mean),
        interval=f"({_percent(cause.lower or 0.0)}, {_percent(cause.upper or 0.0)})" if known else "",
        deaths=f"{cause.deaths:,}",
        footnote=notes.letter(cause.reason) if cause.reason else "",
    )


def _percent(share: float) -> str:
    return f"{share * 100:.1f}"


def _left(fit: FitResult) -> list[str]:
    return [f"{cause.cause} ({cause.status.replace('_', ' ')})" for cause in fit.causes if cause.status != "calibrated"]


def _more(provenance: Provenance) -> list[tuple[str, str]]:
    """Return what the page has no place of its own for."""
    told = provenance.model_dump(mode="json", exclude=set(_PLACED))
    return [(name, _flat(value)) for name, value in told.items() if value is not None]


def _flat(value: object) -> str:
    return ", ".join(f"{name} {one}" for name, one in value.items()) if isinstance(value, dict) else str(value)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


@cache
def _template() -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  # loads with the first report

    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["listed"] = _listed
    return environment.get_template(_TEMPLATE)
