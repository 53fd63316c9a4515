"""What a calibration leaves behind: tables, draws, figures and the report, as artifacts of its job."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.engine import tables
from tasks.calibration.engine.exchange import Answer
from tasks.calibration.engine.html_report import html_report
from tasks.calibration.engine.pictures import FORMS, Picture, picture_names, pictures_of
from tasks.calibration.figures import MEDIA_TYPES
from tasks.calibration.intake import Intake
from tasks.calibration.results import CalibrationResult
from tasks.core.errors import EngineUnavailable
from tasks.core.job import JobContext

CSV, JSON, HTML = "text/csv", "application/json", "text/html"
DRAWS, REPORT = "draws.parquet", "report.html"
_TABLES = ("csmf.csv", "deaths.csv", "matrices.csv", "diagnostics.csv", "diagnostics.json")


def check_outputs(request: CalibrationRequest) -> None:
    """Refuse before the work what could not be written after it.

    Raises:
        EngineUnavailable: a library is missing.
    """
    needed = {"matplotlib": request.draw_figures, "pyarrow": request.save_draws}
    for library, is_needed in needed.items():
        if is_needed and find_spec(library) is None:
            field = "draw_figures" if library == "matplotlib" else "save_draws"
            raise EngineUnavailable(f"{library} is missing: install the extra r, or send {field}=false.")


def output_names(request: CalibrationRequest, intake: Intake, answer: Answer) -> tuple[str, ...]:
    """Return the names of the artifacts that ``save_outputs`` will keep."""
    names = list(_TABLES)
    if request.save_draws:
        names.append(DRAWS)
    if request.draw_figures:
        names += [_file(name, form) for name in picture_names(tuple(intake.counts), answer) for form in FORMS]
    return (*names, REPORT)


def _file(name: str, form: str) -> str:
    return f"figures/{name}.{form}"


@dataclass(frozen=True, slots=True)
class Outputs:
    """The artifacts of one calibration."""

    request: CalibrationRequest
    result: CalibrationResult
    answer: Answer

    def save(self, job: JobContext, *, begin: float, end: float) -> None:
        """Keep everything as artifacts of ``job``, and tell how far that is, from ``begin`` to ``end`` percent."""
        job.report("summarise", begin, 100.0, "tables")
        for name, content, media_type in self._tables():
            job.save(name, content, media_type)
        pictures = pictures_of(self.result, self.answer) if self.request.draw_figures else []
        shown: list[tuple[Picture, bytes]] = []
        for number, picture in enumerate(pictures, start=1):
            percent = begin + (end - begin) * number / (len(pictures) + 1)
            job.report("figures", percent, 100.0, f"figure {number} of {len(pictures)}: {picture.name}")
            images = picture.draw()
            for form, content in images.items():
                job.save(_file(picture.name, form), content, MEDIA_TYPES[form])
            shown.append((picture, images["svg"]))
        job.report("report", end, 100.0, REPORT)
        job.save(REPORT, html_report(self.result, self.answer, shown), HTML)

    def _tables(self) -> Iterator[tuple[str, bytes, str]]:
        yield "csmf.csv", tables.csmf_csv(self.result), CSV
        yield "deaths.csv", tables.deaths_csv(self.result), CSV
        yield "matrices.csv", tables.matrices_csv(self.answer), CSV
        yield "diagnostics.csv", tables.diagnostics_csv(self.answer), CSV
        yield "diagnostics.json", tables.diagnostics_json(self.result, self.answer), JSON
        if self.request.save_draws:
            yield DRAWS, tables.draws_parquet(self.result, self.answer), "application/vnd.apache.parquet"
