"""The result as tables: for a spreadsheet, for a program, and the draws for whoever goes on from them."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from tasks.calibration.engine.exchange import Answer
from tasks.calibration.engine.fits import diagnostics_of, fits_of, stalled_of
from tasks.calibration.results import CalibrationResult, CauseResult
from tasks.core.errors import EngineUnavailable

# Columns of the draws that are no cause.
_OWN = ("fit", "chain", "draw", "log_density")


def csmf_csv(result: CalibrationResult) -> bytes:
    """Return the fractions, a row for each fit and cause; the numbers are those of the result, to the last digit."""
    header = ("fit", "cause", "observed", "uncalibrated", "mean", "lower", "upper", "deaths", "status", "reason")
    return _csv(header, (_fraction_row(name, cause) for name, fit in fits_of(result).items() for cause in fit.causes))


def _fraction_row(fit: str, cause: CauseResult) -> Sequence[object]:
    numbers = map(_number, (cause.uncalibrated, cause.mean, cause.lower, cause.upper))
    return fit, cause.cause, cause.observed, *numbers, cause.deaths, cause.status, cause.reason or ""


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def deaths_csv(result: CalibrationResult) -> bytes:
    """Return observed and calibrated deaths: each fit's own, and the ensemble's fractions on each algorithm's total."""
    return _csv(("fit", "algorithm", "cause", "observed", "calibrated"), _deaths(result))


def _deaths(result: CalibrationResult) -> Iterator[Sequence[object]]:
    for name, fit in result.algorithms.items():
        for cause in fit.causes:
            yield name, name, cause.cause, cause.observed, cause.deaths
    for name, deaths in (result.ensemble.deaths if result.ensemble else {}).items():
        for cause in result.algorithms[name].causes:
            yield "ensemble", name, cause.cause, cause.observed, deaths[cause.cause]


def matrices_csv(answer: Answer) -> bytes:
    """Return each matrix at each stage: values, and as shares of their row."""
    sums: dict[tuple[str, str, str], float] = defaultdict(float)
    for row in answer.matrices:
        sums[row["algorithm"], row["stage"], row["true"]] += float(row["value"])
    return _csv(
        ("algorithm", "stage", "true_cause", "va_cause", "value", "share"),
        (
            (*key, row["va"], row["value"], f"{float(row['value']) / sums[key]:.9g}")
            for row in answer.matrices
            if (key := (row["algorithm"], row["stage"], row["true"]))
        ),
    )


def diagnostics_csv(answer: Answer) -> bytes:
    """Return R-hat and effective sizes of every calibrated fraction."""
    return _csv(
        ("fit", "cause", "rhat", "ess_bulk", "ess_tail"),
        ((*key, told.rhat, told.ess_bulk, told.ess_tail) for key, told in diagnostics_of(answer).items()),
    )


def diagnostics_json(result: CalibrationResult, answer: Answer) -> bytes:
    """Return the same with what concerns whole fits."""
    by_cause = diagnostics_of(answer)
    told = {
        name: {
            # Without the time it took, so that the same seed gives the same bytes.
            **fit.diagnostics.model_dump(exclude={"seconds"}),
            "chains": answer.draws[name].density.shape[1] if name in answer.draws else 0,
            "draws_per_chain": len(answer.draws[name].density) if name in answer.draws else 0,
            "causes": {cause: asdict(known) for (owner, cause), known in by_cause.items() if owner == name},
        }
        for name, fit in fits_of(result).items()
    }
    return json.dumps({"fits": told}, indent=1, ensure_ascii=False).encode()


def draws_parquet(result: CalibrationResult, answer: Answer) -> bytes:
    """Return every draw, a row for each fit, chain and draw, with a column for each cause's fraction.

    Raises:
        EngineUnavailable: pyarrow is missing.
    """
    try:
        import pyarrow  # noqa: PLC0415  # loads where draws are kept
        from pyarrow import parquet  # noqa: PLC0415  # heavy; only where Parquet is asked for
    except ImportError as exc:
        raise EngineUnavailable(f"pyarrow cannot be loaded ({exc}): install the extra r.") from exc
    columns = _draws(result.causes, answer)
    names = [name for name, draws in answer.draws.items() for _ in range(draws.density.size)]
    table = pyarrow.table({"fit": pyarrow.array(names, pyarrow.string()), **columns})
    told = {
        "engine": result.provenance.engine,
        "seed": str(result.provenance.seed),
        "intervals_withheld": json.dumps(stalled_of(result)),
    }
    table = table.replace_schema_metadata(told)
    content = io.BytesIO()
    parquet.write_table(table, content, compression="zstd", use_dictionary=["fit", "chain"], write_statistics=False)
    return content.getvalue()


def _draws(causes: Sequence[str], answer: Answer) -> dict[str, npt.NDArray[np.generic]]:
    """Return the columns beside the fit's name; within a fit chain after chain."""
    kept = list(answer.draws.values())
    shapes = [draws.density.shape for draws in kept]
    chains = [np.repeat(np.arange(1, chains + 1, dtype=np.int16), count) for count, chains in shapes]
    numbers = [np.tile(np.arange(1, count + 1, dtype=np.int32), chains) for count, chains in shapes]
    columns: dict[str, npt.NDArray[np.generic]] = {
        "chain": _joined(chains, np.int16),
        "draw": _joined(numbers, np.int32),
        "log_density": _joined([draws.density.ravel(order="F") for draws in kept], np.float64),
    }
    for index, column in enumerate(draw_columns(causes)):
        columns[column] = _joined([draws.fractions[:, index, :].ravel(order="F") for draws in kept], np.float64)
    return columns


def _joined(parts: Sequence[npt.NDArray[np.generic]], kind: type[np.generic]) -> npt.NDArray[np.generic]:
    # Nothing may have been calibrated.
    return np.concatenate([np.empty(0, kind), *parts])


def draw_columns(causes: Sequence[str]) -> list[str]:
    """Return the names of the causes' columns; one named as another column says that it is a cause."""
    return [f"{cause} (cause)" if cause in _OWN else cause for cause in causes]


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
