"""The result as files: tables for a spreadsheet, and the draws."""

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Sequence

from tasks.calibration.contract import CalibrationResult, FitResult
from tasks.calibration.engine.exchange import Answer
from tasks.core.job import JobContext

CSV = "text/csv"
CSMF, DEATHS, MATRICES, DIAGNOSTICS = "csmf.csv", "deaths.csv", "matrices.csv", "diagnostics.csv"
DRAWS = "draws.csv.gz"
_CSMF_HEADER = ("fit", "cause", "observed", "uncalibrated", "mean", "lower", "upper", "status", "reason")
_MATRICES_HEADER = ("algorithm", "stage", "true_cause", "va_cause", "value")
NAMES = (CSMF, DEATHS, MATRICES, DIAGNOSTICS, DRAWS)


def save_tables(job: JobContext, result: CalibrationResult, answer: Answer) -> None:
    """Keep the tables as artifacts of ``job``."""
    job.save(CSMF, _csv(_CSMF_HEADER, _fractions(result)), CSV)
    job.save(DEATHS, _csv(("fit", "algorithm", "cause", "observed", "calibrated"), _deaths(result, answer)), CSV)
    rows = ((row["algorithm"], row["stage"], row["true"], row["va"], row["value"]) for row in answer.matrices)
    job.save(MATRICES, _csv(_MATRICES_HEADER, rows), CSV)
    job.save(DIAGNOSTICS, _csv(("fit", "cause", "rhat", "ess_bulk", "ess_tail"), _diagnostics(answer)), CSV)
    job.checkpoint()
    job.save(DRAWS, gzip.compress(_draws(result.causes, answer), 1, mtime=0), "application/gzip")


def _fits(result: CalibrationResult) -> Iterator[tuple[str, FitResult]]:
    yield from result.algorithms.items()
    if result.ensemble is not None:
        yield "ensemble", result.ensemble


def _fractions(result: CalibrationResult) -> Iterator[Sequence[object]]:
    for name, fit in _fits(result):
        for cause in fit.causes:
            numbers = (cause.uncalibrated, cause.mean, cause.lower, cause.upper)
            shown = ("" if number is None else f"{number:.6f}" for number in numbers)
            yield name, cause.cause, cause.observed, *shown, cause.status, cause.reason or ""


def _deaths(result: CalibrationResult, answer: Answer) -> Iterator[Sequence[object]]:
    observed = {(name, cause.cause): cause.observed for name, fit in result.algorithms.items() for cause in fit.causes}
    for row in answer.deaths:
        seen = observed[row["algorithm"], row["cause"]]
        yield row["fit"], row["algorithm"], row["cause"], seen, round(float(row["deaths"]))


def _diagnostics(answer: Answer) -> Iterator[Sequence[object]]:
    for row in answer.summary:
        if row["rhat"]:
            yield row["fit"], row["cause"], row["rhat"], row["ess_bulk"], row["ess_tail"]


def _draws(causes: Sequence[str], answer: Answer) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(("fit", "chain", "draw", "log_density", *causes))
    line = "%s,%d,%d,%.6g" + ",%.6g" * len(causes)
    for fit, draws in answer.draws.items():
        fractions = draws.fractions.transpose(2, 0, 1).tolist()
        densities = draws.density.T.tolist()
        for chain, (rows, density) in enumerate(zip(fractions, densities, strict=True), start=1):
            text.writelines(
                line % (fit, chain, number, at, *row) + "\r\n"
                for number, (row, at) in enumerate(zip(rows, density, strict=True), start=1)
            )
    return text.getvalue().encode()


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
